//! A producer of this process alone, opened when it is needed.

use std::sync::Arc;

use tributary_runtime::{LogError, Output, Producer};

use crate::Process;

/// A producer that is opened with the first output, and again after an error: one that has failed cannot be used again.
pub struct OwnProducer {
    process: Arc<dyn Process>,
    name: &'static str,
    opened: Option<Box<dyn Producer>>,
}

impl OwnProducer {
    /// A producer of this name, which no other producer of the process has. Nothing is opened yet.
    pub fn new(process: &Arc<dyn Process>, name: &'static str) -> Self {
        Self { process: Arc::clone(process), name, opened: None }
    }
}

impl Producer for OwnProducer {
    fn publish(&mut self, output: &Output) -> Result<(), LogError> {
        let published = match &mut self.opened {
            Some(producer) => producer.publish(output),
            None => self.process.own_producer(self.name).and_then(|opened| self.opened.insert(opened).publish(output)),
        };
        if published.is_err() {
            self.opened = None;
        }
        published
    }
}
