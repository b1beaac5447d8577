//! Which partitions need a change.

use tributary_runtime::{Output, Topic};
use tributary_schemas::records::cases::{Queue, RegistryAction, RegistryRequest};

use crate::context::Context;
use crate::topics;

/// The partitions that need the change: an origin concerns the queues, a client its own queue, a grant both the cases
/// and the client.
pub(super) fn targets(context: &Context, change: &RegistryRequest, output: &Output) -> Vec<(&'static Topic, i32)> {
    let mut targets = Vec::new();
    let all = |topic: &'static Topic| (0..output.partition_count(topic)).map(move |partition| (topic, partition));
    match change.action {
        RegistryAction::OriginPut | RegistryAction::OriginDelete => {
            targets.extend(Queue::ALL.iter().flat_map(|queue| all(topics::inbox_of(*queue))));
        }
        RegistryAction::QueuePause | RegistryAction::QueueResume => {
            targets.extend(change.queue.into_iter().flat_map(|queue| all(topics::inbox_of(queue))));
        }
        RegistryAction::GrantAdd | RegistryAction::GrantRevoke => match change.case_id {
            None => targets.extend(all(&topics::CASE)),
            Some(case) => targets.push((&topics::CASE, context.partition_of_case(output, &topics::CASE, case))),
        },
        RegistryAction::ClientPut | RegistryAction::ClientDelete => {}
    }
    if let Some(client) = &change.client {
        targets.push((&topics::CLIENT, Context::partition_of_client(output, &topics::CLIENT, client)));
    }
    targets
}
