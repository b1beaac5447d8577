//! What is served, asked and kept, decided on plain data.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tributary_flow::configuration::Source;

use super::memory_store::Fate;
use super::*;
use crate::caller::Caller;
use crate::harness;
use crate::invalidation;
use crate::memory::MemoryBudget;
use crate::question::{Answer, Origin};
use crate::request_list::Request;
use crate::soap::{ENVELOPE, Message};
use crate::status::{Failure, StatusCode};

const PATIENT: &str = "191212121212";
const TTL: u64 = 1000;
const FAILURE_TTL: u64 = 400;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn descriptor() -> Descriptor {
    let text = include_str!("../../config/services/GetAggregatedLaboratoryOrderOutcome.v4.toml");
    Descriptor::read(&Source::new("laboratories.toml", text)).unwrap()
}

fn message(inside: &str) -> Message {
    let text = format!("<e:Envelope xmlns:e=\"{ENVELOPE}\"><e:Body><r>{inside}</r></e:Body></e:Envelope>");
    Message::read(text.into_bytes(), None, 1 << 20, &[]).unwrap()
}

fn subject() -> Arc<Subject> {
    let settings = CacheSettings { ttl: ms(TTL), failure_ttl: ms(FAILURE_TTL), ..CacheSettings::default() };
    Arc::new(Subject::new(&descriptor(), &PATIENT.parse().unwrap(), &settings))
}

fn answer() -> Arc<Answer> {
    let share = MemoryBudget::new(1 << 20).share();
    Arc::new(Answer { message: Arc::new(message(PATIENT)), share })
}

fn failure() -> Failure {
    Failure::other(PATIENT)
}

fn part(address: &str, ended: Instant, result: Result<Arc<Answer>, Failure>) -> CachedPart {
    CachedPart { address: address.to_owned(), at: Timestamp::UNIX_EPOCH, ended, result, marked: false }
}

fn called(address: &str, ended: Instant, result: Result<Arc<Answer>, Failure>) -> Part {
    let at = Timestamp::from_second(7).unwrap();
    Part { address: address.to_owned(), at, ended, took: ms(3), result, origin: Origin::Source }
}

fn entry(kept: Instant, parts: Vec<CachedPart>) -> Entry {
    Entry { subject: subject(), parts, kept, changed: false, footing: None }
}

fn request(address: &str) -> Request {
    let caller_request = message("");
    let descriptor = descriptor();
    let list = crate::request_list::RequestList {
        descriptor: &descriptor,
        request: &caller_request,
        platform_url: None,
        tak: None,
        now: Timestamp::UNIX_EPOCH,
    };
    let engagement =
        crate::engagement::Engagement { source_system: address.to_owned(), ..crate::engagement::Engagement::default() };
    list.make(vec![crate::filter::Admitted { engagement, url: None }]).0.remove(0)
}

fn addresses(requests: &[Request]) -> Vec<&str> {
    requests.iter().map(|request| request.address.as_str()).collect()
}

fn statuses(parts: &[Part]) -> Vec<(&str, StatusCode)> {
    parts.iter().map(|part| (part.address.as_str(), part.record().status)).collect()
}

#[test]
fn an_entry_answers_until_one_of_its_parts_is_too_old() {
    let begin = Instant::now();
    let fresh = entry(begin, vec![part("A", begin, Ok(answer()))]);
    assert!(fresh.answers(begin + ms(TTL - 1)) && !fresh.answers(begin + ms(TTL)));
    let with_failure = entry(begin, vec![part("A", begin, Ok(answer())), part("B", begin, Err(failure()))]);
    assert!(with_failure.answers(begin + ms(FAILURE_TTL - 1)) && !with_failure.answers(begin + ms(FAILURE_TTL)));
    let empty = entry(begin, Vec::new());
    assert!(empty.answers(begin + ms(TTL - 1)) && !empty.answers(begin + ms(TTL)));
}

#[test]
fn a_mark_ends_the_answer_whether_the_address_is_known_or_not() {
    let begin = Instant::now();
    for (address, marked) in [("A", [true, false]), ("NEW", [false, false])] {
        let mut entry = entry(begin, vec![part("A", begin, Ok(answer())), part("B", begin, Ok(answer()))]);
        entry.mark(address);
        assert!(!entry.answers(begin));
        assert_eq!([entry.parts[0].marked, entry.parts[1].marked], marked);
    }
}

#[test]
fn what_is_too_old_goes_and_then_the_entry() {
    let begin = Instant::now();
    let mut entry = entry(begin, vec![part("A", begin, Ok(answer())), part("B", begin, Err(failure()))]);
    assert!(!entry.expire(begin + ms(FAILURE_TTL - 1)));
    assert!(entry.expire(begin + ms(FAILURE_TTL)) && !entry.is_over(begin + ms(FAILURE_TTL)));
    // The answer has lost an address, so it is none any more.
    assert!(!entry.answers(begin + ms(FAILURE_TTL)));
    assert!(entry.expire(begin + ms(TTL)) && entry.is_over(begin + ms(TTL)));
}

#[test]
fn failures_are_not_kept_longer_than_good_answers() {
    let begin = Instant::now();
    let settings = CacheSettings { ttl: ms(10), failure_ttl: ms(1000), ..CacheSettings::default() };
    let subject = Arc::new(Subject::new(&descriptor(), &PATIENT.parse().unwrap(), &settings));
    let entry = Entry { subject, ..entry(begin, vec![part("A", begin, Err(failure()))]) };
    assert!(entry.answers(begin + ms(9)) && !entry.answers(begin + ms(10)));
}

#[test]
fn marked_new_and_old_addresses_are_called_once_and_gone_ones_are_dropped() {
    let begin = Instant::now();
    let now = begin + ms(500);
    let mut old = entry(begin, vec![part("GONE", begin, Ok(answer())), part("LATE", begin + ms(400), Ok(answer()))]);
    old.parts.extend([
        part("EARLY", begin, Ok(answer())),
        part("MARKED", begin, Ok(answer())),
        part("FAILED", begin, Err(failure())),
    ]);
    old.mark("MARKED");
    let requests = ["LATE", "NEW", "EARLY", "MARKED", "FAILED"].map(request).to_vec();
    let mut refresh = Refresh::new(Some(old), requests);
    assert_eq!(addresses(&refresh.due(now)), ["NEW", "MARKED", "FAILED"]);
    refresh.take(vec![
        called("NEW", now, Ok(answer())),
        called("MARKED", now, Err(failure())),
        called("FAILED", now, Err(failure())),
    ]);
    assert!(refresh.due(now).is_empty());
    // Time has passed: one part is too old to be served now.
    let now = begin + ms(TTL);
    assert_eq!(addresses(&refresh.due(now)), ["EARLY"]);
    refresh.take(vec![called("EARLY", now, Ok(answer()))]);
    assert!(refresh.due(now).is_empty());
    let expected = [
        ("LATE", StatusCode::DataFromCache),
        ("NEW", StatusCode::DataFromSource),
        ("MARKED", StatusCode::NoDataSynchFailed),
        ("FAILED", StatusCode::NoDataSynchFailed),
        ("EARLY", StatusCode::DataFromSource),
    ];
    assert_eq!(statuses(&refresh.finish(now)), expected);
}

#[test]
fn old_rows_are_served_when_their_call_fails_and_stay_marked() {
    let begin = Instant::now();
    let mut old = entry(begin, vec![part("A", begin, Ok(answer()))]);
    old.mark("A");
    let mut refresh = Refresh::new(Some(old), vec![request("A")]);
    assert_eq!(refresh.due(begin).len(), 1);
    refresh.take(vec![called("A", begin + ms(3), Err(failure()))]);
    let parts = refresh.finish(begin + ms(3));
    assert_eq!(statuses(&parts), [("A", StatusCode::DataFromCacheSynchFailed)]);
    let record = parts[0].record();
    assert_eq!(record.success, Some(Timestamp::UNIX_EPOCH));
    assert_eq!(record.failure.map(|(at, _)| at.as_second()), Some(7));
    assert_eq!(parts[0].audit().code, Some("43000"));
    let kept = CachedPart::of(&parts[0], false);
    assert!(kept.marked && kept.ended == begin);
    assert!(!CachedPart::of(&called("A", begin, Err(failure())), false).marked);
}

#[test]
fn without_an_entry_all_are_called() {
    let now = Instant::now();
    let mut refresh = Refresh::new(None, vec![request("A"), request("B")]);
    assert_eq!(addresses(&refresh.due(now)), ["A", "B"]);
    refresh.take(vec![called("B", now, Ok(answer())), called("A", now, Err(failure()))]);
    let expected = [("B", StatusCode::DataFromSource), ("A", StatusCode::NoDataSynchFailed)];
    assert_eq!(statuses(&refresh.finish(now)), expected);
}

fn key(number: usize) -> CacheKey {
    let headers = [crate::caller::SENDER, crate::caller::ORIGINAL_CONSUMER, crate::caller::CORRELATION];
    let caller = Caller::read(&headers.map(|name| (name.to_owned(), "x".to_owned()))).unwrap();
    CacheKey::of("service", &PATIENT.parse().unwrap(), &caller, &message(&number.to_string()))
}

#[test]
fn the_store_keeps_at_most_its_number_of_entries() {
    for (most, bytes, kept) in [(7, 1 << 20, 7), (1000, 10 * 1024, 10), (10, 1, 1)] {
        let store = MemoryStore::new(most, bytes, |_| ());
        for number in 0..50 {
            store.put(key(number), entry(Instant::now(), Vec::new()));
            assert!(store.count() <= kept, "{most} {bytes}");
        }
        assert_eq!(store.count(), kept);
        assert!(store.get(&key(49)).is_some() && store.get(&key(0)).is_none());
    }
}

#[test]
fn an_entry_that_is_too_large_is_not_kept_nor_is_the_older_one() {
    let now = Instant::now();
    let store = MemoryStore::new(10, 100 * 1024, |_| ());
    store.put(key(1), entry(now, vec![part("A", now, Err(failure()))]));
    assert_eq!(store.count(), 1);
    let large = "x".repeat(101 * 1024);
    store.put(key(1), entry(now, vec![part(&large, now, Err(failure()))]));
    assert!(store.get(&key(1)).is_none() && store.count() == 0);
}

#[test]
fn a_removed_answer_is_let_go_at_once() {
    let store = MemoryStore::new(10, 1 << 20, |_| ());
    let now = Instant::now();
    let answer = answer();
    store.put(key(1), entry(now, vec![part("A", now, Ok(answer.clone()))]));
    assert_eq!(Arc::strong_count(&answer), 2);
    store.put(key(1), entry(now, vec![part("A", now, Ok(answer.clone()))]));
    assert_eq!(Arc::strong_count(&answer), 2);
    store.revise(&mut |_| Fate::Ends);
    assert_eq!((Arc::strong_count(&answer), store.count()), (1, 0));
}

#[test]
fn a_removed_answer_is_let_go_also_when_others_read_beside() {
    let store = MemoryStore::new(10, 1 << 20, |_| ());
    let now = Instant::now();
    let answer = answer();
    let keys: Vec<CacheKey> = (0..10).map(key).collect();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..20_000).for_each(|number| drop(store.get(&keys[number % 10]))));
        }
        for number in 0..1000 {
            store.put(keys[number % 10].clone(), entry(now, vec![part("A", now, Ok(answer.clone()))]));
        }
    });
    store.revise(&mut |_| Fate::Ends);
    assert_eq!((Arc::strong_count(&answer), store.count()), (1, 0));
}

#[test]
fn too_many_marks_of_a_question_under_way_end_it() {
    let cache = Arc::new(Cache::new(CacheSettings::default(), 1 << 20, None));
    let ticket = cache.begin(key(1), &descriptor(), &PATIENT.parse().unwrap());
    let marks = (0..=MOST_ENGAGEMENTS).map(|number| {
        let mark = invalidation::mark(&harness::engagement(PATIENT, &descriptor().query.domain, "und-kkm-ure"));
        Mark { source_system: format!("SYS-{number}").parse().unwrap(), ..mark }
    });
    cache.mark(&marks.collect::<Vec<_>>());
    ticket.keep(&[], Instant::now(), None);
    assert_eq!(cache.status().entries, 0);
}

#[test]
fn nothing_of_a_patient_is_shown() {
    let now = Instant::now();
    let entry = entry(now, vec![part("A", now, Ok(answer())), part("B", now, Err(failure()))]);
    let cache = Arc::new(Cache::new(CacheSettings::default(), 1 << 20, None));
    let refresh = Refresh::new(Some(entry.clone()), vec![request("A")]);
    for shown in [format!("{entry:?}"), format!("{cache:?}"), format!("{refresh:?}"), format!("{:?}", key(1))] {
        assert!(!shown.contains(PATIENT), "{shown}");
    }
}
