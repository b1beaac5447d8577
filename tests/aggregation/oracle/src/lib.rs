//! What the engagement index must have after a list of requests, by lists and nested loops.
//!
//! Every list is searched from its start, and an engagement is compared field by field. Rules are those of the index:
//! who is notified, what is merged, and what waits.

mod question;
mod waiting;

pub use question::Question;

use waiting::Waiting;

/// The fields of an engagement that never change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Engagement {
    /// Number of the patient.
    pub patient: usize,
    /// The service domain.
    pub domain: String,
    /// The category.
    pub category: String,
    /// Number of the business object.
    pub object: u32,
    /// The index that owns it.
    pub owner: String,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Whether the engagement is deleted.
    pub is_delete: bool,
    /// The engagement.
    pub engagement: Engagement,
    /// Time of the newest content.
    pub content: Option<u64>,
}

/// A request that came whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Whether another index sent it.
    pub is_notification: bool,
    /// Its transactions.
    pub transactions: Vec<Transaction>,
}

/// A row of the index.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// The engagement.
    pub engagement: Engagement,
    /// Time of the newest content.
    pub content: Option<u64>,
    /// When it came into the index, in milliseconds since 1970.
    pub created: i64,
    /// When it last changed.
    pub updated: Option<i64>,
}

/// A transaction that a subscriber is notified of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The change.
    pub transaction: Transaction,
    /// When the engagement came into the index, if it is known there.
    pub created: Option<i64>,
    /// When it last changed.
    pub updated: Option<i64>,
}

/// A subscriber with its filters: domain and categories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscriber {
    /// Its address.
    pub address: String,
    /// What it wants. Everything, if it has none.
    pub filters: Vec<(String, Vec<String>)>,
}

/// The settings.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The owner of the records of the index.
    pub own: String,
    /// How long a single transaction waits for others, in milliseconds. 0 for not at all.
    pub window: i64,
    /// After so many they wait no longer.
    pub messages: usize,
    /// Whether a delete stays when an add comes after it.
    pub delete_wins: bool,
    /// The partition of each patient.
    pub homes: Vec<usize>,
}

/// The index.
pub struct Oracle {
    rules: Rules,
    now: i64,
    rows: Vec<Row>,
    subscribers: Vec<Subscriber>,
    told: Vec<(String, Told)>,
    marks: Vec<Engagement>,
    waiting: Vec<Waiting>,
}

impl Oracle {
    /// An empty index at a time.
    pub fn new(rules: Rules, now: i64) -> Self {
        let partitions = 1 + rules.homes.iter().copied().max().unwrap_or(0);
        let waiting = (0..partitions).map(|_| Waiting::default()).collect();
        Self { rules, now, rows: Vec::new(), subscribers: Vec::new(), told: Vec::new(), marks: Vec::new(), waiting }
    }

    /// Replaces the subscribers.
    pub fn subscribe(&mut self, subscribers: Vec<Subscriber>) {
        self.subscribers = subscribers;
    }

    /// Takes a request, or refuses it because two of its transactions are about the same engagement.
    pub fn send(&mut self, request: &Request) -> bool {
        let mut transactions = request.transactions.clone();
        if !request.is_notification {
            for transaction in &mut transactions {
                transaction.engagement.owner.clone_from(&self.rules.own);
            }
        }
        for (place, one) in transactions.iter().enumerate() {
            for other in &transactions[..place] {
                if one.engagement == other.engagement {
                    return false;
                }
            }
        }
        let is_single = !request.is_notification && transactions.len() == 1;
        if request.is_notification {
            transactions.retain(|transaction| transaction.engagement.owner != self.rules.own);
        }
        for home in 0..self.waiting.len() {
            let mut here = Vec::new();
            for transaction in &transactions {
                if self.rules.homes[transaction.engagement.patient] == home {
                    here.push(transaction.clone());
                }
            }
            if !here.is_empty() {
                self.arrive(home, &Request { is_notification: request.is_notification, transactions: here }, is_single);
            }
        }
        true
    }

    /// Applies what goes on.
    fn apply(&mut self, request: &Request) {
        for transaction in &request.transactions {
            if request.is_notification {
                self.delete_own(&transaction.engagement);
            }
            let (is_changed, told) = self.change(transaction);
            if is_changed || request.is_notification {
                self.marks.push(transaction.engagement.clone());
            }
            if is_changed || request.is_notification || transaction.is_delete {
                self.tell(&told);
            }
        }
    }

    fn delete_own(&mut self, engagement: &Engagement) {
        if engagement.owner != self.rules.own {
            let own = Engagement { owner: self.rules.own.clone(), ..engagement.clone() };
            self.rows.retain(|row| row.engagement != own);
        }
    }

    fn change(&mut self, transaction: &Transaction) -> (bool, Told) {
        let told = |created, updated| Told { transaction: transaction.clone(), created, updated };
        for place in 0..self.rows.len() {
            if self.rows[place].engagement != transaction.engagement {
                continue;
            }
            if transaction.is_delete {
                let row = self.rows.remove(place);
                return (true, told(Some(row.created), row.updated));
            }
            let row = &mut self.rows[place];
            let is_changed = row.content != transaction.content;
            if is_changed {
                row.content = transaction.content;
                row.updated = Some(self.now);
            }
            return (is_changed, told(Some(row.created), row.updated));
        }
        if transaction.is_delete {
            return (false, told(None, None));
        }
        let engagement = transaction.engagement.clone();
        self.rows.push(Row { engagement, content: transaction.content, created: self.now, updated: None });
        (true, told(Some(self.now), None))
    }

    fn tell(&mut self, told: &Told) {
        let engagement = &told.transaction.engagement;
        for subscriber in &self.subscribers {
            let mut is_wanted = subscriber.filters.is_empty();
            for (domain, categories) in &subscriber.filters {
                if domain.to_lowercase() != engagement.domain.to_lowercase() {
                    continue;
                }
                is_wanted |= categories.is_empty();
                for category in categories {
                    is_wanted |= category.to_lowercase() == engagement.category.to_lowercase();
                }
            }
            if is_wanted {
                self.told.push((subscriber.address.clone(), told.clone()));
            }
        }
    }

    /// The rows, sorted.
    pub fn rows(&self) -> Vec<Row> {
        let mut rows = self.rows.clone();
        rows.sort();
        rows
    }

    /// What a subscriber was notified of about a patient, in order.
    pub fn told(&self, subscriber: &str, patient: usize) -> Vec<Told> {
        let is_asked = |told: &Told| told.transaction.engagement.patient == patient;
        let told = self.told.iter().filter(|(address, told)| address == subscriber && is_asked(told));
        told.map(|(_, told)| told.clone()).collect()
    }

    /// The marks about a patient, in order.
    pub fn marks(&self, patient: usize) -> Vec<Engagement> {
        self.marks.iter().filter(|mark| mark.patient == patient).cloned().collect()
    }
}
