//! The client of RabbitMQ.

use std::fmt;
use std::future::{Future, poll_fn};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_core::Stream;
use lapin::options::{ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use lapin::tcp::{AsyncTcpStream, RustlsConnector, RustlsConnectorConfig};
use lapin::types::{FieldTable, ShortString};
use lapin::uri::AMQPUri;
use lapin::{Channel, ConnectionProperties, ErrorKind, Event, ExchangeKind};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::time::timeout;

use super::outlet::FanoutOutlet;
use super::probing::Probing;
use super::{Address, Broker, BrokerError, Connection, Outlet, Pending};

/// How long a connection may take, from the name of the host to the virtual host.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// How long the broker may take for a queue.
const OPEN_TIME: Duration = Duration::from_secs(10);

/// How long a probe may take.
const PROBE_TIME: Duration = Duration::from_secs(5);

/// A connection that is silent for twice this number of seconds has ended.
const HEARTBEAT: u16 = 10;

/// How often an open connection is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// How the broker is reached.
pub struct Access {
    /// Where it is.
    pub address: Address,
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
    /// The only authorities whose certificates are accepted, as PEM. `None`: those of the system.
    pub ca: Option<String>,
    /// The name that operators of the broker see.
    pub connection_name: String,
}

/// Never shows the password.
impl fmt::Debug for Access {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Access")
            .field("address", &self.address)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// A RabbitMQ broker.
#[derive(Debug)]
pub struct RabbitMq {
    access: Access,
    certificates: Option<Vec<CertificateDer<'static>>>,
}

/// The TLS handshake has failed.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct TlsFailure(std::io::Error);

/// The socket of a connection that is not open yet. The client cannot be interrupted during the handshake, so its
/// socket is shut down.
#[derive(Default)]
struct Socket(Mutex<Option<TcpStream>>);

impl Socket {
    fn shut_down(&self) {
        if let Some(socket) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // It may have been closed meanwhile.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl RabbitMq {
    /// A broker that is reached in this way. Nothing is connected yet.
    ///
    /// # Errors
    /// Says that `ca` holds no certificate.
    pub fn new(access: Access) -> Result<Self, String> {
        let certificates = access.ca.as_deref().map(certificates).transpose()?;
        Ok(Self { access, certificates })
    }

    async fn open_connection(&self) -> Result<Box<dyn Connection>, BrokerError> {
        let socket = Arc::new(Socket::default());
        let connecting = self.handshake(Arc::clone(&socket));
        match timeout(CONNECT_TIME, connecting).await {
            Ok(Ok(connection)) => {
                // From now on heartbeats end a connection that does not answer.
                drop(socket.0.lock().unwrap_or_else(PoisonError::into_inner).take());
                Ok(Box::new(OpenConnection { connection, probing: tokio::sync::Mutex::default() }))
            }
            Ok(Err(error)) => Err(self.refusal(&error)),
            Err(_) => {
                socket.shut_down();
                let what = self.access.address.to_string();
                Err(BrokerError::TimedOut { what, seconds: CONNECT_TIME.as_secs() })
            }
        }
    }

    async fn handshake(&self, socket: Arc<Socket>) -> lapin::Result<lapin::Connection> {
        let mut uri = self.access.address.uri();
        uri.authority.userinfo.username.clone_from(&self.access.user);
        uri.authority.userinfo.password.clone_from(&self.access.password);
        uri.query.heartbeat = Some(HEARTBEAT);
        let name = self.access.connection_name.as_str().into();
        let properties = ConnectionProperties::default().with_connection_name(name);
        let tls = if self.access.address.is_encrypted() { Some(self.tls()?) } else { None };
        let runtime = lapin::runtime::default_runtime()?;
        let resolver = runtime.clone();
        let connect = async move |uri: AMQPUri, _| {
            let address = resolver.to_socket_addrs((uri.authority.host.clone(), uri.authority.port));
            let connecting = async {
                let stream = AsyncTcpStream::connect(&resolver, address).await?;
                if let AsyncTcpStream::Plain(stream) = &stream {
                    let duplicate = TcpStream::from(stream.get_ref().as_fd().try_clone_to_owned()?);
                    *socket.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(duplicate);
                }
                match &tls {
                    None => Ok(stream),
                    Some(tls) => stream
                        .into_rustls(tls, &uri.authority.host)
                        .await
                        .map_err(|error| std::io::Error::other(TlsFailure(error))),
                }
            };
            match timeout(CONNECT_TIME, connecting).await {
                Ok(connected) => connected.map_err(lapin::Error::from),
                Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
            }
        };
        lapin::Connection::connector(uri, runtime, connect, properties).await
    }

    fn tls(&self) -> std::io::Result<RustlsConnector> {
        let config = match &self.certificates {
            Some(certificates) => RustlsConnectorConfig::default().with_parsable_certificates(certificates.clone()),
            None => RustlsConnectorConfig::new_with_native_certs()?,
        };
        config.connector_with_no_client_auth()
    }

    fn refusal(&self, error: &lapin::Error) -> BrokerError {
        let (address, user) = (self.access.address.to_string(), self.access.user.clone());
        match error.kind() {
            ErrorKind::ProtocolError(refusal) => match refusal.kind() {
                AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => BrokerError::LoginRefused { address, user },
                AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) => BrokerError::VirtualHostRefused { address, user },
                _ => BrokerError::Closed { reason: refusal.get_message().to_string() },
            },
            ErrorKind::IOError(failure) if is_of_tls(failure) => {
                BrokerError::Untrusted { address, source: Box::new(error.clone()) }
            }
            _ => BrokerError::Unreachable { address, source: Box::new(error.clone()) },
        }
    }
}

fn is_of_tls(failure: &std::io::Error) -> bool {
    failure.get_ref().and_then(|inner| inner.downcast_ref::<TlsFailure>()).is_some()
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let all = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    let certificates = all.map_err(|error| format!("is no PEM file: {error}"))?;
    if certificates.is_empty() {
        return Err("holds no certificate".to_owned());
    }
    Ok(certificates)
}

impl Broker for RabbitMq {
    fn connect(&self) -> Pending<'_, Box<dyn Connection>> {
        Box::pin(self.open_connection())
    }
}

/// An open connection.
struct OpenConnection {
    connection: lapin::Connection,
    probing: tokio::sync::Mutex<Option<Probing>>,
}

impl OpenConnection {
    async fn outlet(&self, queue: &str) -> Result<FanoutOutlet, BrokerError> {
        let opening = async {
            let channel = self.connection.create_channel().await?;
            declare(&channel, queue).await?;
            Ok(channel)
        };
        let channel =
            in_time(queue, OPEN_TIME, async { opening.await.map_err(|error| failure(queue, &error)) }).await?;
        Ok(FanoutOutlet::new(channel, queue))
    }

    /// A probe that has failed may still be in the queue, so the next one starts with a channel of its own.
    async fn send_probe(&self, queue: &str) -> Result<(), BrokerError> {
        let mut kept = self.probing.lock().await;
        let probing = async {
            let mut probing = match kept.take() {
                Some(probing) => probing,
                None => Probing::open(self.outlet(queue).await?).await?,
            };
            probing.send().await?;
            Ok(probing)
        };
        *kept = Some(in_time(queue, PROBE_TIME, probing).await?);
        Ok(())
    }

    async fn end(&self) -> BrokerError {
        let mut events = pin!(self.connection.events_listener());
        loop {
            let event = poll_fn(|context| events.as_mut().poll_next(context));
            let event = timeout(LOOK, event).await;
            if let Ok(Some(Event::Error(error))) = &event {
                return BrokerError::Closed { reason: words(error) };
            }
            // The reason comes shortly after the state.
            let is_silent = !matches!(event, Ok(Some(_)));
            if is_silent && !self.connection.status().connected() {
                return BrokerError::Closed { reason: "the broker has closed it".to_owned() };
            }
        }
    }
}

impl Connection for OpenConnection {
    fn open(&self, queue: &str) -> Pending<'_, Box<dyn Outlet>> {
        let queue = queue.to_owned();
        Box::pin(async move { Ok(Box::new(self.outlet(&queue).await?) as Box<dyn Outlet>) })
    }

    fn probe(&self, queue: &str) -> Pending<'_, ()> {
        let queue = queue.to_owned();
        Box::pin(async move { self.send_probe(&queue).await })
    }

    fn closed(&self) -> Pin<Box<dyn Future<Output = BrokerError> + Send + '_>> {
        Box::pin(self.end())
    }
}

/// Waits for an answer about a queue.
async fn in_time<T>(
    queue: &str,
    time: Duration,
    answer: impl Future<Output = Result<T, BrokerError>>,
) -> Result<T, BrokerError> {
    let late = || BrokerError::TimedOut { what: format!("the queue {queue}"), seconds: time.as_secs() };
    timeout(time, answer).await.unwrap_or_else(|_| Err(late()))
}

/// Makes exchange, queue and binding, and asks for confirmations.
async fn declare(channel: &Channel, queue: &str) -> lapin::Result<()> {
    let name = short(queue)?;
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(name.clone(), ExchangeKind::Fanout, durable, FieldTable::default()).await?;
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.clone(), durable, FieldTable::default()).await?;
    let binding = QueueBindOptions::default();
    channel.queue_bind(name.clone(), name, "".into(), binding, FieldTable::default()).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await
}

/// A name of AMQP has at most 255 bytes.
pub(super) fn short(name: &str) -> lapin::Result<ShortString> {
    ShortString::try_new(name).map_err(|error| std::io::Error::other(error).into())
}

/// What an error of the client means for a queue. A refusal by the broker closes only the channel.
pub(super) fn failure(queue: &str, error: &lapin::Error) -> BrokerError {
    if error.is_amqp_soft_error() {
        return BrokerError::QueueRefused { queue: queue.to_owned(), reason: words(error) };
    }
    match error.kind() {
        ErrorKind::ChannelsLimitReached | ErrorKind::InvalidChannelState(..) | ErrorKind::InvalidChannel(_) => {
            BrokerError::QueueRefused { queue: queue.to_owned(), reason: words(error) }
        }
        _ => BrokerError::Closed { reason: words(error) },
    }
}

fn words(error: &lapin::Error) -> String {
    match error.kind() {
        ErrorKind::ProtocolError(refusal) => refusal.get_message().to_string(),
        _ => error.to_string(),
    }
}
