//! Any bytes as a request of a consumer, and as one of a source system to the index: it is taken or refused. What goes
//! on to a source system is a message again, with the body that came.
#![no_main]

use std::sync::LazyLock;

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use tributary_aggregation::cache_flow::Asked;
use tributary_aggregation::caller::CORRELATION;
use tributary_aggregation::descriptor::Descriptors;
use tributary_aggregation::ei_settings::IndexSettings;
use tributary_aggregation::ei_soap::{read_question, read_transactions};
use tributary_aggregation::engagement::Engagement;
use tributary_aggregation::filter::Admitted;
use tributary_aggregation::local_time::Stockholm;
use tributary_aggregation::query_object;
use tributary_aggregation::request_list::RequestList;
use tributary_aggregation::soap::Message;
use tributary_schemas::records::aggregation::Interaction;

const LIMIT: usize = 1 << 20;

/// A called address has to be escaped.
const ADDRESS: &str = "SE-<&>";

static STOCKHOLM: LazyLock<Stockholm> = LazyLock::new(|| Stockholm::load().expect("the time zone is built in"));
static SERVICES: LazyLock<Descriptors> =
    LazyLock::new(|| Descriptors::read(&[]).expect("the built-in descriptors are right"));

fuzz_target!(|bytes: &[u8]| {
    of_index(bytes);
    let Ok(request) = Message::read(bytes.to_vec(), None, LIMIT, &[]) else { return };
    let now = Timestamp::UNIX_EPOCH;
    for descriptor in SERVICES.iter() {
        let Ok(find) = query_object::create(descriptor, &request, &STOCKHOLM, now) else { continue };
        let asked = Message::read(find.write(ADDRESS).into_bytes(), None, LIMIT, &[]);
        assert_eq!(asked.expect("the question to the index is a message").logical_address().as_deref(), Some(ADDRESS));
        let engagement = Engagement {
            patient: Some(find.patient.clone()),
            logical_address: ADDRESS.to_owned(),
            source_system: ADDRESS.to_owned(),
            ..Engagement::default()
        };
        let list = RequestList { descriptor, request: &request, platform_url: None, tak: None, now };
        let (calls, _) = list.make(vec![Admitted { engagement, url: None }]);
        for call in calls {
            let sent = call.body.to_bytes();
            // Prefixes are declared again where they are needed.
            let sent = Message::read(sent, None, 16 * LIMIT, &[]).expect("a call is a message");
            assert_eq!(sent.logical_address().as_deref(), Some(ADDRESS));
            assert_eq!(sent.name(), request.name());
            if descriptor.requests.body.is_none() {
                assert_eq!(sent.values(&[]), request.values(&[]), "the body goes on as it came");
                assert_eq!(sent.body().children(), request.body().children());
            }
        }
    }
});

fn of_index(bytes: &[u8]) {
    let asked = || Asked {
        headers: vec![(CORRELATION.to_owned(), "fuzz".to_owned())],
        soap_action: None,
        charset: None,
        body: bytes.to_vec(),
    };
    let _ = read_question(asked(), LIMIT);
    let settings = IndexSettings::of("SE-EI".parse().expect("an address"));
    for interaction in [Interaction::Update, Interaction::ProcessNotification] {
        if let Ok(request) = read_transactions(interaction, asked(), LIMIT)
            && let Ok(accepted) = request.accept(&settings)
        {
            assert!(interaction == Interaction::ProcessNotification || !accepted.is_empty());
        }
    }
}
