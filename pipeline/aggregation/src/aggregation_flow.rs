//! The aggregation-flow: collects until all calls have ended, or until the aggregate time-out (A 2.2, A 4.3).

use std::collections::HashSet;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::flow::Flow;
use crate::question::Part;
use crate::status::Failure;

/// Collects parts in the order of their arrival. Addresses that have not come follow, in the order of the calls.
pub(crate) async fn collect(
    flow: &Flow,
    calls: &mut JoinSet<Part>,
    mut expected: Vec<String>,
    deadline: Instant,
) -> Vec<Part> {
    let begun = Instant::now();
    let mut parts: Vec<Part> = Vec::with_capacity(expected.len());
    while let Ok(Some(ended)) = timeout_at(deadline, calls.join_next()).await {
        // A call that has broken down gives no part: its address is missing below.
        parts.extend(ended);
    }
    let ended: HashSet<&str> = parts.iter().map(|part| part.address.as_str()).collect();
    expected.retain(|address| !ended.contains(address.as_str()));
    let (at, took) = ((flow.clock)(), begun.elapsed());
    let missing = |address: String| Part::of_call(address, at, took, Err(Failure::missing()));
    parts.extend(expected.into_iter().map(missing));
    parts
}
