//! Any bytes as an answer of a source system, of an index, of a subscriber and of the catalogue: it is taken or refused
//! with words that hold nothing of it. What is taken becomes a message with the same rows.
#![no_main]

use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use tributary_aggregation::descriptor::Descriptors;
use tributary_aggregation::ei_soap::read_receipt;
use tributary_aggregation::find_content;
use tributary_aggregation::local_time::Stockholm;
use tributary_aggregation::response_list;
use tributary_aggregation::soap::Message;
use tributary_aggregation::tak::{TakAnswer, read_answers};

const LIMIT: usize = 1 << 20;

static STOCKHOLM: LazyLock<Stockholm> = LazyLock::new(|| Stockholm::load().expect("the time zone is built in"));
static SERVICES: LazyLock<Descriptors> =
    LazyLock::new(|| Descriptors::read(&[]).expect("the built-in descriptors are right"));

fuzz_target!(|bytes: &[u8]| {
    for descriptor in SERVICES.iter() {
        let read = response_list::read_answer(descriptor, 200, None, bytes.to_vec(), LIMIT);
        let Ok(answer) = read else { continue };
        let rows = answer.row_count();
        let answer = Arc::new(answer);
        let written = response_list::write(descriptor, vec![answer.clone(), answer], &[], &STOCKHOLM);
        let wanted = &descriptor.response.concatenate;
        let written = Message::read(written.into_bytes(), None, 64 * LIMIT, wanted).expect("an answer is a message");
        assert_eq!(written.row_count(), 2 * rows, "no row is lost");
    }
    if let Ok(found) = find_content::read_answer(bytes.to_vec(), None, LIMIT) {
        let has_addresses = found
            .engagements
            .iter()
            .all(|one| !one.logical_address.trim().is_empty() && !one.source_system.trim().is_empty());
        assert!(has_addresses, "an engagement that cannot be called is left out");
    }
    let _ = read_receipt(200, bytes.to_vec(), None, LIMIT);
    let answer = || TakAnswer { status: 200, charset: None, body: bytes.to_vec() };
    let _ = read_answers(answer(), answer(), &STOCKHOLM, Timestamp::UNIX_EPOCH);
});
