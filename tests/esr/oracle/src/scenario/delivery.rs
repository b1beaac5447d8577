//! When files reach the inbox, and what an operator decides about parked ones.

use std::collections::BTreeMap;

use crate::intake::is_to_be_parked;
use crate::scenario::is_served;
use crate::scenario::random::Random;
use crate::{Batch, Decision};

/// The files on their way to the inbox, with random numbers of their own: what is in the files depends on none of this.
pub(super) struct Delivery {
    random: Random,
    is_first: bool,
    /// Files that come late.
    late: Vec<(String, Vec<u8>)>,
    /// The first content of each name, and whether it waits for a decision.
    seen: BTreeMap<String, (Vec<u8>, bool)>,
}

impl Delivery {
    pub(super) fn new(seed: u64) -> Delivery {
        let random = Random::new(seed ^ 0x1a7e);
        Delivery { random, is_first: true, late: Vec::new(), seen: BTreeMap::new() }
    }

    /// Takes files out of the batch that come late, and adds those of earlier batches and decisions.
    pub(super) fn deliver(&mut self, batch: &mut Batch) {
        if !self.is_first {
            self.delay(batch);
            self.decide(batch);
        }
        self.is_first = false;
        for (name, content) in &batch.files {
            let is_attempt = self.seen.get(name).is_none_or(|(known, waits)| *waits && known != content);
            if is_attempt {
                self.seen.insert(name.clone(), (content.clone(), is_to_be_parked(name, content)));
            }
        }
    }

    /// Some files come with a later batch, or never.
    fn delay(&mut self, batch: &mut Batch) {
        let mut files = Vec::new();
        let mut late = Vec::new();
        for file in batch.files.drain(..) {
            if self.random.one_in(5) { late.push(file) } else { files.push(file) }
        }
        for file in self.late.drain(..) {
            // A name lies once in the inbox.
            let is_there = files.iter().any(|(name, _)| *name == file.0);
            if is_there || !is_served(&file.0, &batch.offices) || self.random.one_in(3) {
                late.push(file);
            } else {
                files.push(file);
            }
        }
        (batch.files, self.late) = (files, late);
    }

    /// Decides about files that were parked in an earlier batch, and that this one does not replace.
    fn decide(&mut self, batch: &mut Batch) {
        for (name, (_, waits)) in &mut self.seen {
            let is_replaced = batch.files.iter().any(|(file, _)| file == name);
            if !*waits || is_replaced || !is_served(name, &batch.offices) || self.random.one_in(3) {
                continue;
            }
            *waits = false;
            let decision = if self.random.one_in(3) { Decision::Refuse } else { Decision::Accept };
            batch.decisions.push((name.clone(), decision));
        }
    }
}
