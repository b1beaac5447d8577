//! What goes to a subscriber, and what becomes of its answers.

use std::collections::VecDeque;
use std::future::{pending, ready};
use std::slice::from_ref;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

use super::*;
use crate::caller::Header;
use crate::ei_soap::{IndexInteraction, NotDelivered, write_ok};
use crate::find_content::{Found, IndexError};
use crate::flow::{Connections, Flow, FlowSettings};
use crate::local_time::Stockholm;
use crate::port::{Answering, Index, IndexQuestion, OutgoingCall, ProducerAnswer, Producers, TransportError};
use crate::soap::{Fault, FaultCode, Message};
use crate::tak::Tak;
use tributary_schemas::records::aggregation::Interaction;

/// What a subscriber does with a call. Beyond the script it answers OK.
#[derive(Clone)]
enum Does {
    Answers(u16, Option<&'static str>, String),
    Breaks(TransportError),
    Hangs,
}

fn ok() -> Does {
    Does::Answers(200, Some("text/xml; charset=utf-8"), write_ok(Interaction::ProcessNotification))
}

fn fault() -> Does {
    Does::Answers(500, Some("text/xml"), Fault::new(FaultCode::Server, "secret").write())
}

struct Seen {
    at: Duration,
    url: String,
    headers: Vec<Header>,
    body: String,
}

#[derive(Default)]
struct Subscribers {
    script: Mutex<VecDeque<Does>>,
    seen: Mutex<Vec<Seen>>,
    begin: Mutex<Option<Instant>>,
}

impl Subscribers {
    /// When it was called, in milliseconds.
    fn times(&self) -> Vec<u128> {
        self.seen.lock().unwrap().iter().map(|seen| seen.at.as_millis()).collect()
    }
}

impl Producers for Subscribers {
    fn call(&self, call: OutgoingCall) -> Answering<Result<ProducerAnswer, TransportError>> {
        let at = self.begin.lock().unwrap().get_or_insert_with(Instant::now).elapsed();
        let body = String::from_utf8(call.body.to_bytes()).unwrap();
        self.seen.lock().unwrap().push(Seen { at, url: call.url, headers: call.headers, body });
        match self.script.lock().unwrap().pop_front().unwrap_or_else(ok) {
            Does::Answers(status, content_type, body) => {
                let content_type = content_type.map(str::to_owned);
                let answer = ProducerAnswer { status, content_type, body: body.into_bytes(), share: call.share };
                Box::pin(async move {
                    sleep(Duration::from_secs(1)).await;
                    Ok(answer)
                })
            }
            Does::Breaks(error) => Box::pin(ready(Err(error))),
            Does::Hangs => Box::pin(pending()),
        }
    }
}

struct NoIndex;

impl Index for NoIndex {
    fn find(&self, _: IndexQuestion) -> Answering<Result<Found, IndexError>> {
        Box::pin(pending())
    }
}

fn courier(script: Vec<Does>, platform: Option<&str>, tak: Option<&str>) -> (Courier, Arc<Subscribers>) {
    let subscribers = Arc::new(Subscribers { script: Mutex::new(script.into()), ..Subscribers::default() });
    let settings = FlowSettings {
        platform_url: platform.map(str::to_owned),
        instance: "test_env".to_owned(),
        index_sender: "SE-INDEX".to_owned(),
        ..FlowSettings::default()
    };
    let now: Timestamp = "2026-11-28T12:00:00Z".parse().unwrap();
    let connections = Connections {
        index: Arc::new(NoIndex),
        producers: subscribers.clone(),
        tak: tak.map(|tak| Arc::new(Tak::read(tak.as_bytes()).unwrap())),
        audit: mpsc::channel(1).0,
        clock: Arc::new(move || now),
        stockholm: Stockholm::load().unwrap(),
    };
    let flow = Arc::new(Flow::new(settings, connections));
    (Courier::new(flow, codec(), NotificationSettings::default()), subscribers)
}

const PLATFORM: Option<&str> = Some("http://vp.example/");

async fn deliver(script: Vec<Does>, count: usize) -> (End, Arc<Subscribers>) {
    let (courier, subscribers) = courier(script, PLATFORM, None);
    let end = deliver_one(&courier, 3, &waiting(&codec(), 17, count), pending()).await.unwrap();
    (end, subscribers)
}

async fn deliver_one(
    courier: &Courier,
    partition: i32,
    waiting: &Waiting,
    stopping: impl Future<Output = ()> + Send,
) -> Option<End> {
    let Delivery { count, end, tried } = courier.deliver(partition, from_ref(waiting), stopping).await?;
    assert_eq!((count, tried), (1, 1));
    Some(end)
}

#[tokio::test(start_paused = true)]
async fn a_notification_goes_out_as_the_index_to_the_platform() {
    let (end, subscribers) = deliver(Vec::new(), 2).await;
    let seen = subscribers.seen.lock().unwrap();
    assert_eq!((end, seen.len(), &*seen[0].url), (End::Delivered, 1, "http://vp.example/"));
    let header = |name: &str| seen[0].headers.iter().find(|(known, _)| known == name).map(|(_, value)| &**value);
    for (name, value) in [
        ("x-vp-sender-id", "SE-INDEX"),
        ("x-rivta-original-serviceconsumer-hsaid", "SE-INDEX"),
        ("x-vp-instance-id", "test_env"),
        ("x-skltp-correlation-id", "notification-3-17"),
        ("soapaction", "\"urn:riv:itintegration:engagementindex:ProcessNotificationResponder:1:ProcessNotification\""),
    ] {
        assert_eq!(header(name), Some(value), "{name}");
    }
    let message = Message::read(seen[0].body.clone().into_bytes(), None, 1 << 20, &[]).unwrap();
    assert_eq!(message.logical_address().as_deref(), Some(SUBSCRIBER));
    assert_eq!(seen[0].body, crate::ei_soap::notices(&notification(2)).next().unwrap());
}

#[tokio::test(start_paused = true)]
async fn without_a_platform_its_route_says_where_a_subscriber_is() {
    let contract = IndexInteraction::ProcessNotification.contract();
    let tak = format!(
        r#"{{"routes": [{{"contract": "{contract}", "receiver": "{SUBSCRIBER}", "url": "http://sub.example/"}}]}}"#
    );
    let (with_route, subscribers) = courier(Vec::new(), None, Some(&tak));
    let notification = waiting(&codec(), 0, 1);
    assert_eq!(deliver_one(&with_route, 0, &notification, pending()).await, Some(End::Delivered));
    assert_eq!(subscribers.seen.lock().unwrap()[0].url, "http://sub.example/");
    for tak in [None, Some("{}")] {
        let (without, subscribers) = courier(Vec::new(), None, tak);
        let end = deliver_one(&without, 0, &notification, pending()).await;
        assert_eq!((end, subscribers.times().len()), (Some(End::Dead(Undelivered::NoUrl)), 0));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_taken_is_sent_again_after_a_pause() {
    let (end, subscribers) = deliver(vec![fault(), Does::Hangs], 1).await;
    // A call takes 1 s or is cut after 5 s, and the pause is 5 s.
    assert_eq!((end, subscribers.times()), (End::Delivered, vec![0, 6_000, 16_000]));
    let seen = subscribers.seen.lock().unwrap();
    assert!(seen.iter().all(|one| one.body == seen[0].body && one.headers == seen[0].headers));
}

#[tokio::test(start_paused = true)]
async fn everything_but_a_good_answer_is_a_failure_and_after_the_last_one_it_is_dead() {
    let ok = write_ok(Interaction::ProcessNotification);
    let xml = |status: u16, body: &str| Does::Answers(status, Some("text/xml"), body.to_owned());
    let refused = TransportError::Refused("secret".to_owned());
    for (does, reason) in [
        (fault(), NotDelivered::Fault.into()),
        (xml(200, &ok.replace(">OK<", ">ERROR<")), NotDelivered::Error.into()),
        (xml(200, &ok.replace(">OK<", "><")), NotDelivered::UnknownResult.into()),
        (xml(200, &write_ok(Interaction::Update)), NotDelivered::OtherMessage.into()),
        (xml(503, "busy"), NotDelivered::Status(503).into()),
        (xml(302, &ok), NotDelivered::Status(302).into()),
        (Does::Answers(503, Some("text/html"), "busy".to_owned()), NotDelivered::Status(503).into()),
        (Does::Answers(202, None, String::new()), NotDelivered::NoMessage(crate::soap::SoapError::Empty).into()),
        (Does::Answers(200, Some("text/html"), ok.clone()), Undelivered::NotXml),
        (Does::Breaks(refused.clone()), Undelivered::NoAnswer(refused)),
        (Does::Hangs, Undelivered::Late(Duration::from_secs(5))),
    ] {
        let (end, subscribers) = deliver(vec![does; 3], 1).await;
        assert_eq!((end, subscribers.times().len()), (End::Dead(reason.clone()), 3), "{reason}");
    }
    let info = xml(200, &ok.replace(">OK<", ">INFO<"));
    assert_eq!(deliver(vec![info], 1).await.0, End::Delivered);
}

#[tokio::test(start_paused = true)]
async fn a_call_has_at_most_a_thousand_transactions_and_what_was_taken_is_not_sent_again() {
    let (end, subscribers) = deliver(vec![ok(), fault(), fault()], 2_001).await;
    assert_eq!(end, End::Delivered);
    let bodies: Vec<String> = subscribers.seen.lock().unwrap().iter().map(|seen| seen.body.clone()).collect();
    let counts = bodies.iter().map(|body| body.matches("<p:engagementTransaction>").count());
    assert_eq!(counts.collect::<Vec<_>>(), [1000, 1000, 1000, 1000, 1]);
    assert_eq!(bodies[1], bodies[3]);
    let (end, subscribers) = deliver(vec![fault(), ok(), fault(), fault()], 1_001).await;
    let reason = Undelivered::Refused(NotDelivered::Fault);
    assert_eq!((end, subscribers.times().len()), (End::Dead(reason), 4), "failures of a notification add up");
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_wait_for_a_redelivery_but_not_a_call() {
    let (courier, subscribers) = courier(vec![Does::Hangs], PLATFORM, None);
    let stopped = deliver_one(&courier, 0, &waiting(&codec(), 0, 1), ready(())).await;
    assert_eq!((stopped, subscribers.times()), (None, vec![0]));
    assert_eq!(subscribers.begin.lock().unwrap().unwrap().elapsed(), Duration::from_secs(5), "the call has its time");
    let (stop, stopping) = oneshot::channel::<()>();
    let (courier, subscribers) = self::courier(Vec::new(), PLATFORM, None);
    stop.send(()).unwrap();
    let stopping = async { stopping.await.unwrap() };
    let taken = deliver_one(&courier, 0, &waiting(&codec(), 0, 1), stopping).await;
    assert_eq!((taken, subscribers.times().len()), (Some(End::Delivered), 1));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_read_is_dead_at_once() {
    let (courier, subscribers) = courier(Vec::new(), PLATFORM, None);
    for value in [b"".as_slice(), b"secret"] {
        let unreadable = Waiting { value: value.into(), ..waiting(&codec(), 0, 1) };
        let end = deliver_one(&courier, 0, &unreadable, pending()).await.unwrap();
        let End::Dead(reason @ Undelivered::Unreadable(_)) = end else { panic!("{end:?}") };
        assert!(!reason.to_string().contains("secret"));
    }
    assert_eq!(subscribers.times().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_is_down_delays_nobody_else() {
    let (courier, subscribers) = courier(vec![Does::Hangs], PLATFORM, None);
    let notification = waiting(&codec(), 0, 1);
    let begin = Instant::now();
    tokio::select! {
        biased;
        end = deliver_one(&courier, 0, &notification, pending()) => panic!("the first one is down: {end:?}"),
        end = deliver_one(&courier, 1, &notification, pending()) => assert_eq!(end, Some(End::Delivered)),
    }
    assert_eq!((begin.elapsed(), subscribers.times()), (Duration::from_secs(1), vec![0, 0]));
}

/// Notifications on the log with so many transactions each.
fn several(counts: &[usize]) -> Vec<Waiting> {
    (20..).zip(counts).map(|(offset, count)| waiting(&codec(), offset, *count)).collect()
}

fn transactions(subscribers: &Subscribers) -> Vec<usize> {
    let seen = subscribers.seen.lock().unwrap();
    seen.iter().map(|one| one.body.matches("<p:engagementTransaction>").count()).collect()
}

#[tokio::test(start_paused = true)]
async fn what_waits_goes_out_in_one_call_of_at_most_a_thousand_transactions() {
    for (counts, together, sent) in [
        (&[1, 2, 3][..], 3, &[6][..]),
        (&[600, 400, 1], 2, &[1_000]),
        (&[600, 401, 1], 1, &[600]),
        (&[1_001, 1], 1, &[1_000, 1]),
    ] {
        let (courier, subscribers) = courier(Vec::new(), PLATFORM, None);
        let delivery = courier.deliver(3, &several(counts), pending()).await.unwrap();
        assert_eq!(delivery, Delivery { count: together, end: End::Delivered, tried: together }, "{counts:?}");
        assert_eq!(transactions(&subscribers), sent);
        let seen = subscribers.seen.lock().unwrap();
        assert!(seen[0].headers.contains(&("x-skltp-correlation-id".to_owned(), "notification-3-20".to_owned())));
    }
    let (courier, _) = courier(Vec::new(), PLATFORM, None);
    assert_eq!(courier.deliver(3, &[], pending()).await, None);
}

#[tokio::test(start_paused = true)]
async fn if_a_call_with_several_is_not_taken_the_first_goes_on_alone() {
    let (courier, subscribers) = self::courier(vec![fault()], PLATFORM, None);
    let delivery = courier.deliver(3, &several(&[1, 2, 3]), pending()).await.unwrap();
    assert_eq!(delivery, Delivery { count: 1, end: End::Delivered, tried: 3 });
    assert_eq!((transactions(&subscribers), subscribers.times()), (vec![6, 1], vec![0, 6_000]));

    let (courier, subscribers) = self::courier(vec![fault(); 3], PLATFORM, None);
    let delivery = courier.deliver(3, &several(&[1, 2]), pending()).await.unwrap();
    let refused = End::Dead(NotDelivered::Fault.into());
    assert_eq!(
        delivery,
        Delivery { count: 1, end: refused, tried: 2 },
        "the call with both was a delivery of the first"
    );
    assert_eq!(transactions(&subscribers), [3, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_read_or_is_another_ones_is_not_in_the_call() {
    let unreadable = Waiting { value: b"secret".as_slice().into(), ..waiting(&codec(), 21, 1) };
    let mut other = Vec::new();
    let foreign = Notification { subscriber: "SE-OTHER".parse().unwrap(), ..notification(1) };
    codec().encode(&foreign, &mut other).unwrap();
    let foreign = Waiting { value: other.into(), ..waiting(&codec(), 21, 1) };
    for bad in [unreadable, foreign] {
        let (courier, subscribers) = courier(Vec::new(), PLATFORM, None);
        let records = [waiting(&codec(), 20, 1), bad, waiting(&codec(), 22, 1)];
        let delivery = courier.deliver(3, &records, pending()).await.unwrap();
        assert_eq!((delivery.count, transactions(&subscribers)), (1, vec![1]));
    }
}
