//! The request-reply-flow: from the list of calls to what has become of each of them, in time (A 2.2, A 4.3).

use std::sync::Arc;

use crate::aggregation_flow;
use crate::flow::Flow;
use crate::question::{Part, Question};
use crate::request_list::Request;
use crate::splitter_flow;

/// Makes the calls. What has not come at the aggregate time-out is cancelled when this returns, and so is all of it if
/// this is dropped. A call that was cancelled can have no late answer.
pub(crate) async fn reply(flow: &Arc<Flow>, question: &Question, requests: Vec<Request>) -> Vec<Part> {
    let expected = requests.iter().map(|request| request.address.clone()).collect();
    let mut calls = splitter_flow::split(flow, question, requests);
    let deadline = question.arrival + question.service.timeouts.aggregate();
    aggregation_flow::collect(flow, &mut calls, expected, deadline).await
}
