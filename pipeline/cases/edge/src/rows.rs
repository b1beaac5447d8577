//! What this process knows of the flow: the newest rows of its outputs, with the indexes that queries need.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt::Display;

use tributary_cases::permission::{Grants, is_among, sees};
use tributary_runtime::{TableError, Topic, TopicPartition};
use tributary_schemas::records::cases::{
    AuditEntry, CaseState, Client, CommandStatus, DeletedCase, Grant, Notification, NotificationType, Origin, Outcome,
    Queue, QueueEntry, QueuePosition, QueueState, RegistryAnswer, RegistryFill, RegistryVersion,
};
use tributary_schemas::types::cases::{CaseId, ClientName, CommandId, OriginName};
use tributary_schemas::{Codec, DecodeError, RecordType};

use tributary_cases::topics;

use crate::kept_cases::KeptCases;
use crate::kept_queues::{Entry, KeptQueues};
use crate::waiting::{Awaited, Changed};

/// Answers of the registry that are remembered. Whoever waits for one sees it at once.
const MOST_ANSWERS: usize = 1_000;

/// Queue entries that one look passes, so that no change of the rows waits long for it.
const MOST_LOOKED: usize = 1_000;

/// The key of a grant.
type GrantKey = (ClientName, OriginName, Option<CaseId>);

/// Who asks, as the registry knows the client id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Viewer {
    /// The origin system with this client id.
    pub(crate) origin: Option<OriginName>,
    /// The client with this client id.
    pub(crate) client: Option<ClientName>,
}

/// What a look at a queue has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    /// Those that the client may see, in order.
    pub(crate) entries: Vec<Entry>,
    /// Up to which position it has looked.
    pub(crate) looked: i64,
    /// Whether some were left out, because the client may not see them.
    pub(crate) has_hidden: bool,
    /// Whether there is nothing behind it.
    pub(crate) is_end: bool,
}

/// The newest rows of all outputs.
#[derive(Default)]
pub(crate) struct Rows {
    pub(crate) cases: KeptCases,
    pub(crate) deleted: BTreeMap<(String, String), DeletedCase>,
    pub(crate) outcomes: HashMap<(OriginName, CommandId), Outcome>,
    pub(crate) entries: KeptQueues,
    pub(crate) positions: BTreeMap<String, QueuePosition>,
    pub(crate) origins: BTreeMap<String, Origin>,
    pub(crate) clients: BTreeMap<String, Client>,
    pub(crate) grants: BTreeSet<GrantKey>,
    /// The newest entry has the lowest key.
    pub(crate) audit: BTreeMap<String, AuditEntry>,
    pub(crate) queues: BTreeMap<String, QueueState>,
    pub(crate) version: RegistryVersion,
    answers: HashMap<String, RegistryAnswer>,
    answer_order: VecDeque<String>,
    /// What has changed since somebody took it.
    changed: Changed,
    /// Outcomes that commands have reached, by type and status, while this process counted.
    pub(crate) reached: BTreeMap<(Queue, CommandStatus), u64>,
    counts: bool,
}

impl Grants for Rows {
    fn has(&self, client: &ClientName, origin: &OriginName, case: Option<CaseId>) -> bool {
        self.grants.contains(&(client.clone(), origin.clone(), case))
    }
}

impl Rows {
    /// No rows yet, and how cases and queues will be kept.
    pub(crate) fn keeping(cases: KeptCases, entries: KeptQueues) -> Self {
        Self { cases, entries, ..Self::default() }
    }

    /// Forgets the rows of a topic, which is read again from its start.
    pub(crate) fn clear(&mut self, topic: &Topic) {
        let fresh = Self::default();
        if topic == &topics::STATE {
            self.cases.clear();
        } else if topic == &topics::DELETED {
            self.deleted = fresh.deleted;
        } else if topic == &topics::OUTCOME {
            // Read again from the start, they are not counted again.
            (self.outcomes, self.counts) = (fresh.outcomes, false);
        } else if topic == &topics::QUEUE {
            self.entries.clear();
            self.positions = fresh.positions;
        } else if topic == &topics::REGISTRY_ROWS {
            (self.origins, self.clients, self.grants) = (fresh.origins, fresh.clients, fresh.grants);
            (self.audit, self.queues, self.version) = (fresh.audit, fresh.queues, fresh.version);
        }
    }

    /// What has changed since the last call.
    pub(crate) fn take_changed(&mut self) -> Changed {
        std::mem::take(&mut self.changed)
    }

    /// Takes in a record of an output, which stands at this place. `value` is absent when its row is deleted.
    ///
    /// # Errors
    /// [`DecodeError`] for a value that cannot be read.
    pub(crate) fn take(
        &mut self,
        codec: &Codec,
        (at, offset): (TopicPartition, i64),
        key: &str,
        value: Option<&[u8]>,
    ) -> Result<(), DecodeError> {
        let Some(value) = value else {
            self.remove(at.topic, key);
            return Ok(());
        };
        let framed = codec.open(value)?;
        match framed.record_type() {
            RecordType::CasesCaseState => self.cases.put(framed.read()?, at, offset),
            RecordType::CasesDeletedCase => {
                self.deleted.insert(pair(key), framed.read()?);
            }
            RecordType::CasesOutcome => {
                let outcome: Outcome = framed.read()?;
                self.changed.note(Awaited::Outcome(outcome.origin.clone(), outcome.command_id));
                self.put_outcome(outcome);
            }
            RecordType::CasesQueueEntry => {
                let entry: QueueEntry = framed.read()?;
                self.changed.note(Awaited::Queue(entry.client.clone()));
                self.entries.put(entry);
            }
            RecordType::CasesQueuePosition => {
                let position: QueuePosition = framed.read()?;
                self.changed.note(Awaited::Queue(position.client.clone()));
                self.positions.insert(folded(&position.client), position);
            }
            RecordType::CasesRegistryAnswer => self.put_answer(framed.read()?),
            _ => return self.take_registry(key, &framed),
        }
        Ok(())
    }

    fn take_registry(&mut self, key: &str, framed: &tributary_schemas::Framed<'_>) -> Result<(), DecodeError> {
        self.changed.note_registry();
        match framed.record_type() {
            RecordType::CasesOrigin => {
                let origin: Origin = framed.read()?;
                self.origins.insert(folded(&origin.name), origin);
            }
            RecordType::CasesClient => {
                let client: Client = framed.read()?;
                self.clients.insert(folded(&client.name), client);
            }
            RecordType::CasesGrant => {
                let grant: Grant = framed.read()?;
                self.grants.insert((grant.client, grant.origin, grant.case_id));
            }
            RecordType::CasesAuditEntry => {
                self.audit.insert(key.to_owned(), framed.read()?);
            }
            RecordType::CasesRegistryVersion => self.version = framed.read()?,
            RecordType::CasesQueueState => {
                self.queues.insert(key.to_owned(), framed.read()?);
            }
            // Of a newer release.
            _ => {}
        }
        Ok(())
    }

    fn put_outcome(&mut self, outcome: Outcome) {
        let key = (outcome.origin.clone(), outcome.command_id);
        let reached = (outcome.queue, outcome.status);
        if self.counts && self.outcomes.get(&key) != Some(&outcome) {
            *self.reached.entry(reached).or_default() += 1;
        }
        self.outcomes.insert(key, outcome);
    }

    /// Commands that a held queue keeps, over all partitions.
    pub(crate) fn held(&self, queue: Queue) -> i64 {
        self.queues.values().filter(|state| state.queue == queue).map(|state| state.waiting).sum()
    }

    /// Counts outcomes from now on. What stood in the log before is not counted.
    pub(crate) fn begin_counting(&mut self) {
        self.counts = true;
    }

    fn put_answer(&mut self, answer: RegistryAnswer) {
        self.changed.note(Awaited::Answer(answer.request.clone()));
        self.answer_order.push_back(answer.request.clone());
        self.answers.insert(answer.request.clone(), answer);
        if self.answer_order.len() > MOST_ANSWERS
            && let Some(oldest) = self.answer_order.pop_front()
        {
            self.answers.remove(&oldest);
        }
    }

    fn remove(&mut self, topic: &str, key: &str) {
        if topic == topics::REGISTRY_ROWS.name {
            self.changed.note_registry();
        }
        if topic == topics::STATE.name {
            key.parse().into_iter().for_each(|id| self.cases.remove(id));
        } else if topic == topics::DELETED.name {
            self.deleted.remove(&pair(key));
        } else if topic == topics::OUTCOME.name {
            let (origin, command) = pair(key);
            if let (Ok(origin), Ok(command)) = (origin.parse(), command.parse()) {
                self.outcomes.remove(&(origin, command));
            }
        } else if let Some((kind, rest)) = key.split_once('/') {
            self.remove_row(topic, (kind, rest), key);
        }
    }

    fn remove_row(&mut self, topic: &str, (kind, rest): (&str, &str), key: &str) {
        match kind {
            "entry" => {
                let (client, position) = pair(rest);
                if let (Ok(client), Ok(position)) = (client.parse(), position.parse()) {
                    self.entries.remove(&client, position);
                }
            }
            "client" if topic == topics::QUEUE.name => {
                self.positions.remove(&rest.to_ascii_lowercase());
            }
            "client" => {
                self.clients.remove(&rest.to_ascii_lowercase());
            }
            "origin" => {
                self.origins.remove(&rest.to_ascii_lowercase());
            }
            "grant" => {
                let parts: Vec<&str> = rest.split('/').collect();
                if let (Some(Ok(client)), Some(Ok(origin))) =
                    (parts.first().map(|text| text.parse()), parts.get(1).map(|text| text.parse()))
                {
                    self.grants.remove(&(client, origin, parts.get(2).and_then(|text| text.parse().ok())));
                }
            }
            "audit" => {
                self.audit.remove(key);
            }
            _ => {}
        }
    }

    /// The answer of the registry to a request, once what it says is in force.
    pub(crate) fn answer(&self, request: &str) -> Option<&RegistryAnswer> {
        let answer = self.answers.get(request)?;
        (answer.code.is_some() || answer.version <= self.version.in_force).then_some(answer)
    }

    /// Who has this client id. `None` if nobody has.
    pub(crate) fn viewer(&self, client_id: &str) -> Option<Viewer> {
        let origin = self.origins.values().find(|origin| origin.client_id == client_id);
        let client = self.clients.values().find(|client| client.client_id == client_id);
        let (origin, client) = (origin.map(|origin| origin.name.clone()), client.map(|client| client.name.clone()));
        (origin.is_some() || client.is_some()).then_some(Viewer { origin, client })
    }

    /// Whether the viewer sees the case.
    pub(crate) fn shows(&self, viewer: &Viewer, case: &CaseState) -> bool {
        viewer.origin.as_ref() == Some(&case.origin_system)
            || viewer.client.as_ref().is_some_and(|client| sees(self, case, client))
    }

    /// The same for a case of which only an outline may be kept. False if it does not live.
    pub(crate) fn shows_kept(&self, viewer: &Viewer, id: CaseId) -> bool {
        let Some((origin, consumers)) = self.cases.audience(id) else { return false };
        let sees = |client: &ClientName| is_among(consumers, client) && self.cover(client, origin, id);
        viewer.origin.as_ref() == Some(origin) || viewer.client.as_ref().is_some_and(sees)
    }

    /// Whether the viewer could see a deleted case, and still has a grant for it.
    pub(crate) fn shows_deleted(&self, viewer: &Viewer, case: &DeletedCase) -> bool {
        let could =
            |client: &ClientName| case.clients.contains(client) && self.cover(client, &case.origin_system, case.id);
        viewer.origin.as_ref() == Some(&case.origin_system) || viewer.client.as_ref().is_some_and(could)
    }

    /// The queue entries of a client after a position, also those that it may not see any more. After an error there is
    /// nothing more.
    pub(crate) fn entries_after<'a>(
        &'a self,
        client: &ClientName,
        after: i64,
    ) -> impl Iterator<Item = Result<Cow<'a, Entry>, TableError>> + use<'a> {
        // A client without a row has nothing yet. What is left of an earlier client of the name is not its own.
        let begins = self.positions.get(&folded(client)).map_or(i64::MAX, |position| position.begins);
        self.entries.from(client, after.max(begins).saturating_add(1))
    }

    /// A look at the queue of a client from after one position up to another: at most this number of notifications that
    /// it may still see.
    ///
    /// # Errors
    /// [`TableError`].
    pub(crate) fn look(&self, client: &ClientName, (after, upto): (i64, i64), most: usize) -> Result<Look, TableError> {
        let end = self.position(client).last.min(upto);
        let mut look = Look { entries: Vec::new(), looked: after.max(end), has_hidden: false, is_end: true };
        for (count, entry) in self.entries_after(client, after).enumerate() {
            let entry = entry?;
            if entry.position > upto {
                break;
            }
            if look.entries.len() == most || count == MOST_LOOKED {
                (look.looked, look.is_end) = (entry.position - 1, false);
                break;
            }
            look.looked = look.looked.max(entry.position);
            if self.is_visible(client, &entry) {
                look.entries.push(entry.into_owned());
            } else {
                look.has_hidden = true;
            }
        }
        Ok(look)
    }

    /// Whether a client may see a notification.
    pub(crate) fn is_visible(&self, client: &ClientName, entry: &Entry) -> bool {
        let told = &entry.notification;
        self.is_left_in(client, told) && self.cover(client, &told.origin_system, told.id)
    }

    /// Whether `consumers` leaves the client in. For a deleted case that is as it was at the end. The notification of
    /// the end went only to those who saw the case then.
    fn is_left_in(&self, client: &ClientName, told: &Notification) -> bool {
        if told.notification_type == NotificationType::Deleted {
            return true;
        }
        let audience = self.cases.audience(told.id).filter(|(origin, _)| **origin == told.origin_system);
        if let Some((_, consumers)) = audience {
            return is_among(consumers, client);
        }
        let deleted = self.deleted.get(&(told.origin_system.to_string(), told.id.to_string()));
        deleted.is_some_and(|deleted| deleted.clients.contains(client))
    }

    /// Origin systems, clients and grants, as a file would have them.
    pub(crate) fn registry(&self) -> RegistryFill {
        let grant = |(client, origin, case_id): &GrantKey| Grant {
            case_id: *case_id,
            ..Grant::of(client.clone(), origin.clone())
        };
        RegistryFill {
            origins: self.origins.values().cloned().collect(),
            clients: self.clients.values().cloned().collect(),
            grants: self.grants.iter().map(grant).collect(),
            ..RegistryFill::default()
        }
    }

    /// How far a client is.
    pub(crate) fn position(&self, client: &ClientName) -> QueuePosition {
        self.positions.get(&folded(client)).cloned().unwrap_or_else(|| QueuePosition::of(client.clone()))
    }
}

/// Names differ in more than their case.
pub(crate) fn folded(name: &impl Display) -> String {
    name.to_string().to_ascii_lowercase()
}

/// The two parts of a key.
fn pair(key: &str) -> (String, String) {
    let (first, second) = key.split_once('/').unwrap_or((key, ""));
    (first.to_owned(), second.to_owned())
}
