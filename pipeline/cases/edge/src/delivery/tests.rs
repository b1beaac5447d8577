//! Deliveries to a real broker, from commands over HTTP on. The clients are users that may only read their own queue.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use lapin::options::{BasicGetOptions, QueueDeleteOptions};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};
use tributary_cases::topics;
use tributary_connectors::rabbitmq::Broker;
use tributary_flow::configuration::{ConfigurationFile, Source};
use tributary_harness::RabbitMq;

use crate::settings::EdgeSettings;
use crate::tests::world::{Site, World, settings};

/// Tests stop the broker, so only one runs at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

struct Setting {
    rabbit: RabbitMq,
    site: Site,
    _alone: MutexGuard<'static, ()>,
}

impl Setting {
    /// A broker without queues of clients.
    async fn find() -> Option<Self> {
        let rabbit = RabbitMq::find()?;
        let setting = Self { rabbit, site: Site::new(), _alone: ALONE.lock().await };
        let (_connection, channel) = setting.channel("tributary").await;
        for client in ["alpha", "beta", "gamma"] {
            let queue = queue_of(client).as_str().into();
            channel.queue_delete(queue, QueueDeleteOptions::default()).await.unwrap();
        }
        Some(setting)
    }

    fn text(&self, password: &str) -> String {
        format!(
            "[cases]
[cases.origins.esdh-a]
client_id = \"esdh-a-id\"
details = [\"https://esdh.example\"]
[cases.clients.alpha]
client_id = \"alpha-id\"
channel = \"rabbitmq\"
sees = [\"esdh-a\"]
[cases.clients.beta]
client_id = \"beta-id\"
channel = \"rabbitmq\"
format = \"raw_json\"
sees = [\"esdh-a\"]
[cases.clients.gamma]
client_id = \"gamma-id\"
channel = \"rabbitmq\"
format = \"cloudevents\"
sees = [\"esdh-a\"]
[cases.rabbitmq]
url = \"{}\"
user = \"tributary\"
password = {{ file = \"{password}\" }}
ca = \"{}\"
probe = \"200ms\"
retry = [\"200ms\", \"400ms\"]
alarm = \"1s\"
",
            self.rabbit.tls,
            self.rabbit.certificates("ca.pem").display()
        )
    }

    fn settings(&self) -> EdgeSettings {
        settings(&self.text("password"))
    }

    fn open(&self) -> World {
        self.open_with(self.settings(), "tributary-password")
    }

    fn open_with(&self, settings: EdgeSettings, password: &str) -> World {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("password"), password).unwrap();
        let source = Some(Source::new("dis.toml", self.text("password")));
        let file = ConfigurationFile { source, folder: folder.path().to_owned() };
        let broker = settings.broker.as_ref().unwrap().client(&file).unwrap();
        self.site.open(settings, Some(Arc::new(broker) as Arc<dyn Broker>))
    }

    /// A channel of a user of the broker.
    async fn channel(&self, user: &str) -> (Connection, Channel) {
        let url = self.rabbit.url.replace("amqp://", &format!("amqp://{user}:{user}-password@"));
        let connection = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        (connection, channel)
    }

    /// Reads this number of messages as a client, from its own queue.
    async fn read(&self, client: &str, count: usize) -> Vec<(BasicProperties, Value)> {
        let mut messages = Vec::new();
        let reading = async {
            let (mut connection, mut channel) = self.channel(client).await;
            while messages.len() < count {
                let options = BasicGetOptions { no_ack: true };
                match channel.basic_get(queue_of(client).as_str().into(), options).await {
                    Ok(Some(message)) => {
                        let body = serde_json::from_slice(&message.data).unwrap();
                        messages.push((message.properties.clone(), body));
                    }
                    Ok(None) => tokio::time::sleep(Duration::from_millis(10)).await,
                    // The queue is not there yet, and the broker has closed the channel.
                    Err(_) => {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        drop(connection);
                        (connection, channel) = self.channel(client).await;
                    }
                }
            }
        };
        let in_time = tokio::time::timeout(RabbitMq::PATIENCE, reading).await;
        assert!(in_time.is_ok(), "{client} has received {} of {count} messages", messages.len());
        messages
    }

    /// The numbers of cases in the order in which a client on raw JSON is told of them.
    async fn numbers(&self, count: usize) -> Vec<usize> {
        let messages = self.read("beta", count).await;
        messages.iter().map(|(_, body)| number_of(body["id"].as_str().unwrap())).collect()
    }

    /// Whether a client's queue is empty.
    async fn is_empty(&self, client: &str) -> bool {
        let (_connection, channel) = self.channel(client).await;
        let got = channel.basic_get(queue_of(client).as_str().into(), BasicGetOptions { no_ack: true }).await;
        got.unwrap().is_none()
    }

    /// Calls `act` on the broker, where it may block.
    async fn broker(&self, act: impl FnOnce(&RabbitMq) + Send + 'static) {
        let rabbit = self.rabbit.clone();
        tokio::task::spawn_blocking(move || act(&rabbit)).await.unwrap();
    }
}

fn queue_of(client: &str) -> String {
    format!("dis_notifications_{client}")
}

fn case_of(number: usize) -> String {
    format!("6b1f3c1e-0f5b-4a53-9d0c-{number:012x}")
}

fn number_of(case: &str) -> usize {
    usize::from_str_radix(&case[24..], 16).unwrap()
}

async fn create(world: &World, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let body = json!({
            "caseId": case_of(number),
            "created": "2026-11-20T10:00:00Z",
            "caseDetailsUri": format!("https://esdh.example/cases/{number}"),
        });
        let created = world.command("esdh-a-id", "CreateCase", body).await;
        assert_eq!(created.body["status"], "applied", "{}", created.body);
    }
}

/// Waits until the document of the deliveries is as wanted.
async fn until(world: &World, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    let looking = async {
        loop {
            last = world.get("operator", "/api/admin/cases/deliveries").await.body;
            if is_so(&last) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let in_time = tokio::time::timeout(RabbitMq::PATIENCE, looking).await;
    assert!(in_time.is_ok(), "still not so: {what}: {last}");
    last
}

async fn until_up(world: &World) {
    until(world, "the broker is up", |deliveries| deliveries["external"]["up"] == true).await;
}

fn acknowledged(deliveries: &Value, position: i64) -> bool {
    deliveries["clients"].as_array().unwrap().iter().all(|client| client["acknowledged"] == position)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_formats_reach_clients_that_may_read_only_their_own_queue() {
    let Some(setting) = Setting::find().await else { return };
    let world = setting.open();
    world.filled().await;
    create(&world, 1..2).await;
    let mut ids = Vec::new();
    for (client, content_type) in [
        ("alpha", "application/vnd.masstransit+json"),
        ("beta", "application/json"),
        ("gamma", "application/cloudevents+json"),
    ] {
        let (properties, body) = setting.read(client, 1).await.remove(0);
        assert_eq!(properties.content_type().as_ref().unwrap().as_str(), content_type);
        assert_eq!(*properties.delivery_mode(), Some(2));
        let fields = match client {
            "alpha" => &body["message"],
            "gamma" => &body["data"],
            _ => &body,
        };
        let expected = json!({
            "id": case_of(1), "notificationType": 0, "caseDetailsUri": "https://esdh.example/cases/1",
            "eventTime": "2026-11-20T10:00:00Z",
        });
        assert_eq!(fields, &expected);
        ids.push(properties.message_id().as_ref().unwrap().to_string());
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);

    let (_connection, channel) = setting.channel("alpha").await;
    let other = channel.basic_get(queue_of("beta").as_str().into(), BasicGetOptions::default()).await;
    assert!(other.unwrap_err().to_string().contains("ACCESS_REFUSED"));

    let expected = json!({"configured": true, "up": true, "delayed": 0, "oldestDelayedSeconds": 0});
    let is_done = |found: &Value| acknowledged(found, 1) && found["external"] == expected;
    let deliveries = until(&world, "all is acknowledged", is_done).await;
    let expected = json!({
        "client": "alpha", "channel": "rabbitmq", "acknowledged": 1, "last": 1, "waiting": 0, "delayed": 0,
        "lastError": null,
    });
    assert_eq!(deliveries["clients"][0], expected);
    let put = world.send(Method::PUT, "beta-id", "/api/Notifications/Acknowledged", Some(json!({"position": 1})));
    assert_eq!(put.await.code(), "NotAcknowledgedHere");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_down_at_the_start_and_in_the_middle_delays_and_loses_nothing() {
    let Some(setting) = Setting::find().await else { return };
    setting.broker(RabbitMq::stop).await;
    let world = setting.open();
    world.filled().await;
    create(&world, 0..5).await;
    let deliveries = until(&world, "15 are delayed", |found| found["external"]["delayed"] == 15).await;
    assert_eq!(deliveries["external"]["up"], false);
    let error = deliveries["clients"][1]["lastError"].as_str().unwrap();
    assert!(error.contains("is not reached"), "{error}");
    let delayed = world.get("operator", "/api/admin/cases/delayed?limit=2").await.body;
    let items = delayed["items"].as_array().unwrap();
    assert_eq!((items.len(), items[0]["id"].as_str()), (2, Some(case_of(0).as_str())), "{delayed}");
    assert_eq!(items[0]["clients"], json!(["alpha", "beta", "gamma"]));
    assert_eq!((&items[0]["notificationType"], &items[0]["attempts"]), (&json!(0), &json!(0)));
    assert!(items[0]["notBefore"].is_string(), "{delayed}");
    // The alarm is after a second.
    let alarm = async {
        while setting.site.values(&topics::ALERT).is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(RabbitMq::PATIENCE, alarm).await.unwrap();
    let metrics = world.metrics();
    for line in ["cases_external_broker_up 0\n", "cases_delayed_notifications 15\n", "cases_oldest_delayed_seconds "] {
        assert!(metrics.contains(&format!("\ntributary_{line}")), "{line}: {metrics}");
    }

    setting.broker(RabbitMq::start).await;
    assert_eq!(setting.numbers(5).await, [0, 1, 2, 3, 4]);
    until(&world, "all is acknowledged", |found| acknowledged(found, 5)).await;
    assert!(world.metrics().contains("\ntributary_cases_external_broker_up 1\n"));

    let (stopped, ()) = tokio::join!(setting.broker(RabbitMq::stop), create(&world, 5..45));
    let () = stopped;
    setting.broker(RabbitMq::start).await;
    until(&world, "all is acknowledged", |found| acknowledged(found, 45)).await;
    assert!(in_order_with_repeats(&drain(&setting).await, 5..45));
    assert_eq!(world.get("operator", "/api/admin/cases/delayed").await.body, json!({"items": []}));
}

/// All messages that are in the queue of beta.
async fn drain(setting: &Setting) -> Vec<usize> {
    let (_connection, channel) = setting.channel("beta").await;
    let mut numbers = Vec::new();
    let options = BasicGetOptions { no_ack: true };
    while let Some(message) = channel.basic_get(queue_of("beta").as_str().into(), options).await.unwrap() {
        let body: Value = serde_json::from_slice(&message.data).unwrap();
        numbers.push(number_of(body["id"].as_str().unwrap()));
    }
    numbers
}

/// Whether everything is there in order, if what is repeated counts only at its last time.
fn in_order_with_repeats(found: &[usize], expected: std::ops::Range<usize>) -> bool {
    let is_last = |at: usize| !found[at + 1..].contains(&found[at]);
    let last: Vec<usize> = (0..found.len()).filter(|at| is_last(*at)).map(|at| found[at]).collect();
    last == expected.collect::<Vec<_>>()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_ends_between_confirmation_and_note_repeats_and_loses_nothing() {
    let Some(setting) = Setting::find().await else { return };
    let mut forgetful = setting.settings();
    if let Some(broker) = &mut forgetful.broker {
        broker.note_pause = Duration::from_hours(1);
    }
    let world = setting.open_with(forgetful, "tributary-password");
    world.filled().await;
    create(&world, 0..4).await;
    assert_eq!(setting.numbers(4).await, [0, 1, 2, 3]);
    let deliveries = world.get("operator", "/api/admin/cases/deliveries").await.body;
    assert!(acknowledged(&deliveries, 0), "{deliveries}");
    drop(world);

    let world = setting.open();
    create(&world, 4..6).await;
    assert_eq!(setting.numbers(6).await, [0, 1, 2, 3, 4, 5]);
    until(&world, "all is acknowledged", |found| acknowledged(found, 6)).await;
    drop(world);
    let world = setting.open();
    create(&world, 6..7).await;
    assert_eq!(setting.numbers(1).await, [6]);
    until(&world, "all is acknowledged", |found| acknowledged(found, 7)).await;
    assert!(setting.is_empty("beta").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_return_after_the_broker_has_lost_its_data_or_was_killed() {
    let Some(setting) = Setting::find().await else { return };
    let world = setting.open();
    world.filled().await;
    create(&world, 0..2).await;
    assert_eq!(setting.numbers(2).await, [0, 1]);
    setting.broker(RabbitMq::forget).await;
    setting.broker(RabbitMq::start).await;
    create(&world, 2..4).await;
    assert_eq!(setting.numbers(2).await, [2, 3]);

    // A queue that somebody removes while the connection is open returns too.
    until_up(&world).await;
    let (connection, channel) = setting.channel("tributary").await;
    channel.queue_delete(queue_of("beta").as_str().into(), QueueDeleteOptions::default()).await.unwrap();
    drop((connection, channel));
    create(&world, 4..6).await;
    until(&world, "all is acknowledged", |found| acknowledged(found, 6)).await;
    assert!(in_order_with_repeats(&drain(&setting).await, 4..6));

    create(&world, 6..8).await;
    until(&world, "all is acknowledged", |found| acknowledged(found, 8)).await;
    setting.broker(RabbitMq::kill_and_restart).await;
    create(&world, 8..10).await;
    until(&world, "all is acknowledged", |found| acknowledged(found, 10)).await;
    assert!(in_order_with_repeats(&drain(&setting).await, 6..10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_delays_nobody_else_and_is_delivered_in_order_later() {
    let Some(setting) = Setting::find().await else { return };
    let world = setting.open();
    world.filled().await;
    create(&world, 0..3).await;
    assert_eq!(setting.read("alpha", 3).await.len(), 3);
    setting.broker(|rabbit| rabbit.limit(&queue_of("beta"), 3)).await;
    create(&world, 3..20).await;
    assert_eq!(setting.read("alpha", 17).await.len(), 17);
    assert_eq!(setting.read("gamma", 20).await.len(), 20);
    let is_full = |found: &Value| found["clients"][1]["delayed"] == 17 && found["clients"][0]["waiting"] == 0;
    let deliveries = until(&world, "only beta is delayed", is_full).await;
    assert_eq!((&deliveries["external"]["up"], &deliveries["clients"][0]["delayed"]), (&json!(true), &json!(0)));
    let error = deliveries["clients"][1]["lastError"].as_str().unwrap();
    assert!(error.contains("does not take messages"), "{error}");
    let delayed = world.get("operator", "/api/admin/cases/delayed").await.body;
    assert_eq!(delayed["items"][0]["clients"], json!(["beta"]), "{delayed}");
    assert!(delayed["items"][0]["attempts"].as_u64().unwrap() > 0, "{delayed}");

    setting.broker(RabbitMq::lift_limit).await;
    until(&world, "all is acknowledged", |found| acknowledged(found, 20)).await;
    assert!(in_order_with_repeats(&drain(&setting).await, 0..20));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reads_from_its_full_queue_is_never_told_a_later_one_first() {
    let Some(setting) = Setting::find().await else { return };
    let world = setting.open();
    world.filled().await;
    create(&world, 0..3).await;
    until(&world, "all is acknowledged", |found| acknowledged(found, 3)).await;
    setting.broker(|rabbit| rabbit.limit(&queue_of("beta"), 3)).await;
    create(&world, 3..40).await;
    until(&world, "beta is delayed", |found| found["clients"][1]["delayed"] == 37).await;
    // Its queue is full again and again while it reads.
    let found = setting.numbers(40).await;
    setting.broker(RabbitMq::lift_limit).await;
    assert!(found.is_sorted(), "a later one comes first: {found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_shown_in_words_and_delays_only_what_is_for_the_broker() {
    let Some(setting) = Setting::find().await else { return };
    let world = setting.open_with(setting.settings(), "hunter2");
    world.filled().await;
    create(&world, 0..1).await;
    let is_refused = |found: &Value| found["clients"][0]["lastError"].as_str().is_some_and(|error| !error.is_empty());
    let deliveries = until(&world, "an error is shown", is_refused).await;
    let error = deliveries["clients"][0]["lastError"].as_str().unwrap();
    assert!(error.contains("the password is wrong") && !error.contains("hunter2"), "{error}");
    let told = world.get("beta-id", "/api/Notifications").await.body;
    assert_eq!(told["items"].as_array().map(Vec::len), Some(1), "{told}");
    drop(world);
    let _world = setting.open();
    assert_eq!(setting.numbers(1).await, [0]);
}
