//! The service catalogue: who may call which contract where, and at which URL (A 2.5, A 3.12).

mod soap;
mod time;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::OnceLock;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

pub use soap::{FetchedTak, TakAnswer, TakAnswerError, TakQuestion, read_answers};

/// The largest file that is read.
pub const LARGEST: usize = 64 << 20;
/// The most routes, permissions, parents and subscribers, each.
const MOST_ENTRIES: usize = 1_000_000;
/// The longest text of an entry.
const LONGEST: usize = 1024;
/// The receiver of default entries.
const DEFAULT_RECEIVER: &str = "*";

/// Why a catalogue is refused.
#[derive(Debug, thiserror::Error)]
pub enum TakError {
    /// It has too many bytes.
    #[error("the TAK file is larger than {LARGEST} bytes")]
    TooLarge,
    /// It is not JSON of the right form.
    #[error("the TAK file is not valid: {0}")]
    Json(#[from] serde_json::Error),
    /// It has too many entries.
    #[error("the TAK file has more than {MOST_ENTRIES} {0}")]
    TooMany(&'static str),
    /// An entry has an empty or a very long text.
    #[error("{list}[{index}] of the TAK file has a text that is empty or longer than {LONGEST} bytes")]
    Text {
        /// Which list.
        list: &'static str,
        /// Which entry, counted from 0.
        index: usize,
    },
}

/// When an entry is valid. Without an end it stays valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Validity {
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

impl Validity {
    fn holds(self, now: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= now) && self.to.is_none_or(|to| now <= to)
    }
}

/// A route of one contract and receiver.
#[derive(Clone, Debug)]
struct Route {
    url: Option<String>,
    valid: Validity,
}

/// Whom the index notifies.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscriber {
    /// Its address.
    pub address: String,
    /// What it wants. Without filters it wants everything.
    #[serde(default)]
    pub filters: Vec<SubscriberFilter>,
}

/// What a subscriber wants.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubscriberFilter {
    /// The domain.
    pub domain: String,
    /// The categories. Without any it wants the whole domain.
    #[serde(default)]
    pub categories: Vec<String>,
}

/// What of one contract goes where.
#[derive(Clone, Debug, Default)]
struct Contract {
    /// By receiver.
    routes: HashMap<String, Vec<Route>>,
    /// By receiver, then by sender.
    permissions: HashMap<String, HashMap<String, Vec<Validity>>>,
}

/// The catalogue.
#[derive(Clone, Debug, Default)]
pub struct Tak {
    contracts: HashMap<String, Contract>,
    parents: HashMap<String, String>,
    subscribers: Vec<Subscriber>,
    routes: usize,
    permissions: usize,
    digest: OnceLock<[u8; 32]>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    routes: Vec<RouteEntry>,
    #[serde(default)]
    permissions: Vec<PermissionEntry>,
    #[serde(default)]
    parents: HashMap<String, String>,
    #[serde(default)]
    subscribers: Vec<Subscriber>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteEntry {
    contract: String,
    receiver: String,
    url: Option<String>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PermissionEntry {
    contract: String,
    receiver: String,
    sender: String,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

impl Tak {
    /// Reads the JSON file.
    ///
    /// # Errors
    /// [`TakError`] says what is wrong with it.
    pub fn read(bytes: &[u8]) -> Result<Self, TakError> {
        if bytes.len() > LARGEST {
            return Err(TakError::TooLarge);
        }
        // A list would be read as the fields in their order.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(TakError::Json(serde::de::Error::custom("expected an object")));
        }
        let file: File = serde_json::from_slice(bytes)?;
        let counts = [
            ("routes", file.routes.len()),
            ("permissions", file.permissions.len()),
            ("parents", file.parents.len()),
            ("subscribers", file.subscribers.len()),
        ];
        if let Some((list, _)) = counts.into_iter().find(|(_, count)| *count > MOST_ENTRIES) {
            return Err(TakError::TooMany(list));
        }
        let mut tak = Self { parents: file.parents, subscribers: file.subscribers, ..Self::default() };
        for (index, entry) in file.routes.into_iter().enumerate() {
            check("routes", index, [Some(&entry.contract), Some(&entry.receiver), entry.url.as_ref()])?;
            tak.add_route(entry);
        }
        for (index, entry) in file.permissions.into_iter().enumerate() {
            check("permissions", index, [Some(&entry.contract), Some(&entry.receiver), Some(&entry.sender)])?;
            tak.add_permission(entry);
        }
        for (index, entry) in tak.subscribers.iter().enumerate() {
            check("subscribers", index, [Some(&entry.address), None, None])?;
        }
        Ok(tak)
    }

    /// The digest of what it says: SHA-256 of [`Tak::to_file`]. It is made once.
    pub(crate) fn digest(&self) -> &[u8; 32] {
        self.digest.get_or_init(|| Sha256::digest(self.to_file()).into())
    }

    /// The catalogue as a file that [`Tak::read`] reads. The same catalogue is the same text: contracts, receivers and
    /// senders are sorted. Entries that agree in these stay in their order, because the first one counts.
    pub fn to_file(&self) -> String {
        let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
        let (mut routes, mut permissions) = (Vec::new(), Vec::new());
        for (contract, entries) in sorted(&self.contracts) {
            for (receiver, known) in sorted(&entries.routes) {
                routes.extend(known.iter().map(|Route { url, valid: Validity { from, to } }| {
                    json!({"contract": contract, "receiver": receiver, "url": url, "from": time(*from), "to": time(*to)})
                }));
            }
            for (receiver, senders) in sorted(&entries.permissions) {
                for (sender, known) in sorted(senders) {
                    permissions.extend(known.iter().map(|Validity { from, to }| {
                        let (from, to) = (time(*from), time(*to));
                        json!({"contract": contract, "receiver": receiver, "sender": sender, "from": from, "to": to})
                    }));
                }
            }
        }
        let filter = |filter: &SubscriberFilter| json!({"domain": filter.domain, "categories": filter.categories});
        let subscriber = |one: &Subscriber| json!({"address": one.address, "filters": one.filters.iter().map(filter).collect::<Vec<_>>()});
        let subscribers: Vec<_> = self.subscribers.iter().map(subscriber).collect();
        let parents: BTreeMap<_, _> = self.parents.iter().collect();
        let file = json!({
            "routes": routes, "permissions": permissions, "parents": parents, "subscribers": subscribers,
        });
        file.to_string()
    }

    fn add_route(&mut self, entry: RouteEntry) {
        let route = Route { url: entry.url, valid: Validity { from: entry.from, to: entry.to } };
        let contract = self.contracts.entry(entry.contract).or_default();
        contract.routes.entry(entry.receiver).or_default().push(route);
        self.routes += 1;
    }

    fn add_permission(&mut self, entry: PermissionEntry) {
        let receivers = &mut self.contracts.entry(entry.contract).or_default().permissions;
        let senders = receivers.entry(entry.receiver).or_default();
        senders.entry(entry.sender).or_default().push(Validity { from: entry.from, to: entry.to });
        self.permissions += 1;
    }

    /// Whether one of the senders may call the contract at the receiver now.
    pub fn permits(&self, contract: &str, receiver: &str, senders: [&str; 2], now: Timestamp) -> bool {
        let Some(contract) = self.contracts.get(contract) else { return false };
        self.receivers(receiver).into_iter().filter_map(|receiver| contract.permissions.get(receiver)).any(|known| {
            let valid = senders.iter().filter_map(|sender| known.get(*sender)).flatten();
            valid.into_iter().any(|validity| validity.holds(now))
        })
    }

    /// The route of the contract to the receiver now: its URL, if it has one. `None` without a route.
    pub fn route(&self, contract: &str, receiver: &str, now: Timestamp) -> Option<Option<&str>> {
        let routes = &self.contracts.get(contract)?.routes;
        let all = self.receivers(receiver).into_iter().filter_map(|receiver| routes.get(receiver)).flatten();
        all.into_iter().find(|route| route.valid.holds(now)).map(|route| route.url.as_deref())
    }

    /// The receiver, its parents upwards, and the default.
    fn receivers<'a>(&'a self, receiver: &'a str) -> Vec<&'a str> {
        let mut seen = HashSet::new();
        let mut found = Vec::new();
        let mut next = Some(receiver);
        while let Some(here) = next.filter(|here| seen.insert(*here)) {
            found.push(here);
            next = self.parents.get(here).map(String::as_str);
        }
        found.push(DEFAULT_RECEIVER);
        found
    }

    /// Whom the index notifies.
    pub fn subscribers(&self) -> &[Subscriber] {
        &self.subscribers
    }

    /// How many routes and permissions there are.
    pub fn counts(&self) -> (usize, usize) {
        (self.routes, self.permissions)
    }
}

/// The entries of a map by their keys.
fn sorted<V>(map: &HashMap<String, V>) -> Vec<(&String, &V)> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_unstable_by_key(|(key, _)| *key);
    entries
}

fn check(list: &'static str, index: usize, texts: [Option<&String>; 3]) -> Result<(), TakError> {
    let wrong = texts.into_iter().flatten().any(|text| text.is_empty() || text.len() > LONGEST);
    if wrong { Err(TakError::Text { list, index }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-28T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_receiver_is_looked_up_exactly_then_upwards_then_by_default() {
        let tak = Tak::read(
            br#"{"routes": [{"contract": "c", "receiver": "parent", "url": "http://parent"},
                            {"contract": "c", "receiver": "*", "url": "http://default"},
                            {"contract": "c", "receiver": "own"}],
                 "permissions": [{"contract": "c", "receiver": "parent", "sender": "s"}],
                 "parents": {"child": "parent", "parent": "root", "root": "child", "loop": "loop"}}"#,
        );
        let tak = tak.unwrap();
        assert_eq!(tak.route("c", "child", now()), Some(Some("http://parent")));
        assert_eq!(tak.route("c", "root", now()), Some(Some("http://parent")));
        assert_eq!(tak.route("c", "loop", now()), Some(Some("http://default")));
        assert_eq!(tak.route("c", "own", now()), Some(None));
        assert_eq!(tak.route("d", "own", now()), None);
        assert!(tak.permits("c", "child", ["x", "s"], now()));
        assert!(!tak.permits("c", "loop", ["s", "s"], now()));
        assert!(!tak.permits("c", "Child", ["s", "s"], now()));
        assert_eq!(tak.counts(), (3, 1));
    }

    #[test]
    fn a_catalogue_that_is_written_reads_back_the_same() {
        let tak = Tak::read(
            br#"{"routes": [{"contract": "c", "receiver": "a", "url": "http://a", "from": "2026-11-01T00:00:00Z"},
                            {"contract": "c", "receiver": "a"}],
                 "permissions": [{"contract": "c", "receiver": "a", "sender": "s", "to": "2026-11-27T00:00:00Z"}],
                 "parents": {"child": "a"},
                 "subscribers": [{"address": "x", "filters": [{"domain": "d", "categories": ["k"]}]}]}"#,
        );
        let tak = tak.unwrap();
        let read = Tak::read(tak.to_file().as_bytes()).unwrap();
        assert_eq!((read.to_file(), read.counts()), (tak.to_file(), (2, 1)));
        assert_eq!(read.route("c", "child", now()), Some(Some("http://a")));
        assert!(!read.permits("c", "a", ["s", "s"], now()));
        assert_eq!(read.subscribers(), tak.subscribers());
    }

    #[test]
    fn the_same_catalogue_has_the_same_digest_in_whatever_order_it_is_written() {
        let entry = |receiver: &str, url: &str| {
            format!(r#"{{"contract": "c", "receiver": "{receiver}", "url": "http://{url}"}}"#)
        };
        let digest = |routes: &[String]| {
            let text = format!(r#"{{"routes": [{}], "parents": {{"x": "a", "y": "b"}}}}"#, routes.join(","));
            *Tak::read(text.as_bytes()).unwrap().digest()
        };
        let [a, b, later] = [entry("a", "one"), entry("b", "one"), entry("a", "two")];
        let first = digest(&[a.clone(), b.clone(), later.clone()]);
        assert_eq!(digest(&[b.clone(), a.clone(), later.clone()]), first);
        // Of two routes, the first one counts.
        assert_ne!(digest(&[later.clone(), b.clone(), a.clone()]), first);
        assert_ne!(digest(&[a, b]), first);
    }

    #[test]
    fn an_entry_is_valid_between_its_times() {
        let tak = |from: &str, to: &str| {
            let entry = format!(
                r#"{{"permissions": [{{"contract": "c", "receiver": "*", "sender": "s",
                                       "from": {from}, "to": {to}}}]}}"#
            );
            Tak::read(entry.as_bytes()).unwrap().permits("c", "r", ["s", ""], now())
        };
        assert!(tak("null", "null"));
        assert!(tak("\"2026-11-28T13:00:00+01:00\"", "\"2026-11-28T12:00:00Z\""));
        assert!(!tak("\"2026-11-28T12:00:01Z\"", "null"));
        assert!(!tak("null", "\"2026-11-28T11:59:59Z\""));
    }

    #[test]
    fn a_bad_file_is_refused() {
        for bad in [
            "",
            "[]",
            r#"{"route": []}"#,
            r#"{"routes": [{"contract": "c"}]}"#,
            r#"{"routes": [{"contract": "", "receiver": "r"}]}"#,
            r#"{"permissions": [{"contract": "c", "receiver": "r", "sender": "s", "from": "yesterday"}]}"#,
            r#"{"subscribers": [{"address": ""}]}"#,
        ] {
            assert!(Tak::read(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(matches!(Tak::read(&vec![b' '; LARGEST + 1]), Err(TakError::TooLarge)));
    }
}
