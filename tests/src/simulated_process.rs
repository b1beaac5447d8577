//! A flow on the memory log: its workers take one step at a time, in an order that a seed decides. The flow is opened
//! as the program opens it, and is given this process instead of the program's.

mod delivery;
mod reader;
mod snapshots;
mod workers;

use std::any::Any;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use tempfile::TempDir;
use tokio::runtime::{Handle, Runtime};
use tributary_flow::declaration::Declaration;
use tributary_flow::process::Visit;
use tributary_flow::{ConfiguredFlow, Failure, Process, RunningFlow};
use tributary_runtime::memory::{Broker, BrokerConfig, Faults, SimulationRng};
use tributary_runtime::{Lag, LogError, Metrics, Output, Producer, Shutdown, TopicReader};
use tributary_schemas::{Codec, CodecBuilder, LocalRegistry};

use delivery::Scattered;
use reader::BrokerReader;
use workers::Workers;

/// What makes a run hard.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Trouble {
    /// Crashes, aborts, rebalances and the like.
    pub faults: Option<Faults>,
    /// The sources' records come in pieces and in any order that keeps the order of files, and some objects have a
    /// record time that cannot be.
    pub scattered: bool,
}

/// A flow at work on a memory log of its own.
pub struct Simulation {
    /// What the flow was given.
    pub process: Arc<SimulatedProcess>,
    /// The flow.
    pub flow: Arc<dyn RunningFlow>,
}

impl Simulation {
    /// Opens the flow; its workers start with the first step.
    pub fn open(seed: u64, declaration: &'static Declaration, flow: &dyn ConfiguredFlow, trouble: Trouble) -> Self {
        let process = Arc::new(SimulatedProcess::new(seed, declaration, trouble));
        let flow = flow.open(Arc::clone(&process) as Arc<dyn Process>).unwrap();
        let weak: Weak<dyn RunningFlow> = Arc::downgrade(&flow);
        process.lock().start(move |stage, partition| weak.upgrade().unwrap().processor(stage, partition));
        Self { process, flow }
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        // Processors may hold the process.
        self.process.lock().end();
    }
}

/// The process of a simulated flow.
pub struct SimulatedProcess {
    broker: Broker,
    codec: Codec,
    lag: Box<dyn Lag>,
    partitions: i32,
    state: TempDir,
    shutdown: Shutdown,
    workers: Mutex<Workers>,
}

impl SimulatedProcess {
    fn new(seed: u64, declaration: &'static Declaration, trouble: Trouble) -> Self {
        let mut rng = SimulationRng::new(seed ^ 0xf10e);
        let partitions = 1 + rng.below(4) as i32;
        let broker = Broker::new(BrokerConfig { faults: trouble.faults, ..BrokerConfig::like_kafka() });
        broker.create_topics(&declaration.topics(), partitions);
        let codec = CodecBuilder::new(Arc::new(LocalRegistry::in_memory())).topics(declaration.topics());
        let inboxes = declaration.groups.iter().flat_map(|group| {
            let name = group.name.to_owned();
            group.stages.iter().map(move |stage| (name.clone(), stage.inbox))
        });
        let lag = Box::new(broker.lag(inboxes.collect()));
        let scattered = trouble.scattered.then(Scattered::default);
        Self {
            workers: Mutex::new(Workers::new(declaration, broker.clone(), partitions, rng, trouble.faults, scattered)),
            codec: codec.build().unwrap(),
            broker,
            lag,
            partitions,
            state: memory_folder(),
            shutdown: Shutdown::new(),
        }
    }

    /// The log.
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// Writes each step to standard error.
    pub fn trace(&self) {
        self.lock().trace();
    }

    /// A chance of the simulation's random numbers.
    pub fn chance(&self, probability: f64) -> bool {
        self.lock().chance(probability)
    }

    fn lock(&self) -> MutexGuard<'_, Workers> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Process for SimulatedProcess {
    fn flow_partitions(&self) -> i32 {
        self.partitions
    }

    fn codec(&self) -> &Codec {
        &self.codec
    }

    fn state(&self) -> &Path {
        self.state.path()
    }

    fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    fn tokio(&self) -> &Handle {
        static RUNTIME: OnceLock<Runtime> = OnceLock::new();
        RUNTIME.get_or_init(|| tokio::runtime::Builder::new_current_thread().build().unwrap()).handle()
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn publish(&self, output: &Output) -> Result<(), LogError> {
        self.lock().publish(output, &*self.lag)
    }

    fn producer(&self, name: &str) -> Result<Box<dyn Producer>, LogError> {
        Ok(Box::new(self.broker.producer(name)))
    }

    fn reader(&self) -> Result<Box<dyn TopicReader>, LogError> {
        Ok(Box::new(BrokerReader(self.broker.clone())))
    }

    // The writer calls this inside a step of its worker, so it must not lock the workers.
    fn sync(&self) -> Result<(), LogError> {
        Ok(())
    }

    fn is_idle(&self) -> Result<bool, LogError> {
        Ok(self.lag.lag()? == 0)
    }

    fn settle(&self, _: &dyn Fn() -> Option<String>) -> Result<(), Failure> {
        self.lock().settle(&*self.lag);
        Ok(())
    }

    fn wait_until_ready(&self) -> Result<(), Failure> {
        Ok(())
    }

    // A look always sees all partitions.
    fn demand_all_partitions(&self) {}

    fn check(&self) -> Result<(), Failure> {
        Ok(())
    }

    fn visit(&self, visit: Visit) -> Result<Vec<Box<dyn Any + Send>>, Failure> {
        Ok(self.lock().visit(&visit))
    }

    fn metrics(&self) -> Vec<Arc<Metrics>> {
        self.lock().metrics()
    }
}

/// A folder in memory where the system has one: the simulation does not cut the power, so syncs to a disk only cost
/// time.
pub fn memory_folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}
