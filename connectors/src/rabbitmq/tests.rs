//! The client against a real broker.

use std::time::Duration;

use lapin::options::{BasicGetOptions, QueueDeleteOptions};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;

use super::*;
use tributary_harness as harness;

/// Tests stop the broker, so only one runs at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

const PATIENCE: Duration = harness::RabbitMq::PATIENCE;

struct Site {
    broker: harness::RabbitMq,
    _alone: MutexGuard<'static, ()>,
}

impl Site {
    async fn find() -> Option<Self> {
        Some(Self { broker: harness::RabbitMq::find()?, _alone: ALONE.lock().await })
    }

    fn access(&self) -> Access {
        let ca = std::fs::read_to_string(self.broker.certificates("ca.pem")).unwrap();
        Access {
            address: self.broker.tls.parse().unwrap(),
            user: "tributary".to_owned(),
            password: "tributary-password".to_owned(),
            ca: Some(ca),
            connection_name: "a test".to_owned(),
        }
    }

    async fn connect(&self) -> Box<dyn Connection> {
        RabbitMq::new(self.access()).unwrap().connect().await.unwrap()
    }

    /// A channel that is not ours.
    async fn channel(&self) -> (lapin::Connection, lapin::Channel) {
        let url = self.broker.url.replace("amqp://", "amqp://tributary:tributary-password@");
        let connection = lapin::Connection::connect(&url, lapin::ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        (connection, channel)
    }

    async fn refusal(&self, access: Access) -> String {
        match RabbitMq::new(access).unwrap().connect().await {
            Ok(_) => panic!("it is connected"),
            Err(error) => error.to_string(),
        }
    }
}

fn message(id: &str) -> Message {
    Message { id: id.to_owned(), content_type: "application/json", body: b"{}".to_vec() }
}

async fn send(outlet: &mut dyn Outlet, ids: std::ops::Range<usize>) -> Result<(), BrokerError> {
    for id in ids.clone() {
        outlet.publish(message(&id.to_string())).await?;
    }
    for _ in ids {
        outlet.confirmed().await?;
    }
    Ok(())
}

#[tokio::test]
async fn messages_arrive_persistent_in_order_and_are_confirmed() {
    let Some(site) = Site::find().await else { return };
    let connection = site.connect().await;
    let queue = harness::fresh_namespace("queue");
    send(&mut *connection.open(&queue).await.unwrap(), 0..300).await.unwrap();
    let (_connection, channel) = site.channel().await;
    for expected in 0..300 {
        let got = channel.basic_get(queue.as_str().into(), BasicGetOptions { no_ack: true }).await.unwrap().unwrap();
        let properties = &got.properties;
        assert_eq!(properties.message_id().as_ref().unwrap().as_str(), expected.to_string());
        assert_eq!(properties.content_type().as_ref().unwrap().as_str(), "application/json");
        assert_eq!((*properties.delivery_mode(), got.data.as_slice()), (Some(2), b"{}".as_slice()));
    }
}

#[tokio::test]
async fn a_queue_that_is_gone_or_full_is_an_error_of_that_queue_alone() {
    let Some(site) = Site::find().await else { return };
    let connection = site.connect().await;
    let (queue, other) = (harness::fresh_namespace("queue"), harness::fresh_namespace("other"));
    let mut outlet = connection.open(&queue).await.unwrap();
    let mut neighbour = connection.open(&other).await.unwrap();
    send(&mut *outlet, 0..1).await.unwrap();
    let (_connection, channel) = site.channel().await;
    channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await.unwrap();
    let error = send(&mut *outlet, 0..50).await.unwrap_err();
    assert!(matches!(error, BrokerError::Returned { .. }), "{error}");
    send(&mut *neighbour, 0..1).await.unwrap();

    let mut outlet = connection.open(&queue).await.unwrap();
    send(&mut *outlet, 0..3).await.unwrap();
    site.broker.limit(&queue, 3);
    let error = send(&mut *outlet, 3..8).await.unwrap_err();
    site.broker.lift_limit();
    assert!(matches!(error, BrokerError::Rejected { .. }), "{error}");
    assert!(!error.ends_connection());
    send(&mut *neighbour, 1..2).await.unwrap();
}

#[tokio::test]
async fn a_queue_with_other_arguments_is_refused_in_words() {
    let Some(site) = Site::find().await else { return };
    let queue = harness::fresh_namespace("queue");
    let (_connection, channel) = site.channel().await;
    let options = lapin::options::QueueDeclareOptions::default();
    channel.queue_declare(queue.as_str().into(), options, lapin::types::FieldTable::default()).await.unwrap();
    let connection = site.connect().await;
    let Err(error) = connection.open(&queue).await else { panic!("it is open") };
    assert!(error.to_string().contains("durable") && !error.ends_connection(), "{error}");
    connection.open(&harness::fresh_namespace("other")).await.unwrap();
}

#[tokio::test]
async fn a_refusal_says_what_is_wrong() {
    let Some(site) = Site::find().await else { return };
    let wrong = Access { password: "hunter2".to_owned(), ..site.access() };
    let error = site.refusal(wrong).await;
    assert!(error.contains("the password is wrong") && !error.contains("hunter2"), "{error}");

    let ca = std::fs::read_to_string(site.broker.certificates("other-ca.pem")).unwrap();
    let error = site.refusal(Access { ca: Some(ca), ..site.access() }).await;
    assert!(error.contains("is not trusted"), "{error}");

    let elsewhere = site.broker.tls.replace("/dis", "/nowhere").parse().unwrap();
    let error = site.refusal(Access { address: elsewhere, ..site.access() }).await;
    assert!(error.contains("no such virtual host") && error.contains("/nowhere"), "{error}");

    // A user with no rights in the virtual host that it names by its name.
    let error = site.refusal(Access { user: "nobody".to_owned(), ..site.access() }).await;
    assert!(error.contains("refuses the user nobody"), "{error}");

    // Nobody listens on the port of a listener that is gone.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = format!("amqp://127.0.0.1:{port}/dis").parse().unwrap();
    let error = site.refusal(Access { address: nobody, ca: None, ..site.access() }).await;
    assert!(error.contains("is not reached") && error.contains("refused"), "{error}");

    let empty = RabbitMq::new(Access { ca: Some("nothing".to_owned()), ..site.access() }).unwrap_err();
    assert!(empty.contains("no certificate"), "{empty}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up_and_its_connection_is_closed() {
    use std::io::Read;

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let silent = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut received = Vec::new();
        // Ends when the client closes.
        stream.read_to_end(&mut received).unwrap();
        received
    });
    let access = Access {
        address: format!("amqp://127.0.0.1:{port}/dis").parse().unwrap(),
        user: "tributary".to_owned(),
        password: "hunter2".to_owned(),
        ca: None,
        connection_name: "a test".to_owned(),
    };
    let Err(error) = RabbitMq::new(access).unwrap().connect().await else { panic!("it is connected") };
    assert!(matches!(error, BrokerError::TimedOut { .. }), "{error}");
    let received = tokio::task::spawn_blocking(move || silent.join().unwrap()).await.unwrap();
    assert!(received.starts_with(b"AMQP"));
}

#[tokio::test]
async fn probes_go_through_their_queue_until_the_connection_ends() {
    let Some(site) = Site::find().await else { return };
    let (first, second) = (site.connect().await, site.connect().await);
    for _ in 0..3 {
        first.probe("dis-healthcheck-stub").await.unwrap();
    }
    // Another process takes over the queue.
    let closing = first.closed();
    site.broker.close_connections();
    let error = timeout(PATIENCE, closing).await.unwrap();
    assert!(error.ends_connection(), "{error}");
    assert!(first.probe("dis-healthcheck-stub").await.is_err());
    drop(second);
    site.connect().await.probe("dis-healthcheck-stub").await.unwrap();
}

#[tokio::test]
async fn confirmed_messages_survive_a_killed_broker() {
    let Some(site) = Site::find().await else { return };
    let connection = site.connect().await;
    let queue = harness::fresh_namespace("queue");
    send(&mut *connection.open(&queue).await.unwrap(), 0..20).await.unwrap();
    let broker = site.broker.clone();
    tokio::task::spawn_blocking(move || broker.kill_and_restart()).await.unwrap();
    timeout(PATIENCE, connection.closed()).await.unwrap();
    let (_connection, channel) = site.channel().await;
    let got = channel.basic_get(queue.as_str().into(), BasicGetOptions { no_ack: true }).await.unwrap().unwrap();
    assert_eq!(got.message_count, 19);
}
