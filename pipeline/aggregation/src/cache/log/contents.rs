//! What an entry in the log holds, and the way back. Ages are counted from the times of the real calls.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tributary_schemas::records::aggregation as records;

use crate::cache::entry::{Basis, CachedPart, Entry, Footing, Subject};
use crate::cache::{CacheKey, CacheSettings};
use crate::flow::Service;
use crate::memory::MemoryBudget;
use crate::question::Answer;
use crate::soap::Message;
use crate::status::{Failure, FailureCode};

/// A moment, on the clock that the log shows and on the one that counts ages.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The time of day.
    pub wall: Timestamp,
    /// The same, to count from.
    pub instant: Instant,
}

impl Now {
    /// A moment in milliseconds since 1970. It is cut, so that what is read back is not younger than it was.
    fn milliseconds(self, instant: Instant) -> i64 {
        let age = self.instant.saturating_duration_since(instant).as_millis();
        self.wall.as_millisecond().saturating_sub(i64::try_from(age).unwrap_or(i64::MAX))
    }

    /// The moment of a time. `None` for one that is still to come: the clock was set back, or another process has one
    /// that is ahead, so nobody knows how old it is.
    fn instant(self, milliseconds: i64) -> Option<Instant> {
        let age = u64::try_from(self.wall.as_millisecond().checked_sub(milliseconds)?).ok()?;
        self.instant.checked_sub(Duration::from_millis(age))
    }
}

/// Why an entry that could be opened is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passed {
    /// It does not hold what it should.
    Malformed,
    /// It is over, or its time is still to come.
    Time,
    /// The service, TAK, the index or the place of calls is another one now.
    Basis,
    /// Nobody knows which marks it lacks.
    Marks,
    /// There is no memory for it.
    Memory,
}

/// When an entry is over, in milliseconds since 1970.
pub(super) fn expires(entry: &Entry, now: Now) -> i64 {
    let ttl = i64::try_from(entry.subject.lifetimes.ttl().as_millis()).unwrap_or(i64::MAX);
    now.milliseconds(entry.kept).saturating_add(ttl)
}

/// What is sealed of an entry. `None` if nobody would know which marks it lacks.
pub(super) fn write(key: &CacheKey, entry: &Entry, now: Now) -> Option<records::CacheContents> {
    let footing = entry.footing?;
    let part = |part: &CachedPart| records::CachedPart {
        address: part.address.clone(),
        at: part.at.as_millisecond(),
        marked: part.marked,
        answer: part.result.as_ref().ok().map(|answer| answer.message.text().to_owned()),
        failure_code: part.result.as_ref().err().map(|failure| failure.code.code().to_owned()),
        failure_text: part.result.as_ref().err().map(|failure| failure.text.clone()),
    };
    Some(records::CacheContents {
        service: key.service().to_owned(),
        question: key.digest().to_vec(),
        patient: entry.subject.patient().clone(),
        basis: footing.basis.0.to_vec(),
        partitions: footing.partitions,
        marks_from: footing.marks_from,
        kept: now.milliseconds(entry.kept),
        changed: entry.changed,
        parts: entry.parts.iter().map(part).collect(),
    })
}

/// What is needed to read contents.
pub(super) struct Reading<'r> {
    pub(super) service: &'r Service,
    /// What answers of the service depend on now.
    pub(super) basis: Basis,
    pub(super) partitions: i32,
    pub(super) settings: &'r CacheSettings,
    pub(super) memory: &'r MemoryBudget,
    pub(super) max_answer_bytes: usize,
    pub(super) now: Now,
}

impl Reading<'_> {
    /// The entry, without what is too old of it.
    pub(super) fn read(&self, contents: records::CacheContents) -> Result<(CacheKey, Entry), Passed> {
        let digest = contents.question.as_slice().try_into().map_err(|_| Passed::Malformed)?;
        if contents.basis != self.basis.0 {
            return Err(Passed::Basis);
        }
        if contents.partitions != self.partitions || contents.marks_from < 0 {
            return Err(Passed::Marks);
        }
        let key = CacheKey::of_digest(&contents.service, digest);
        let subject = Arc::new(Subject::new(&self.service.descriptor, &contents.patient, self.settings));
        let footing = Footing { basis: self.basis, partitions: contents.partitions, marks_from: contents.marks_from };
        let mut entry = Entry {
            subject,
            parts: Vec::new(),
            kept: self.now.instant(contents.kept).ok_or(Passed::Time)?,
            changed: contents.changed,
            footing: Some(footing),
        };
        for part in contents.parts {
            entry.parts.push(self.part(part)?);
        }
        entry.expire(self.now.instant);
        if entry.is_over(self.now.instant) { Err(Passed::Time) } else { Ok((key, entry)) }
    }

    fn part(&self, part: records::CachedPart) -> Result<CachedPart, Passed> {
        let records::CachedPart { address, at, marked, answer, failure_code, failure_text } = part;
        let ended = self.now.instant(at).ok_or(Passed::Time)?;
        let result = match (answer, failure_code) {
            (Some(text), None) => Ok(Arc::new(self.answer(text)?)),
            (None, Some(code)) => {
                let code = FailureCode::of_code(&code).ok_or(Passed::Malformed)?;
                Err(Failure::new(code, failure_text.unwrap_or_default()))
            }
            _ => return Err(Passed::Malformed),
        };
        let at = Timestamp::from_millisecond(at).map_err(|_| Passed::Malformed)?;
        Ok(CachedPart { address, at, ended, result, marked })
    }

    fn answer(&self, text: String) -> Result<Answer, Passed> {
        let descriptor = &self.service.descriptor;
        let message = Message::read_text(text, self.max_answer_bytes, &descriptor.response.concatenate)
            .map_err(|_| Passed::Malformed)?;
        if *message.name() != descriptor.response_name() {
            return Err(Passed::Malformed);
        }
        let mut share = self.memory.share();
        if !share.try_grow_to(message.size()) {
            return Err(Passed::Memory);
        }
        Ok(Answer { message: Arc::new(message), share })
    }
}
