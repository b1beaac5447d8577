//! Update and close commands whose case is not known yet. They wait for the create command, without delays or retries.

use tributary_runtime::{Headers, Output};
use tributary_schemas::records::cases::CommandStatus;
use tributary_schemas::records::cases_state::ParkedCommand;
use tributary_schemas::types::cases::{CaseId, OriginName};

use super::state::ParkedKey;
use super::{CaseStage, Given, Verdict};
use crate::context::Source;

/// Commands that are parked for one origin and case.
pub const MOST_PARKED: usize = 100;

impl CaseStage {
    pub(super) fn park(&mut self, given: Given<'_>, output: &mut Output) {
        let command = given.command;
        let before = self.parked_of(command.case_id, &command.origin);
        if before.iter().any(|(_, parked)| parked.command.command_id == command.command_id) {
            self.repeated(given, CommandStatus::Parked, output);
            return;
        }
        if before.len() >= MOST_PARKED {
            let text = format!(
                "{MOST_PARKED} commands wait for the create command of the case {}: send that one first",
                command.case_id
            );
            self.reject(given, "TooManyParked", &text, output);
            return;
        }
        let mut progress = self.progress();
        let number = progress.next_parked;
        progress.next_parked += 1;
        self.note_progress(progress);
        let key = ParkedKey { case: command.case_id, origin: command.origin.clone(), number };
        let parked = ParkedCommand {
            command: command.clone(),
            headers: given.source.headers.as_bytes().to_vec(),
            partition: given.source.partition,
            offset: given.source.offset,
            since: given.now,
        };
        self.parked_since.put((parked.since, key.clone()), ());
        self.parked.put(key, parked);
        self.conclude(given, Verdict::of(CommandStatus::Parked), output);
    }

    /// The parked commands of an origin and a case in order of arrival.
    fn parked_of(&self, case: CaseId, origin: &OriginName) -> Vec<(ParkedKey, ParkedCommand)> {
        let key = |number| ParkedKey { case, origin: origin.clone(), number };
        let range = self.parked.range(key(i64::MIN)..=key(i64::MAX));
        range.map(|(key, parked)| (key.clone(), parked.clone())).collect()
    }

    /// Takes the parked commands of an origin and a case out of the state.
    pub(super) fn take_parked(&mut self, case: CaseId, origin: &OriginName) -> Vec<ParkedCommand> {
        let taken = self.parked_of(case, origin);
        taken.into_iter().map(|(key, parked)| self.remove_parked(key, parked)).collect()
    }

    fn remove_parked(&mut self, key: ParkedKey, parked: ParkedCommand) -> ParkedCommand {
        self.parked_since.delete((parked.since, key.clone()));
        self.parked.delete(key);
        parked
    }

    /// A delete command has come: they are dropped.
    pub(super) fn drop_parked_of(&mut self, case: CaseId, origin: &OriginName, output: &mut Output) {
        for parked in self.take_parked(case, origin) {
            let given = given_of(&parked, parked.since);
            output.set_headers(given.source.headers);
            self.conclude(given, Verdict::of(CommandStatus::Dropped), output);
        }
    }

    /// Rejects what has waited for `park_for`.
    pub(super) fn expire_parked_of(&mut self, case: CaseId, origin: &OriginName, now: i64, output: &mut Output) {
        for (key, parked) in self.parked_of(case, origin) {
            if parked.since + self.context.settings.park_for <= now {
                self.reject_parked(key, parked, output);
            }
        }
    }

    /// Rejects the commands that have waited longest, at most this number of them.
    pub(super) fn expire_parked(&mut self, now: i64, most: usize, output: &mut Output) {
        let last = now - self.context.settings.park_for;
        let overdue = self.parked_since.iter().map(|(key, ())| key).take_while(|(since, _)| *since <= last);
        let overdue: Vec<ParkedKey> = overdue.take(most).map(|(_, key)| key.clone()).collect();
        for key in overdue {
            if let Some(parked) = self.parked.get(&key).cloned() {
                self.reject_parked(key, parked, output);
            }
        }
    }

    fn reject_parked(&mut self, key: ParkedKey, parked: ParkedCommand, output: &mut Output) {
        let parked = self.remove_parked(key, parked);
        let given = given_of(&parked, parked.since);
        output.set_headers(given.source.headers);
        let text = format!("no create command has come for the case {}", given.command.case_id);
        self.reject(given, "CaseUnknown", &text, output);
        output.set_headers(Headers::default());
    }
}

pub(super) fn given_of(parked: &ParkedCommand, now: i64) -> Given<'_> {
    let headers = Headers::from_bytes(&parked.headers);
    Given {
        command: &parked.command,
        source: Source { headers, partition: parked.partition, offset: parked.offset },
        now,
    }
}
