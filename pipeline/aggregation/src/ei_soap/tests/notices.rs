//! What subscribers are told, and what they say to it.

use tributary_schemas::records::aggregation::{EngagementTransaction, Notification};

use super::*;

/// The notices that a request leads to.
fn told(ei: &Ei, sent: &[Sent]) -> Vec<String> {
    let notifications: Vec<Notification> = ei.stage.read(sent);
    notifications.iter().flat_map(|notification| notices(notification).collect::<Vec<_>>()).collect()
}

/// A notice as an index with this address takes it.
fn taken(notice: &str, address: &str) -> Vec<EngagementTransaction> {
    let request = read_transactions(Interaction::ProcessNotification, asked(notice), LIMIT).unwrap();
    request.accept(&IndexSettings::of(address.parse().unwrap())).unwrap()
}

#[test]
fn new_changed_and_deleted_engagements_are_told_and_unchanged_ones_are_not() {
    let mut ei = Ei::new();
    let sent_now = ei.update(&[sent("visit-1")]).unwrap();
    assert_eq!(told(&ei, &sent_now).len(), 1);
    let sent_now = ei.update(&[sent("visit-1")]).unwrap();
    assert_eq!(told(&ei, &sent_now).len(), 0);
    let sent_now = ei.update(&[with(Field::MostRecentContent, Some("20261121000000"))]).unwrap();
    assert_eq!(told(&ei, &sent_now).len(), 1);
    let sent_now = ei.update(&[delete(sent("visit-1"))]).unwrap();
    let notices = told(&ei, &sent_now);
    assert_eq!(notices.len(), 1);
    assert!(notices[0].contains("<e:deleteFlag>true</e:deleteFlag>"), "{}", notices[0]);
}

#[test]
fn a_notice_goes_to_the_subscriber_and_says_all_with_owner_and_times() {
    let mut ei = Ei::new();
    ei.update(&[sent("visit-1")]).unwrap();
    ei.stage.at("2027-01-15T08:00:01Z");
    let sent_now = ei.update(&[with(Field::MostRecentContent, Some("20261121000000"))]).unwrap();
    let notice = told(&ei, &sent_now).pop().unwrap();
    let message = Message::read(notice.clone().into_bytes(), None, LIMIT, &[]).unwrap();
    assert_eq!(message.logical_address().as_deref(), Some("SE-SUB"));
    let path = |name: &str| ["engagementTransaction", "engagement", name].map(str::to_owned);
    for (name, text) in [("creationTime", NOW_STAMP), ("updateTime", "20270115090001"), ("owner", OWN)] {
        assert_eq!(message.values(&path(name)), [text]);
    }
}

#[test]
fn what_is_written_as_a_notice_is_taken_as_it_was() {
    let engagement = |number: usize| {
        let mut row = harness::engagement("19\u{10348}&<\"", DOMAIN, "B]]>oo\tk\r\nå");
        row.business_object_instance_identifier = format!("'{number}'").parse().unwrap();
        row.most_recent_content = number.is_multiple_of(2).then(|| "20261120143000".parse().unwrap());
        row
    };
    let of =
        |number: usize| EngagementTransaction { delete_flag: number.is_multiple_of(3), engagement: engagement(number) };
    let transactions: Vec<_> = (0..2_500).map(of).collect();
    let notification = Notification { subscriber: "SE<SUB>".parse().unwrap(), transactions: transactions.clone() };
    let notices: Vec<_> = notices(&notification).collect();
    let parts: Vec<_> = notices.iter().map(|notice| taken(notice, OTHER)).collect();
    assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [1000, 1000, 500]);
    assert!(parts.concat() == transactions, "they differ");
    assert!(taken(&notices[0], OWN).is_empty(), "it does not go in circles");
    let nothing = Notification { subscriber: "SE-SUB".parse().unwrap(), transactions: Vec::new() };
    assert_eq!(super::notices(&nothing).count(), 0);
}

fn receipt(inside: &str) -> String {
    let contract = IndexInteraction::ProcessNotification.contract();
    format!(
        "<e:Envelope xmlns:e='{ENVELOPE}'><e:Body><ProcessNotificationResponse xmlns='{contract}'>{inside}\
         </ProcessNotificationResponse></e:Body></e:Envelope>"
    )
}

fn read(status: u16, body: &str) -> Result<(), NotDelivered> {
    read_receipt(status, body.as_bytes().to_vec(), None, 1 << 16)
}

#[test]
fn ok_and_info_say_that_a_notice_was_taken() {
    for inside in [
        "<ResultCode>OK</ResultCode>",
        "<ResultCode>\n INFO </ResultCode><comment>text</comment>",
        "<x:ResultCode xmlns:x='x'>ERROR</x:ResultCode><ResultCode>O<!-- -->K</ResultCode><other/>",
    ] {
        assert_eq!(read(200, &receipt(inside)), Ok(()), "{inside}");
    }
    assert_eq!(read(200, &write_ok(Interaction::ProcessNotification)), Ok(()));
}

#[test]
fn anything_else_is_a_failure_whose_reason_holds_nothing_of_the_answer() {
    let fault = Fault::new(FaultCode::Server, format!("no {PATIENT}")).write();
    let ok = receipt("<ResultCode>OK</ResultCode>");
    for (status, body, expected) in [
        (500, fault.clone(), NotDelivered::Fault),
        (200, fault, NotDelivered::Fault),
        (200, receipt(&format!("<ResultCode>ERROR</ResultCode><comment>{PATIENT}</comment>")), NotDelivered::Error),
        (200, receipt(""), NotDelivered::UnknownResult),
        (200, receipt("<ResultCode/>"), NotDelivered::UnknownResult),
        (200, receipt(&format!("<ResultCode>{PATIENT}</ResultCode>")), NotDelivered::UnknownResult),
        (200, receipt("<ResultCode>OK</ResultCode><ResultCode>OK</ResultCode>"), NotDelivered::UnknownResult),
        (200, write_ok(Interaction::Update), NotDelivered::OtherMessage),
        (500, ok.clone(), NotDelivered::Status(500)),
        (302, ok.clone(), NotDelivered::Status(302)),
        (404, format!("<html>{PATIENT}"), NotDelivered::Status(404)),
        (202, String::new(), NotDelivered::NoMessage(crate::soap::SoapError::Empty)),
        (200, format!("<a>{PATIENT}</a>"), NotDelivered::NoMessage(crate::soap::SoapError::NoEnvelope)),
        (200, ok + &" ".repeat(1 << 16), NotDelivered::NoMessage(crate::soap::SoapError::TooLarge(1 << 16))),
    ] {
        let reason = read(status, &body).unwrap_err();
        assert_eq!(reason, expected, "{body}");
        assert!(!format!("{reason} {reason:?}").contains(PATIENT), "{reason}");
    }
}
