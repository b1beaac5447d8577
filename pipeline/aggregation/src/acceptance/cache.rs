//! The cache of answers (A 4.4, A 4.5, A 7.3).

use std::sync::Arc;

use tokio::time::{Instant, sleep};
use tributary_flow::configuration::Source;
use tributary_schemas::records::aggregation::Mark;

use super::world::*;
use crate::cache::CacheStatus;
use crate::engagement::Engagement;
use crate::tak::Tak;

pub(super) const PATIENT: &str = "191212121212";
const DOMAIN: &str = "riv:clinicalprocess:healthcond:actoutcome";
pub(super) const CATEGORY: &str = "und-kkm-ure";
const SCHEDULE: &str = "GetAggregatedSubjectOfCareSchedule.v1";

/// Three systems of which the third fails, and a cache of a minute.
pub(super) fn setup() -> Setup {
    let systems = [("SYS-1", "1002"), ("SYS-2", "1003"), ("SYS-2", "1004"), ("SYS-3", "x")];
    let mut setup =
        Setup::default().patient(PATIENT, &systems.map(|(address, object)| engagement(address, CATEGORY, object)));
    setup.settings.cache.enabled = true;
    setup.settings.cache.ttl = ms(60_000);
    setup.settings.cache.failure_ttl = ms(60_000);
    setup
}

fn world() -> World {
    let world = setup().build();
    world.producers.set("SYS-3", 100, What::Fault(500, "VP009".to_owned()));
    world
}

fn mark_of(patient: &str, domain: &str, category: &str, address: &str) -> Mark {
    Mark {
        patient: patient.parse().unwrap(),
        service_domain: domain.to_owned(),
        categorization: category.to_owned(),
        logical_address: "SE-UNIT".parse().unwrap(),
        source_system: address.parse().unwrap(),
    }
}

/// A changed engagement of a system about the patient.
pub(super) fn mark(address: &str) -> [Mark; 1] {
    [mark_of(PATIENT, DOMAIN, CATEGORY, address)]
}

fn statuses(answer: &Answered) -> Vec<String> {
    answer.statuses().into_iter().map(|(_, status)| status).collect()
}

fn objects(answer: &Answered) -> Vec<String> {
    let mut objects: Vec<String> = answer.rows.iter().map(|[_, _, object]| object.clone()).collect();
    objects.sort();
    objects
}

fn index_questions(world: &World) -> usize {
    world.index.seen.lock().unwrap().len()
}

const CACHED: [&str; 3] = ["DataFromCache", "DataFromCache", "NoDataSynchFailed"];

#[tokio::test(start_paused = true)]
async fn disabled_by_default_each_question_is_asked() {
    let mut setup = setup();
    setup.settings.cache = FlowSettings::default().cache;
    let world = setup.build();
    for _ in 0..2 {
        world.ask(LABORATORY, PATIENT).await.assert_all_from_source(&["SYS-1", "SYS-2", "SYS-3"]);
    }
    assert_eq!((index_questions(&world), world.seen().len()), (2, 6));
    world.flow.mark(&mark("SYS-1"));
    assert_eq!((world.flow.cache_status(), world.flow.clear_cache(None, None)), (CacheStatus::default(), 0));
}

#[tokio::test(start_paused = true)]
async fn the_second_answer_is_from_the_cache() {
    let mut world = world();
    let first = world.ask(LABORATORY, PATIENT).await;
    sleep(ms(10_000)).await;
    let begin = Instant::now();
    let second = world.ask(LABORATORY, PATIENT).await;
    assert_eq!((begin.elapsed(), index_questions(&world), world.seen().len()), (ms(0), 1, 3));
    assert_eq!(statuses(&second), CACHED);
    assert_eq!(
        (objects(&second), objects(&first)),
        (objects(&first), vec!["1002".into(), "1003".into(), "1004".into()])
    );
    // All but the status is as it was: the times are those of the real calls, and the failure is told again.
    let as_fresh = second.text.replace("DataFromCache", "DataFromSource");
    let as_fresh = as_fresh.replace("<h:isResponseFromCache>true<", "<h:isResponseFromCache>false<");
    assert_eq!(as_fresh, first.text);
    assert_eq!(second.text.matches("<h:isResponseFromCache>true<").count(), 2);
    second.assert_failed("SYS-3", "500", "VP009");
    let expected = CacheStatus { enabled: true, entries: 1, hits: 1, misses: 1 };
    assert_eq!(world.flow.cache_status(), expected);
    world.audit.recv().await.unwrap();
    let entry = world.audit.recv().await.unwrap();
    let addresses = entry.addresses.iter().map(|one| (one.status.name(), one.code, one.ms));
    let (from_cache, failed) = (("DataFromCache", None, 0), ("NoDataSynchFailed", Some("500"), 0));
    assert_eq!(addresses.collect::<Vec<_>>(), [failed, from_cache, from_cache]);
}

#[tokio::test(start_paused = true)]
async fn cache_is_separate_per_consumer() {
    let world = world();
    let service = world.service(LABORATORY).clone();
    let body = |header: &str| request(&service, &naming(&service, PATIENT), header);
    let ask = async |sender: &str, original: &str, header: &str| {
        let mut asked = asked(body(header));
        asked.headers = [(SENDER, sender), (ORIGINAL_CONSUMER, original), (CORRELATION, "corr")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec();
        let reply = world.flow.ask(&service, asked).await;
        Answered::of(&service, &reply).record("SYS-1").status.clone()
    };
    let actor = "<x:Actor xmlns:x='urn:x'>1</x:Actor>";
    for (sender, original, header) in
        [("A", "A", ""), ("A", "B", ""), ("B", "A", ""), ("B", "B", ""), ("A", "A", actor)]
    {
        assert_eq!(ask(sender, original, header).await, "DataFromSource", "{sender} {original} {header}");
        assert_eq!(ask(sender, original, header).await, "DataFromCache", "{sender} {original} {header}");
    }
    assert_eq!(world.flow.cache_status().entries, 5);
}

/// The partial update of the original's own test (A 7.3).
#[tokio::test(start_paused = true)]
async fn index_change_refreshes_one_address() {
    let world = world();
    world.ask(LABORATORY, PATIENT).await;
    let systems = [("SYS-1", "1002"), ("SYS-2", "2001"), ("SYS-3", "x")];
    world.change(PATIENT, &systems.map(|(address, object)| engagement(address, CATEGORY, object)));
    world.flow.mark(&mark("SYS-2"));
    let refreshed = world.ask(LABORATORY, PATIENT).await;
    assert_eq!(objects(&refreshed), ["1002", "2001"]);
    assert_eq!(statuses(&refreshed), ["DataFromCache", "DataFromSource", "NoDataSynchFailed"]);
    assert_eq!((index_questions(&world), world.called()), (2, strings(&["SYS-1", "SYS-2", "SYS-2", "SYS-3"])));
    let cached = world.ask(LABORATORY, PATIENT).await;
    assert_eq!((objects(&cached), statuses(&cached)), (strings(&["1002", "2001"]), strings(&CACHED)));
    assert_eq!((index_questions(&world), world.seen().len()), (2, 4));
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

#[tokio::test(start_paused = true)]
async fn new_addresses_are_called_and_those_that_are_gone_are_dropped() {
    let world = world();
    world.ask(LABORATORY, PATIENT).await;
    let systems = [("SYS-1", "1002"), ("SYS-4", "4001")];
    world.change(PATIENT, &systems.map(|(address, object)| engagement(address, CATEGORY, object)));
    world.flow.mark(&[mark("SYS-2"), mark("SYS-3"), mark("SYS-4")].concat());
    let answer = world.ask(LABORATORY, PATIENT).await;
    assert_eq!(
        (objects(&answer), statuses(&answer)),
        (strings(&["1002", "4001"]), strings(&["DataFromCache", "DataFromSource"]))
    );
    assert_eq!(world.called(), strings(&["SYS-1", "SYS-2", "SYS-3", "SYS-4"]));
    // No call at all, if there are only addresses that are gone.
    world.change(PATIENT, &[]);
    world.flow.mark(&[mark("SYS-1"), mark("SYS-4")].concat());
    for _ in 0..2 {
        assert_eq!(world.ask(LABORATORY, PATIENT).await.records, []);
    }
    assert_eq!((index_questions(&world), world.seen().len()), (3, 4));
    // An answer without addresses is kept too, until there is one.
    world.change(PATIENT, &[engagement("SYS-1", CATEGORY, "1002")]);
    world.flow.mark(&mark("SYS-1"));
    world.ask(LABORATORY, PATIENT).await.assert_all_from_source(&["SYS-1"]);
}

#[tokio::test(start_paused = true)]
async fn marks_of_others_change_nothing() {
    let world = world();
    world.ask(LABORATORY, PATIENT).await;
    world.flow.mark(&[
        mark_of("202002020202", DOMAIN, CATEGORY, "SYS-1"),
        mark_of(PATIENT, "riv:other", CATEGORY, "SYS-1"),
        mark_of(PATIENT, DOMAIN, "other", "SYS-1"),
    ]);
    assert_eq!(statuses(&world.ask(LABORATORY, PATIENT).await), CACHED);
    assert_eq!(index_questions(&world), 1);
}

#[tokio::test(start_paused = true)]
async fn a_mark_names_the_receiver_of_the_contract() {
    let booking = |address: &str, object: &str| Engagement {
        source_system: "ONE-SYSTEM".to_owned(),
        ..engagement(address, "Booking", object)
    };
    let mut setup = Setup::default().patient(PATIENT, &[booking("CLINIC-1", "1"), booking("CLINIC-2", "2")]);
    setup.settings.cache = self::setup().settings.cache;
    let world = setup.build();
    world.ask(SCHEDULE, PATIENT).await;
    let changed = Mark {
        logical_address: "CLINIC-2".parse().unwrap(),
        ..mark_of(PATIENT, "riv:crm:scheduling", "Booking", "ONE-SYSTEM")
    };
    world.flow.mark(&[changed]);
    world.ask(SCHEDULE, PATIENT).await;
    assert_eq!(world.called(), ["CLINIC-1", "CLINIC-2", "CLINIC-2"]);
}

#[tokio::test(start_paused = true)]
async fn stale_rows_say_so() {
    let world = world();
    world.ask(LABORATORY, PATIENT).await;
    sleep(ms(10_000)).await;
    world.flow.mark(&mark("SYS-2"));
    world.producers.set("SYS-2", 100, What::Fault(500, "VP009 again".to_owned()));
    for calls in [4, 5] {
        let stale = world.ask(LABORATORY, PATIENT).await;
        assert_eq!(objects(&stale), ["1002", "1003", "1004"]);
        assert_eq!(statuses(&stale), ["DataFromCache", "DataFromCacheSynchFailed", "NoDataSynchFailed"]);
        let record = stale.record("SYS-2");
        assert_eq!((record.code.as_deref(), record.text.as_deref()), (Some("500"), Some("VP009 again")));
        let status = "DataFromCacheSynchFailed</h:statusCode><h:isResponseFromCache>true</h:isResponseFromCache>\
            <h:isResponseInSynch>false</h:isResponseInSynch><h:lastSuccessfulSynch>20261128130000\
            </h:lastSuccessfulSynch><h:lastUnsuccessfulSynch>20261128130010</h:lastUnsuccessfulSynch>";
        assert!(stale.text.contains(status), "{}", stale.text);
        // The next question tries again, and the index is not asked for what it has told.
        assert_eq!(world.seen().len(), calls);
    }
    world.producers.set("SYS-2", 100, What::Rows);
    assert_eq!(statuses(&world.ask(LABORATORY, PATIENT).await)[1], "DataFromSource");
    assert_eq!(statuses(&world.ask(LABORATORY, PATIENT).await), CACHED);
}

#[tokio::test(start_paused = true)]
async fn stale_rows_that_are_too_old_are_not_served() {
    let world = world();
    world.ask(LABORATORY, PATIENT).await;
    sleep(ms(59_000)).await;
    world.flow.mark(&mark("SYS-2"));
    world.producers.set("SYS-2", 2000, What::Fault(500, "VP009".to_owned()));
    let answer = world.ask(LABORATORY, PATIENT).await;
    answer.assert_failed("SYS-2", "500", "VP009");
    assert_eq!(objects(&answer), ["1002"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_older_than_its_time_is_served() {
    let world = world();
    // The last call ends after 510 ms.
    world.ask(LABORATORY, PATIENT).await;
    sleep(ms(59_600)).await;
    // The failed call had ended after 110 ms: it alone is made again.
    assert_eq!((statuses(&world.ask(LABORATORY, PATIENT).await), world.seen().len()), (strings(&CACHED), 4));
    sleep(ms(289)).await;
    assert_eq!((statuses(&world.ask(LABORATORY, PATIENT).await), world.seen().len()), (strings(&CACHED), 4));
    sleep(ms(1)).await;
    let answer = world.ask(LABORATORY, PATIENT).await;
    assert_eq!(statuses(&answer), ["DataFromSource", "DataFromSource", "NoDataSynchFailed"]);
    assert_eq!((index_questions(&world), world.seen().len()), (3, 6));
}

#[tokio::test(start_paused = true)]
async fn what_gets_too_old_during_a_question_is_called_then() {
    let world = world();
    world.ask(LABORATORY, PATIENT).await;
    sleep(ms(58_500)).await;
    world.flow.mark(&mark("SYS-2"));
    world.producers.set("SYS-2", 2000, What::Rows);
    let begin = Instant::now();
    let answer = world.ask(LABORATORY, PATIENT).await;
    // First the marked address, then those whose minute has passed meanwhile.
    assert_eq!(begin.elapsed(), ms(10 + 2000 + 500));
    assert_eq!(statuses(&answer), ["DataFromSource", "DataFromSource", "NoDataSynchFailed"]);
    assert_eq!(world.called(), strings(&["SYS-1", "SYS-1", "SYS-2", "SYS-2", "SYS-3", "SYS-3"]));
}

#[tokio::test(start_paused = true)]
async fn a_service_may_set_its_own_time() {
    let text = include_str!("../../config/services/GetAggregatedLaboratoryOrderOutcome.v4.toml");
    let mut setup = setup();
    setup.descriptors = vec![Source::new("own.toml", text.replace("[query]", "cache_ttl_ms = 1000\n[query]"))];
    let world = setup.build();
    world.ask(LABORATORY, PATIENT).await;
    sleep(ms(999)).await;
    assert_eq!(statuses(&world.ask(LABORATORY, PATIENT).await), ["DataFromCache"; 3]);
    sleep(ms(1)).await;
    assert_eq!(statuses(&world.ask(LABORATORY, PATIENT).await), ["DataFromSource"; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_call_is_made_again_after_its_own_time() {
    let mut setup = setup();
    setup.settings.cache.failure_ttl = ms(3000);
    let world = setup.build();
    world.producers.set("SYS-3", 500, What::Refused);
    world.ask(LABORATORY, PATIENT).await;
    world.producers.set("SYS-3", 500, What::Rows);
    sleep(ms(2999)).await;
    assert_eq!(statuses(&world.ask(LABORATORY, PATIENT).await), CACHED);
    sleep(ms(1)).await;
    let answer = world.ask(LABORATORY, PATIENT).await;
    assert_eq!(statuses(&answer), ["DataFromCache", "DataFromCache", "DataFromSource"]);
    assert_eq!(world.seen().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_mark_during_a_call_is_not_lost() {
    let world = Arc::new(world());
    // While the calls are under way, and while the index is asked.
    for (wait, calls) in [(300, 3), (5, 4)] {
        let asking = world.clone();
        let question = tokio::spawn(async move { asking.ask(LABORATORY, PATIENT).await });
        sleep(ms(wait)).await;
        world.flow.mark(&mark("SYS-2"));
        question.await.unwrap();
        assert_eq!(world.seen().len(), calls);
    }
    assert_eq!(statuses(&world.ask(LABORATORY, PATIENT).await)[1], "DataFromSource");
    assert_eq!(statuses(&world.ask(LABORATORY, PATIENT).await), CACHED);
    assert_eq!((index_questions(&world), world.seen().len()), (3, 5));
}

#[tokio::test(start_paused = true)]
async fn a_new_address_during_a_call_is_not_lost() {
    let world = Arc::new(world());
    let asking = world.clone();
    let question = tokio::spawn(async move { asking.ask(LABORATORY, PATIENT).await });
    sleep(ms(300)).await;
    world.change(PATIENT, &["SYS-1", "SYS-4"].map(|address| engagement(address, CATEGORY, address)));
    world.flow.mark(&mark("SYS-4"));
    assert_eq!(question.await.unwrap().records.len(), 3);
    let answer = world.ask(LABORATORY, PATIENT).await;
    assert_eq!(statuses(&answer), ["DataFromCache", "DataFromSource"]);
}

#[tokio::test(start_paused = true)]
async fn two_equal_questions_at_once_both_ask() {
    let world = Arc::new(world());
    let ask = || {
        let world = world.clone();
        tokio::spawn(async move { world.ask(LABORATORY, PATIENT).await })
    };
    let (first, second) = (ask(), ask());
    for question in [first, second] {
        assert_eq!(statuses(&question.await.unwrap())[..2], ["DataFromSource"; 2]);
    }
    let expected = CacheStatus { enabled: true, entries: 1, hits: 0, misses: 2 };
    assert_eq!((world.seen().len(), world.flow.cache_status()), (6, expected));
    assert_eq!(statuses(&world.ask(LABORATORY, PATIENT).await), CACHED);
}

fn everyone() -> Arc<Tak> {
    let entry = |more: &str| format!(r#"{{"contract": "{LABORATORY_CONTRACT}", "receiver": "*"{more}}}"#);
    let (route, sender) = (entry(""), entry(r#", "sender": "sample-sender-id""#));
    let text = format!(r#"{{"routes": [{route}], "permissions": [{sender}]}}"#);
    Arc::new(Tak::read(text.as_bytes()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_reload_of_tak_empties_the_cache() {
    let world = Arc::new(world());
    world.ask(LABORATORY, PATIENT).await;
    world.flow.set_tak(everyone());
    assert_eq!(world.flow.cache_status().entries, 0);
    // A question under way keeps the catalogue that it began with, so its answer is not kept.
    let asking = world.clone();
    let question = tokio::spawn(async move { asking.ask(LABORATORY, PATIENT).await });
    sleep(ms(300)).await;
    world.flow.set_tak(Arc::new(Tak::read(br#"{"routes": [], "permissions": []}"#).unwrap()));
    assert_eq!(question.await.unwrap().records.len(), 3);
    assert_eq!(world.flow.cache_status().entries, 0);
    assert_eq!(world.ask(LABORATORY, PATIENT).await.records, []);
}

#[tokio::test(start_paused = true)]
async fn an_index_that_fails_is_a_fault_and_the_entry_stays() {
    let world = world();
    world.ask(LABORATORY, PATIENT).await;
    world.flow.mark(&mark("SYS-2"));
    *world.index.delay.lock().unwrap() = ms(60_000);
    assert!(world.fault(LABORATORY, PATIENT).await.text.contains("timeout"));
    *world.index.delay.lock().unwrap() = ms(10);
    let answer = world.ask(LABORATORY, PATIENT).await;
    assert_eq!(statuses(&answer), ["DataFromCache", "DataFromSource", "NoDataSynchFailed"]);
}
