//! What this process keeps of the living cases in its memory.

use std::collections::{BTreeSet, HashMap};

use tributary_runtime::TopicPartition;
use tributary_schemas::records::cases::CaseState;
use tributary_schemas::types::cases::{CaseId, ClientName, OriginName};

/// The living cases.
pub(crate) enum KeptCases {
    /// Their rows, from which queries are answered.
    Whole(WholeCases),
    /// Only what permissions of notifications need, and which row of the tables is current. Notifications must not
    /// depend on the database.
    Outlines(HashMap<CaseId, Outline>),
}

/// The rows of the living cases.
#[derive(Default)]
pub(crate) struct WholeCases {
    pub(crate) by_id: HashMap<CaseId, CaseState>,
    /// By the time of their last update.
    pub(crate) by_updated: BTreeSet<(i64, CaseId)>,
}

/// A case whose row is in tables.
pub(crate) struct Outline {
    origin_system: OriginName,
    consumers: Option<Vec<ClientName>>,
    /// Where its record stands.
    partition: i32,
    offset: i64,
}

impl Default for KeptCases {
    fn default() -> Self {
        Self::Whole(WholeCases::default())
    }
}

impl KeptCases {
    /// None yet, and their rows are in tables.
    pub(crate) fn outlines() -> Self {
        Self::Outlines(HashMap::new())
    }

    pub(crate) fn clear(&mut self) {
        match self {
            Self::Whole(cases) => *cases = WholeCases::default(),
            Self::Outlines(cases) => cases.clear(),
        }
    }

    /// Keeps a case, whose record stands at this place.
    pub(crate) fn put(&mut self, case: CaseState, at: TopicPartition, offset: i64) {
        match self {
            Self::Whole(cases) => cases.put(case),
            Self::Outlines(cases) => {
                let CaseState { origin_system, consumers, .. } = case;
                cases.insert(case.id, Outline { origin_system, consumers, partition: at.partition, offset });
            }
        }
    }

    pub(crate) fn remove(&mut self, id: CaseId) {
        match self {
            Self::Whole(cases) => cases.remove(id),
            Self::Outlines(cases) => {
                cases.remove(&id);
            }
        }
    }

    /// Whether the case lives.
    pub(crate) fn contains(&self, id: CaseId) -> bool {
        match self {
            Self::Whole(cases) => cases.by_id.contains_key(&id),
            Self::Outlines(cases) => cases.contains_key(&id),
        }
    }

    /// The rows, if they are here.
    pub(crate) fn whole(&self) -> Option<&WholeCases> {
        match self {
            Self::Whole(cases) => Some(cases),
            Self::Outlines(_) => None,
        }
    }

    /// The origin system of a living case, and the clients to which it is limited.
    pub(crate) fn audience(&self, id: CaseId) -> Option<(&OriginName, Option<&[ClientName]>)> {
        match self {
            Self::Whole(cases) => cases.by_id.get(&id).map(|case| (&case.origin_system, case.consumers.as_deref())),
            Self::Outlines(cases) => cases.get(&id).map(|case| (&case.origin_system, case.consumers.as_deref())),
        }
    }

    /// Whether the row of a record at `offset` is the one of the living case. `filled` are the positions up to which
    /// the tables certainly had everything when the row was read: what is newer may not have been there.
    pub(crate) fn is_current(&self, id: CaseId, offset: i64, filled: &[i64]) -> bool {
        let Self::Outlines(cases) = self else { return false };
        let Some(case) = cases.get(&id) else { return false };
        let filled = usize::try_from(case.partition).ok().and_then(|partition| filled.get(partition));
        offset >= case.offset || filled.is_none_or(|filled| case.offset >= *filled)
    }
}

impl WholeCases {
    fn put(&mut self, case: CaseState) {
        self.remove(case.id);
        self.by_updated.insert((case.updated, case.id));
        self.by_id.insert(case.id, case);
    }

    fn remove(&mut self, id: CaseId) {
        if let Some(before) = self.by_id.remove(&id) {
            self.by_updated.remove(&(before.updated, id));
        }
    }
}
