//! Which engagements may be called, in the order of the platform: category, own address, TAK (A 2.5).

use jiff::Timestamp;

use crate::descriptor::Descriptor;
use crate::engagement::Engagement;
use crate::tak::Tak;

/// Why an engagement gives no call and no status record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its category is not in the list of the service.
    Category,
    /// It is our own address, and a call would come back here.
    OwnAddress,
    /// Neither the sender nor the original consumer may call it.
    Permission,
    /// There is no route to it.
    Route,
    /// The request does not ask for it.
    Service,
}

impl Reason {
    /// Its name in the audit.
    pub fn name(self) -> &'static str {
        match self {
            Self::Category => "category",
            Self::OwnAddress => "own_address",
            Self::Permission => "permission",
            Self::Route => "route",
            Self::Service => "service",
        }
    }
}

/// An engagement that was left out, for the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filtered {
    /// Its logical address.
    pub address: String,
    /// Why.
    pub reason: Reason,
}

/// An engagement that may be called, and the URL of the route that let it through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The engagement.
    pub engagement: Engagement,
    /// The URL, if the route has one.
    pub url: Option<String>,
}

/// The rules of one question.
#[derive(Clone, Copy, Debug)]
pub struct Filter<'a> {
    /// The service.
    pub descriptor: &'a Descriptor,
    /// Our own logical address.
    pub own_address: &'a str,
    /// The catalogue. `None` if permissions and routes are not checked.
    pub tak: Option<&'a Tak>,
    /// The sender and the original consumer.
    pub senders: [&'a str; 2],
    /// The time of the question.
    pub now: Timestamp,
}

impl Filter<'_> {
    /// Parts engagements into those that may be called, and those that are left out.
    pub fn apply(&self, engagements: Vec<Engagement>) -> (Vec<Admitted>, Vec<Filtered>) {
        let (mut admitted, mut filtered) = (Vec::new(), Vec::new());
        for engagement in engagements {
            match self.check(&engagement) {
                Ok(url) => admitted.push(Admitted { engagement, url }),
                Err(reason) => filtered.push(Filtered { address: engagement.logical_address, reason }),
            }
        }
        (admitted, filtered)
    }

    fn check(&self, engagement: &Engagement) -> Result<Option<String>, Reason> {
        let categories = &self.descriptor.query.categories;
        // The list is compared as written, so it should be in lower case (A 2.5).
        if categories.len() > 1 && !categories.contains(&engagement.categorization.to_lowercase()) {
            return Err(Reason::Category);
        }
        let address = &engagement.logical_address;
        if address == self.own_address {
            return Err(Reason::OwnAddress);
        }
        let Some(tak) = self.tak else { return Ok(None) };
        let contract = &self.descriptor.contract;
        if !tak.permits(contract, address, self.senders, self.now) {
            return Err(Reason::Permission);
        }
        let url = tak.route(contract, address, self.now).ok_or(Reason::Route)?;
        Ok(url.map(str::to_owned))
    }
}
