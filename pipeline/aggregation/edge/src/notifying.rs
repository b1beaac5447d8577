//! Notifies the subscribers of the own index, in the process that runs the rounds.
//!
//! The truth is the stored position of each subscriber. A queue is read from the log from there on, and a subscriber
//! has a task of its own, so one that is down delays nobody else. A clean stop stores how far each is. What is stored
//! goes through one producer, which fences that of the process that notified before.

mod lane;
mod replaying;
mod term;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tributary_aggregation::delivery::{Courier, NotificationSettings, SubscriberStatus};
use tributary_aggregation::flow::Flow;
use tributary_flow::http::Problem;
use tributary_flow::leading::{Leading, TERM};
use tributary_flow::{Failure, Process};
use tributary_runtime::trouble::Troubles;
use tributary_runtime::{LogError, Shutdown};
use tributary_schemas::types::aggregation::Address;

use crate::events;
use term::Term;

/// How often a process that does not notify looks whether it should.
const LOOK: Duration = Duration::from_millis(200);

/// The pause after the log has failed.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// Requests to send dead letters again that wait.
const MOST_REPLAYS: usize = 16;

/// The subject of troubles with the log.
const SUBJECT: &str = "aggregation.notification";

/// A request to send the dead letters of a subscriber again.
struct ReplayWanted {
    subscriber: Address,
    done: oneshot::Sender<Result<u64, String>>,
}

/// The state of the subscribers that this process notifies. `None` while another one does.
type Statuses = Arc<Mutex<Option<BTreeMap<Address, SubscriberStatus>>>>;

/// The running delivery. It ends with this value.
pub(crate) struct Notifying {
    stop: Shutdown,
    statuses: Statuses,
    replays: mpsc::Sender<ReplayWanted>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What every term needs.
struct Office {
    process: Arc<dyn Process>,
    courier: Courier,
    leading: Arc<Leading>,
    statuses: Statuses,
    stop: Shutdown,
}

impl Notifying {
    /// Starts to notify, whenever this process runs the rounds.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when there is no thread.
    pub(crate) fn start(
        process: &Arc<dyn Process>,
        flow: &Arc<Flow>,
        leading: &Arc<Leading>,
        settings: NotificationSettings,
    ) -> Result<Self, Failure> {
        let stop = process.shutdown().child();
        let statuses = Statuses::default();
        let (replays, wanted) = mpsc::channel(MOST_REPLAYS);
        let office = Office {
            process: Arc::clone(process),
            courier: Courier::new(Arc::clone(flow), process.codec().clone(), settings),
            leading: Arc::clone(leading),
            statuses: Arc::clone(&statuses),
            stop: stop.clone(),
        };
        let thread = std::thread::Builder::new().name("aggregation-notify".to_owned());
        let thread = thread.spawn(move || run(&office, wanted)).map_err(Failure::unfinished)?;
        Ok(Self { stop, statuses, replays, thread: Mutex::new(Some(thread)) })
    }

    /// The subscribers that have or had something to be told.
    ///
    /// # Errors
    /// 503 while another process notifies.
    pub(crate) fn statuses(&self) -> Result<BTreeMap<Address, SubscriberStatus>, Problem> {
        let statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner).clone();
        statuses.ok_or_else(elsewhere)
    }

    /// Sends the dead letters of a subscriber again, after all that waits for it. Returns how many.
    ///
    /// # Errors
    /// 503 while another process notifies, or if the log does not take it.
    pub(crate) async fn replay(&self, subscriber: Address) -> Result<u64, Problem> {
        let (done, replayed) = oneshot::channel();
        self.replays.try_send(ReplayWanted { subscriber, done }).map_err(|_| elsewhere())?;
        match replayed.await {
            Ok(Ok(count)) => Ok(count),
            Ok(Err(reason)) => Err(Problem::unavailable("log_unavailable", reason, FAILURE_PAUSE)),
            Err(_) => Err(elsewhere()),
        }
    }
}

fn elsewhere() -> Problem {
    let detail = "this process does not notify subscribers: another one of the namespace does, or none yet";
    Problem::unavailable("not_leading", detail, Duration::from_secs(2))
}

impl Notifying {
    /// Ends: what is delivered is stored.
    pub(crate) fn end(&self) {
        self.stop.trigger();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // A panic has been reported by the hook already.
            let _ = thread.join();
        }
    }
}

impl Drop for Notifying {
    fn drop(&mut self) {
        self.end();
    }
}

fn run(office: &Office, mut wanted: mpsc::Receiver<ReplayWanted>) {
    let mut troubles = Troubles::new();
    while !office.stop.is_triggered() {
        if !office.leading.is_here() {
            // Their senders learn that it is elsewhere.
            while wanted.try_recv().is_ok() {}
            office.stop.wait(LOOK);
            continue;
        }
        let outcome = Term::begin(office).and_then(|mut term| term.serve(&mut wanted));
        *office.statuses.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let now = std::time::Instant::now();
        match outcome {
            Ok(()) => troubles.end(SUBJECT, now).iter().for_each(events::notifying_trouble),
            Err(_) if office.stop.is_triggered() => return,
            // Another process notifies now. This one learns soon that it does not lead any more.
            Err(LogError::Fenced(_)) => drop(office.stop.wait(TERM)),
            Err(error) => {
                troubles.note(SUBJECT, error.to_string(), now).iter().for_each(events::notifying_trouble);
                office.stop.wait(FAILURE_PAUSE);
            }
        }
    }
}
