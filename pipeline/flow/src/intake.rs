//! Puts the records of requests into the log. One thread publishes what has come meanwhile in one piece, in order of
//! arrival.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use axum::http::StatusCode;
use jiff::Timestamp;
use tokio::sync::oneshot;
use tributary_runtime::{Headers, Output, Producer};

use crate::http::Problem;
use crate::{Failure, OwnProducer, Process, events};

/// The name of the producer. Each process has its own, so none fences another.
const PRODUCER: &str = "requests";

/// Requests that wait. More are refused, so memory stays bounded.
const MOST_WAITING: usize = 4_096;

/// Requests that are published in one piece.
const MOST_AT_ONCE: usize = 512;

/// When to send a request again that was refused.
const RETRY: Duration = Duration::from_secs(1);

/// Writes the records of one request.
type Write = Box<dyn FnOnce(&mut Output) + Send>;

/// The way of a flow's requests into the log. A flow has one in each process.
pub struct Intake {
    sender: SyncSender<Request>,
}

struct Request {
    write: Write,
    done: oneshot::Sender<Result<(), String>>,
}

impl Intake {
    /// Starts the thread. It ends with this value.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when there is no thread.
    pub fn start(process: &Arc<dyn Process>) -> Result<Self, Failure> {
        let (sender, receiver) = sync_channel(MOST_WAITING);
        let producer = OwnProducer::new(process, PRODUCER);
        let publishing = Publishing { partitions: process.flow_partitions(), producer };
        let thread = std::thread::Builder::new().name("intake".to_owned());
        thread.spawn(move || publishing.run(&receiver)).map_err(Failure::unfinished)?;
        Ok(Self { sender })
    }

    /// Publishes what `write` sends, in one transaction. Once this returns, it is in the log.
    ///
    /// # Errors
    /// A [`Problem`] with status 429 when too many requests wait, 503 when the log does not take it.
    pub async fn publish(&self, write: impl FnOnce(&mut Output) + Send + 'static) -> Result<(), Problem> {
        let (done, answer) = oneshot::channel();
        match self.sender.try_send(Request { write: Box::new(write), done }) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                let detail = "more requests wait than the log takes: send it again later";
                let status = StatusCode::TOO_MANY_REQUESTS;
                return Err(Problem::new(status, "TooManyRequests", detail).retry_after(RETRY));
            }
            Err(TrySendError::Disconnected(_)) => return Err(unavailable("the service ends")),
        }
        match answer.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(reason)) => Err(unavailable(&reason)),
            Err(_) => Err(unavailable("the service ends")),
        }
    }
}

fn unavailable(reason: &str) -> Problem {
    Problem::unavailable("LogUnavailable", format!("the request is not known to be in the log: {reason}"), RETRY)
}

struct Publishing {
    partitions: i32,
    producer: OwnProducer,
}

impl Publishing {
    fn run(mut self, receiver: &Receiver<Request>) {
        while let Ok(first) = receiver.recv() {
            let mut output = Output::new(self.partitions);
            output.inherit(Timestamp::now().as_millisecond(), Headers::default());
            let mut waiting = Vec::new();
            for request in std::iter::once(first).chain(receiver.try_iter().take(MOST_AT_ONCE - 1)) {
                (request.write)(&mut output);
                waiting.push(request.done);
            }
            let published = self.producer.publish(&output).map_err(|error| {
                events::not_published(&error);
                error.to_string()
            });
            for done in waiting {
                // The caller may have left.
                let _ = done.send(published.clone());
            }
        }
    }
}
