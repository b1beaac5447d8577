//! Updates with a single transaction that wait for others, and how they are merged (A 6.2).

use std::collections::HashSet;

use tributary_runtime::{Headers, Output, TimestampMillis};
use tributary_schemas::records::aggregation::{AcceptedTransactions, EngagementTransaction, Interaction};
use tributary_schemas::records::aggregation_state::CollectedTransaction;
use tributary_schemas::records::tributary::Clock;
use tributary_schemas::types::aggregation::BusinessKey;

use super::{CollectStage, Given};

/// Whether `later` replaces `earlier`, a transaction of the same engagement that still waits.
///
/// A delete always does. With `delete_wins`, nothing replaces a delete but another one; without, the later one does. Of
/// two that add or change, the one with newer content is kept, and one without a time of its content replaces none.
pub fn merge(earlier: &EngagementTransaction, later: &EngagementTransaction, delete_wins: bool) -> bool {
    if later.delete_flag {
        return true;
    }
    if earlier.delete_flag {
        return !delete_wins;
    }
    // Absent sorts before every time.
    later.engagement.most_recent_content > earlier.engagement.most_recent_content
}

impl CollectStage {
    pub(super) fn collect(&mut self, given: Given<'_>, output: &mut Output) {
        self.hand_on_if_over(given.now, output);
        let mut progress = self.progress();
        let delete_wins = self.context.settings.delete_wins;
        for transaction in given.accepted.transactions {
            let key = transaction.engagement.key();
            let is_kept =
                self.collected.get(&key).is_none_or(|earlier| merge(&earlier.transaction, &transaction, delete_wins));
            if is_kept {
                let headers = given.headers.as_bytes().to_vec();
                self.collected.put(key, CollectedTransaction { transaction, number: progress.arrived, headers });
            }
            progress.arrived += 1;
        }
        progress.newest = if progress.messages == 0 { given.now } else { progress.newest.max(given.now) };
        progress.messages += 1;
        let is_full = progress.messages >= self.context.settings.collect_messages;
        self.note(progress);
        if is_full {
            self.hand_on_collected(output);
        }
    }

    /// The time: what has waited long enough goes on, unless the write lock is closed.
    pub(super) fn clock(&mut self, clock: &Clock, output: &mut Output) {
        if !self.progress().locked {
            self.hand_on_if_over(clock.now, output);
        }
    }

    fn hand_on_if_over(&mut self, now: TimestampMillis, output: &mut Output) {
        let progress = self.progress();
        let is_over = now.saturating_sub(progress.newest) >= self.context.settings.collect_window_ms;
        if progress.messages > 0 && is_over {
            self.hand_on_collected(output);
        }
    }

    fn hand_on_collected(&mut self, output: &mut Output) {
        let all = self.collected.iter().map(|(key, collected)| (*key, collected.number)).collect();
        self.hand_on_these(all, output);
    }

    /// Hands on what waits about the patients of these transactions. What waits about others goes on waiting.
    pub(super) fn hand_on_collected_of(&mut self, accepted: &AcceptedTransactions, output: &mut Output) {
        if self.collected.iter().next().is_none() {
            return;
        }
        let patients: HashSet<&str> = accepted
            .transactions
            .iter()
            .map(|transaction| transaction.engagement.registered_resident_identification.as_str())
            .collect();
        let is_of_them = |collected: &CollectedTransaction| {
            patients.contains(collected.transaction.engagement.registered_resident_identification.as_str())
        };
        let theirs = self.collected.iter().filter(|(_, collected)| is_of_them(collected));
        let theirs = theirs.map(|(key, collected)| (*key, collected.number)).collect();
        self.hand_on_these(theirs, output);
    }

    /// Hands on transactions as one, in the order of their arrival. One alone keeps its headers.
    fn hand_on_these(&mut self, mut keys: Vec<(BusinessKey, i64)>, output: &mut Output) {
        keys.sort_unstable_by_key(|(_, number)| *number);
        let mut transactions = Vec::with_capacity(keys.len());
        let mut headers = Vec::new();
        for (key, _) in keys {
            if let Some(collected) = self.collected.get(&key).cloned() {
                headers = collected.headers;
                transactions.push(collected.transaction);
                self.collected.delete(key);
            }
        }
        if self.collected.iter().next().is_none() {
            let mut progress = self.progress();
            progress.messages = 0;
            self.note(progress);
        }
        output.set_headers(if transactions.len() == 1 { Headers::from_bytes(&headers) } else { Headers::default() });
        self.hand_on(AcceptedTransactions { interaction: Interaction::Update, single: false, transactions }, output);
    }
}
