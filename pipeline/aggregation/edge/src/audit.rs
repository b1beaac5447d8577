//! Writes the audit of every question to the log, behind its answer. Nothing of it is dropped silently: while the log
//! takes none, the queue fills, and a full queue slows questions.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::sync::{Notify, mpsc};
use tributary_aggregation::audit::{AuditAddress, AuditEntry, AuditOutcome};
use tributary_aggregation::filter::{Filtered, Reason};
use tributary_aggregation::status::StatusCode;
use tributary_aggregation::topics;
use tributary_flow::{Failure, OwnProducer, Process, framed};
use tributary_runtime::trouble::Troubles;
use tributary_runtime::{Headers, LogError, Output, Producer, append_header};
use tributary_schemas::records::aggregation::{
    Call, CallOutcome, CallStatus, CalledAddress, FilterReason, FilteredAddress,
};
use uuid::Uuid;

use crate::events;

/// Entries that wait for the log.
pub(crate) const MOST_WAITING: usize = 10_000;

/// Entries that are published in one piece.
const MOST_AT_ONCE: usize = 500;

/// The name of the producer. Each process has its own, so none fences another.
const PRODUCER: &str = "audit";

/// The pause after the log has not taken a piece.
const PAUSE: Duration = Duration::from_millis(500);

/// How long the last questions are waited for, and their entries are tried, when the process ends: a little longer than
/// requests may take then.
const LAST: Duration = Duration::from_secs(6);

/// The longest correlation id that is kept, in characters.
const LONGEST_ID: usize = 256;

/// The longest address that is kept, in characters. Another index may write any.
const LONGEST_ADDRESS: usize = 128;

/// The most addresses of each kind in an entry, so that the log takes it.
const MOST_ADDRESSES: usize = 2_000;

/// The subject of troubles with the log.
const SUBJECT: &str = "aggregation.call";

/// The file in the state folder with the key of the hashes of patients, if the configuration has none.
const KEY_FILE: &str = "audit.key";

/// The key of the hashes of patients.
#[derive(Clone)]
pub(crate) struct PatientKey([u8; 32]);

impl PatientKey {
    /// The configured key. Without one, that of the state folder, which is made when it is not there: then the hashes
    /// of one process are the same over restarts, but not those of several processes.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when the file can neither be read nor written.
    pub(crate) fn load(configured: Option<[u8; 32]>, state: &Path) -> Result<Self, Failure> {
        if let Some(key) = configured {
            return Ok(Self(key));
        }
        let path = state.join(KEY_FILE);
        let failed = |error: &dyn std::fmt::Display| {
            Failure::unfinished(format!("the key of the audit, {}: {error}", path.display()))
        };
        match std::fs::read(&path) {
            Ok(text) if !text.is_empty() => Ok(Self(Sha256::digest(text).into())),
            Ok(_) => Err(failed(&"it is empty")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let text = format!("{}{}\n", Uuid::new_v4().simple(), Uuid::new_v4().simple());
                std::fs::create_dir_all(state).map_err(|error| failed(&error))?;
                write_key(&path, &text).map_err(|error| failed(&error))?;
                Ok(Self(Sha256::digest(text).into()))
            }
            Err(error) => Err(failed(&error)),
        }
    }

    /// The hash of a patient: HMAC-SHA-256, in hexadecimal digits.
    fn hash(&self, patient: &str) -> String {
        let Ok(mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return String::new() };
        let hash = mac.chain_update(patient).finalize().into_bytes();
        hash.iter().fold(String::with_capacity(64), |text, byte| text + &format!("{byte:02x}"))
    }
}

/// Who reads the key can find the patient of a hash by trying all.
fn write_key(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// The thread that writes the audit. It ends with this value, after it has written what waits.
pub(crate) struct AuditWriter {
    closing: Arc<Notify>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl AuditWriter {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when there is no thread.
    pub(crate) fn start(
        process: &Arc<dyn Process>,
        entries: mpsc::Receiver<AuditEntry>,
        key: PatientKey,
    ) -> Result<Self, Failure> {
        let closing = Arc::new(Notify::new());
        let writing = Writing {
            process: Arc::clone(process),
            entries,
            key,
            closing: Arc::clone(&closing),
            producer: OwnProducer::new(process, PRODUCER),
            troubles: Troubles::new(),
        };
        let thread = std::thread::Builder::new().name("aggregation-audit".to_owned());
        let thread = thread.spawn(move || writing.run()).map_err(Failure::unfinished)?;
        Ok(Self { closing, thread: Mutex::new(Some(thread)) })
    }
}

impl AuditWriter {
    /// Takes no new questions. Those under way are still noted.
    pub(crate) fn begin_end(&self) {
        self.closing.notify_one();
    }
}

impl Drop for AuditWriter {
    fn drop(&mut self) {
        self.begin_end();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // A panic has been reported by the hook already.
            let _ = thread.join();
        }
    }
}

struct Writing {
    process: Arc<dyn Process>,
    entries: mpsc::Receiver<AuditEntry>,
    key: PatientKey,
    closing: Arc<Notify>,
    producer: OwnProducer,
    troubles: Troubles,
}

impl Writing {
    fn run(mut self) {
        let tokio = self.process.tokio().clone();
        let mut piece = Vec::new();
        loop {
            let is_open = tokio.block_on(async {
                tokio::select! {
                    received = self.entries.recv_many(&mut piece, MOST_AT_ONCE) => received > 0,
                    () = self.closing.notified() => false,
                }
            });
            if !piece.is_empty() {
                self.write(&mut piece, None);
            }
            if !is_open {
                return self.finish();
            }
        }
    }

    /// Writes what waits when the process ends.
    fn finish(mut self) {
        self.entries.close();
        let (tokio, end) = (self.process.tokio().clone(), Instant::now() + LAST);
        let mut piece = Vec::new();
        loop {
            // Nothing is received any more once every question under way has ended.
            let received = tokio.block_on(async {
                tokio::time::timeout_at(end.into(), self.entries.recv_many(&mut piece, MOST_AT_ONCE)).await
            });
            self.write(&mut piece, Some(end));
            match received {
                Ok(0) => return,
                Ok(_) => {}
                Err(_) => return events::audit_ended_early(),
            }
        }
    }

    /// Writes a piece, however long the log does not take it, or until an end.
    fn write(&mut self, piece: &mut Vec<AuditEntry>, mut end: Option<Instant>) {
        let output = self.output(piece);
        while !output.is_empty() {
            if end.is_some_and(|end| Instant::now() > end) {
                events::audit_lost(piece.len());
                break;
            }
            let Err(error) = self.producer.publish(&output) else {
                self.troubles.end(SUBJECT, Instant::now()).iter().for_each(events::audit_trouble);
                break;
            };
            self.troubles.note(SUBJECT, error.to_string(), Instant::now()).iter().for_each(events::audit_trouble);
            if matches!(error, LogError::Fatal(_)) {
                self.write_alone(piece);
                break;
            }
            // While the process ends, nobody waits for it as long as in its life.
            end = end.or_else(|| self.process.shutdown().is_triggered().then(|| Instant::now() + LAST));
            std::thread::sleep(PAUSE);
        }
        piece.clear();
    }

    /// The log will never take this piece: an entry of it may be too large. The others are written.
    fn write_alone(&mut self, piece: &[AuditEntry]) {
        let mut lost = 0;
        for entry in piece {
            let output = self.output(std::slice::from_ref(entry));
            lost += usize::from(self.producer.publish(&output).is_err());
        }
        if lost > 0 {
            events::audit_lost(lost);
        }
    }

    fn output(&self, piece: &[AuditEntry]) -> Output {
        let mut output = Output::new(self.process.flow_partitions());
        output.inherit(Timestamp::now().as_millisecond(), Headers::default());
        for entry in piece {
            let call = self.call(entry);
            let mut headers = Vec::new();
            append_header(&mut headers, "correlation", call.correlation.as_bytes());
            output.set_headers(Headers::from_bytes(&headers));
            framed::send(self.process.codec(), &mut output, &topics::CALL, call.correlation.as_bytes(), &call);
        }
        output
    }

    fn call(&self, entry: &AuditEntry) -> Call {
        let caller = entry.caller.as_ref();
        let correlation = entry.correlation.as_deref().unwrap_or_default();
        let text =
            |of: fn(&tributary_aggregation::caller::Caller) -> &String| caller.map(of).cloned().unwrap_or_default();
        Call {
            time: entry.time.as_millisecond(),
            service: entry.service.clone(),
            correlation: correlation.chars().take(LONGEST_ID).collect(),
            sender: text(|caller| &caller.sender),
            original_consumer: text(|caller| &caller.original_consumer),
            patient: entry.patient.as_ref().map(|patient| self.key.hash(patient.as_str())).unwrap_or_default(),
            outcome: match entry.outcome {
                AuditOutcome::Answered => CallOutcome::Answered,
                AuditOutcome::Fault => CallOutcome::Fault,
                AuditOutcome::Abandoned => CallOutcome::Abandoned,
            },
            addresses: entry.addresses.iter().take(MOST_ADDRESSES).map(called).collect(),
            filtered: entry.filtered.iter().take(MOST_ADDRESSES).map(filtered).collect(),
        }
    }
}

fn cut(address: &str) -> String {
    address.chars().take(LONGEST_ADDRESS).collect()
}

fn called(address: &AuditAddress) -> CalledAddress {
    CalledAddress {
        address: cut(&address.address),
        status: match address.status {
            StatusCode::DataFromSource => CallStatus::DataFromSource,
            StatusCode::DataFromCache => CallStatus::DataFromCache,
            StatusCode::DataFromCacheSynchFailed => CallStatus::DataFromCacheSynchFailed,
            StatusCode::NoDataSynchFailed => CallStatus::NoDataSynchFailed,
        },
        code: address.code.map(str::to_owned),
        ms: i64::try_from(address.ms).unwrap_or(i64::MAX),
    }
}

fn filtered(filtered: &Filtered) -> FilteredAddress {
    FilteredAddress {
        address: cut(&filtered.address),
        reason: match filtered.reason {
            Reason::Category => FilterReason::Category,
            Reason::OwnAddress => FilterReason::OwnAddress,
            Reason::Permission => FilterReason::Permission,
            Reason::Route => FilterReason::Route,
            Reason::Service => FilterReason::Service,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_a_patient_depends_on_the_key_and_shows_nothing_of_it() {
        let hash = |key: u8| PatientKey([key; 32]).hash("191212121212");
        assert_eq!(hash(1), hash(1));
        assert_ne!(hash(1), hash(2));
        assert_eq!((hash(1).len(), hash(1).contains("1212")), (64, false));
    }

    #[test]
    fn without_a_configured_key_that_of_the_state_folder_stays_the_same() {
        let state = tempfile::tempdir().unwrap();
        let first = PatientKey::load(None, &state.path().join("new")).unwrap();
        let second = PatientKey::load(None, &state.path().join("new")).unwrap();
        let other = PatientKey::load(None, state.path()).unwrap();
        assert_eq!(first.0, second.0);
        assert_ne!(first.0, other.0);
        assert_eq!(PatientKey::load(Some([7; 32]), state.path()).unwrap().0, [7; 32]);
    }
}
