//! What readers of the topics see, as plain data.

use std::collections::{BTreeMap, BTreeSet};

use tributary_cases::topics;
use tributary_cases_oracle::{Kind, Notice, Row, Told};
use tributary_runtime::{Topic, dead_letter_header};
use tributary_schemas::AvroRecord;
use tributary_schemas::records::cases::{
    CaseState, CaseStatus, Command, DeletedCase, NotificationType, Outcome, Queue, QueueEntry, QueuePosition,
    RegistryVersion,
};

use crate::simulated_flow::{SimulatedFlow, number};

/// An outcome: type of the command, case and status.
pub type SeenOutcome = (Kind, u32, String);

impl SimulatedFlow {
    /// The newest value of each key.
    fn newest<R: AvroRecord>(&self, topic: &'static Topic, prefix: &str) -> BTreeMap<String, R> {
        let mut rows = BTreeMap::new();
        for partition in 0..topic.partition_count(self.partitions) {
            for record in self.broker.read_committed(topic.name, partition) {
                let key = String::from_utf8(record.key).unwrap();
                if !key.starts_with(prefix) {
                    continue;
                }
                match record.value {
                    Some(value) => rows.insert(key, self.codec.open(&value).unwrap().read().unwrap()),
                    None => rows.remove(&key),
                };
            }
        }
        rows
    }

    /// The list of cases.
    pub fn rows(&self) -> BTreeMap<u32, Row> {
        let rows = self.newest::<CaseState>(&topics::STATE, "").into_iter().map(|(key, row)| {
            assert_eq!(key, row.id.to_string());
            let consumers = row.consumers.map(|names| names.iter().map(ToString::to_string).collect());
            let row = Row {
                origin: row.origin_system.to_string(),
                created: row.created,
                updated: row.updated,
                closed: row.status == CaseStatus::Closed,
                consumers,
            };
            (number(&key), row)
        });
        rows.collect()
    }

    /// Ids that cannot be created again.
    pub fn deleted(&self) -> BTreeSet<(String, u32)> {
        let rows = self.newest::<DeletedCase>(&topics::DELETED, "");
        rows.values().map(|row| (row.origin_system.to_string(), number(&row.id.to_string()))).collect()
    }

    /// The outcomes of commands by origin and command.
    pub fn outcomes(&self) -> BTreeMap<(String, u32), SeenOutcome> {
        let rows = self.newest::<Outcome>(&topics::OUTCOME, "").into_values().map(|row| {
            let key = (row.origin.to_string(), number(&row.command_id.to_string()));
            (key, (kind(row.queue), number(&row.case_id.to_string()), row.status.to_string()))
        });
        rows.collect()
    }

    /// The queue of a client as it is kept: notifications by position.
    pub fn kept(&self, client: &str) -> BTreeMap<i64, Notice> {
        let rows = self.newest::<QueueEntry>(&topics::QUEUE, &format!("entry/{client}/"));
        rows.into_values().map(|entry| (entry.position, self.notice(&entry))).collect()
    }

    /// How far a client is, if it is known.
    pub fn position(&self, client: &str) -> Option<QueuePosition> {
        let rows = self.newest::<QueuePosition>(&topics::QUEUE, &format!("client/{client}"));
        rows.into_values().next()
    }

    /// What a client has not received yet, in order.
    pub fn waiting(&self, client: &str) -> Vec<Notice> {
        let Some(position) = self.position(client) else { return Vec::new() };
        let waiting: Vec<Notice> = self.kept(client).split_off(&(position.acknowledged + 1)).into_values().collect();
        assert_eq!(position.waiting, waiting.len() as i64, "what {client} has not received is counted");
        waiting
    }

    /// Every notification ever put into the queue of a client, in order, and whether it was told again. Only without
    /// compaction.
    pub fn history(&self, client: &str) -> Vec<(i64, Notice, bool)> {
        let mut history = Vec::new();
        for partition in 0..self.partitions {
            for record in self.broker.read_committed(topics::QUEUE.name, partition) {
                let is_of_client = record.key.starts_with(format!("entry/{client}/").as_bytes());
                if let Some(value) = record.value.filter(|_| is_of_client) {
                    let entry: QueueEntry = self.codec.open(&value).unwrap().read().unwrap();
                    history.push((entry.position, self.notice(&entry), entry.original.is_some()));
                }
            }
        }
        history
    }

    fn notice(&self, entry: &QueueEntry) -> Notice {
        let notification = &entry.notification;
        let told = match notification.notification_type {
            NotificationType::Created => Told::Created,
            NotificationType::Updated => Told::Updated,
            NotificationType::Closed => Told::Closed,
            NotificationType::Deleted => Told::Deleted,
        };
        let origin = notification.origin_system.to_string();
        let case = number(&notification.id.to_string());
        assert_eq!(notification.case_details_uri.is_none(), told == Told::Deleted);
        Notice { case, id: self.command_of(&notification.message_id.to_string()), origin, told }
    }

    /// The dead letters: origin, command and code, sorted.
    pub fn dead_letters(&self) -> Vec<(String, u32, String)> {
        let mut letters = Vec::new();
        for partition in 0..self.partitions {
            for record in self.broker.read_committed(topics::DEAD_LETTER.name, partition) {
                let code = record.headers().get(dead_letter_header::CODE).unwrap().to_vec();
                let value = record.value.unwrap();
                let command: Command = self.codec.open(&value).unwrap().read().unwrap();
                let id = number(&command.command_id.to_string());
                letters.push((command.origin.to_string(), id, String::from_utf8(code).unwrap()));
            }
        }
        letters.sort();
        letters
    }

    /// The version of the registry, and the one in force.
    pub fn registry_version(&self) -> (i64, i64) {
        let row: RegistryVersion = self.newest(&topics::REGISTRY_ROWS, "version").into_values().next().unwrap();
        (row.version, row.in_force)
    }
}

fn kind(queue: Queue) -> Kind {
    match queue {
        Queue::Create => Kind::Create,
        Queue::Update => Kind::Update,
        Queue::Close => Kind::Close,
        Queue::Delete => Kind::Delete,
    }
}
