//! What a running flow is given: the log, the codec, and ways to look at what the process and the log hold.

use std::any::Any;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tributary_runtime::{LogError, Metrics, Output, Producer, Shutdown, Topic, TopicReader};
use tributary_schemas::Codec;

use crate::Failure;
use crate::declaration::View;
use crate::http::{Page, Problem};
use crate::view::Rows;

/// A look at one processor: its stage, its partition, the processor; `None` for those that it leaves out.
pub type Visit = Arc<dyn Fn(&str, i32, &dyn Any) -> Option<Box<dyn Any + Send>> + Send + Sync>;

/// The process that runs a flow. One implementation works on real logs, one of the tests on the memory log.
pub trait Process: Send + Sync {
    /// Number of partitions of the flow.
    fn flow_partitions(&self) -> i32;

    /// Writes and reads framed records of the flow's topics.
    fn codec(&self) -> &Codec;

    /// The folder of the flow for what must outlast the process.
    fn state(&self) -> &Path;

    /// Requested when the process is to end.
    fn shutdown(&self) -> &Shutdown;

    /// The async runtime of the process.
    fn tokio(&self) -> &Handle;

    /// Whether other processes may work on the same log.
    fn is_shared(&self) -> bool;

    /// Publishes records, trying again while the log is not available. What is published carries its identity, so that
    /// a repetition changes nothing.
    ///
    /// # Errors
    /// [`LogError::Fenced`] when another process has taken over the rounds, others when it lasts too long.
    fn publish(&self, output: &Output) -> Result<(), LogError>;

    /// A producer that fences the one who had it before under this name, in whichever process.
    ///
    /// # Errors
    /// As the log says.
    fn producer(&self, name: &str) -> Result<Box<dyn Producer>, LogError>;

    /// Reads topics outside any group.
    ///
    /// # Errors
    /// As the log says.
    fn reader(&self) -> Result<Box<dyn TopicReader>, LogError>;

    /// Brings everything so far to the disk, where that is the log's own matter.
    ///
    /// # Errors
    /// As the log says.
    fn sync(&self) -> Result<(), LogError>;

    /// Whether nothing in the log is left to read.
    ///
    /// # Errors
    /// As the log says.
    fn is_idle(&self) -> Result<bool, LogError>;

    /// Waits until nothing is left to do. `obstacle` says what stands in the way, where the flow knows.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when there is no progress for too long.
    fn settle(&self, obstacle: &dyn Fn() -> Option<String>) -> Result<(), Failure>;

    /// Waits until this process has restored all partitions of all stages.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when others have some of them.
    fn wait_until_ready(&self) -> Result<(), Failure>;

    /// From now on a look into the workers sees all partitions of all stages or fails: one that moves between workers
    /// would be taken for one without content.
    fn demand_all_partitions(&self);

    /// The error that ended the workers, or the request to end.
    ///
    /// # Errors
    /// [`Failure::Unfinished`].
    fn check(&self) -> Result<(), Failure>;

    /// Calls `visit` with the processors of this process, at a commit boundary of their worker. Groups that wait for
    /// the outside are left out.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when the workers do not answer.
    fn visit(&self, visit: Visit) -> Result<Vec<Box<dyn Any + Send>>, Failure>;

    /// A piece of a view, over all partitions, whichever process has them. It reads the disk, so it may block shortly.
    ///
    /// # Errors
    /// A [`Problem`] with status 400 for a cursor that is none, 503 while the view is not read to its end.
    fn rows(&self, view: &'static View, _page: &Page) -> Result<Rows, Problem> {
        Err(view_not_kept(view))
    }

    /// Counters of the groups, in the order of the declaration.
    fn metrics(&self) -> Vec<Arc<Metrics>>;
}

/// The answer of a process that does not keep a view.
pub fn view_not_kept(view: &View) -> Problem {
    let detail = format!("this process does not keep the view {}", view.name);
    Problem::unavailable("view_unavailable", detail, Duration::from_secs(5))
}

impl dyn Process {
    /// Calls `visit` with every processor of type `P` that this process has.
    ///
    /// # Errors
    /// As [`Process::visit`].
    pub fn inspect<P: Any, T: Send + 'static>(
        &self,
        visit: impl Fn(&P) -> T + Send + Sync + 'static,
    ) -> Result<Vec<T>, Failure> {
        Ok(self.look(visit)?.into_iter().map(|(_, seen)| seen).collect())
    }

    /// As `inspect`, when this process has all `count` partitions of the stage; `None` when others have some
    /// of them, or when they are moving between workers.
    ///
    /// # Errors
    /// As [`Process::visit`].
    pub fn inspect_all<P: Any, T: Send + 'static>(
        &self,
        count: i32,
        visit: impl Fn(&P) -> T + Send + Sync + 'static,
    ) -> Result<Option<Vec<T>>, Failure> {
        let seen = self.look(visit)?;
        let partitions: HashSet<i32> = seen.iter().map(|(partition, _)| *partition).collect();
        let has_all = seen.len() == count as usize && partitions.len() == count as usize;
        Ok(has_all.then(|| seen.into_iter().map(|(_, seen)| seen).collect()))
    }

    fn look<P: Any, T: Send + 'static>(
        &self,
        visit: impl Fn(&P) -> T + Send + Sync + 'static,
    ) -> Result<Vec<(i32, T)>, Failure> {
        let visit: Visit = Arc::new(move |_, partition, processor| {
            let seen = processor.downcast_ref::<P>().map(&visit)?;
            Some(Box::new((partition, seen)) as Box<dyn Any + Send>)
        });
        let seen = self.visit(visit)?.into_iter().filter_map(|seen| seen.downcast::<(i32, T)>().ok());
        Ok(seen.map(|seen| *seen).collect())
    }

    /// The keys of a compacted topic that are not deleted, read from the log.
    ///
    /// # Errors
    /// As the log says.
    pub fn keys(&self, topic: &'static Topic) -> Result<HashSet<Vec<u8>>, LogError> {
        let mut keys = HashSet::new();
        self.reader()?.read(topic, self.flow_partitions(), &mut |key, value| {
            if value.is_some() {
                keys.insert(key.to_vec());
            } else {
                keys.remove(key);
            }
        })?;
        Ok(keys)
    }
}

/// Publishes through a process, where a producer is asked for.
pub struct Publisher<'a>(pub &'a dyn Process);

impl Producer for Publisher<'_> {
    fn publish(&mut self, output: &Output) -> Result<(), LogError> {
        self.0.publish(output)
    }
}
