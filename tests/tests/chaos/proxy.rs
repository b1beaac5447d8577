//! A TCP proxy between processes and the broker, whose connections can be cut and delayed.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often it is looked for a new connection.
const ATTENTION: Duration = Duration::from_millis(5);

#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    refuses: AtomicBool,
    delay_millis: AtomicU64,
    /// Both sides of each connection that was made since the last cut.
    streams: Mutex<Vec<TcpStream>>,
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

    /// Whether new connections are broken at once.
    pub fn refuse(&self, refuses: bool) {
        self.shared.refuses.store(refuses, Ordering::Relaxed);
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
            // A panic of that thread has been told already.
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

    /// While the broker is away the connection breaks at once, as it would without proxy.
    fn connect(self: &Arc<Self>, near: TcpStream, target: &str) {
        let Ok(far) = TcpStream::connect(target) else { return };
        near.set_nonblocking(false).unwrap();
        for stream in [&near, &far] {
            // One that is closed already refuses; the threads notice by themselves.
            let _ = stream.set_nodelay(true);
        }
        let again = |stream: &TcpStream| stream.try_clone().unwrap();
        self.streams().extend([again(&near), again(&far)]);
        for (from, to) in [(again(&near), again(&far)), (far, near)] {
            let shared = Arc::clone(self);
            std::thread::spawn(move || shared.forward(from, to));
        }
    }

    /// Until one side closes; then the other one is closed too.
    fn forward(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count) = from.read(&mut buffer) {
            std::thread::sleep(Duration::from_millis(self.delay_millis.load(Ordering::Relaxed)));
            if count == 0 || to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        for stream in [from, to] {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn cut(&self) {
        for stream in self.streams().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn streams(&self) -> std::sync::MutexGuard<'_, Vec<TcpStream>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
