//! What waits in a partition: for others of the window, or for the end of the lock.

use crate::{Oracle, Request, Transaction};

#[derive(Default)]
pub(crate) struct Waiting {
    is_locked: bool,
    held: Vec<(Request, bool)>,
    window: Vec<Transaction>,
    /// How many came since the window was empty, and when the last one came.
    messages: usize,
    newest: i64,
}

impl Oracle {
    /// A part of a request reaches its partition.
    pub(crate) fn arrive(&mut self, home: usize, request: &Request, is_single: bool) {
        if self.waiting[home].is_locked {
            self.waiting[home].held.push((request.clone(), is_single));
        } else {
            self.go_on(home, request, is_single);
        }
    }

    fn go_on(&mut self, home: usize, request: &Request, is_single: bool) {
        if is_single && self.rules.window > 0 {
            self.collect(home, &request.transactions[0]);
            return;
        }
        let mut theirs = Vec::new();
        let mut others = Vec::new();
        for waiting in std::mem::take(&mut self.waiting[home].window) {
            let is_theirs = request.transactions.iter().any(|one| one.engagement.patient == waiting.engagement.patient);
            if is_theirs { theirs.push(waiting) } else { others.push(waiting) }
        }
        if others.is_empty() {
            self.waiting[home].messages = 0;
        }
        self.waiting[home].window = others;
        self.apply(&Request { is_notification: false, transactions: theirs });
        self.apply(request);
    }

    fn collect(&mut self, home: usize, later: &Transaction) {
        self.end_window_if_over(home);
        let delete_wins = self.rules.delete_wins;
        let waiting = &mut self.waiting[home];
        let earlier = waiting.window.iter().position(|one| one.engagement == later.engagement);
        match earlier {
            None => waiting.window.push(later.clone()),
            Some(place) => {
                let earlier = &waiting.window[place];
                let is_newer = match (earlier.content, later.content) {
                    (_, None) => false,
                    (None, Some(_)) => true,
                    (Some(earlier), Some(later)) => later > earlier,
                };
                let is_replaced = later.is_delete || if earlier.is_delete { !delete_wins } else { is_newer };
                if is_replaced {
                    waiting.window.remove(place);
                    waiting.window.push(later.clone());
                }
            }
        }
        waiting.newest = self.now;
        waiting.messages += 1;
        if waiting.messages >= self.rules.messages {
            self.end_window(home);
        }
    }

    fn end_window_if_over(&mut self, home: usize) {
        if self.now - self.waiting[home].newest >= self.rules.window {
            self.end_window(home);
        }
    }

    fn end_window(&mut self, home: usize) {
        let transactions = std::mem::take(&mut self.waiting[home].window);
        self.waiting[home].messages = 0;
        self.apply(&Request { is_notification: false, transactions });
    }

    /// The time has moved on.
    pub fn pass(&mut self, now: i64) {
        self.now = now;
        for home in 0..self.waiting.len() {
            if !self.waiting[home].is_locked {
                self.end_window_if_over(home);
            }
        }
    }

    /// Closes the lock.
    pub fn lock(&mut self) {
        self.waiting.iter_mut().for_each(|waiting| waiting.is_locked = true);
    }

    /// Opens the lock. What waited goes on.
    pub fn unlock(&mut self) {
        for home in 0..self.waiting.len() {
            self.waiting[home].is_locked = false;
            for (request, is_single) in std::mem::take(&mut self.waiting[home].held) {
                self.go_on(home, &request, is_single);
            }
        }
    }

    /// Transactions that wait for the end of the lock, in all partitions.
    pub fn held(&self) -> usize {
        let held = self.waiting.iter().flat_map(|waiting| &waiting.held);
        held.map(|(request, _)| request.transactions.len()).sum()
    }
}
