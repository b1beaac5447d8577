//! The pool: worker threads over logs from a factory. It restarts them when a log fails, and can look into them.

mod fencing;

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::events;
use crate::log::Log;
use crate::log_error::LogError;
use crate::metrics::{Metrics, add};
use crate::shutdown::Shutdown;
use crate::stage::Topology;
use crate::trouble::Troubles;
use crate::worker::{Worker, WorkerConfig, WorkerError};
use fencing::Fencings;

/// Opens the log of a worker slot; called again with the same number after a log has failed.
type OpenLog = dyn Fn(usize) -> Result<Box<dyn Log>, LogError> + Send + Sync;

/// After this long without an error, the pauses between restarts begin at the shortest again.
const QUIET: Duration = Duration::from_mins(1);

/// The subject of troubles that end a worker.
const WORKER: &str = "worker";

type Visit = Arc<dyn Fn(&str, i32, &dyn Any) + Send + Sync>;

/// Asks a worker to call `visit` for each of its processors and to report when it is done.
struct Request {
    visit: Visit,
    done: Sender<()>,
}

struct Shared {
    topology: Arc<Topology>,
    config: WorkerConfig,
    metrics: Arc<Metrics>,
    factory: Box<OpenLog>,
    shutdown: Shutdown,
    error: Mutex<Option<WorkerError>>,
}

/// The worker threads of one topology.
pub struct WorkerPool {
    shared: Arc<Shared>,
    requests: Vec<Sender<Request>>,
    threads: Vec<JoinHandle<()>>,
}

impl WorkerPool {
    /// Starts `workers` threads.
    ///
    /// # Errors
    /// [`WorkerError::Log`] when a thread cannot be started.
    pub fn start(
        topology: Arc<Topology>,
        config: WorkerConfig,
        workers: usize,
        factory: impl Fn(usize) -> Result<Box<dyn Log>, LogError> + Send + Sync + 'static,
    ) -> Result<Self, WorkerError> {
        let metrics = Arc::new(Metrics::new(&topology));
        let (shutdown, error) = (Shutdown::new(), Mutex::new(None));
        let shared = Arc::new(Shared { topology, config, metrics, factory: Box::new(factory), shutdown, error });
        let mut pool = Self { shared: Arc::clone(&shared), requests: Vec::new(), threads: Vec::new() };
        for slot in 0..workers {
            let (sender, receiver) = mpsc::channel();
            let shared = Arc::clone(&shared);
            let name = format!("{}-worker-{slot}", shared.topology.flow);
            let thread = std::thread::Builder::new().name(name).spawn(move || run_slot(&shared, slot, &receiver));
            let thread = thread
                .map_err(|error| LogError::fatal(format!("cannot start a worker thread: {error}")).caused_by(error))?;
            pool.requests.push(sender);
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// The counters of all workers.
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.shared.metrics)
    }

    /// Looks into running workers; can be cloned and sent to other threads.
    pub fn inspector(&self) -> Inspector {
        Inspector { requests: self.requests.clone() }
    }

    /// The first error that ended a worker, and with it the pool.
    pub fn error(&self) -> Option<WorkerError> {
        self.shared.error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether all threads have ended.
    pub fn is_finished(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Ends all workers cleanly: they commit, write snapshots and release their partitions.
    ///
    /// # Errors
    /// The first error that ended a worker.
    pub fn stop(mut self) -> Result<(), WorkerError> {
        self.end();
        self.error().map_or(Ok(()), Err)
    }

    fn end(&mut self) {
        self.shared.shutdown.trigger();
        for thread in self.threads.drain(..) {
            // A panic of the thread is already recorded as the pool's error.
            let _ = thread.join();
        }
    }
}

impl Drop for WorkerPool {
    fn drop(&mut self) {
        self.end();
    }
}

/// Looks into the processors of running workers.
#[derive(Clone)]
pub struct Inspector {
    requests: Vec<Sender<Request>>,
}

/// A worker could not be inspected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InspectError {
    /// The worker has ended.
    #[error("a worker has ended")]
    Ended,
    /// The worker did not answer in time.
    #[error("a worker did not answer in time")]
    TimedOut,
}

impl Inspector {
    /// Calls `visit` with stage, partition and processor of every task and collects what it returns. Each worker is
    /// visited at a commit boundary of its own, so the results of several workers are not of one moment.
    ///
    /// # Errors
    /// [`InspectError`] when a worker has ended or does not answer within `timeout`.
    pub fn inspect<T: Send + 'static>(
        &self,
        timeout: Duration,
        visit: impl Fn(&str, i32, &dyn Any) -> Option<T> + Send + Sync + 'static,
    ) -> Result<Vec<T>, InspectError> {
        let results = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&results);
        let visit: Visit = Arc::new(move |stage, partition, processor| {
            if let Some(result) = visit(stage, partition, processor) {
                sink.lock().unwrap_or_else(PoisonError::into_inner).push(result);
            }
        });
        let (done, answers) = mpsc::channel();
        for worker in &self.requests {
            let request = Request { visit: Arc::clone(&visit), done: done.clone() };
            worker.send(request).map_err(|_| InspectError::Ended)?;
        }
        drop((done, visit));
        let deadline = Instant::now() + timeout;
        for _ in &self.requests {
            match answers.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(()) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return Err(InspectError::Ended),
                Err(mpsc::RecvTimeoutError::Timeout) => return Err(InspectError::TimedOut),
            }
        }
        let results = std::mem::take(&mut *results.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(results)
    }
}

/// Runs one slot until the pool stops; replaces the worker after an error that may pass.
fn run_slot(shared: &Shared, slot: usize, requests: &Receiver<Request>) {
    let (mut attempts, mut fencings) = (0_u32, Fencings::new(Instant::now()));
    let mut troubles = Troubles::new();
    while !shared.shutdown.is_triggered() {
        let (mut committed, begun) = (false, Instant::now());
        let run = std::panic::catch_unwind(AssertUnwindSafe(|| {
            run_worker(shared, slot, requests, &mut committed, &mut troubles)
        }));
        let error = match run {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(panic) => WorkerError::Panicked(panic_text(&*panic)),
        };
        if committed || begun.elapsed() > QUIET {
            attempts = 0;
        }
        let error = match error {
            WorkerError::Log(source @ LogError::Fenced(_)) if fencings.count(Instant::now()) => {
                WorkerError::InstanceTaken { instance: shared.config.instance.clone(), source }
            }
            error => error,
        };
        if !error.can_restart() {
            events::worker_ended(slot, &error);
            shared.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            shared.shutdown.trigger();
            return;
        }
        let pause = Duration::from_millis(100).saturating_mul(1 << attempts.min(8)).min(Duration::from_secs(10));
        attempts += 1;
        add(&shared.metrics.restarts, 1);
        match troubles.note(WORKER, error.to_string(), Instant::now()) {
            Some(report) => events::worker_restarts(slot, error.code(), &report),
            None => events::worker_restarts_again(slot, pause, error.code()),
        }
        shared.shutdown.wait(pause);
    }
}

fn run_worker(
    shared: &Shared,
    slot: usize,
    requests: &Receiver<Request>,
    committed: &mut bool,
    troubles: &mut Troubles,
) -> Result<(), WorkerError> {
    let log = (shared.factory)(slot)?;
    let topology = Arc::clone(&shared.topology);
    let mut worker = Worker::new(topology, shared.config.clone(), log, Arc::clone(&shared.metrics));
    worker.troubles = std::mem::take(troubles);
    let ended = worker.run(&shared.shutdown, &mut |worker| {
        if worker.has_committed() && !*committed {
            *committed = true;
            if let Some(report) = worker.troubles.end(WORKER, Instant::now()) {
                events::worker_runs_again(slot, &report);
            }
        }
        while let Ok(request) = requests.try_recv() {
            worker.inspect(&mut |stage, partition, processor| (request.visit)(stage, partition, processor))?;
            // The caller may have stopped waiting.
            let _ = request.done.send(());
        }
        Ok(())
    });
    *troubles = std::mem::take(&mut worker.troubles);
    ended
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().map(str::to_owned);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

    use super::*;
    use crate::conformance::word_count::{self, Count, GROUP, INBOXES, LINES, PARTITIONS};
    use crate::memory::{Broker, BrokerConfig};
    use crate::{Lag, Levels, Output, ProcessError, Processor, Producer, Record, Stage, StateStore};

    const PATIENCE: Duration = Duration::from_secs(20);

    fn broker_with_lines(count: usize) -> Broker {
        let broker = Broker::new(BrokerConfig::like_kafka());
        broker.create_topics(&word_count::TOPICS, PARTITIONS);
        let mut output = Output::new(PARTITIONS);
        for number in 0..count {
            output.send(&LINES, format!("line{number}").as_bytes(), |buffer| buffer.extend_from_slice(b"a b"));
        }
        broker.producer("lines").publish(&output).unwrap();
        broker
    }

    fn open(broker: &Broker, slot: usize) -> Result<Box<dyn Log>, LogError> {
        Ok(Box::new(broker.open(GROUP, &format!("worker-{slot}"), &INBOXES)?))
    }

    fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done() {
            assert!(Instant::now() < deadline, "{what}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn settle(broker: &Broker) {
        let lag = broker.lag(INBOXES.iter().map(|inbox| (GROUP.to_owned(), *inbox)).collect());
        wait_until("records are left unread", || lag.lag().unwrap() == 0);
    }

    fn count_of_words(inspector: &Inspector) -> u64 {
        let visit = |stage: &str, _: i32, processor: &dyn Any| {
            let count = processor.downcast_ref::<Count>()?;
            assert_eq!(stage, "count");
            Some(count.words.iter().map(|(_, count)| *count).sum::<u64>())
        };
        inspector.inspect(PATIENCE, visit).unwrap().into_iter().sum()
    }

    #[test]
    fn workers_share_the_partitions_and_can_be_inspected() {
        let broker = broker_with_lines(500);
        let logs = broker.clone();
        let topology = word_count::topology(&Arc::default());
        let pool = WorkerPool::start(topology, WorkerConfig::default(), 3, move |slot| open(&logs, slot)).unwrap();
        settle(&broker);
        let inspector = pool.inspector();
        // Partitions may still be moving between the workers.
        wait_until("the words are not counted", || count_of_words(&inspector) == 1000);
        let stages = pool.metrics().stages();
        assert!(stages[0].records_in >= 500 && stages[0].records_out >= 1000 && stages[1].records_in >= 1000);
        assert!(stages.iter().all(|stage| stage.busy > Duration::ZERO));
        pool.stop().unwrap();
        assert_eq!(inspector.inspect(PATIENCE, |_, _, _| Some(())), Err(InspectError::Ended));
    }

    #[test]
    fn a_worker_restarts_after_its_log_was_fenced_or_not_available() {
        let broker = broker_with_lines(10);
        let logs = broker.clone();
        let opened = AtomicUsize::new(0);
        let topology = word_count::topology(&Arc::default());
        let pool = WorkerPool::start(topology, WorkerConfig::default(), 1, move |slot| {
            if opened.fetch_add(1, Ordering::Relaxed) == 0 {
                return Err(LogError::unavailable("not yet"));
            }
            open(&logs, slot)
        })
        .unwrap();
        settle(&broker);
        // Fences the worker and leaves no transaction open.
        broker.expire(GROUP, "worker-0");
        wait_until("the worker was not replaced", || pool.metrics().workers().restarts >= 2);
        broker.producer("more").publish(&Output::new(PARTITIONS)).unwrap();
        let inspector = pool.inspector();
        wait_until("the state was not restored", || count_of_words(&inspector) == 20);
        pool.stop().unwrap();
    }

    struct Broken(bool);

    impl Processor for Broken {
        fn process(&mut self, _: &Record<'_>, _: &mut Output) -> Result<(), ProcessError> {
            assert!(!self.0, "this processor panics");
            Err(ProcessError::Stop("wrong configuration".to_owned()))
        }

        fn stores(&mut self) -> Vec<&mut dyn StateStore> {
            Vec::new()
        }
    }

    fn end_of_broken(panics: bool) -> WorkerError {
        let broker = broker_with_lines(1);
        let processor = Box::new(move |_| -> Box<dyn Processor> { Box::new(Broken(panics)) });
        let stages = vec![Stage { name: "broken", inbox: &LINES, changelog: None, processor }];
        let (flow, dead_letters) = (GROUP, &word_count::DEAD_LETTERS);
        let topology =
            Arc::new(Topology { flow, stages, dead_letters, flow_partitions: PARTITIONS, levels: Levels::ONE });
        let logs = broker.clone();
        let open = move |slot: usize| -> Result<Box<dyn Log>, LogError> {
            Ok(Box::new(logs.open(GROUP, &format!("worker-{slot}"), &[&LINES])?))
        };
        let pool = WorkerPool::start(topology, WorkerConfig::default(), 2, open).unwrap();
        wait_until("the pool did not end", || pool.is_finished());
        let lag = broker.lag(vec![(GROUP.to_owned(), &LINES)]);
        assert_eq!(lag.lag().unwrap(), 1, "the record is not lost");
        pool.stop().unwrap_err()
    }

    #[test]
    fn a_processor_that_stops_ends_the_pool_with_its_message() {
        let error = end_of_broken(false);
        assert!(error.to_string().contains("stage broken stopped at conformance.lines-"), "{error}");
        assert!(error.to_string().ends_with("wrong configuration"), "{error}");
    }

    #[test]
    fn a_panic_ends_the_pool_and_is_reported() {
        assert_eq!(end_of_broken(true), WorkerError::Panicked("this processor panics".to_owned()));
    }

    #[test]
    fn the_newcomer_of_two_processes_with_one_instance_name_ends_with_a_message() {
        let broker = broker_with_lines(1);
        let fights = Arc::new(AtomicU32::new(0));
        let (logs, counter) = (broker.clone(), Arc::clone(&fights));
        let topology = word_count::topology(&Arc::default());
        let config = WorkerConfig { instance: "seven".to_owned(), ..WorkerConfig::default() };
        let pool = WorkerPool::start(topology, config, 1, move |slot| {
            // The other process takes the id at once; every second time before this one has opened its log.
            if counter.fetch_add(1, Ordering::Relaxed) % 2 == 1 {
                return Err(LogError::fenced("newer epoch"));
            }
            let log = open(&logs, slot)?;
            logs.producer(&format!("worker-{slot}"));
            Ok(log)
        })
        .unwrap();
        wait_until("the pool did not end", || pool.is_finished());
        assert_eq!(fights.load(Ordering::Relaxed), 4);
        let error = pool.stop().unwrap_err();
        assert!(matches!(error, WorkerError::InstanceTaken { .. }));
        let text = error.to_string();
        assert!(text.contains("--instance seven") && text.contains("newer epoch"), "{text}");
    }
}
