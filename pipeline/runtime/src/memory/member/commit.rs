//! The commit of a member, with what can go wrong at each point, and late responses.

use std::sync::Arc;

use super::MemoryLog;
use crate::log_error::LogError;
use crate::memory::injection::Fault;
use crate::memory::state::State;
use crate::memory::transaction::Batch;
use crate::topic::TopicPartition;

/// A commit whose response is late.
pub(super) enum SlowCommit {
    /// It has not reached the broker yet; it has these offsets.
    OnItsWay(Vec<(TopicPartition, i64)>),
    /// The broker has answered.
    Answered(Result<(), LogError>),
}

impl MemoryLog {
    /// Commits, unless a fault makes the broker or its response slow: the outcome is reported later then.
    pub(super) fn commit_now_or_later(&mut self, offsets: &[(TopicPartition, i64)]) -> Result<(), LogError> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        if !state.injection.happens(Fault::SlowCommit) {
            drop(state);
            return self.commit_now(offsets);
        }
        let answered = state.injection.chance(0.5);
        drop(state);
        self.slow_commit = Some(if answered {
            SlowCommit::Answered(self.commit_now(offsets))
        } else {
            SlowCommit::OnItsWay(offsets.to_vec())
        });
        Ok(())
    }

    /// Whether the answer to the last commit has still not come.
    pub(super) fn answer_is_late(&self) -> bool {
        self.slow_commit.is_some() && self.shared.lock().injection.chance(0.7)
    }

    /// The outcome of the last commit, which ends now at the latest.
    pub(super) fn end_slow_commit(&mut self) -> Result<(), LogError> {
        match self.slow_commit.take() {
            None => Ok(()),
            Some(SlowCommit::Answered(outcome)) => outcome,
            Some(SlowCommit::OnItsWay(offsets)) => self.commit_now(&offsets),
        }
    }

    fn take_batch(&mut self, offsets: &[(TopicPartition, i64)]) -> Batch {
        self.last_size = self.transaction.byte_size();
        self.pinned.clear();
        let mut batch = std::mem::take(&mut self.transaction).seal();
        if !offsets.is_empty() {
            batch.group = Some(self.config.group.clone());
            batch.offsets = offsets.to_vec();
        }
        batch
    }

    /// A commit becomes visible in one partition after another. How many show it when the process dies; `None` when it
    /// does not die.
    fn moments_of_markers(&self, state: &mut State) -> Option<usize> {
        let partitions = self.transaction.parts.len();
        (partitions.min(1)..=partitions).find(|seen| {
            state
                .injection
                .dies(|| format!("{}: the commit is visible in {seen} of {partitions} partitions", self.config.id))
        })
    }

    /// Dies with the transaction prepared: the broker decides its outcome when the transactional id returns.
    fn die_undecided(
        &mut self,
        state: &mut State,
        offsets: &[(TopicPartition, i64)],
        outcome: Option<bool>,
    ) -> Result<(), LogError> {
        let mut batch = self.take_batch(offsets);
        state.reserve(&mut batch, self.producer)?;
        let places = offsets.iter().map(|(at, _)| state.place(*at)).collect::<Result<Vec<_>, _>>()?;
        state.change_group(&self.config.group, |group, _| group.undecided.extend(places));
        if let Some(producer) = state.producers.get_mut(&self.config.id) {
            producer.undecided = Some((batch, outcome));
        }
        Err(self.die())
    }

    fn commit_now(&mut self, offsets: &[(TopicPartition, i64)]) -> Result<(), LogError> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        self.check(&state)?;
        if state.injection.happens(Fault::CrashBeforeCommit) {
            return Err(self.die());
        }
        if state.injection.happens(Fault::Abort) {
            return Err(LogError::abortable("by the simulation"));
        }
        self.inject_expulsion(&mut state);
        self.check_ownership(&state, offsets)?;
        self.moment(&mut state, "the transaction will be committed")?;
        if state.injection.happens(Fault::CrashDuringCommit) {
            return self.die_undecided(&mut state, offsets, None);
        }
        for (outcome, what) in
            [(false, "the commit is in doubt and fails"), (true, "the commit is in doubt and succeeds")]
        {
            if self.moment(&mut state, what).is_err() {
                return self.die_undecided(&mut state, offsets, Some(outcome));
            }
        }
        let crash = state.injection.happens(Fault::CrashAfterCommit);
        let seen = self.moments_of_markers(&mut state);
        drop(state);
        let batch = self.take_batch(offsets);
        shared.commit(batch, self.producer, seen.unwrap_or(usize::MAX))?;
        if crash || seen.is_some() { Err(self.die()) } else { Ok(()) }
    }
}
