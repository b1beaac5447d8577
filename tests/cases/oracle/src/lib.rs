//! Oracle of the distribution of cases: the state table and permissions as plain loops over plain data. It shares no
//! code with the stages. Ids are small numbers; the simulation gives them GUIDs.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod queues;
mod registry;

use std::collections::{BTreeMap, BTreeSet};

use queues::Kept;
use registry::{Named, known};

/// Type of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `CreateCase`.
    Create,
    /// `UpdateCase`.
    Update,
    /// `CloseCase`.
    Close,
    /// `DeleteCase`.
    Delete,
}

/// Type of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Told {
    /// 0.
    Created,
    /// 1.
    Updated,
    /// 2.
    Closed,
    /// 3.
    Deleted,
}

/// What a command says about who sees the case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Consumers {
    /// Absent.
    AsItWas,
    /// Null.
    Anyone,
    /// Only these.
    Only(Vec<String>),
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its type.
    pub kind: Kind,
    /// Its origin.
    pub origin: String,
    /// The case.
    pub case: u32,
    /// The command.
    pub id: u32,
    /// `created` of a create command, `updated` of the others.
    pub time: Option<i64>,
    /// Who sees the case.
    pub consumers: Consumers,
    /// Whether its details are where they may be.
    pub is_allowed: bool,
}

/// A row of the list of cases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its owner.
    pub origin: String,
    /// When it was created.
    pub created: i64,
    /// When it was updated.
    pub updated: i64,
    /// Whether it is closed.
    pub closed: bool,
    /// Who sees it, of those permitted.
    pub consumers: Option<BTreeSet<String>>,
}

/// A notification in the queue of a client.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Notice {
    /// The case.
    pub case: u32,
    /// The command.
    pub id: u32,
    /// Its origin.
    pub origin: String,
    /// What happened.
    pub told: Told,
}

/// How long things last, in the unit of [`Oracle::time`], and which time of an update is kept.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Tombstones.
    pub tombstones: i64,
    /// Parked commands.
    pub park_for: i64,
    /// Notifications that were received.
    pub retention: i64,
    /// Notifications that are never read. Those for a broker wait without limit.
    pub unread: i64,
    /// Whether the last time of an update is kept, and not the largest.
    pub overwrites: bool,
}

/// Which notifications are told again.
#[derive(Debug, Clone, Copy, Default)]
pub struct Replay {
    /// Of this case.
    pub case: Option<u32>,
    /// Made at this time or later.
    pub from: Option<i64>,
    /// Made before this time.
    pub to: Option<i64>,
}

#[derive(Debug, Clone)]
struct Living {
    row: Row,
    seen: Vec<u32>,
}

/// Everything as one list after the other.
#[derive(Debug)]
pub struct Oracle {
    rules: Rules,
    /// The time.
    pub time: i64,
    /// By name in lower case.
    origins: BTreeMap<String, Named>,
    clients: BTreeMap<String, Named>,
    cases: BTreeMap<u32, Living>,
    parked: Vec<(i64, Sent)>,
    tombstones: BTreeMap<(String, u32), i64>,
    grants: BTreeSet<(String, String, Option<u32>)>,
    held: BTreeMap<Kind, Vec<Sent>>,
    /// What the queues of clients keep.
    queues: BTreeMap<String, Vec<Kept>>,
    /// Notifications dropped because they were never read, by client.
    pub unread: BTreeMap<String, i64>,
    messages: u32,
    /// The first outcome of each command, by origin and command; parked and rejected ones may get another.
    pub outcomes: BTreeMap<(String, u32), (u32, &'static str)>,
    /// Rejected commands.
    pub dead_letters: Vec<(String, u32, &'static str)>,
}

impl Oracle {
    /// Nothing yet.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            time: 0,
            origins: BTreeMap::new(),
            clients: BTreeMap::new(),
            cases: BTreeMap::new(),
            parked: Vec::new(),
            tombstones: BTreeMap::new(),
            grants: BTreeSet::new(),
            held: BTreeMap::new(),
            queues: BTreeMap::new(),
            unread: BTreeMap::new(),
            messages: 0,
            outcomes: BTreeMap::new(),
            dead_letters: Vec::new(),
        }
    }

    /// The list of cases.
    pub fn rows(&self) -> BTreeMap<u32, Row> {
        self.cases.iter().map(|(case, living)| (*case, living.row.clone())).collect()
    }

    /// Ids that cannot be created again, by origin.
    pub fn deleted(&self) -> BTreeSet<(String, u32)> {
        self.tombstones.keys().cloned().collect()
    }

    /// A queue is held.
    pub fn hold(&mut self, kind: Kind) {
        self.held.entry(kind).or_default();
    }

    /// A queue is resumed.
    pub fn resume(&mut self, kind: Kind) {
        for sent in self.held.remove(&kind).unwrap_or_default() {
            self.process(&sent);
        }
    }

    /// The time is later now.
    pub fn pass(&mut self, time: i64) {
        self.time = self.time.max(time);
        let (overdue, parked): (Vec<_>, Vec<_>) =
            self.parked.drain(..).partition(|(since, _)| since + self.rules.park_for <= self.time);
        self.parked = parked;
        for (_, sent) in overdue {
            self.reject(&sent, "CaseUnknown");
        }
        self.tombstones.retain(|_, deleted| *deleted + self.rules.tombstones > self.time);
        self.drop_old();
    }

    /// A command arrives.
    pub fn send(&mut self, sent: &Sent) {
        if let Some(kept) = self.held.get_mut(&sent.kind) {
            kept.push(sent.clone());
            let key = (sent.origin.clone(), sent.id);
            let other_case = self.outcomes.get(&key).is_none_or(|(case, _)| *case != sent.case);
            if other_case {
                self.outcomes.insert(key, (sent.case, "accepted"));
            }
            return;
        }
        self.process(sent);
    }

    fn process(&mut self, sent: &Sent) {
        if known(&self.origins, &sent.origin).is_none() {
            self.reject(sent, "UnknownOrigin");
            return;
        }
        if !sent.is_allowed {
            self.reject(sent, "UriNotAllowed");
            return;
        }
        let Some(living) = self.cases.get(&sent.case) else {
            self.process_absent(sent);
            return;
        };
        if living.row.origin != sent.origin {
            self.reject(sent, "NotOwner");
        } else if living.seen.contains(&sent.id) {
            // A repeat.
        } else if sent.kind == Kind::Delete {
            let living = self.cases.remove(&sent.case).expect("it is there");
            self.tell(&living.row, sent, Told::Deleted);
            self.tombstones.insert((sent.origin.clone(), sent.case), self.time);
            self.decide(sent, "applied");
        } else {
            self.change(sent);
        }
    }

    fn process_absent(&mut self, sent: &Sent) {
        let key = (sent.origin.clone(), sent.case);
        let is_deleted = self.tombstones.contains_key(&key);
        match sent.kind {
            Kind::Delete if is_deleted => self.decide(sent, "unchanged"),
            _ if is_deleted => self.decide(sent, "dropped"),
            Kind::Delete => {
                for parked in self.take_parked(&sent.origin, sent.case) {
                    self.decide(&parked, "dropped");
                }
                self.tombstones.insert(key, self.time);
                self.decide(sent, "unchanged");
            }
            Kind::Create => {
                let time = sent.time.expect("a create command has a time");
                let consumers = match &sent.consumers {
                    Consumers::Only(names) => Some(names.iter().cloned().collect()),
                    _ => None,
                };
                let row = Row { origin: sent.origin.clone(), created: time, updated: time, closed: false, consumers };
                self.tell(&row, sent, Told::Created);
                self.cases.insert(sent.case, Living { row, seen: vec![sent.id] });
                self.decide(sent, "applied");
                for parked in self.take_parked(&sent.origin, sent.case) {
                    if !self.cases[&sent.case].seen.contains(&parked.id) {
                        self.change(&parked);
                    }
                }
            }
            Kind::Update | Kind::Close => {
                let same = |other: &Sent| other.origin == sent.origin && other.case == sent.case;
                if self.parked.iter().any(|(_, other)| same(other) && other.id == sent.id) {
                    return;
                }
                self.parked.push((self.time, sent.clone()));
                self.decide(sent, "parked");
            }
        }
    }

    fn take_parked(&mut self, origin: &str, case: u32) -> Vec<Sent> {
        let (taken, left): (Vec<_>, Vec<_>) =
            self.parked.drain(..).partition(|(_, sent)| sent.origin == origin && sent.case == case);
        self.parked = left;
        taken.into_iter().map(|(_, sent)| sent).collect()
    }

    /// A command other than a delete for a living case of its origin.
    fn change(&mut self, sent: &Sent) {
        let overwrites = self.rules.overwrites;
        let later = |before: i64, time: i64| if overwrites { time } else { before.max(time) };
        let living = self.cases.get_mut(&sent.case).expect("it is there");
        living.seen.push(sent.id);
        let excess = living.seen.len().saturating_sub(64);
        // The create command is never forgotten.
        living.seen.drain(1..=excess);
        let told = match sent.kind {
            Kind::Update => {
                living.row.updated = later(living.row.updated, sent.time.expect("an update command has a time"));
                match &sent.consumers {
                    Consumers::AsItWas => {}
                    Consumers::Anyone => living.row.consumers = None,
                    Consumers::Only(names) => living.row.consumers = Some(names.iter().cloned().collect()),
                }
                Told::Updated
            }
            Kind::Close if living.row.closed => return self.decide(sent, "unchanged"),
            Kind::Close => {
                living.row.closed = true;
                living.row.updated = sent.time.map_or(living.row.updated, |time| later(living.row.updated, time));
                Told::Closed
            }
            Kind::Create | Kind::Delete => return self.reject(sent, "AlreadyExists"),
        };
        let row = living.row.clone();
        self.tell(&row, sent, told);
        self.decide(sent, "applied");
    }

    fn tell(&mut self, row: &Row, sent: &Sent, told: Told) {
        self.messages += 1;
        let clients: BTreeSet<&String> = self.grants.iter().map(|(client, _, _)| client).collect();
        for client in clients {
            let is_left_out = row.consumers.as_ref().is_some_and(|names| !names.contains(client));
            if !is_left_out && may_see(&self.grants, client, &row.origin, sent.case) {
                let notice = Notice { case: sent.case, id: sent.id, origin: row.origin.clone(), told };
                let kept = Kept { notice, message: self.messages, made: self.time, is_received: false };
                self.queues.entry(client.clone()).or_default().push(kept);
            }
        }
    }

    fn decide(&mut self, sent: &Sent, status: &'static str) {
        let key = (sent.origin.clone(), sent.id);
        let stays = self
            .outcomes
            .get(&key)
            .is_some_and(|(case, known)| *case == sent.case && !matches!(*known, "accepted" | "parked" | "rejected"));
        if !stays {
            self.outcomes.insert(key, (sent.case, status));
        }
    }

    fn reject(&mut self, sent: &Sent, code: &'static str) {
        self.decide(sent, "rejected");
        self.dead_letters.push((sent.origin.clone(), sent.id, code));
    }
}

fn may_see(grants: &BTreeSet<(String, String, Option<u32>)>, client: &str, origin: &str, case: u32) -> bool {
    [None, Some(case)].into_iter().any(|of| grants.contains(&(client.to_owned(), origin.to_owned(), of)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(kind: Kind, id: u32) -> Sent {
        Sent {
            kind,
            origin: "a".to_owned(),
            case: 1,
            id,
            time: Some(i64::from(id)),
            consumers: Consumers::AsItWas,
            is_allowed: true,
        }
    }

    fn oracle() -> Oracle {
        let rules = Rules { tombstones: 10, park_for: 5, retention: 7, unread: 30, overwrites: false };
        let mut oracle = Oracle::new(rules);
        oracle.put_origin("a");
        oracle.put_client("c", false);
        oracle
    }

    #[test]
    fn a_case_lives_from_create_to_delete_and_is_told_in_between() {
        let mut oracle = oracle();
        oracle.grant("c", "a", None);
        for (kind, id) in [(Kind::Update, 2), (Kind::Create, 1), (Kind::Close, 3), (Kind::Delete, 4), (Kind::Update, 5)]
        {
            oracle.send(&sent(kind, id));
        }
        let told: Vec<Told> = oracle.waiting("c").iter().map(|notice| notice.told).collect();
        assert_eq!(told, [Told::Created, Told::Updated, Told::Closed, Told::Deleted]);
        assert!(oracle.rows().is_empty());
        assert_eq!(oracle.outcomes[&("a".to_owned(), 5)], (1, "dropped"));
    }

    #[test]
    fn what_is_parked_too_long_is_a_dead_letter() {
        let mut oracle = oracle();
        oracle.send(&sent(Kind::Update, 2));
        oracle.pass(5);
        assert_eq!(oracle.dead_letters, [("a".to_owned(), 2, "CaseUnknown")]);
    }

    #[test]
    fn what_is_told_again_is_told_once_however_often_it_stands_in_the_queue() {
        let mut oracle = oracle();
        oracle.grant("c", "a", None);
        oracle.send(&sent(Kind::Create, 1));
        oracle.receive("c");
        oracle.replay("c", Replay::default());
        oracle.pass(7);
        assert_eq!(oracle.kept("c").len(), 1, "the first one was kept long enough");
        oracle.replay("c", Replay::default());
        oracle.replay("c", Replay::default());
        assert_eq!(oracle.kept("c").len(), 3);
    }

    #[test]
    fn a_removed_origin_comes_back_only_as_it_was_written() {
        let mut oracle = oracle();
        oracle.send(&sent(Kind::Create, 1));
        oracle.delete_origin("A");
        oracle.put_origin("A");
        oracle.send(&sent(Kind::Close, 2));
        oracle.put_origin("a");
        oracle.send(&sent(Kind::Close, 3));
        let status = |id| oracle.outcomes[&("a".to_owned(), id)].1;
        assert_eq!((status(2), status(3)), ("rejected", "applied"));
    }
}
