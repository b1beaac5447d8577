//! The floor: what the calls of a question cost without anything that makes them a service.
//!
//! It asks the index, makes the same calls to the same source systems, and sends the bodies of their answers as they
//! came, one after the other. It knows where the systems are, reads no XML, and has no limits, times, records or audit.

use std::sync::Arc;

use bytes::Bytes;
use clap::Args;
use hyper::body::Incoming;
use hyper::{Request, Response, Uri};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::body::{self, Pieces};
use crate::caller::Caller;
use crate::messages::{address, find_content, patient, question};
use crate::server::{self, Connections};
use crate::{Failure, Outcome};

/// Runs until it is ended.
#[derive(Debug, Args)]
pub(crate) struct Floor {
    /// Where source systems and index are.
    #[arg(long)]
    producers: Uri,
    /// How many.
    #[arg(long, default_value_t = 10)]
    addresses: usize,
    /// Asks no index.
    #[arg(long)]
    without_index: bool,
}

struct Calls {
    caller: Caller,
    url: Uri,
    index: Option<String>,
    questions: Vec<String>,
}

impl Floor {
    pub(crate) async fn run(&self) -> Outcome {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        println!("READY url=http://{}/", listener.local_addr()?);
        let calls = Arc::new(Calls {
            caller: Caller::new(),
            url: self.producers.clone(),
            index: (!self.without_index).then(|| find_content(&patient(0))),
            questions: (0..self.addresses).map(|number| question(&address(number), &patient(0))).collect(),
        });
        let answer = move |request| Arc::clone(&calls).answer(request);
        server::serve(listener, Arc::<Connections>::default(), answer).await?;
        Ok(())
    }
}

impl Calls {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Pieces>, Failure> {
        body::read(request.into_body(), |_| ()).await?;
        if let Some(message) = &self.index {
            Arc::clone(&self).call(message.clone()).await?;
        }
        let mut calls = JoinSet::new();
        for question in &self.questions {
            calls.spawn(Arc::clone(&self).call(question.clone()));
        }
        let mut answer = Pieces::default();
        while let Some(called) = calls.join_next().await {
            called??.into_iter().for_each(|piece| answer.push(piece));
        }
        Ok(server::xml(answer))
    }

    async fn call(self: Arc<Self>, message: String) -> Result<Vec<Bytes>, Failure> {
        let response = self.caller.send(&self.url, "floor", message).await?;
        let mut pieces = Vec::new();
        body::read(response.into_body(), |piece| pieces.push(piece)).await?;
        Ok(pieces)
    }
}
