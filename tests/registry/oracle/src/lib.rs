//! What becomes of rows of registry lookups, from all that has happened, one thing after the other. It shares no code
//! with the stage, and knows no log. Times are in milliseconds.

use std::collections::BTreeMap;

/// The settings.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Calls of one run.
    pub attempts: u32,
    /// The wait after the nth failed call: this and `factor` times 2 to the power of n, at most `cap`.
    pub base: i64,
    /// See `base`.
    pub factor: i64,
    /// See `base`.
    pub cap: i64,
    /// How long a run lasts.
    pub deadline: i64,
    /// How often it begins anew.
    pub restarts: u32,
    /// When a row that is not pending is purged.
    pub purge_after: Option<i64>,
    /// Rows of a partition that may be pending.
    pub max_pending: usize,
}

/// A run: the request that has begun it, and how often it has begun anew by itself since.
pub type Run = (u32, u32);

/// How a row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Its run is live.
    Pending,
    /// The register has answered.
    Processed,
    /// The register has not answered, or an operator has ended the run.
    Failed,
    /// The time of the run was over.
    FailedWithError,
}

/// What a call has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Data of this number.
    Found(u32),
    /// Nothing.
    Empty,
    /// An error after which it is asked again, not before this time has passed.
    Again(Option<i64>),
    /// An answer that cannot be read.
    Unreadable,
    /// An error that is final.
    Final,
}

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The request that has made it.
    pub made_by: u32,
    /// Its status.
    pub status: Status,
    /// Its run.
    pub run: Run,
    /// The last data.
    pub info: Option<u32>,
    /// When it was synchronised.
    pub synced_at: Option<i64>,
    /// When it was made.
    pub inserted_at: i64,
    /// When it has changed.
    pub updated_at: i64,
    /// Who has triggered it last.
    pub updated_by: u32,
    /// Ended calls of the run.
    pub attempt: u32,
    /// How often the run has begun anew.
    pub restarts: u32,
    /// When the next call is due. `None` while one is open, or the row is not pending.
    pub next_attempt_at: Option<i64>,
    /// When the run ends.
    pub deadline_at: Option<i64>,
    /// The class of the last error.
    pub error: Option<&'static str>,
}

/// A row by its partition and its number.
pub type Place = (i32, u8);

#[derive(Clone, Debug)]
struct Kept {
    row: Row,
    unreadable: bool,
}

/// All rows, and what has happened to them.
#[derive(Debug)]
pub struct Oracle {
    rules: Rules,
    rows: BTreeMap<Place, Kept>,
    /// Transitions by the request that has made the row. 0 stands for rows that are gone.
    pub events: BTreeMap<u32, Vec<&'static str>>,
    /// Audited actions, in the same way.
    pub audit: BTreeMap<u32, Vec<&'static str>>,
}

impl Oracle {
    /// No rows.
    pub fn new(rules: Rules) -> Self {
        Self { rules, rows: BTreeMap::new(), events: BTreeMap::new(), audit: BTreeMap::new() }
    }

    /// All rows.
    pub fn rows(&self) -> BTreeMap<Place, Row> {
        self.rows.iter().map(|(place, kept)| (*place, kept.row.clone())).collect()
    }

    fn tell(&mut self, of: u32, event: &'static str) {
        self.events.entry(of).or_default().push(event);
    }

    fn note(&mut self, of: u32, action: &'static str) {
        self.audit.entry(of).or_default().push(action);
    }

    fn is_full(&self, partition: i32) -> bool {
        let pending =
            self.rows.iter().filter(|(place, kept)| place.0 == partition && kept.row.status == Status::Pending);
        pending.count() >= self.rules.max_pending
    }

    /// A user asks for a number with the request of this number.
    pub fn ask(&mut self, place: Place, request: u32, user: u32, now: i64) {
        let Some(mut kept) = self.rows.get(&place).cloned() else {
            if !self.is_full(place.0) {
                let row = Row {
                    made_by: request,
                    status: Status::Pending,
                    run: (request, 0),
                    info: None,
                    synced_at: None,
                    inserted_at: now,
                    updated_at: now,
                    updated_by: user,
                    attempt: 0,
                    restarts: 0,
                    next_attempt_at: None,
                    deadline_at: None,
                    error: None,
                };
                self.begin(place, Kept { row, unreadable: false }, (request, user, now), "sync");
            }
            return;
        };
        if kept.row.status == Status::Pending {
            let overdue = kept.row.deadline_at.is_some_and(|deadline| now >= deadline);
            if !overdue {
                kept.row.updated_by = user;
                kept.row.updated_at = kept.row.updated_at.max(now);
                self.note(kept.row.made_by, "join");
                self.tell(kept.row.made_by, "joined");
                self.rows.insert(place, kept);
                return;
            }
            if kept.row.restarts < self.rules.restarts {
                kept.row.updated_by = user;
                kept.row.updated_at = kept.row.updated_at.max(now);
                self.note(kept.row.made_by, "sync");
                self.anew(place, kept, (request, 0), now);
                return;
            }
            kept.row.error = Some("deadline");
            self.end(place, kept, (Status::FailedWithError, "failed_with_error"), now);
            let Some(ended) = self.rows.get(&place).cloned() else { return };
            kept = ended;
        }
        if !self.is_full(place.0) {
            self.begin(place, kept, (request, user, now), "sync");
        }
    }

    fn begin(&mut self, place: Place, mut kept: Kept, (request, user, now): (u32, u32, i64), action: &'static str) {
        let row = &mut kept.row;
        row.status = Status::Pending;
        row.run = (request, 0);
        row.updated_at = row.updated_at.max(now);
        row.updated_by = user;
        row.attempt = 0;
        row.restarts = 0;
        row.next_attempt_at = None;
        row.deadline_at = Some(now + self.rules.deadline);
        row.error = None;
        kept.unreadable = false;
        self.note(kept.row.made_by, action);
        self.tell(kept.row.made_by, "requested");
        self.rows.insert(place, kept);
    }

    fn anew(&mut self, place: Place, mut kept: Kept, run: Run, now: i64) {
        kept.row.run = run;
        kept.row.attempt = 0;
        kept.row.restarts += 1;
        kept.row.next_attempt_at = None;
        kept.row.deadline_at = Some(now + self.rules.deadline);
        kept.unreadable = false;
        self.tell(kept.row.made_by, "restarted");
        self.rows.insert(place, kept);
    }

    fn end(&mut self, place: Place, mut kept: Kept, (status, event): (Status, &'static str), now: i64) {
        kept.row.status = status;
        kept.row.updated_at = kept.row.updated_at.max(now);
        kept.row.next_attempt_at = None;
        kept.row.deadline_at = None;
        self.note(kept.row.made_by, "outcome");
        self.tell(kept.row.made_by, event);
        self.rows.insert(place, kept);
    }

    /// A call of a run has ended.
    pub fn answer(&mut self, place: Place, run: Run, attempt: u32, outcome: Outcome, now: i64) {
        let known = self.rows.get(&place).cloned();
        let is_open = |row: &Row| {
            row.status == Status::Pending
                && row.next_attempt_at.is_none()
                && row.run == run
                && row.attempt + 1 == attempt
        };
        let Some(mut kept) = known.clone().filter(|kept| is_open(&kept.row)) else {
            self.tell(known.map_or(0, |kept| kept.row.made_by), "late_answer");
            return;
        };
        kept.row.attempt += 1;
        let (class, pause) = match outcome {
            Outcome::Found(data) => return self.processed(place, kept, Some(data), now),
            Outcome::Empty => return self.processed(place, kept, None, now),
            Outcome::Again(pause) => ("transport", pause),
            Outcome::Unreadable => ("decode", None),
            Outcome::Final => ("fault", None),
        };
        kept.row.error = Some(class);
        let is_over = match outcome {
            Outcome::Final => true,
            Outcome::Unreadable => std::mem::replace(&mut kept.unreadable, true),
            _ => false,
        };
        if is_over || kept.row.attempt >= self.rules.attempts {
            self.end(place, kept, (Status::Failed, "failed"), now);
            return;
        }
        let doubled = self.rules.factor * 2_i64.pow(kept.row.attempt);
        let wait = (self.rules.base + doubled).min(self.rules.cap);
        kept.row.next_attempt_at = Some(now + wait.max(pause.unwrap_or(0).min(self.rules.cap)));
        self.tell(kept.row.made_by, "retrying");
        self.rows.insert(place, kept);
    }

    fn processed(&mut self, place: Place, mut kept: Kept, info: Option<u32>, now: i64) {
        let now = now.max(kept.row.updated_at);
        let event = if info.is_some() { "processed" } else { "not_found" };
        kept.row.info = info;
        kept.row.synced_at = Some(now);
        kept.row.error = None;
        self.end(place, kept, (Status::Processed, event), now);
    }

    /// An operator begins a run anew.
    pub fn retry(&mut self, place: Place, request: u32, operator: u32, now: i64) {
        let Some(kept) = self.rows.get(&place).cloned() else { return };
        if kept.row.status == Status::Pending {
            return;
        }
        if self.is_full(place.0) {
            self.note(kept.row.made_by, "denied");
            return;
        }
        self.begin(place, kept, (request, operator, now), "retry");
    }

    /// An operator ends a run.
    pub fn cancel(&mut self, place: Place, now: i64) {
        let Some(mut kept) = self.rows.get(&place).cloned() else { return };
        if kept.row.status == Status::Pending {
            kept.row.error = Some("cancelled");
            self.note(kept.row.made_by, "cancel");
            self.end(place, kept, (Status::Failed, "cancelled"), now);
        }
    }

    /// An operator removes a row.
    pub fn purge(&mut self, place: Place) {
        let Some(kept) = self.rows.get(&place).cloned() else { return };
        if kept.row.status != Status::Pending {
            self.note(kept.row.made_by, "purge");
            self.tell(kept.row.made_by, "purged");
            self.rows.remove(&place);
        }
    }

    /// A partition learns the time.
    pub fn clock(&mut self, partition: i32, now: i64) {
        for place in self.rows.keys().copied().filter(|place| place.0 == partition).collect::<Vec<_>>() {
            let Some(mut kept) = self.rows.get(&place).cloned() else { continue };
            if kept.row.status != Status::Pending {
                let is_old = self.rules.purge_after.is_some_and(|after| kept.row.updated_at + after <= now);
                if is_old {
                    self.purge(place);
                }
                continue;
            }
            if kept.row.deadline_at.is_some_and(|deadline| deadline <= now) {
                let (request, restarts) = kept.row.run;
                if kept.row.restarts < self.rules.restarts {
                    self.anew(place, kept, (request, restarts + 1), now);
                } else {
                    kept.row.error = Some("deadline");
                    self.end(place, kept, (Status::FailedWithError, "failed_with_error"), now);
                }
            } else if kept.row.next_attempt_at.is_some_and(|next| next <= now) {
                kept.row.next_attempt_at = None;
                self.rows.insert(place, kept);
            }
        }
    }
}
