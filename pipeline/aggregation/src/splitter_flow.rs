//! The splitter-flow: a task for each call (A 2.2).

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::flow::Flow;
use crate::question::{Part, Question};
use crate::request_list::Request;
use crate::worker_flow::{self, Work};

/// Starts all calls at once. They are due now: a wait for a free place counts.
pub(crate) fn split(flow: &Arc<Flow>, question: &Question, requests: Vec<Request>) -> JoinSet<Part> {
    let due = Instant::now();
    let action = question.service.descriptor.soap_action();
    let headers = question.caller.headers(&flow.settings.instance, &action);
    let mut calls = JoinSet::new();
    for request in requests {
        let (service, correlation) = (question.service.clone(), question.caller.correlation.clone());
        let work = Work { service, correlation, request, headers: headers.clone(), due };
        calls.spawn(worker_flow::work(flow.clone(), work));
    }
    calls
}
