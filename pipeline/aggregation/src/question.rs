//! A question under way, and what has become of each address.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::audit::AuditAddress;
use crate::caller::Caller;
use crate::find_content::FindContent;
use crate::flow::Service;
use crate::memory::Share;
use crate::soap::Message;
use crate::status::{Failure, Record, StatusCode};
use crate::tak::Tak;

/// A question: who asks what about whom.
pub(crate) struct Question {
    pub(crate) service: Arc<Service>,
    pub(crate) caller: Caller,
    pub(crate) request: Message,
    pub(crate) find: FindContent,
    pub(crate) tak: Option<Arc<Tak>>,
    /// When it came.
    pub(crate) now: Timestamp,
    pub(crate) arrival: Instant,
}

/// What has become of one address.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) address: String,
    /// When it answered or failed.
    pub(crate) at: Timestamp,
    /// The same, to count its age.
    pub(crate) ended: Instant,
    /// From when its call was due. Zero if none was made in this question.
    pub(crate) took: Duration,
    pub(crate) result: Result<Arc<Answer>, Failure>,
    pub(crate) origin: Origin,
}

/// Where a part is from.
#[derive(Debug)]
pub(crate) enum Origin {
    /// A call of this question.
    Source,
    /// The cache.
    Cache,
    /// The cache, because a call of this question failed then, for that reason.
    Stale(Timestamp, Failure),
}

/// A good answer, and the space that it takes.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) message: Arc<Message>,
    pub(crate) share: Share,
}

impl Part {
    /// What has become of a call that has ended now.
    pub(crate) fn of_call(address: String, at: Timestamp, took: Duration, result: Result<Answer, Failure>) -> Self {
        Self { address, at, ended: Instant::now(), took, result: result.map(Arc::new), origin: Origin::Source }
    }

    /// Its record. A failure is the same from the cache as from the source (A 4.4).
    pub(crate) fn record(&self) -> Record {
        let (status, success, failure) = match (&self.result, &self.origin) {
            (Err(failure), _) => (StatusCode::NoDataSynchFailed, None, Some((self.at, failure.clone()))),
            (Ok(_), Origin::Source) => (StatusCode::DataFromSource, Some(self.at), None),
            (Ok(_), Origin::Cache) => (StatusCode::DataFromCache, Some(self.at), None),
            (Ok(_), Origin::Stale(at, failure)) => {
                (StatusCode::DataFromCacheSynchFailed, Some(self.at), Some((*at, failure.clone())))
            }
        };
        Record { address: self.address.clone(), status, success, failure }
    }

    /// What the audit says of it.
    pub(crate) fn audit(&self) -> AuditAddress {
        let record = self.record();
        AuditAddress {
            address: record.address,
            status: record.status,
            code: record.failure.map(|(_, failure)| failure.code.code()),
            ms: u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
        }
    }
}
