//! Writes entries of the cache to the log, behind the answers. Questions never wait for it: what finds no place in the
//! queue is not kept in the log.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::Notify;
use tributary_aggregation::cache::log::{CacheLog, NONCE_BYTES, Now, Piece};
use tributary_aggregation::topics;
use tributary_flow::leading::Leading;
use tributary_flow::{Failure, OwnProducer, Process, framed};
use tributary_runtime::trouble::Troubles;
use tributary_runtime::{Headers, LogError, Output, Producer, append_header};
use uuid::Uuid;

use crate::events;

/// The name of the producer. Each process has its own, so none fences another.
const PRODUCER: &str = "cache";

/// The header that says which process has written a record. A process does not read back its own.
pub(crate) const WRITER: &str = "writer";

/// The pause after the log has not taken a piece.
const PAUSE: Duration = Duration::from_millis(500);

/// How long what waits is tried when the process ends.
const LAST: Duration = Duration::from_secs(3);

/// The subject of troubles with the log.
const SUBJECT: &str = "aggregation.cache";

/// What the thread needs.
pub(crate) struct CacheWriting {
    pub(crate) process: Arc<dyn Process>,
    pub(crate) log: Arc<CacheLog>,
    pub(crate) leading: Arc<Leading>,
    /// Stands for this process from its start to its end.
    pub(crate) writer: Uuid,
    /// How often entries that are over are looked for.
    pub(crate) interval: Duration,
}

/// The thread that writes entries. It ends with this value, after it has written what waits.
pub(crate) struct CacheWriter {
    closing: Arc<Notify>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl CacheWriter {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when there is no thread.
    pub(crate) fn start(writing: CacheWriting) -> Result<Self, Failure> {
        let closing = Arc::new(Notify::new());
        let producer = OwnProducer::new(&writing.process, PRODUCER);
        let run = Run { writing, producer, closing: Arc::clone(&closing), troubles: Troubles::new(), end: None };
        let thread = std::thread::Builder::new().name("aggregation-cache".to_owned());
        let thread = thread.spawn(move || run.run()).map_err(Failure::unfinished)?;
        Ok(Self { closing, thread: Mutex::new(Some(thread)) })
    }

    /// Writes what waits, and then no more.
    pub(crate) fn begin_end(&self) {
        self.closing.notify_one();
    }
}

impl Drop for CacheWriter {
    fn drop(&mut self) {
        self.begin_end();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // A panic has been reported by the hook already.
            let _ = thread.join();
        }
    }
}

struct Run {
    writing: CacheWriting,
    producer: OwnProducer,
    closing: Arc<Notify>,
    troubles: Troubles,
    /// When it stops to try, once the process ends.
    end: Option<Instant>,
}

impl Run {
    fn run(mut self) {
        let (tokio, log) = (self.writing.process.tokio().clone(), Arc::clone(&self.writing.log));
        while self.end.is_none() {
            let is_open = tokio.block_on(async {
                tokio::select! {
                    () = log.changed() => true,
                    () = tokio::time::sleep(self.writing.interval) => true,
                    () = self.closing.notified() => false,
                }
            });
            if !is_open {
                self.end = Some(Instant::now() + LAST);
            }
            log.sweep(now(), self.writing.leading.is_here());
            self.write_all(&log);
        }
    }

    /// Writes what waits.
    fn write_all(&mut self, log: &CacheLog) {
        loop {
            let piece = log.piece(now(), nonce);
            if !piece.records.is_empty() && !self.write(log, &piece) {
                return;
            }
            log.note_written(&piece);
            if piece.records.is_empty() {
                return;
            }
        }
    }

    /// Writes a piece, however long the log does not take it, or until the end. Returns whether it is done with.
    fn write(&mut self, log: &CacheLog, piece: &Piece) -> bool {
        let output = self.output(&piece.records);
        loop {
            let Err(error) = self.producer.publish(&output) else {
                self.troubles.end(SUBJECT, Instant::now()).iter().for_each(events::cache_trouble);
                return true;
            };
            self.troubles.note(SUBJECT, error.to_string(), Instant::now()).iter().for_each(events::cache_trouble);
            if matches!(error, LogError::Fatal(_)) {
                self.write_alone(log, piece);
                return true;
            }
            let is_ending = self.writing.process.shutdown().is_triggered();
            self.end = self.end.or_else(|| is_ending.then(|| Instant::now() + LAST));
            if self.end.is_some_and(|end| Instant::now() > end) {
                log.note_lost(piece.records.iter().filter(|(_, record)| record.is_some()).count());
                return false;
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// The log will never take this piece: an entry of it may be too large. The others are written.
    fn write_alone(&mut self, log: &CacheLog, piece: &Piece) {
        for record in &piece.records {
            let output = self.output(std::slice::from_ref(record));
            if self.producer.publish(&output).is_err() {
                log.note_lost(1);
            }
        }
    }

    fn output(&self, records: &[Record]) -> Output {
        let process = &self.writing.process;
        let mut output = Output::new(process.flow_partitions());
        let mut headers = Vec::new();
        append_header(&mut headers, WRITER, self.writing.writer.as_bytes());
        output.inherit(Timestamp::now().as_millisecond(), Headers::from_bytes(&headers));
        for (key, record) in records {
            match record {
                Some(record) => framed::send(process.codec(), &mut output, &topics::CACHE, key.as_bytes(), record),
                None => output.tombstone(&topics::CACHE, key.as_bytes()),
            }
        }
        output
    }
}

type Record = (String, Option<tributary_schemas::records::aggregation::CacheEntry>);

fn now() -> Now {
    Now { wall: Timestamp::now(), instant: tokio::time::Instant::now() }
}

fn nonce() -> Option<[u8; NONCE_BYTES]> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).ok().map(|()| nonce)
}
