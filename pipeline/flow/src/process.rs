//! What the process gives to a running flow: the log, the codec, and views into processors and topics.

use std::any::Any;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tributary_runtime::{LogError, Metrics, Output, Producer, Shutdown, Topic, TopicFollower, TopicReader};
use tributary_schemas::Codec;

use crate::Failure;
use crate::authenticator::Authenticator;
use crate::declaration::View;
use crate::http::{Page, Problem};
use crate::view::Rows;

/// A look at one processor. Its arguments are the stage, the partition and the processor. `None` skips a processor.
pub type Visit = Arc<dyn Fn(&str, i32, &dyn Any) -> Option<Box<dyn Any + Send>> + Send + Sync>;

/// The process that runs a flow. One implementation works on real logs, another, for tests, on the memory log.
pub trait Process: Send + Sync {
    /// The number of partitions of the flow.
    fn flow_partitions(&self) -> i32;

    /// The codec of the flow's topics.
    fn codec(&self) -> &Codec;

    /// The flow's folder for files that must survive the process.
    fn state(&self) -> &Path;

    /// Requested when the process should end.
    fn shutdown(&self) -> &Shutdown;

    /// The async runtime of the process.
    fn tokio(&self) -> &Handle;

    /// Whether other processes may work on the same log.
    fn is_shared(&self) -> bool;

    /// The name of a log that several processes share. `None` for a log of this process alone.
    fn shared_log(&self) -> Option<String> {
        None
    }

    /// Publishes records. Retries while the log is not available. Published records have an identity, so a duplicate
    /// changes nothing.
    ///
    /// # Errors
    /// [`LogError::Fenced`] when another process has taken over the rounds. Others when the log stays unavailable for
    /// too long.
    fn publish(&self, output: &Output) -> Result<(), LogError>;

    /// A producer that fences the previous producer of this name, in any process.
    ///
    /// # Errors
    /// The error of the log.
    fn producer(&self, name: &str) -> Result<Box<dyn Producer>, LogError>;

    /// Checks credentials of messages as the HTTP port does. `None` in a process without that port.
    fn authenticator(&self) -> Option<Arc<dyn Authenticator>> {
        None
    }

    /// Makes sure that a topic is there which no flow declares, because its name is only known at run time. Nothing has
    /// to be done on a log that takes any topic.
    ///
    /// # Errors
    /// The error of the log. [`LogError::Fatal`] when the topic is missing and may not be created, or differs.
    fn provide_topic(&self, _topic: &'static Topic) -> Result<(), LogError> {
        Ok(())
    }

    /// A producer that only this process has, under a name that no other producer of the process has. It fences the one
    /// that this process had before its restart, and no other.
    ///
    /// # Errors
    /// The error of the log.
    fn own_producer(&self, name: &str) -> Result<Box<dyn Producer>, LogError> {
        self.producer(name)
    }

    /// A reader of topics outside any group.
    ///
    /// # Errors
    /// The error of the log.
    fn reader(&self) -> Result<Box<dyn TopicReader>, LogError>;

    /// A reader of topics outside any group, from positions that the flow keeps.
    ///
    /// # Errors
    /// The error of the log.
    fn follower(&self) -> Result<Box<dyn TopicFollower>, LogError> {
        Err(LogError::unavailable("this process cannot follow topics"))
    }

    /// Writes everything so far to the disk, if the log is on this machine's disk.
    ///
    /// # Errors
    /// The error of the log.
    fn sync(&self) -> Result<(), LogError>;

    /// Whether every record in the log has been processed.
    ///
    /// # Errors
    /// The error of the log.
    fn is_idle(&self) -> Result<bool, LogError>;

    /// Waits until no work is left. `obstacle` says what prevents progress, if the flow knows it.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when there is no progress for too long.
    fn settle(&self, obstacle: &dyn Fn() -> Option<String>) -> Result<(), Failure>;

    /// Waits until this process has restored all partitions of all stages.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when other processes own some of them.
    fn wait_until_ready(&self) -> Result<(), Failure>;

    /// From now on, a view into the processors covers all partitions of all stages or fails. Otherwise a partition that
    /// moves between workers would look empty.
    fn demand_all_partitions(&self);

    /// Fails if the workers have ended with an error, or if the process should end.
    ///
    /// # Errors
    /// [`Failure::Unfinished`].
    fn check(&self) -> Result<(), Failure>;

    /// Calls `visit` with the processors of this process, at a commit boundary of their worker. It skips groups that
    /// wait for the outside.
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

    /// The counters of the groups, in the order of the declaration.
    fn metrics(&self) -> Vec<Arc<Metrics>>;
}

/// The answer of a process that does not keep a view.
pub fn view_not_kept(view: &View) -> Problem {
    let detail = format!("this process does not keep the view {}", view.name);
    Problem::unavailable("view_unavailable", detail, Duration::from_secs(5))
}

impl dyn Process {
    /// Calls `visit` with every processor of type `P` in this process.
    ///
    /// # Errors
    /// As [`Process::visit`].
    pub fn inspect<P: Any, T: Send + 'static>(
        &self,
        visit: impl Fn(&P) -> T + Send + Sync + 'static,
    ) -> Result<Vec<T>, Failure> {
        Ok(self.look(visit)?.into_iter().map(|(_, seen)| seen).collect())
    }

    /// As `inspect`, if this process owns all `count` partitions of the stage. `None` if others own some of them, or if
    /// some are moving between workers.
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

/// A producer that publishes through a process.
pub struct Publisher<'a>(pub &'a dyn Process);

impl Producer for Publisher<'_> {
    fn publish(&mut self, output: &Output) -> Result<(), LogError> {
        self.0.publish(output)
    }
}
