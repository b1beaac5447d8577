//! The exchange, running in one process.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tributary_esr::context::Context;
use tributary_esr::flow::Processors;
use tributary_esr::topics;
use tributary_flow::http::Mount;
use tributary_flow::{BatchRequest, ClockReading, Failure, Process, Round, RunningFlow};
use tributary_runtime::{Headers, LogError, Output, Processor, TimestampMillis, Topic};
use tributary_schemas::AvroRecord;

use crate::admin;
use crate::baseline;
use crate::batch;
use crate::configured::Configured;
use crate::due;
use crate::outbox::Outbox;
use crate::rounds::Rounds;
use crate::views;

/// The exchange with its settings and its process.
pub(crate) struct Exchange {
    pub(crate) configured: Configured,
    pub(crate) process: Arc<dyn Process>,
    pub(crate) context: Context,
    pub(crate) outbox: Arc<Outbox>,
    processors: Processors,
    rounds: Mutex<Rounds>,
}

impl Exchange {
    /// Opens the outbox, and reads from the log what belongs to the baseline (D1).
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when the log does not answer.
    pub(crate) fn open(configured: &Configured, process: Arc<dyn Process>) -> Result<Self, Failure> {
        let offices = configured.offices.clone();
        let baseline = baseline::of_log(&*process).map_err(tributary_flow::log_failure)?;
        let context = Context::new(process.codec().clone(), Arc::clone(&configured.settings), offices)
            .with_baseline(Arc::new(baseline));
        context.time.set(configured.now.unwrap_or_else(Timestamp::now).as_millisecond());
        let securing = Arc::clone(&process);
        let outbox = Arc::new(Outbox::new(&configured.folders.outbox, move || securing.sync()));
        let processors = Processors::new(context.clone(), Arc::clone(&outbox) as _);
        let rounds = Mutex::new(Rounds::new(configured, &*process));
        Ok(Self { configured: configured.clone(), process, context, outbox, processors, rounds })
    }

    /// Waits until no work is left.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when there is no progress for too long.
    pub(crate) fn settle(&self) -> Result<(), Failure> {
        self.process.settle(&|| self.outbox.trouble())
    }

    /// Publishes one record with the time `now`.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when the log does not accept it.
    pub(crate) fn publish_record<R: AvroRecord>(
        &self,
        topic: &'static Topic,
        key: &[u8],
        now: TimestampMillis,
        record: &R,
    ) -> Result<(), Failure> {
        let mut value = Vec::new();
        self.context.codec.encode(record, &mut value).map_err(Failure::unfinished)?;
        let mut output = self.output(now);
        output.send(topic, key, |buffer| buffer.extend_from_slice(&value));
        self.publish(&output)
    }

    /// Publishes a record for the `schedule` stage.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when the log does not accept it.
    pub(crate) fn publish_schedule<R: AvroRecord>(&self, now: TimestampMillis, record: &R) -> Result<(), Failure> {
        self.publish_record(&topics::SCHEDULE, b"", now, record)
    }

    /// Notes the time of the service, which bounds the times of records (D104).
    fn note_time(&self, clock: &ClockReading) {
        if clock.doubt.as_ref().is_none_or(|doubt| !doubt.since_start) {
            self.context.time.set(clock.now.as_millisecond());
        }
    }

    /// An output whose records have the time `now`.
    pub(crate) fn output(&self, now: TimestampMillis) -> Output {
        let mut output = Output::new(self.process.flow_partitions());
        output.inherit(now, Headers::default());
        output
    }

    /// Publishes records.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when the log does not accept them.
    pub(crate) fn publish(&self, output: &Output) -> Result<(), Failure> {
        self.process.publish(output).map_err(log_failure)
    }
}

impl RunningFlow for Exchange {
    fn processor(&self, stage: &'static str, partition: i32) -> Box<dyn Processor> {
        self.processors.processor(stage, partition)
    }

    fn last_sign_of_life(&self) -> Result<Option<Timestamp>, Failure> {
        due::last_sign_of_life(self)
    }

    fn round(&self, round: &Round) -> Result<(), Failure> {
        self.note_time(&round.clock);
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner).run(self, round)
    }

    fn ready(&self) -> Result<(), Failure> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner).begin_report(self)?;
        self.settle()
    }

    fn report(&self, clock: &ClockReading) -> Result<(), Failure> {
        self.note_time(clock);
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner).report(self)
    }

    fn mounts(&self) -> Vec<Mount> {
        vec![views::mount(Arc::clone(&self.process)), admin::mount(Arc::clone(&self.process))]
    }

    fn batch(&self, request: &BatchRequest<'_>) -> Result<(), Failure> {
        batch::run_and_print(self, request)
    }
}

/// The failure of the log after the start. Records may have been published, so it is never a refusal.
pub(crate) fn log_failure(error: LogError) -> Failure {
    Failure::unfinished(error)
}
