//! An entry of the cache, and what may be served of it. Nothing here waits or looks at a clock.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tributary_schemas::records::aggregation::Mark;
use tributary_schemas::types::aggregation::PatientId;

use super::CacheSettings;
use crate::descriptor::{Descriptor, GroupBy};
use crate::invalidation;
use crate::question::{Answer, Origin, Part};
use crate::status::Failure;

/// What each part takes beside its answer, in bytes.
const PART_BYTES: usize = 256;

/// How long parts may be served.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lifetimes {
    ttl: Duration,
    failure_ttl: Duration,
}

impl Lifetimes {
    /// Nothing is older than `ttl`, failures included.
    pub(crate) fn new(ttl: Duration, failure_ttl: Duration) -> Self {
        Self { ttl, failure_ttl: failure_ttl.min(ttl) }
    }

    /// How long good parts are served.
    pub(super) fn ttl(self) -> Duration {
        self.ttl
    }

    fn is_alive(self, part: &CachedPart, now: Instant) -> bool {
        let lifetime = if part.result.is_ok() { self.ttl } else { self.failure_ttl };
        now.saturating_duration_since(part.ended) < lifetime
    }
}

/// What an entry is about.
#[derive(Debug)]
pub(crate) struct Subject {
    service: String,
    patient: PatientId,
    domain: String,
    categories: Vec<String>,
    group_by: GroupBy,
    pub(crate) lifetimes: Lifetimes,
}

impl Subject {
    pub(crate) fn new(descriptor: &Descriptor, patient: &PatientId, settings: &CacheSettings) -> Self {
        Self {
            service: descriptor.name.clone(),
            patient: patient.clone(),
            domain: descriptor.query.domain.clone(),
            categories: descriptor.query.categories.clone(),
            group_by: descriptor.requests.group_by,
            lifetimes: Lifetimes::new(descriptor.cache_ttl.unwrap_or(settings.ttl), settings.failure_ttl),
        }
    }

    /// The patient whose marks can concern it.
    pub(crate) fn patient(&self) -> &PatientId {
        &self.patient
    }

    /// The address that a mark marks here, if it concerns this.
    pub(crate) fn marked_by<'m>(&self, mark: &'m Mark) -> Option<&'m str> {
        let address = match self.group_by {
            GroupBy::LogicalAddress => &mark.logical_address,
            GroupBy::SourceSystem => &mark.source_system,
        };
        invalidation::concerns(mark, &self.patient, &self.domain, &self.categories).then(|| address.as_str())
    }

    /// Whether it is of that service and that patient. `None` is any.
    pub(crate) fn is_of(&self, service: Option<&str>, patient: Option<&PatientId>) -> bool {
        service.is_none_or(|service| service == self.service) && patient.is_none_or(|patient| *patient == self.patient)
    }
}

/// What is kept of an address.
#[derive(Clone, Debug)]
pub(crate) struct CachedPart {
    pub(crate) address: String,
    /// The time of the real call.
    pub(crate) at: Timestamp,
    /// The same, to count its age.
    pub(crate) ended: Instant,
    pub(crate) result: Result<Arc<Answer>, Failure>,
    /// Whether its data may have changed since.
    pub(crate) marked: bool,
}

impl CachedPart {
    /// What is kept of a part of an answer. The rows of a call that failed are still to be fetched: they stay marked.
    pub(crate) fn of(part: &Part, marked: bool) -> Self {
        let Part { address, at, ended, result, origin, .. } = part;
        let marked = marked || matches!(origin, Origin::Stale(..));
        Self { address: address.clone(), at: *at, ended: *ended, result: result.clone(), marked }
    }

    /// The part of an answer that it gives. A failure is as it was (A 4.4).
    pub(crate) fn into_part(self) -> Part {
        self.into_part_of(Origin::Cache)
    }

    fn into_part_of(self, origin: Origin) -> Part {
        let Self { address, at, ended, result, .. } = self;
        Part { address, at, ended, took: Duration::ZERO, result, origin }
    }

    /// What is served after a call that failed, which is to bring its rows up to date.
    pub(crate) fn into_stale_part(self, at: Timestamp, failure: Failure) -> Part {
        self.into_part_of(Origin::Stale(at, failure))
    }

    fn bytes(&self) -> usize {
        let contents = match &self.result {
            Ok(answer) => answer.share.bytes(),
            Err(failure) => failure.text.len(),
        };
        PART_BYTES + self.address.len() + contents
    }
}

/// An entry: what is known of every address that a question led to.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) subject: Arc<Subject>,
    /// The parts, in the order of their arrival.
    pub(crate) parts: Vec<CachedPart>,
    /// When it was kept. Its parts are older, so this counts if there are none.
    pub(crate) kept: Instant,
    /// Whether the index is to be asked again.
    pub(crate) changed: bool,
    /// What another process must know of it. `None` if it is only for this one.
    pub(crate) footing: Option<Footing>,
}

/// The digest of what answers depend on beside the question: the service's descriptor, TAK, the index, and where calls
/// go. An entry with another one is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Basis(pub(super) [u8; 32]);

/// On what an entry stands that may be read by another process, or after a restart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Footing {
    pub(crate) basis: Basis,
    /// How many partitions the marks have.
    pub(crate) partitions: i32,
    /// Marks before this offset of its patient's partition are taken in.
    pub(crate) marks_from: i64,
}

impl Entry {
    /// Whether it answers the question as it is: without the index, without calls.
    pub(crate) fn answers(&self, now: Instant) -> bool {
        let Lifetimes { ttl, .. } = self.subject.lifetimes;
        let is_listed = !self.changed && now.saturating_duration_since(self.kept) < ttl;
        is_listed && self.parts.iter().all(|part| is_usable(part, self.subject.lifetimes, now))
    }

    /// Marks an address. The index is asked again in any case: the address may be new, or gone.
    pub(crate) fn mark(&mut self, address: &str) {
        self.changed = true;
        for part in self.parts.iter_mut().filter(|part| part.address == address) {
            part.marked = true;
        }
    }

    /// Lets go what is too old. Returns whether there was any. An entry of which parts are gone does not answer as it
    /// is.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        let (before, lifetimes) = (self.parts.len(), self.subject.lifetimes);
        self.parts.retain(|part| lifetimes.is_alive(part, now));
        let is_cut = self.parts.len() < before;
        self.changed |= is_cut;
        is_cut
    }

    /// Whether nothing of it can be served any more, once what is too old is gone.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.parts.is_empty() && !self.answers(now)
    }

    /// How many bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.parts.iter().map(CachedPart::bytes).fold(PART_BYTES, usize::saturating_add)
    }

    /// How many bytes its answers take in the text that is written.
    pub(crate) fn answer_bytes(&self) -> usize {
        let answers = self.parts.iter().filter_map(|part| part.result.as_ref().ok());
        answers.map(|answer| answer.message.size()).sum()
    }
}

/// Whether a part can be served without a call.
pub(crate) fn is_usable(part: &CachedPart, lifetimes: Lifetimes, now: Instant) -> bool {
    !part.marked && lifetimes.is_alive(part, now)
}

/// Whether a part has rows that can be served when the call that is to bring them up to date fails.
pub(crate) fn has_rows(part: &CachedPart, lifetimes: Lifetimes, now: Instant) -> bool {
    part.result.is_ok() && lifetimes.is_alive(part, now)
}
