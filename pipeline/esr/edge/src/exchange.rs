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
use crate::outbox::Outbox;
use crate::rounds::Rounds;
use crate::sign_of_life;
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
        if let Some(now) = first_time(configured, &*process).map_err(tributary_flow::log_failure)? {
            context.time.set(now.as_millisecond());
        }
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
        self.publish(&self.output_of(topic, key, now, record)?)
    }

    fn output_of<R: AvroRecord>(
        &self,
        topic: &'static Topic,
        key: &[u8],
        now: TimestampMillis,
        record: &R,
    ) -> Result<Output, Failure> {
        let mut value = Vec::new();
        self.context.codec.encode(record, &mut value).map_err(Failure::unfinished)?;
        let mut output = self.output(now);
        output.send(topic, key, |buffer| buffer.extend_from_slice(&value));
        Ok(output)
    }

    /// Publishes a record for the `schedule` stage and, on a shared log, the sign of life.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when the log does not accept it.
    pub(crate) fn publish_schedule<R: AvroRecord>(
        &self,
        now: TimestampMillis,
        record: &R,
        sign_of_life: Option<TimestampMillis>,
    ) -> Result<(), Failure> {
        let mut output = self.output_of(&topics::SCHEDULE, b"", now, record)?;
        if let Some(time) = sign_of_life.filter(|_| self.process.is_shared()) {
            sign_of_life::note(&mut output, time);
        }
        self.publish(&output)
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
        sign_of_life::last(self)
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

/// The time that bounds the times of records until the first round. `None`, so that no record time is refused, for a
/// clock that is far from the last time in a shared log.
///
/// # Errors
/// [`LogError`] when the log does not answer.
fn first_time(configured: &Configured, process: &dyn Process) -> Result<Option<Timestamp>, LogError> {
    let now = configured.now.unwrap_or_else(Timestamp::now);
    let is_believed = configured.now.is_some() || !process.is_shared() || sign_of_life::is_near(process, now)?;
    Ok(Some(now).filter(|_| is_believed))
}

/// The failure of the log after the start. Records may have been published, so it is never a refusal.
pub(crate) fn log_failure(error: LogError) -> Failure {
    Failure::unfinished(error)
}
