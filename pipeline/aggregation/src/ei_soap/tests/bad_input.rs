//! Requests that are none, extensions, and bytes of any kind.

use proptest::prelude::*;

use super::*;

const ALL: [Interaction; 2] = [Interaction::Update, Interaction::ProcessNotification];

fn good() -> String {
    request(IndexInteraction::Update, OWN, &transaction(&sent("visit-1")))
}

fn read_update(text: &str) -> Result<SentRequest, Fault> {
    read_transactions(Interaction::Update, asked(text), LIMIT)
}

#[test]
fn only_the_correlation_id_is_a_mandatory_header() {
    for headers in [Vec::new(), vec![(CORRELATION.to_owned(), " ".to_owned())]] {
        let asked = |body: &str| Asked { headers: headers.clone(), ..asked(body) };
        let faults = [
            read_transactions(Interaction::Update, asked(&good()), LIMIT).unwrap_err(),
            read_transactions(Interaction::ProcessNotification, asked("no XML"), LIMIT).unwrap_err(),
            read_question(asked(""), LIMIT).unwrap_err(),
        ];
        for fault in faults {
            let expected = "Mandatory HTTP header x-skltp-correlation-id is missing";
            assert_eq!(fault, Fault::new(FaultCode::Server, expected));
        }
    }
    let headers = vec![("X-SKLTP-Correlation-Id".to_owned(), "id".to_owned())];
    assert!(read_transactions(Interaction::Update, Asked { headers, ..asked(good()) }, LIMIT).is_ok());
}

#[test]
fn another_body_element_was_not_recognized() {
    for interaction in IndexInteraction::ALL {
        let text = request(interaction, OWN, "");
        let expected = format!("Message part {{{}}}{} was not recognized.", interaction.contract(), interaction.name());
        let expected = Fault::new(FaultCode::Client, expected);
        for other in ALL.into_iter().filter(|other| IndexInteraction::from(*other) != interaction) {
            assert_eq!(read_transactions(other, asked(text.clone()), LIMIT).unwrap_err(), expected);
        }
        if interaction != IndexInteraction::FindContent {
            assert_eq!(read_question(asked(text), LIMIT).unwrap_err(), expected);
        }
    }
    let long = good().replace("q:Update>", &format!("q:{}>", "x".repeat(1 << 20)));
    assert!(read_update(&long).unwrap_err().text.len() < 1000);
    let other_version = good().replace("UpdateResponder:1", "UpdateResponder:2");
    assert!(read_update(&other_version).unwrap_err().text.ends_with("was not recognized."));
}

#[test]
fn what_is_no_message_is_a_fault_of_the_client() {
    let good = good();
    for text in [
        String::new(),
        "no XML".to_owned(),
        format!("<!DOCTYPE a>{}", good.replace("<?xml version='1.0'?>", "")),
        good.replace(ENVELOPE, "http://www.w3.org/2003/05/soap-envelope"),
        good.replace("</c:engagement>", ""),
        good.replace("visit-1", "&undefined;"),
        good[..good.len() - 20].to_owned(),
        format!("{good}{}", " ".repeat(LIMIT)),
    ] {
        let fault = read_update(&text).unwrap_err();
        assert_eq!(fault.code, "Client", "{}", fault.text);
        assert!(!fault.text.contains(PATIENT), "{}", fault.text);
    }
}

#[test]
fn extensions_are_passed_over_wherever_they_stand() {
    let mut ei = Ei::new();
    let extension = "<x:engagement xmlns:x='x'><c:owner>no</c:owner></x:engagement><c:new>\
                     <c:deleteFlag>true</c:deleteFlag><c:serviceDomain>no</c:serviceDomain><q:engagementTransaction/></c:new><!-- no --><?no no?>text";
    let mut text = good();
    for place in ["</c:deleteFlag>", "<c:engagement>", "</c:engagement>", "</q:engagementTransaction>", "<q:Update>"] {
        text = text.replace(place, &format!("{place}{extension}"));
    }
    let of_others = "<x:patient xmlns:x='x'>no</x:patient><x:serviceDomain xmlns:x='x'>no</x:serviceDomain>";
    text = text.replace("<c:categorization>", &format!("{of_others}<c:categorization>"));
    ei.take(Interaction::Update, &text).unwrap();
    let rows = ei.rows();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].owner.as_str(), rows[0].business_object.as_str()), (OWN, "visit-1"));
}

#[test]
fn fields_of_another_namespace_are_missing() {
    let text = good().replace("c:dataController", "q:dataController");
    let fault = Ei::new().take(Interaction::Update, &text).unwrap_err();
    assert!(fault.text.starts_with("EI004: ") && fault.text.contains("\"dataController\""), "{}", fault.text);
    let text = good().replace("q:engagementTransaction", "c:engagementTransaction");
    assert!(Ei::new().take(Interaction::Update, &text).unwrap_err().text.starts_with("EI000: "));
}

#[test]
fn prefixes_are_the_senders_own() {
    let text = good().replace("<q:Update>", &format!("<Update xmlns='{}'>", IndexInteraction::Update.contract()));
    let text = text.replace("</q:Update>", "</Update>").replace("q:engagementTransaction", "engagementTransaction");
    let engagement = format!("<engagement xmlns='{TYPES}'>");
    let text = text.replace("<c:engagement>", &engagement).replace("</c:engagement>", "</engagement>");
    let (before, fields) = text.split_once(&engagement).unwrap();
    let text = format!("{before}{engagement}{}", fields.replace("c:", ""));
    let mut ei = Ei::new();
    ei.take(Interaction::Update, &text).unwrap();
    assert_eq!(ei.rows().len(), 1);
}

/// Of two texts it cannot be known which is meant.
#[test]
fn an_element_that_comes_twice_is_ei004_after_all_other_checks() {
    let twice = |element: &str| good().replace(&format!("<c:{element}>"), &format!("<c:{element}/><c:{element}>"));
    for element in ["deleteFlag", "engagement", "registeredResidentIdentification", "owner", "mostRecentContent"] {
        let text = good().replace("</c:engagement>", &format!("<c:owner>{OTHER}</c:owner></c:engagement>"));
        let open = format!("<c:{element}>");
        let (before, after) = text.split_once(&open).unwrap();
        let close = format!("</c:{element}>");
        let (content, rest) = after.split_once(&close).unwrap();
        let text = format!("{before}{open}{content}{close}{open}{content}{close}{rest}");
        let fault = Ei::new().take(Interaction::Update, &text).unwrap_err();
        assert!(fault.text.starts_with("EI004: ") && fault.text.contains("more than once"), "{}", fault.text);
        assert!(fault.text.contains(&format!("\"{element}\"")), "{}", fault.text);
    }
    let text = twice("serviceDomain").replace(OWN, "SE-WRONG");
    assert!(Ei::new().take(Interaction::Update, &text).unwrap_err().text.starts_with("EI003: "));
}

#[test]
fn a_request_as_large_as_is_taken_is_read_in_other_encodings_too() {
    let filler = format!("<x:a xmlns:x='x'>{}</x:a>", "y".repeat(1 << 20));
    let text = good().replace("</c:engagement>", &format!("{filler}</c:engagement>"));
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for body in [text.into_bytes(), wide] {
        let request = read_transactions(Interaction::Update, asked(body), LIMIT).unwrap();
        assert_eq!(request.accept(&settings()).unwrap().len(), 1);
    }
}

#[test]
fn debug_of_a_request_and_a_question_shows_nothing_of_them() {
    let request = read_update(&good()).unwrap();
    let text = super::request(IndexInteraction::FindContent, OWN, &question(PATIENT, DOMAIN));
    let question = read_question(asked(text), LIMIT).unwrap();
    let shown = format!("{request:?} {question:?}");
    assert!(!shown.contains(PATIENT) && !shown.contains("visit-1"), "{shown}");
}

/// Reads bytes in every way, and does all that would follow.
fn read_all(bytes: &[u8]) -> usize {
    let mut taken = 0;
    for interaction in ALL {
        let request = read_transactions(interaction, asked(bytes), LIMIT);
        taken += usize::from(request.is_ok());
        let accepted = request.and_then(|request| Ok(request.accept(&settings())?));
        if let Err(fault) = accepted {
            assert!(Message::read(fault.write().into_bytes(), None, LIMIT, &[]).is_ok());
        }
    }
    if let Ok(question) = read_question(asked(bytes), LIMIT) {
        let found = IndexView::default().find(&question);
        taken += usize::from(found.is_ok());
    }
    taken + usize::from(read_receipt(200, bytes.to_vec(), None, LIMIT).is_ok())
}

fn valid() -> [String; 4] {
    let transactions = [transaction(&owned("visit-1", OTHER)), transaction(&delete(owned("visit-2", OTHER)))].concat();
    [
        request(IndexInteraction::Update, OWN, &transactions),
        request(IndexInteraction::ProcessNotification, OWN, &transactions),
        request(IndexInteraction::FindContent, OWN, &question(PATIENT, DOMAIN)),
        write_ok(Interaction::ProcessNotification),
    ]
}

#[test]
fn each_valid_message_is_taken_as_one_thing() {
    assert_eq!(valid().map(|text| read_all(text.as_bytes())), [1; 4]);
}

proptest! {
    #[test]
    fn any_bytes_are_an_answer_or_a_reason(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        read_all(&bytes);
    }

    #[test]
    fn mutated_messages_are_an_answer_or_a_reason(
        which in 0..4_usize,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..4),
    ) {
        let mut bytes = valid()[which].clone().into_bytes();
        for (place, byte, kind) in changes {
            let place = place.index(bytes.len());
            match kind {
                0 => bytes[place] = byte,
                1 => bytes.truncate(place.max(1)),
                _ => bytes.insert(place, b"<>&'/: "[usize::from(byte) % 7]),
            }
        }
        read_all(&bytes);
    }

    #[test]
    fn any_text_of_a_field_comes_back_as_it_was_sent(
        text in "[\\PC\t\n\r]{1,60}",
        flag in any::<bool>(),
    ) {
        prop_assume!(text.trim() == text);
        let mut row = harness::engagement(PATIENT, &text, &text);
        row.owner = OTHER.to_owned();
        let transactions = vec![tributary_schemas::records::aggregation::EngagementTransaction {
            delete_flag: flag,
            engagement: row,
        }];
        let notification = tributary_schemas::records::aggregation::Notification {
            subscriber: "SE-SUB".parse().unwrap(),
            transactions: transactions.clone(),
        };
        let notice = notices(&notification).next().unwrap();
        let request = read_transactions(Interaction::ProcessNotification, asked(notice), LIMIT).unwrap();
        prop_assert!(request.accept(&settings()).unwrap() == transactions);
    }
}
