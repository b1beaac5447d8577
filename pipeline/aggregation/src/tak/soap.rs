//! The catalogue over SOAP: `SokVagvalsInfo` version 2 (A 3.12). Text in and text out.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use jiff::Timestamp;

use super::time;
use super::{DEFAULT_RECEIVER, LARGEST, LONGEST, MOST_ENTRIES, Tak, Validity};
use super::{PermissionEntry, RouteEntry, Subscriber, SubscriberFilter};
use crate::ei_soap::IndexInteraction;
use crate::local_time::Stockholm;
use crate::soap::{Message, Name, SoapError, Step, open_envelope};

/// The namespace of the service and of everything in its messages.
const NAMESPACE: &str = "urn:skl:tp:vagvalsinfo:v2";

/// A question to the catalogue. Its SOAP action is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakQuestion {
    /// Where do calls go?
    Routes,
    /// Who may call?
    Permissions,
}

impl TakQuestion {
    /// The request element. The response element has `Response` after it.
    const fn name(self) -> &'static str {
        match self {
            Self::Routes => "hamtaAllaVirtualiseringar",
            Self::Permissions => "hamtaAllaAnropsBehorigheter",
        }
    }

    /// The element of an entry of the answer.
    const fn entry(self) -> &'static str {
        match self {
            Self::Routes => "virtualiseringsInfo",
            Self::Permissions => "anropsBehorighetsInfo",
        }
    }

    /// The question as a message.
    pub fn write(self) -> String {
        let name = self.name();
        let mut out = open_envelope();
        out.push_str(&format!("<soap:Body><t:{name} xmlns:t=\"{NAMESPACE}\"/></soap:Body></soap:Envelope>"));
        out
    }
}

/// An answer of the catalogue as it came, without its transport.
pub struct TakAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The charset of the content type, if it has one.
    pub charset: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why an answer of the catalogue is refused. The texts hold nothing of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TakAnswerError {
    /// A SOAP fault.
    #[error("TAK answered with a SOAP fault")]
    Fault,
    /// An HTTP status that no answer has.
    #[error("TAK answered with HTTP status {0}")]
    Status(u16),
    /// Another message.
    #[error("TAK answered with another message than {0}Response")]
    OtherMessage(&'static str),
    /// No SOAP message.
    #[error("TAK's answer is no SOAP message: {0}")]
    NoMessage(#[from] SoapError),
    /// It has too many entries.
    #[error("TAK's answer has more than {MOST_ENTRIES} of {0}")]
    TooMany(&'static str),
}

/// What the catalogue has answered.
#[derive(Clone, Debug)]
pub struct FetchedTak {
    /// The catalogue. There are no parents of receivers in it: this service does not tell them.
    pub tak: Tak,
    /// How many entries were left out, or their filters. They have no or a very long receiver, sender, contract or
    /// domain, or a time that is none, or one of these twice.
    pub left_out: usize,
}

/// Reads the answers to both questions. The subscribers are the receivers of permissions for `ProcessNotification` that
/// are valid now, each with the filters of all its permissions. One permission without a filter is for everything.
///
/// # Errors
/// [`TakAnswerError`] if one of them is no answer. A single entry that cannot be read is left out.
pub fn read_answers(
    routes: TakAnswer,
    permissions: TakAnswer,
    stockholm: &Stockholm,
    now: Timestamp,
) -> Result<FetchedTak, TakAnswerError> {
    let mut fetched = FetchedTak { tak: Tak::default(), left_out: 0 };
    let mut subscribers = Subscribers::default();
    for info in read_infos(TakQuestion::Routes, routes)? {
        match info.into_route(stockholm) {
            Some(route) => fetched.tak.add_route(route),
            None => fetched.left_out += 1,
        }
    }
    for info in read_infos(TakQuestion::Permissions, permissions)? {
        let Some((permission, filters)) = info.into_permission(stockholm) else {
            fetched.left_out += 1;
            continue;
        };
        if is_subscription(&permission, now) {
            match filters {
                Some(filters) => subscribers.add(&permission.receiver, filters),
                // A filter that cannot be read must not become one for everything.
                None => fetched.left_out += 1,
            }
        }
        fetched.tak.add_permission(permission);
    }
    fetched.tak.subscribers = subscribers.found;
    Ok(fetched)
}

/// Whether a permission makes its receiver a subscriber. The default receiver is nobody who could be notified.
fn is_subscription(permission: &PermissionEntry, now: Timestamp) -> bool {
    permission.contract == IndexInteraction::ProcessNotification.contract()
        && permission.receiver != DEFAULT_RECEIVER
        && Validity { from: permission.from, to: permission.to }.holds(now)
}

/// The subscribers, in the order of their first permissions.
#[derive(Default)]
struct Subscribers {
    found: Vec<Subscriber>,
    places: HashMap<String, usize>,
}

impl Subscribers {
    fn add(&mut self, address: &str, filters: Vec<SubscriberFilter>) {
        match self.places.get(address).and_then(|place| self.found.get_mut(*place)) {
            None => {
                self.places.insert(address.to_owned(), self.found.len());
                self.found.push(Subscriber { address: address.to_owned(), filters });
            }
            // It wants everything already, or from now on.
            Some(known) if known.filters.is_empty() || filters.is_empty() => known.filters.clear(),
            Some(known) => known.filters.extend(filters),
        }
    }
}

/// A field of an entry.
#[derive(Clone, Copy)]
enum Field {
    Receiver,
    Sender,
    Contract,
    From,
    To,
    Url,
}

impl Field {
    const COUNT: usize = 6;

    fn named(element: &str) -> Option<Self> {
        Some(match element {
            "receiverId" => Self::Receiver,
            "senderId" => Self::Sender,
            "tjansteKontrakt" => Self::Contract,
            "fromTidpunkt" => Self::From,
            "tomTidpunkt" => Self::To,
            "adress" => Self::Url,
            _ => return None,
        })
    }
}

/// An entry of an answer.
#[derive(Default)]
struct Info {
    texts: [Option<String>; Field::COUNT],
    filters: Vec<SubscriberFilter>,
    /// Whether a field is there twice.
    is_ambiguous: bool,
    /// Whether a filter has its domain twice.
    is_filter_twice: bool,
}

impl Info {
    fn place(&mut self, field: Field) -> &mut Option<String> {
        &mut self.texts[field as usize]
    }

    /// The text of a field, trimmed. `None` if it is empty.
    fn take(&mut self, field: Field) -> Option<String> {
        let text = self.place(field).take()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// The text of a field that an entry must have.
    fn must(&mut self, field: Field) -> Option<String> {
        self.take(field).filter(|text| text.len() <= LONGEST)
    }

    /// When it is valid. `None` if one of its times is none.
    fn valid(&mut self, stockholm: &Stockholm) -> Option<Validity> {
        let [from, to] = [Field::From, Field::To].map(|field| self.take(field));
        let [from, to] = [from, to].map(|text| text.map(|text| time::read(&text, stockholm).ok_or(text)).transpose());
        Some(Validity { from: from.ok()?, to: to.ok()? })
    }

    fn into_route(mut self, stockholm: &Stockholm) -> Option<RouteEntry> {
        let (url, valid) = (self.take(Field::Url), self.valid(stockholm)?);
        let is_bad = self.is_ambiguous || url.as_ref().is_some_and(|url| url.len() > LONGEST);
        let route = RouteEntry {
            contract: self.must(Field::Contract)?,
            receiver: self.must(Field::Receiver)?,
            url,
            from: valid.from,
            to: valid.to,
        };
        Some(route).filter(|_| !is_bad)
    }

    /// The permission, and what its receiver wants to be notified of. `None` for filters that cannot be read.
    fn into_permission(mut self, stockholm: &Stockholm) -> Option<(PermissionEntry, Option<Vec<SubscriberFilter>>)> {
        let valid = self.valid(stockholm)?;
        let permission = PermissionEntry {
            contract: self.must(Field::Contract)?,
            receiver: self.must(Field::Receiver)?,
            sender: self.must(Field::Sender)?,
            from: valid.from,
            to: valid.to,
        };
        for text in self.filters.iter_mut().flat_map(texts) {
            *text = text.trim().to_owned();
        }
        let is_text = |text: &mut String| (1..=LONGEST).contains(&text.len());
        let are_good = !self.is_filter_twice && self.filters.iter_mut().flat_map(texts).all(is_text);
        let filters = Some(self.filters).filter(|_| are_good);
        Some((permission, filters)).filter(|_| !self.is_ambiguous)
    }
}

fn texts(filter: &mut SubscriberFilter) -> impl Iterator<Item = &mut String> {
    std::iter::once(&mut filter.domain).chain(&mut filter.categories)
}

/// The entries of an answer.
fn read_infos(question: TakQuestion, answer: TakAnswer) -> Result<Vec<Info>, TakAnswerError> {
    let TakAnswer { status, charset, body } = answer;
    let is_good = (200..300).contains(&status);
    let wanted = [Name::new(NAMESPACE, question.entry())];
    let message = match Message::read(body, charset.as_deref(), LARGEST, &wanted) {
        Ok(message) => message,
        Err(_) if !is_good => return Err(TakAnswerError::Status(status)),
        Err(error) => return Err(error.into()),
    };
    if message.fault().is_some() {
        return Err(TakAnswerError::Fault);
    }
    if !is_good {
        return Err(TakAnswerError::Status(status));
    }
    let name = message.name();
    if name.namespace != NAMESPACE || name.local.strip_suffix("Response") != Some(question.name()) {
        return Err(TakAnswerError::OtherMessage(question.name()));
    }
    if message.row_count() > MOST_ENTRIES {
        return Err(TakAnswerError::TooMany(question.entry()));
    }
    let mut reader = Reader::new(question.entry());
    message.body().walk(|step| reader.step(step));
    Ok(reader.infos)
}

/// Where a reader is.
#[derive(Clone, Copy)]
enum Place {
    Answer,
    Info,
    Field(Field),
    Filter,
    Domain,
    Category,
    /// In an element that is passed over.
    Other,
}

struct Reader {
    entry: &'static str,
    /// The open elements, from the outermost.
    open: Vec<Place>,
    infos: Vec<Info>,
}

impl Reader {
    fn new(entry: &'static str) -> Self {
        Self { entry, open: Vec::new(), infos: Vec::new() }
    }

    fn step(&mut self, step: Step<'_>) {
        match step {
            Step::Open { namespace, local } => {
                let place = self.enter(namespace, local);
                self.open.push(place);
            }
            Step::Text(text) => self.text(text),
            Step::Close => {
                self.open.pop();
            }
        }
    }

    /// Where an element leads.
    fn enter(&mut self, namespace: &str, local: &str) -> Place {
        let Some(outer) = self.open.last().copied() else { return Place::Answer };
        if namespace != NAMESPACE {
            return Place::Other;
        }
        if let Place::Answer = outer {
            if local != self.entry {
                return Place::Other;
            }
            self.infos.push(Info::default());
            return Place::Info;
        }
        let Some(info) = self.infos.last_mut() else { return Place::Other };
        match (outer, local) {
            (Place::Info, "filterInfo") => {
                info.filters.push(SubscriberFilter { domain: String::new(), categories: Vec::new() });
                Place::Filter
            }
            (Place::Info, _) => {
                let Some(field) = Field::named(local) else { return Place::Other };
                let is_twice = info.place(field).replace(String::new()).is_some();
                info.is_ambiguous |= is_twice;
                Place::Field(field)
            }
            (Place::Filter, "serviceDomain") => {
                let is_twice = info.filters.last().is_some_and(|filter| !filter.domain.is_empty());
                info.is_filter_twice |= is_twice;
                Place::Domain
            }
            (Place::Filter, "categorization") => {
                if let Some(filter) = info.filters.last_mut() {
                    filter.categories.push(String::new());
                }
                Place::Category
            }
            _ => Place::Other,
        }
    }

    fn text(&mut self, text: &str) {
        let Some(info) = self.infos.last_mut() else { return };
        let place = match self.open.last() {
            Some(Place::Field(field)) => info.place(*field).as_mut(),
            Some(Place::Domain) => info.filters.last_mut().map(|filter| &mut filter.domain),
            Some(Place::Category) => info.filters.last_mut().and_then(|filter| filter.categories.last_mut()),
            _ => None,
        };
        if let Some(place) = place {
            place.push_str(text);
        }
    }
}
