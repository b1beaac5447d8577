//! Any bytes as a TAK file: it is taken or refused. Questions to one that was taken end, whatever its parents are.
#![no_main]

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use tributary_aggregation::tak::Tak;

fuzz_target!(|bytes: &[u8]| {
    let Ok(tak) = Tak::read(bytes) else { return };
    let (routes, permissions) = tak.counts();
    let now = Timestamp::UNIX_EPOCH;
    for receiver in ["r", "child", "parent", "*", ""] {
        let is_routed = tak.route("c", receiver, now).is_some();
        assert!(!is_routed || routes > 0);
        let is_permitted = tak.permits("c", receiver, ["s", "t"], now);
        assert!(!is_permitted || permissions > 0);
    }
    assert!(tak.subscribers().iter().all(|subscriber| !subscriber.address.is_empty()));
});
