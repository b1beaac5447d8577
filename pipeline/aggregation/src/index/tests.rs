//! The rows, notifications and marks of the index (A 6.5, 7.5), and questions to it.

use std::collections::BTreeMap;

use tributary_runtime::Output;
use tributary_schemas::records::aggregation::{
    AcceptedTransactions, Engagement, EngagementTransaction, Interaction, Invalidation, Notification, Subscriber,
    SubscriberList,
};

use super::*;
use crate::harness::{self, Harness, NOW_STAMP, OWN, PATIENT, Sent, change, delete, notification, sent, update};
use crate::process_notification;

type Stage = Harness<IndexStage>;

const OTHER: &str = "SE-OTHER-EI";

fn stage() -> Stage {
    stage_for(vec![harness::subscriber("SE-SUB", &[])])
}

fn stage_for(subscribers: Vec<Subscriber>) -> Stage {
    let mut stage = harness::stage_with(harness::settings(), IndexStage::new);
    stage.give("", &SubscriberList { subscribers });
    stage
}

fn rows(stage: &Stage, sent: &[Sent]) -> Vec<Engagement> {
    stage.read(sent)
}

/// The transactions that subscribers are notified of.
fn told(stage: &Stage, sent: &[Sent]) -> Vec<EngagementTransaction> {
    let notifications: Vec<Notification> = stage.read(sent);
    notifications.into_iter().flat_map(|notification| notification.transactions).collect()
}

fn marks(stage: &Stage, sent: &[Sent]) -> usize {
    let invalidations: Vec<Invalidation> = stage.read(sent);
    invalidations.iter().map(|invalidation| invalidation.marks.len()).sum()
}

fn tombstones(sent: &[Sent]) -> Vec<String> {
    let tombstones = sent.iter().filter(|sent| sent.topic == topics::ENGAGEMENT.name && sent.value.is_none());
    tombstones.map(Sent::text_key).collect()
}

fn stamp(text: &str) -> Stamp {
    text.parse().unwrap()
}

#[test]
fn a_new_engagement_gives_a_row_with_its_time_one_notification_and_a_mark() {
    let mut stage = stage();
    let sent = stage.give("", &update(&[change("visit-1", Some("20261120143000"))]));
    let row = rows(&stage, &sent).pop().unwrap();
    assert_eq!((row.creation_time, row.update_time), (Some(stamp(NOW_STAMP)), None));
    let key = sent.iter().find(|sent| sent.topic == topics::ENGAGEMENT.name).unwrap().text_key();
    assert_eq!(key, row.key().to_string());
    assert_eq!(told(&stage, &sent), [EngagementTransaction { delete_flag: false, engagement: row }]);
    let notification = sent.iter().find(|sent| sent.topic == topics::NOTIFICATION.name).unwrap();
    assert_eq!(notification.text_key(), "SE-SUB");
    assert_eq!(marks(&stage, &sent), 1);
}

#[test]
fn a_repeat_changes_nothing_and_notifies_nobody() {
    let mut stage = stage();
    let repeated = update(&[change("visit-1", Some("20261120143000"))]);
    stage.give("", &repeated);
    stage.at("2027-01-15T08:00:01Z");
    assert_eq!(stage.give("", &repeated), []);
}

#[test]
fn a_changed_time_of_the_content_changes_the_row_whether_it_is_newer_older_or_gone() {
    let mut stage = stage();
    stage.give("", &update(&[change("visit-1", Some("20261120143000"))]));
    stage.at("2027-07-15T08:00:01Z");
    for content in [Some("20261120143001"), Some("20251120143000"), None] {
        let sent = stage.give("", &update(&[change("visit-1", content)]));
        let row = rows(&stage, &sent).pop().unwrap();
        assert_eq!(row.most_recent_content, content.map(|content| content.parse().unwrap()));
        assert_eq!((row.creation_time, row.update_time), (Some(stamp(NOW_STAMP)), Some(stamp("20270715100001"))));
        assert_eq!((told(&stage, &sent).len(), marks(&stage, &sent)), (1, 1));
    }
}

#[test]
fn a_delete_removes_the_row_and_is_notified_with_its_times() {
    let mut stage = stage();
    stage.give("", &update(&[change("visit-1", None)]));
    let sent = stage.give("", &update(&[delete("visit-1")]));
    assert_eq!(tombstones(&sent), [delete("visit-1").engagement.key().to_string()]);
    let told = told(&stage, &sent);
    assert_eq!((told.len(), told[0].delete_flag, told[0].engagement.creation_time), (1, true, Some(stamp(NOW_STAMP))));
    assert_eq!(marks(&stage, &sent), 1);
    let sent = stage.give("", &update(&[change("visit-1", None)]));
    assert_eq!(rows(&stage, &sent).len(), 1, "it can be added again");
}

#[test]
fn a_delete_of_what_is_not_there_is_notified_and_changes_nothing() {
    let mut stage = stage();
    let sent = stage.give("", &update(&[delete("visit-1")]));
    assert_eq!((told(&stage, &sent).len(), tombstones(&sent).len(), marks(&stage, &sent)), (1, 0, 0));
}

#[test]
fn all_that_a_request_changes_is_in_one_notification_in_the_order_of_the_request() {
    let mut stage = stage();
    stage.give("", &update(&[change("visit-2", None)]));
    let request = [delete("visit-1"), change("visit-2", None), change("visit-3", None), delete("visit-2")];
    let sent = stage.give("", &update(&request));
    let notifications: Vec<Notification> = stage.read(&sent);
    let told = notifications[0]
        .transactions
        .iter()
        .map(|told| (told.delete_flag, told.engagement.business_object_instance_identifier.as_str().to_owned()));
    let expected = [(true, "visit-1"), (false, "visit-3"), (true, "visit-2")];
    assert_eq!(told.collect::<Vec<_>>(), expected.map(|(is_delete, object)| (is_delete, object.to_owned())));
    assert_eq!(notifications.len(), 1);
}

#[test]
fn subscribers_are_notified_of_what_their_filters_match() {
    let mut stage = stage_for(vec![
        harness::subscriber("SE-ALL", &[]),
        harness::subscriber("SE-BOOKING", &[("riv:CRM:scheduling", &["booking"])]),
        harness::subscriber("SE-NONE", &[("riv:crm:requeststatus", &[])]),
    ]);
    let mut other = change("visit-2", None);
    other.engagement.categorization = "Other".to_owned();
    let sent = stage.give("", &update(&[change("visit-1", None), other]));
    let notifications: Vec<Notification> = stage.read(&sent);
    let counts: Vec<(&str, usize)> =
        notifications.iter().map(|one| (one.subscriber.as_str(), one.transactions.len())).collect();
    assert_eq!(counts, [("SE-ALL", 2), ("SE-BOOKING", 1)]);
}

#[test]
fn a_new_list_of_subscribers_replaces_the_one_before() {
    let mut stage = stage();
    stage.give("", &SubscriberList { subscribers: Vec::new() });
    let sent = stage.give("", &update(&[change("visit-1", None)]));
    assert_eq!((told(&stage, &sent).len(), rows(&stage, &sent).len()), (0, 1));
}

#[test]
fn a_notification_of_another_index_is_stored_passed_on_and_marks_caches_changed_or_not() {
    let mut stage = stage();
    let given = notification(OTHER, &[change("visit-1", Some("20261120143000"))]);
    let sent = stage.give("", &given);
    let row = rows(&stage, &sent).pop().unwrap();
    assert_eq!((row.owner.as_str(), row.creation_time), (OTHER, Some(stamp(NOW_STAMP))));
    let sent = stage.give("", &given);
    assert_eq!((rows(&stage, &sent).len(), told(&stage, &sent).len(), marks(&stage, &sent)), (0, 1, 1));
    let sent = stage.give("", &notification(OTHER, &[delete("visit-1")]));
    assert_eq!(tombstones(&sent), [row.key().to_string()]);
    assert_eq!((told(&stage, &sent).len(), marks(&stage, &sent)), (1, 1));
}

#[test]
fn a_change_of_the_owner_removes_the_row_that_this_index_owns() {
    let mut stage = stage();
    let own = change("visit-1", None);
    stage.give("", &update(&[own.clone(), change("visit-2", None)]));
    let sent = stage.give("", &notification(OTHER, std::slice::from_ref(&own)));
    assert_eq!(tombstones(&sent), [own.engagement.key().to_string()]);
    assert_eq!(rows(&stage, &sent).len(), 1);
    let told = told(&stage, &sent);
    assert_eq!((told.len(), told[0].engagement.owner.as_str()), (1, OTHER));
}

#[test]
fn a_circular_notification_is_dropped_before_the_log_and_is_no_error() {
    let circular = |owner: &str| {
        let mut sent = sent("visit-1");
        sent.engagement.owner = Some(owner.to_owned());
        sent
    };
    let settings = harness::settings();
    assert_eq!(process_notification::accept(&[circular(OWN)], &settings), Ok(Vec::new()));
    let kept = process_notification::accept(&[circular(OWN), circular(OTHER)], &settings).unwrap();
    assert_eq!(kept.iter().map(|kept| kept.engagement.owner.as_str()).collect::<Vec<_>>(), [OTHER]);
}

#[test]
fn what_was_aborted_is_applied_again_with_the_same_effect() {
    let mut stage = stage();
    let given = update(&[change("visit-1", None)]);
    stage.aborted("", &given);
    let sent = stage.give("", &given);
    assert_eq!((rows(&stage, &sent).len(), told(&stage, &sent).len()), (1, 1));
}

#[test]
fn the_state_of_the_index_holds_no_text_that_was_sent() {
    let mut stage = stage();
    stage.give("", &update(&[change("visit-1", Some("20261120143000"))]));
    let mut bytes = Vec::new();
    stage.processor.stores()[0].entries(&mut |key, value| bytes.extend([key, value].concat()));
    for text in [PATIENT, "visit-1", "SE-UNIT", "Booking"] {
        assert!(!bytes.windows(text.len()).any(|window| window == text.as_bytes()), "{text}");
    }
    assert!(!bytes.is_empty());
}

fn parts(transactions: Vec<EngagementTransaction>) -> Vec<AcceptedTransactions> {
    let context = harness::context();
    let mut output = Output::new(4);
    context.submit(&mut output, Interaction::Update, transactions);
    let open = |record: tributary_runtime::OutputRecord<'_>| {
        let part: AcceptedTransactions = context.codec.open(record.value.unwrap()).unwrap().read().unwrap();
        let is_there = |transaction: &EngagementTransaction| {
            transaction.engagement.registered_resident_identification.partition(4) == record.partition
        };
        assert!(part.transactions.iter().all(is_there));
        assert!(record.key.is_empty(), "keys are shown where values are not");
        part
    };
    output.records().map(open).collect()
}

#[test]
fn a_request_is_cut_by_the_partitions_of_its_patients_and_keeps_its_order_there() {
    let of = |number: usize| {
        let mut transaction = change(&format!("visit-{number}"), None);
        transaction.engagement.registered_resident_identification = format!("patient-{}", number % 7).parse().unwrap();
        transaction
    };
    let parts = parts((0..1000).map(of).collect());
    assert!(parts.iter().all(|part| part.transactions.len() <= MOST_IN_RECORD && !part.single));
    let objects = parts.iter().flat_map(|part| &part.transactions);
    let mut of_patient: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for transaction in objects {
        let engagement = &transaction.engagement;
        let number = engagement.business_object_instance_identifier.as_str()["visit-".len()..].parse().unwrap();
        let patient = engagement.registered_resident_identification.as_str().to_owned();
        of_patient.entry(patient).or_default().push(number);
    }
    assert_eq!(of_patient.len(), 7);
    assert_eq!(of_patient.values().map(Vec::len).sum::<usize>(), 1000);
    assert!(of_patient.values().all(|numbers| numbers.is_sorted()));
}

#[test]
fn only_the_single_transaction_of_an_update_may_wait_for_others() {
    assert!(parts(vec![change("visit-1", None)]).iter().all(|part| part.single));
    let mut output = Output::new(1);
    let context = harness::context();
    context.submit(&mut output, Interaction::ProcessNotification, vec![change("visit-1", None)]);
    let value = output.records().next().unwrap().value.unwrap().to_vec();
    let part: AcceptedTransactions = context.codec.open(&value).unwrap().read().unwrap();
    assert!(!part.single);
}

/// The longest texts that pass the checks, in the longest characters.
#[test]
fn the_largest_record_is_smaller_than_brokers_accept() {
    let text = |length: usize| "\u{10348}".repeat(length);
    let engagement = Engagement {
        registered_resident_identification: text(32).parse().unwrap(),
        service_domain: text(255),
        categorization: text(255),
        logical_address: text(64).parse().unwrap(),
        business_object_instance_identifier: text(128).parse().unwrap(),
        clinical_process_interest_id: text(128).parse().unwrap(),
        most_recent_content: Some(stamp("20261120143000")),
        source_system: text(64).parse().unwrap(),
        creation_time: Some(stamp("20261120143000")),
        update_time: Some(stamp("20261120143000")),
        data_controller: text(64),
        owner: text(64),
    };
    let context = harness::context();
    let transactions = vec![EngagementTransaction { delete_flag: true, engagement }; 1000];
    let mut output = Output::new(1);
    context.submit(&mut output, Interaction::ProcessNotification, transactions);
    let largest = output.records().filter_map(|record| record.value).map(<[u8]>::len).max().unwrap();
    assert!(largest < 900_000, "{largest}");
    assert_eq!(output.len(), 10);
}
