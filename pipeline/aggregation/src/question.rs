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
    /// From when its call was due.
    pub(crate) took: Duration,
    pub(crate) result: Result<Answer, Failure>,
}

/// A good answer, and the space that it takes.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) message: Arc<Message>,
    pub(crate) share: Share,
}

impl Part {
    /// Its record, if the answer came in this question.
    pub(crate) fn record(&self) -> Record {
        let address = self.address.clone();
        match &self.result {
            Ok(_) => Record { address, status: StatusCode::DataFromSource, success: Some(self.at), failure: None },
            Err(failure) => {
                let failure = Some((self.at, failure.clone()));
                Record { address, status: StatusCode::NoDataSynchFailed, success: None, failure }
            }
        }
    }

    /// What the audit says of it.
    pub(crate) fn audit(&self) -> AuditAddress {
        AuditAddress {
            address: self.address.clone(),
            status: self.record().status.name(),
            code: self.result.as_ref().err().map(|failure| failure.code.code()),
            ms: u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
        }
    }
}
