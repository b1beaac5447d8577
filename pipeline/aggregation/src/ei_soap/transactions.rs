//! Reads `Update` and `ProcessNotification`. Elements that the contract does not name are passed over.

use tributary_schemas::records::aggregation::{EngagementTransaction, Interaction};

use super::{IndexInteraction, TYPES, read};
use crate::cache_flow::Asked;
use crate::ei_settings::IndexSettings;
use crate::engagement::Field;
use crate::refusal::Refusal;
use crate::soap::{Fault, Step, is_space};
use crate::transaction::{SentEngagement, SentTransaction};
use crate::validation::MOST_TRANSACTIONS;
use crate::{process_notification, update};

/// A request as it was sent. `Debug` shows no contents.
#[derive(Debug)]
pub struct SentRequest {
    interaction: Interaction,
    /// The SOAP header `LogicalAddress`. Empty if there was none.
    logical_address: String,
    /// The transactions, of which one more than allowed is kept.
    pub(super) transactions: Vec<SentTransaction>,
    /// What breaks the contract, but none of the rules of A 6.3.
    flaw: Option<Refusal>,
}

/// Reads a request. `limit` is the number of bytes that are taken.
///
/// # Errors
/// A fault if it is no request of this interaction at all. What it says is not checked yet.
pub fn read_transactions(interaction: Interaction, asked: Asked, limit: usize) -> Result<SentRequest, Fault> {
    let contract = IndexInteraction::from(interaction);
    let message = read(contract, asked, limit)?;
    let mut reader = Reader::new(contract.contract());
    message.body().walk(|step| reader.step(step));
    Ok(SentRequest {
        interaction,
        logical_address: message.logical_address().unwrap_or_default(),
        transactions: reader.transactions,
        flaw: reader.flaw,
    })
}

impl From<Interaction> for IndexInteraction {
    fn from(interaction: Interaction) -> Self {
        match interaction {
            Interaction::Update => Self::Update,
            Interaction::ProcessNotification => Self::ProcessNotification,
        }
    }
}

impl SentRequest {
    /// The transactions as the log takes them: all or none. Of a notification, none may be left (see
    /// [`process_notification::accept`]).
    ///
    /// # Errors
    /// The first [`Refusal`] in the order of A 6.3. What else breaks the contract comes last.
    pub fn accept(self, settings: &IndexSettings) -> Result<Vec<EngagementTransaction>, Refusal> {
        let accepted = match self.interaction {
            Interaction::Update => update::accept(&self.logical_address, &self.transactions, settings)?,
            Interaction::ProcessNotification => process_notification::accept(&self.transactions, settings)?,
        };
        self.flaw.map_or(Ok(accepted), Err)
    }

    /// The transactions of a notification to a platform whose index is elsewhere.
    ///
    /// # Errors
    /// As [`SentRequest::accept`].
    pub fn check(self, reserved: &[String]) -> Result<Vec<EngagementTransaction>, Refusal> {
        let checked = process_notification::check(&self.transactions, reserved)?;
        self.flaw.map_or(Ok(checked), Err)
    }
}

/// Where a reader is.
#[derive(Clone, Copy)]
enum Place {
    Request,
    Transaction,
    DeleteFlag,
    Engagement,
    Field(Field),
    /// In an element that is passed over.
    Other,
}

/// Reads the transactions of a body element. At most one more than allowed is kept, so that their number can be
/// refused: the rest takes no memory.
struct Reader {
    contract: &'static str,
    /// The open elements, from the outermost.
    open: Vec<Place>,
    pub(super) transactions: Vec<SentTransaction>,
    /// The flag of the last transaction, if it has come.
    flag: Option<String>,
    /// Whether the engagement of the last transaction has come.
    has_engagement: bool,
    flaw: Option<Refusal>,
}

impl Reader {
    fn new(contract: &'static str) -> Self {
        let (open, transactions) = (Vec::new(), Vec::new());
        Self { contract, open, transactions, flag: None, has_engagement: false, flaw: None }
    }

    fn step(&mut self, step: Step<'_>) {
        match step {
            Step::Open { namespace, local } => {
                let place = self.enter(namespace, local);
                self.open.push(place);
            }
            Step::Text(text) => self.text(text),
            Step::Close => {
                if let Some(Place::DeleteFlag) = self.open.pop() {
                    self.set_flag();
                }
            }
        }
    }

    /// Where an element leads.
    fn enter(&mut self, namespace: &str, local: &str) -> Place {
        let Some(outer) = self.open.last().copied() else { return Place::Request };
        match (outer, local) {
            (Place::Request, "engagementTransaction") if namespace == self.contract => self.begin(),
            (Place::Transaction, "deleteFlag") if namespace == TYPES => {
                let is_new = self.flag.is_none();
                self.flag.get_or_insert_default();
                self.once(is_new, local, Place::DeleteFlag)
            }
            (Place::Transaction, "engagement") if namespace == TYPES => {
                let is_new = !std::mem::replace(&mut self.has_engagement, true);
                self.once(is_new, local, Place::Engagement)
            }
            (Place::Engagement, _) if namespace == TYPES => self.begin_field(local),
            _ => Place::Other,
        }
    }

    fn begin(&mut self) -> Place {
        if self.transactions.len() > MOST_TRANSACTIONS {
            return Place::Other;
        }
        self.transactions.push(SentTransaction::default());
        (self.flag, self.has_engagement) = (None, false);
        Place::Transaction
    }

    fn begin_field(&mut self, local: &str) -> Place {
        let Some(field) = Field::named(local) else { return Place::Other };
        let Some(engagement) = self.engagement() else { return Place::Other };
        let place = engagement.place(field);
        let is_new = place.is_none();
        place.get_or_insert_default();
        self.once(is_new, local, Place::Field(field))
    }

    /// An element that the contract has once. Which of two is meant cannot be known, so the request is refused.
    fn once(&mut self, is_new: bool, element: &str, place: Place) -> Place {
        if is_new {
            return place;
        }
        self.flaw.get_or_insert_with(|| Refusal::twice(element));
        Place::Other
    }

    fn text(&mut self, text: &str) {
        match self.open.last().copied() {
            Some(Place::DeleteFlag) => self.flag.get_or_insert_default().push_str(text),
            Some(Place::Field(field)) => {
                if let Some(engagement) = self.engagement() {
                    engagement.place(field).get_or_insert_default().push_str(text);
                }
            }
            _ => {}
        }
    }

    /// A flag is an `xs:boolean`. A transaction without one deletes nothing.
    fn set_flag(&mut self) {
        let flag = match self.flag.as_deref().map(|flag| flag.trim_matches(is_space)) {
            Some("true" | "1") => true,
            Some("false" | "0") => false,
            _ => {
                self.flaw.get_or_insert_with(|| Refusal::no_boolean("deleteFlag"));
                return;
            }
        };
        if let Some(transaction) = self.transactions.last_mut() {
            transaction.delete_flag = flag;
        }
    }

    fn engagement(&mut self) -> Option<&mut SentEngagement> {
        self.transactions.last_mut().map(|transaction| &mut transaction.engagement)
    }
}
