//! Answers of posts that reached a position late, as its inbox shows them.

use std::collections::BTreeMap;

use tributary_esr::topics::POSITION_INBOX;
use tributary_runtime::memory::Broker;
use tributary_schemas::records::esr::{PositionPlacement, PositionPlacementGone, PostMatch};
use tributary_schemas::{Codec, RecordType};

/// How many answers came after answers to a later subscription: only a post in another partition, where the position
/// was subscribed before, can give them.
pub(super) fn answers(broker: &Broker, codec: &Codec, partitions: i32) -> usize {
    let mut newest: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
    let mut stale = 0;
    for record in (0..partitions).flat_map(|partition| broker.read_committed(POSITION_INBOX.name, partition)) {
        let Some(version) = record.value.and_then(|value| answered(codec, &value)) else { continue };
        let newest = newest.entry(record.key).or_insert(version);
        stale += usize::from(version < *newest);
        *newest = version.max(*newest);
    }
    stale
}

/// The version of the subscription that an answer is about; `None` for other records.
fn answered(codec: &Codec, value: &[u8]) -> Option<i64> {
    let framed = codec.open(value).unwrap();
    match framed.record_type() {
        RecordType::EsrPostMatch => Some(framed.read::<PostMatch>().unwrap().version),
        RecordType::EsrPositionPlacement => Some(framed.read::<PositionPlacement>().unwrap().version),
        RecordType::EsrPositionPlacementGone => Some(framed.read::<PositionPlacementGone>().unwrap().version),
        _ => None,
    }
}
