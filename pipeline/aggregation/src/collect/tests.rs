//! Updates that wait for others and are merged (A 6.2, 7.5), and the write lock.

use tributary_schemas::records::aggregation::{EngagementTransaction, IndexLock, IndexRelease, Interaction};

use super::*;
use crate::ei_settings::IndexSettings;
use crate::harness::{self, Harness, NOW, Sent, change, delete, notification, update};

type Stage = Harness<CollectStage>;

const WINDOW: i64 = 5000;

fn stage() -> Stage {
    harness::stage_with(harness::settings(), |context| CollectStage::new(context, 0))
}

fn collecting() -> Stage {
    collecting_with(harness::settings())
}

fn collecting_with(settings: IndexSettings) -> Stage {
    let settings = IndexSettings { collect_window_ms: WINDOW, collect_messages: 5, ..settings };
    harness::stage_with(settings, |context| CollectStage::new(context, 0))
}

/// What goes on: for each record its transactions as text, such as `+visit-1` and `-visit-2`.
fn handed_on(stage: &Stage, sent: &[Sent]) -> Vec<Vec<String>> {
    let records: Vec<AcceptedTransactions> = stage.read(sent);
    let text = |transaction: &EngagementTransaction| {
        let sign = if transaction.delete_flag { '-' } else { '+' };
        format!("{sign}{}", transaction.engagement.business_object_instance_identifier.as_str())
    };
    records.iter().map(|record| record.transactions.iter().map(text).collect()).collect()
}

fn give(stage: &mut Stage, transactions: &[EngagementTransaction]) -> Vec<Vec<String>> {
    let sent = stage.give("", &update(transactions));
    handed_on(stage, &sent)
}

/// The time, that many milliseconds after [`NOW`].
fn clock(stage: &mut Stage, after: i64) -> Vec<Vec<String>> {
    let sent = stage.give("", &Clock { now: NOW + after, ..Clock::default() });
    handed_on(stage, &sent)
}

fn lock(stage: &mut Stage, locked: bool) -> Vec<Sent> {
    stage.give("", &IndexLock { locked })
}

fn state(stage: &Stage, sent: &[Sent]) -> (bool, i64) {
    let row: IndexState = stage.read(sent).pop().unwrap();
    (row.locked, row.waiting)
}

/// Gives the stage the releases that it sends to itself, until it sends no more. Returns what went on.
fn drain(stage: &mut Stage, mut sent: Vec<Sent>) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    loop {
        all.extend(handed_on(stage, &sent));
        let Some(release) = stage.read::<IndexRelease>(&sent).pop() else { return all };
        sent = stage.give("", &release);
    }
}

#[test]
fn without_a_window_and_a_lock_everything_goes_on_at_once() {
    let mut stage = stage();
    stage.header(Some("correlation"));
    let sent = stage.give("", &update(&[change("visit-1", None)]));
    assert_eq!(handed_on(&stage, &sent), [["+visit-1"]]);
    assert_eq!((sent.len(), sent[0].topic), (1, topics::INDEX_COLLECTED.name));
    assert_eq!(sent[0].header("correlation").as_deref(), Some("1"));
    assert_eq!(clock(&mut stage, 0).len(), 0);
}

#[test]
fn single_updates_wait_until_none_came_for_the_window_and_go_on_as_one() {
    let mut stage = collecting();
    for (number, after) in [(1, 0), (2, WINDOW - 1)] {
        stage.now = NOW + after;
        assert_eq!(give(&mut stage, &[change(&format!("visit-{number}"), None)]).len(), 0);
    }
    assert_eq!(clock(&mut stage, 2 * WINDOW - 2).len(), 0, "the last one came less than a window ago");
    assert_eq!(clock(&mut stage, 2 * WINDOW - 1), [["+visit-1", "+visit-2"]]);
    assert_eq!(clock(&mut stage, 9 * WINDOW).len(), 0, "they go on once");
}

#[test]
fn an_update_after_the_window_begins_a_new_one_also_without_a_clock() {
    let mut stage = collecting();
    give(&mut stage, &[change("visit-1", None)]);
    stage.now = NOW + WINDOW;
    assert_eq!(give(&mut stage, &[change("visit-2", None)]), [["+visit-1"]]);
    assert_eq!(clock(&mut stage, 2 * WINDOW), [["+visit-2"]]);
}

#[test]
fn after_so_many_updates_they_wait_no_longer_merged_ones_counted() {
    let mut stage = collecting();
    for _ in 0..4 {
        assert_eq!(give(&mut stage, &[change("visit-1", Some("20261120143000"))]).len(), 0);
    }
    assert_eq!(give(&mut stage, &[change("visit-2", None)]), [["+visit-1", "+visit-2"]]);
}

#[test]
fn the_merge_rule_keeps_one_transaction_of_an_engagement() {
    let (old, new) = (change("visit-1", Some("20261120143000")), change("visit-1", Some("20261120143001")));
    let (none, gone) = (change("visit-1", None), delete("visit-1"));
    for (earlier, later, delete_wins, is_replaced, rule) in [
        (&old, &new, true, true, "newer content replaces older"),
        (&new, &old, true, false, "older content does not"),
        (&old, &old, true, false, "the same does not"),
        (&old, &none, true, false, "none does not"),
        (&none, &none, true, false, "none does not replace none"),
        (&none, &old, true, true, "some replaces none"),
        (&new, &gone, true, true, "a delete replaces"),
        (&gone, &gone, true, true, "a delete replaces a delete"),
        (&gone, &new, true, false, "a delete is not replaced by an add"),
        (&gone, &new, false, true, "unless the later one is kept"),
        (&new, &gone, false, true, "a delete replaces in any case"),
        (&new, &old, false, false, "and newer content is kept in any case"),
    ] {
        assert_eq!(merge(earlier, later, delete_wins), is_replaced, "{rule}");
    }
}

#[test]
fn a_delete_wins_over_an_add_that_comes_after_it_in_the_window_unless_switched_off() {
    for (delete_wins, expected) in [(true, "-visit-1"), (false, "+visit-1")] {
        let mut stage = collecting_with(IndexSettings { delete_wins, ..harness::settings() });
        give(&mut stage, &[delete("visit-1")]);
        give(&mut stage, &[change("visit-1", Some("20261120143000"))]);
        assert_eq!(clock(&mut stage, WINDOW), [[expected]]);
    }
}

#[test]
fn a_request_of_several_transactions_takes_with_it_what_waits_about_its_patients() {
    let mut stage = collecting();
    let mut other = change("visit-9", None);
    other.engagement.registered_resident_identification = "201212121212".parse().unwrap();
    give(&mut stage, &[change("visit-1", None)]);
    give(&mut stage, &[other]);
    let both = [change("visit-2", None), change("visit-3", None)];
    assert_eq!(give(&mut stage, &both), [vec!["+visit-1"], vec!["+visit-2", "+visit-3"]]);
    assert_eq!(clock(&mut stage, WINDOW), [["+visit-9"]]);
}

#[test]
fn a_notification_of_another_index_never_waits_for_others() {
    let mut stage = collecting();
    give(&mut stage, &[change("visit-1", None)]);
    let sent = stage.give("", &notification("SE-OTHER-EI", &[change("visit-2", None)]));
    assert_eq!(handed_on(&stage, &sent), [["+visit-1"], ["+visit-2"]]);
    let records: Vec<AcceptedTransactions> = stage.read(&sent);
    let interactions: Vec<Interaction> = records.iter().map(|record| record.interaction).collect();
    assert_eq!(interactions, [Interaction::Update, Interaction::ProcessNotification]);
}

#[test]
fn one_alone_in_the_window_keeps_its_headers_and_several_have_none() {
    let mut stage = collecting();
    stage.header(Some("correlation"));
    for (count, expected) in [(1, Some("1")), (2, None)] {
        (0..count).for_each(|number| drop(give(&mut stage, &[change(&format!("visit-{number}"), None)])));
        let sent = stage.give("", &Clock { now: NOW + WINDOW, ..Clock::default() });
        let handed_on = sent.iter().find(|sent| sent.topic == topics::INDEX_COLLECTED.name).unwrap();
        assert_eq!(handed_on.header("correlation").as_deref(), expected);
    }
}

#[test]
fn while_the_lock_is_closed_everything_waits_and_is_counted() {
    let mut stage = stage();
    let sent = lock(&mut stage, true);
    assert_eq!(state(&stage, &sent), (true, 0));
    let sent = stage.give("", &update(&[change("visit-1", None), change("visit-2", None)]));
    assert_eq!((handed_on(&stage, &sent).len(), state(&stage, &sent)), (0, (true, 2)));
    let sent = stage.give("", &notification("SE-OTHER-EI", &[change("visit-3", None)]));
    assert_eq!((handed_on(&stage, &sent).len(), state(&stage, &sent)), (0, (true, 3)));
}

#[test]
fn when_the_lock_is_opened_what_waits_goes_on_in_order_before_anything_newer() {
    let mut stage = stage();
    lock(&mut stage, true);
    for number in 1..=3 {
        stage.header(Some("correlation"));
        give(&mut stage, &[change(&format!("visit-{number}"), None)]);
    }
    stage.header(None);
    let sent = lock(&mut stage, false);
    let release = stage.read::<IndexRelease>(&sent).pop().unwrap();
    assert_eq!(state(&stage, &sent), (false, 3));
    // What comes before the release waits too, so that it does not overtake.
    assert_eq!(give(&mut stage, &[change("visit-4", None)]).len(), 0);
    let sent = stage.give("", &release);
    assert_eq!(handed_on(&stage, &sent), [["+visit-1"], ["+visit-2"], ["+visit-3"], ["+visit-4"]]);
    assert_eq!(sent[0].header("correlation").as_deref(), Some("1"), "each keeps its headers");
    assert_eq!(state(&stage, &sent), (false, 0));
    let sent = stage.give("", &release);
    assert_eq!(handed_on(&stage, &sent).len(), 0, "a second release finds nothing");
    assert_eq!(give(&mut stage, &[change("visit-5", None)]), [["+visit-5"]]);
}

#[test]
fn a_long_queue_goes_on_in_steps_and_can_be_locked_between_them() {
    let mut stage = stage();
    lock(&mut stage, true);
    let count = RELEASED_AT_ONCE + 1;
    for number in 0..count {
        give(&mut stage, &[change(&format!("visit-{number}"), None)]);
    }
    let sent = lock(&mut stage, false);
    let first = stage.read::<IndexRelease>(&sent).pop().unwrap();
    let sent = stage.give("", &first);
    assert_eq!(handed_on(&stage, &sent).len() as i64, RELEASED_AT_ONCE);
    let second = stage.read::<IndexRelease>(&sent).pop().unwrap();
    lock(&mut stage, true);
    let sent = stage.give("", &second);
    assert_eq!(handed_on(&stage, &sent).len(), 0, "it is locked again");
    let sent = lock(&mut stage, false);
    assert_eq!(drain(&mut stage, sent), [[format!("+visit-{RELEASED_AT_ONCE}")]]);
}

#[test]
fn what_waits_for_others_goes_on_only_after_the_lock_is_opened() {
    let mut stage = collecting();
    give(&mut stage, &[change("visit-1", None)]);
    lock(&mut stage, true);
    assert_eq!(clock(&mut stage, 9 * WINDOW).len(), 0);
    give(&mut stage, &[change("visit-2", None)]);
    let sent = lock(&mut stage, false);
    assert_eq!(drain(&mut stage, sent).len(), 0, "a single update begins to wait for others when it goes on");
    assert_eq!(clock(&mut stage, 9 * WINDOW), [["+visit-1", "+visit-2"]]);
}

#[test]
fn what_waits_goes_on_with_the_clock_after_the_window_was_switched_off() {
    let settings = harness::settings();
    let mut stage = collecting();
    give(&mut stage, &[change("visit-1", None)]);
    stage.processor.context = harness::context_with(settings);
    assert_eq!(clock(&mut stage, 0), [["+visit-1"]]);
}
