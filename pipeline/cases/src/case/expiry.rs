//! What ends with time: parked commands and tombstones. Time comes with records.

use tributary_runtime::Output;
use tributary_schemas::records::cases::DeletedCase;
use tributary_schemas::records::cases_state::Tombstone;
use tributary_schemas::types::cases::{CaseId, ClientName, OriginName};

use super::{CaseStage, Given};
use crate::topics;

/// Entries that one tick of the clock ends, so that no transaction grows with what has gathered.
const MOST_AT_ONCE: usize = 1000;

impl CaseStage {
    /// Ends what is overdue. What is left over ends with the next tick, or when a command comes for it.
    pub(super) fn expire(&mut self, now: i64, output: &mut Output) {
        self.expire_parked(now, MOST_AT_ONCE, output);
        let last = now - self.context.settings.tombstones;
        let overdue = self.deleted_at.iter().map(|(key, ())| key).take_while(|(deleted, _)| *deleted <= last);
        let overdue: Vec<(CaseId, OriginName)> = overdue.take(MOST_AT_ONCE).map(|(_, key)| key.clone()).collect();
        for (case, origin) in overdue {
            self.expire_tombstone_of(case, &origin, now, output);
        }
    }

    /// Writes a tombstone. `clients` could see the case before.
    pub(super) fn bury(&mut self, given: Given<'_>, clients: Vec<ClientName>, output: &mut Output) {
        let (case, origin) = (given.command.case_id, given.command.origin.clone());
        let deleted = given.now;
        let row = DeletedCase { deleted, clients, ..DeletedCase::of(case, origin.clone()) };
        self.context.send(output, &topics::DELETED, &row_key(case, &origin), &row);
        self.deleted_at.put((deleted, (case, origin.clone())), ());
        self.tombstones.put((case, origin), Tombstone { deleted });
    }

    /// Ends the tombstone of an origin and a case if it is overdue.
    pub(super) fn expire_tombstone_of(&mut self, case: CaseId, origin: &OriginName, now: i64, output: &mut Output) {
        let key = (case, origin.clone());
        let Some(deleted) = self.tombstones.get(&key).map(|tombstone| tombstone.deleted) else { return };
        if deleted + self.context.settings.tombstones > now {
            return;
        }
        output.tombstone(&topics::DELETED, row_key(case, origin).as_bytes());
        self.deleted_at.delete((deleted, key.clone()));
        self.tombstones.delete(key);
    }
}

fn row_key(case: CaseId, origin: &OriginName) -> String {
    format!("{origin}/{case}")
}
