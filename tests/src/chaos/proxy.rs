//! A TCP proxy between processes and the broker, whose connections can be cut and delayed, and lost by the processes
//! alone.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::types::RDKafkaApiKey;

/// The pause between two looks for a new connection.
const ATTENTION: Duration = Duration::from_millis(5);

/// How long the broker may work on a request before the next arrives.
const STRAGGLER_TIME: Duration = Duration::from_millis(50);

#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    refuses: AtomicBool,
    delay_millis: AtomicU64,
    /// Each connection that was made since all were cut or lost.
    connections: Mutex<Vec<Connection>>,
    straggler: Mutex<Straggler>,
    /// Receives the id of each transaction that begins, while somebody waits for one.
    beginning: Mutex<Option<Sender<String>>>,
}

/// What goes one way of a connection.
enum Direction {
    /// Requests, with an additional delay in milliseconds.
    Requests(Arc<AtomicU64>),
    Answers,
}

/// One request that arrives long after the client has repeated it.
#[derive(Default)]
enum Straggler {
    /// There is none, or it has arrived.
    #[default]
    Nobody,
    /// The next of this kind.
    Wanted(RDKafkaApiKey),
    /// This one, whose near side is lost; the stream leads to the broker.
    Held(TcpStream, Vec<u8>),
    /// Its time comes after the next request of this kind.
    Due(TcpStream, Vec<u8>, RDKafkaApiKey),
}

/// Both sides of a connection.
struct Connection {
    near: TcpStream,
    far: TcpStream,
    /// How much longer than on other connections a request of the near side is in flight.
    late_millis: Arc<AtomicU64>,
}

/// Ends with all its connections when it is dropped.
pub struct Proxy {
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Forwards connections at `address` to `target`.
    pub fn start(address: &str, target: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let shared = Arc::new(Shared::default());
        let (proxy, target) = (Arc::clone(&shared), target.to_owned());
        let thread = std::thread::spawn(move || proxy.listen(&listener, &target));
        Self { shared, listener: Some(thread) }
    }

    /// Breaks all connections.
    pub fn cut(&self) {
        self.shared.cut();
    }

    /// Breaks the near side of all connections. What it has sent arrives, but `late`: so does a firewall that forgets
    /// connections, or a machine that freezes.
    pub fn lose(&self, late: Duration) {
        for connection in self.shared.connections().drain(..) {
            connection.late_millis.store(late.as_millis() as u64, Ordering::Relaxed);
            let _ = connection.near.shutdown(Shutdown::Both);
        }
    }

    /// Holds the next request of a kind back, and breaks the near side of its connection.
    pub fn hold(&self, kind: RDKafkaApiKey) {
        *self.shared.straggler() = Straggler::Wanted(kind);
    }

    /// Lets the request that is held back arrive after the next one of the kind `after`, and before what comes then.
    pub fn release(&self, after: RDKafkaApiKey) {
        let mut straggler = self.shared.straggler();
        let Straggler::Held(far, request) = std::mem::take(&mut *straggler) else { panic!("no request is held back") };
        *straggler = Straggler::Due(far, request, after);
    }

    /// Whether the request that was held back has arrived.
    pub fn has_arrived(&self) -> bool {
        matches!(*self.shared.straggler(), Straggler::Nobody)
    }

    /// Whether new connections are broken at once.
    pub fn refuse(&self, refuses: bool) {
        self.shared.refuses.store(refuses, Ordering::Relaxed);
    }

    /// Waits for the next transaction of a process; gives the number of the process, as `process_of` knows it by the
    /// transactional id. `None` if no process begins one within `limit`.
    ///
    /// A delay still holds back the request that begins the transaction, but the request will reach the broker.
    pub fn next_transaction(&self, limit: Duration, process_of: impl Fn(&str) -> Option<usize>) -> Option<usize> {
        let (sender, receiver) = channel();
        *self.shared.beginning() = Some(sender);
        let deadline = Instant::now() + limit;
        let next = || receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok();
        let found = std::iter::from_fn(next).find_map(|id: String| process_of(&id));
        *self.shared.beginning() = None;
        found
    }

    /// How long each piece that is forwarded is held back.
    pub fn delay(&self, by: Duration) {
        self.shared.delay_millis.store(by.as_millis() as u64, Ordering::Relaxed);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        if let Some(listener) = self.listener.take() {
            // A panic of that thread has been printed already.
            let _ = listener.join();
        }
        self.shared.cut();
    }
}

impl Shared {
    fn listen(self: Arc<Self>, listener: &TcpListener, target: &str) {
        while !self.is_over.load(Ordering::Relaxed) {
            match listener.accept() {
                Ok((stream, _)) if !self.refuses.load(Ordering::Relaxed) => self.connect(stream, target),
                Ok((refused, _)) => drop(refused),
                Err(_) => std::thread::sleep(ATTENTION),
            }
        }
    }

    /// While the broker is down the connection breaks at once, as it would without a proxy.
    fn connect(self: &Arc<Self>, near: TcpStream, target: &str) {
        let Ok(far) = TcpStream::connect(target) else { return };
        near.set_nonblocking(false).unwrap();
        for stream in [&near, &far] {
            // A closed connection refuses; its threads notice by themselves.
            let _ = stream.set_nodelay(true);
        }
        let again = |stream: &TcpStream| stream.try_clone().unwrap();
        let late_millis = Arc::new(AtomicU64::new(0));
        let connection = Connection { near: again(&near), far: again(&far), late_millis: Arc::clone(&late_millis) };
        self.connections().push(connection);
        let requests = Direction::Requests(late_millis);
        for (from, to, direction) in [(again(&near), again(&far), requests), (far, near, Direction::Answers)] {
            let shared = Arc::clone(self);
            std::thread::spawn(move || shared.forward(from, to, &direction));
        }
    }

    /// Forwards until one side closes. The other side notices once everything has arrived.
    fn forward(&self, mut from: TcpStream, mut to: TcpStream, direction: &Direction) {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count) = from.read(&mut buffer) {
            if matches!(direction, Direction::Requests(_)) {
                self.notice_transaction(&buffer[..count]);
            }
            std::thread::sleep(Duration::from_millis(self.delay_millis.load(Ordering::Relaxed)));
            let piece = &buffer[..count];
            if let Direction::Requests(late_millis) = direction {
                std::thread::sleep(Duration::from_millis(late_millis.load(Ordering::Relaxed)));
                if !self.pass_all(piece, &mut to) {
                    let _ = from.shutdown(Shutdown::Both);
                    return;
                }
            } else if to.write_all(piece).is_err() {
                break;
            }
            if count == 0 {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
        let _ = from.shutdown(Shutdown::Read);
    }

    /// A client waits for the answer to this request before it sends more, so the request is a piece of its own.
    fn notice_transaction(&self, piece: &[u8]) {
        if !is_of(RDKafkaApiKey::AddPartitionsToTxn, piece) {
            return;
        }
        if let (Some(waiting), Some(id)) = (self.beginning().as_ref(), transactional_id(piece)) {
            // The driver may have stopped waiting.
            let _ = waiting.send(id);
        }
    }

    /// Forwards a piece; whether all of it was sent. The piece is taken apart only while a request is awaited, because
    /// then it is small and begins with a request.
    fn pass_all(&self, piece: &[u8], far: &mut TcpStream) -> bool {
        if matches!(*self.straggler(), Straggler::Nobody) {
            return far.write_all(piece).is_ok();
        }
        let mut rest = piece;
        while let Some(length) = rest.first_chunk() {
            let length = 4 + u32::from_be_bytes(*length) as usize;
            let (request, next) = rest.split_at(length.min(rest.len()));
            if !self.pass(request, far) {
                return false;
            }
            rest = next;
        }
        far.write_all(rest).is_ok()
    }

    /// Forwards a request; whether it was sent. The request that is to be held back is not. It follows a later request,
    /// and the requests after that one wait for the lock, on any connection.
    fn pass(&self, request: &[u8], far: &mut TcpStream) -> bool {
        let mut straggler = self.straggler();
        match &mut *straggler {
            Straggler::Wanted(kind) if is_of(*kind, request) => {
                *straggler = Straggler::Held(far.try_clone().unwrap(), request.to_vec());
                false
            }
            Straggler::Due(late, held, after) if is_of(*after, request) => {
                far.write_all(request).unwrap();
                std::thread::sleep(STRAGGLER_TIME);
                late.write_all(held).unwrap();
                std::thread::sleep(STRAGGLER_TIME);
                *straggler = Straggler::Nobody;
                true
            }
            _ => far.write_all(request).is_ok(),
        }
    }

    fn cut(&self) {
        for Connection { near, far, .. } in self.connections().drain(..) {
            let _ = near.shutdown(Shutdown::Both);
            let _ = far.shutdown(Shutdown::Both);
        }
    }

    fn straggler(&self) -> std::sync::MutexGuard<'_, Straggler> {
        self.straggler.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn beginning(&self) -> std::sync::MutexGuard<'_, Option<Sender<String>>> {
        self.beginning.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connections(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a request is of this kind. Its length comes first, in four bytes; the next two are the kind.
fn is_of(kind: RDKafkaApiKey, request: &[u8]) -> bool {
    request.get(4..6) == Some(&(kind as i16).to_be_bytes())
}

/// The transactional id of a request that adds partitions to a transaction. It follows the client id in the header.
/// Both have their length before them, in two bytes.
fn transactional_id(request: &[u8]) -> Option<String> {
    let (_, rest) = text(request.get(12..)?)?;
    let (id, _) = text(rest)?;
    Some(String::from_utf8_lossy(id).into_owned())
}

/// A text at the start of these bytes, and what follows it.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}
