//! What all stages of the flow receive: the codec and the settings.

use std::sync::Arc;

use tributary_flow::framed;
use tributary_runtime::{Output, ProcessError, Record, Topic, partition_for_key};
use tributary_schemas::records::tributary::{FileEvent, Severity};
use tributary_schemas::{AvroRecord, Codec, Date, Framed};

use crate::applicant::ApplicantKey;
use crate::baseline::Baseline;
use crate::configuration::EsrSettings;
use crate::format::{InboundLayouts, Office, Templates};
use crate::service_time::ServiceTime;
use crate::topics;

/// Codec and settings, shared by all tasks.
#[derive(Clone)]
pub struct Context {
    /// Writes and reads records with the frame of the schema registry.
    pub codec: Codec,
    /// The settings of the flow.
    pub settings: Arc<EsrSettings>,
    /// The served offices, in the order in which they take file numbers (D50).
    pub offices: Arc<[Office]>,
    /// The baseline (D1).
    pub baseline: Arc<Baseline>,
    /// The time of the batch or of the service (D104).
    pub time: Arc<ServiceTime>,
    pub(crate) inbound_layouts: Arc<InboundLayouts>,
    pub(crate) templates: Arc<Templates>,
}

impl Context {
    /// Creates a context for the served offices, without a baseline.
    pub fn new(codec: Codec, settings: Arc<EsrSettings>, offices: Vec<Office>) -> Self {
        Self {
            codec,
            offices: offices.into(),
            baseline: Arc::default(),
            time: Arc::default(),
            inbound_layouts: Arc::new(settings.inbound_layouts()),
            templates: Arc::new(settings.templates()),
            settings,
        }
    }

    /// Replaces the baseline.
    #[must_use]
    pub fn with_baseline(self, baseline: Arc<Baseline>) -> Self {
        Self { baseline, ..self }
    }

    /// Opens the frame of a record's value.
    pub(crate) fn open<'a>(&self, record: &Record<'a>) -> Result<Framed<'a>, ProcessError> {
        framed::open(&self.codec, record)
    }

    /// Sends a record to the partition of its key.
    pub(crate) fn send<R: AvroRecord>(&self, output: &mut Output, topic: &'static Topic, key: &[u8], record: &R) {
        framed::send(&self.codec, output, topic, key, record);
    }

    /// Appends the framed record.
    pub(crate) fn write<R: AvroRecord>(&self, record: &R, buffer: &mut Vec<u8>) {
        framed::write(&self.codec, record, buffer);
    }

    /// Sends a record of the exports topic to the partition of an office.
    pub(crate) fn send_export<R: AvroRecord>(&self, output: &mut Output, office: Office, key: &str, record: &R) {
        let partition = Self::office_partition(output, office);
        output.send_to(&topics::EXPORTS, partition, key.as_bytes(), |buffer| self.write(record, buffer));
    }

    /// Withdraws an applicant record.
    pub(crate) fn withdraw_export(output: &mut Output, key: &ApplicantKey) {
        let partition = Self::office_partition(output, key.office);
        output.tombstone_to(&topics::EXPORTS, partition, key.to_string().as_bytes());
    }

    /// The partition depends on the office alone. An office therefore keeps its partition when other offices are added
    /// or removed.
    pub(crate) fn office_partition(output: &Output, office: Office) -> i32 {
        partition_for_key(office.as_str().as_bytes(), output.partition_count(&topics::EXPORTS))
    }

    /// Raises an alert.
    pub(crate) fn alert(&self, output: &mut Output, severity: Severity, code: &str, subject: &str, text: String) {
        let alert = framed::alert(severity, code, subject, text);
        self.send(output, &topics::EVENT, subject.as_bytes(), &alert);
    }

    /// Sends an event about a file.
    pub(crate) fn file_event(&self, output: &mut Output, event: &FileEvent) {
        self.send(output, &topics::EVENT, event.file_name.as_bytes(), event);
    }

    /// Whether placements of this type count (A8).
    pub(crate) fn counts(&self, placement_type: &str) -> bool {
        self.settings.configuration.applicants.counts(placement_type)
    }

    /// The window in days after today: its first day, and the first day after it (A5, A6).
    pub(crate) fn window(&self) -> std::ops::Range<i32> {
        let applicants = &self.settings.configuration.applicants;
        applicants.min_days as i32..applicants.max_weeks as i32 * 7
    }
}

/// The London date of an instant: all windows use it (10.1).
///
/// # Errors
/// As [`london_time`].
pub fn london_date(timestamp_millis: i64) -> Result<Date, ProcessError> {
    Ok(Date::from_civil(london_time(timestamp_millis)?.date()))
}

/// The London time of an instant.
///
/// # Errors
/// A dead letter for an instant outside the years -9999 to 9999. A stop if the rules of London time are missing: with
/// other rules, records would fall on other dates.
pub fn london_time(timestamp_millis: i64) -> Result<jiff::civil::DateTime, ProcessError> {
    let instant = jiff::Timestamp::from_millisecond(timestamp_millis).map_err(|_| {
        let text = format!("{timestamp_millis} ms since 1970 is not a time of the calendar: correct it at its source");
        ProcessError::dead_letter("time-out-of-range", text)
    })?;
    Ok(london()?.to_datetime(instant))
}

fn london() -> Result<&'static jiff::tz::TimeZone, ProcessError> {
    static LONDON: std::sync::LazyLock<Option<jiff::tz::TimeZone>> =
        std::sync::LazyLock::new(|| jiff::tz::TimeZone::get("Europe/London").ok());
    LONDON.as_ref().ok_or_else(|| {
        ProcessError::Stop("the time zone Europe/London is not known: install the time zone database".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn london_date_follows_summer_time() {
        let date_at = |text: &str| london_date(text.parse::<jiff::Timestamp>().unwrap().as_millisecond()).unwrap();
        assert_eq!(date_at("2026-06-30T23:30:00Z").to_string(), "2026-07-01");
        assert_eq!(date_at("2026-12-31T23:30:00Z").to_string(), "2026-12-31");
    }

    #[test]
    fn a_time_outside_the_calendar_is_a_dead_letter() {
        for time in [i64::MIN, i64::MAX] {
            let error = london_date(time).unwrap_err();
            assert!(matches!(error, ProcessError::DeadLetter { code: "time-out-of-range", .. }), "{error}");
        }
    }
}
