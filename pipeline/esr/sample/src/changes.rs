//! The changes of a later day: of posts, placements and people in TIS, and of positions in ESR.

use std::collections::BTreeSet;

use crate::model::{NO_POST, OPEN_END, PostStatus};
use crate::names::SUFFIXES;
use crate::region::Region;

/// A day of changes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Day {
    /// The day, in days after the first day.
    pub(crate) today: i32,
    /// The day of the previous run. Placements in its window have been exported.
    pub(crate) last_run: i32,
    pub(crate) rmc_records: usize,
    pub(crate) tis_changes: usize,
}

/// What the day has changed.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    /// Positions for the RMC files, by index.
    pub(crate) positions: BTreeSet<u32>,
    /// Changed or added placements.
    placements: BTreeSet<u32>,
    people: BTreeSet<u32>,
    /// The number of changes in TIS.
    pub(crate) tis_changes: usize,
}

/// `percent` of `total`, at least one.
fn part(total: usize, percent: usize) -> usize {
    (total * percent / 100).max(1)
}

impl Region {
    /// Makes the changes of a day.
    pub(crate) fn change(&mut self, day: Day) -> Touched {
        let mut touched = Touched::default();
        let total = day.tis_changes;
        self.add_posts(day, part(total, 3), &mut touched);
        self.renumber_posts(day, part(total, 2), &mut touched);
        self.move_starts(day, part(total, 25), &mut touched);
        self.move_ends(day, part(total, 8), &mut touched);
        self.end_placements(day, part(total, 4), &mut touched);
        self.delete_placements(day, part(total, 8), part(total, 4), &mut touched);
        self.approve_drafts(day, part(total, 8), &mut touched);
        self.change_hours(day, part(total, 8), &mut touched);
        self.correct_people(day, part(total, 8), &mut touched);
        self.add_placements(day, total.saturating_sub(touched.tis_changes), &mut touched);
        self.change_positions(day, &mut touched);
        touched
    }

    /// Chooses `count` of the placements that this day has not changed yet, and marks them as changed.
    fn take(&mut self, candidates: Vec<u32>, count: usize, touched: &mut Touched) -> Vec<u32> {
        let untouched = candidates.into_iter().filter(|index| !touched.placements.contains(index)).collect();
        let chosen = self.rng.choose(untouched, count);
        touched.placements.extend(&chosen);
        touched.tis_changes += chosen.len();
        chosen
    }

    /// Adds posts, each with its first trainee. Every other post has the number of a position that waited for it (type
    /// 5, D32). The others get their position today.
    fn add_posts(&mut self, day: Day, count: usize, touched: &mut Touched) {
        let waiting = self.select_positions(|position| position.live() && position.post == NO_POST);
        let waiting = self.rng.choose(waiting, count.div_ceil(2));
        for turn in 0..count {
            let post = if let Some(&position) = waiting.get(turn / 2)
                && turn % 2 == 0
            {
                let post = self.add_post(self.positions[position as usize].dpn);
                self.change_position(position, |position| position.post = post);
                post
            } else {
                let office = self.rng.below(self.profile.offices);
                let number = self.next_number(office);
                let post = self.add_post(number);
                touched.positions.insert(self.add_position(number, post, false));
                post
            };
            self.posts[post as usize].status = PostStatus::Current;
            let start = self.rng.day(day.today + 10, day.today + 85);
            self.add_starter(post, start, touched);
            touched.tis_changes += 1;
        }
    }

    /// Adds an approved placement of a person of the office.
    fn add_starter(&mut self, post: u32, start: i32, touched: &mut Touched) {
        let office = self.posts[post as usize].office();
        let first: usize = (0..office).map(|before| self.profile.share(self.profile.people, before)).sum();
        let people = self.profile.share(self.profile.people, office);
        let trainee = (first + self.rng.below(people)) as u32;
        let index = self.start(trainee, post, start);
        touched.placements.insert(index as u32);
        touched.tis_changes += 1;
    }

    /// Gives posts with a present holder another suffix and so another number (section 4.5). For every other post, the
    /// trust has changed its positions too (R6).
    fn renumber_posts(&mut self, day: Day, count: usize, touched: &mut Touched) {
        let bucket = self.bucket_post;
        let held = self.select(|placement| {
            placement.counts()
                && placement.covers(day.today)
                && Some(placement.post) != bucket
                && self.rows(placement) > 0
        });
        let mut posts: Vec<u32> =
            self.rng.choose(held, count).into_iter().map(|index| self.placements[index as usize].post).collect();
        posts.sort_unstable();
        posts.dedup();
        touched.tis_changes += posts.len();
        for (turn, post) in posts.into_iter().enumerate() {
            let old = self.posts[post as usize].number;
            let suffix = (old.suffix + 1) % SUFFIXES.len() as u8;
            let number = self.number_at(old.site, old.specialty, old.grade, suffix);
            self.posts[post as usize].number = number;
            for index in self.select_positions(|position| position.post == post) {
                if turn % 2 == 0 {
                    self.change_position(index, |position| position.dpn = number);
                    touched.positions.insert(index);
                } else {
                    self.change_position(index, |position| position.post = NO_POST);
                }
            }
        }
    }

    /// Moves the start of placements that the previous run has exported (type 4). Half of them keep their length.
    fn move_starts(&mut self, day: Day, count: usize, touched: &mut Touched) {
        let exported = self.exportable(day.today + 3, day.last_run + 90);
        for index in self.take(exported, count, touched) {
            let shift = if self.rng.chance(800) { self.rng.day(1, 14) } else { -1 };
            let keep_length = self.rng.chance(500);
            let placement = &mut self.placements[index as usize];
            placement.from += shift;
            if keep_length {
                placement.to += shift;
            }
        }
    }

    /// Moves the end of present placements.
    fn move_ends(&mut self, day: Day, count: usize, touched: &mut Touched) {
        let present = self.select(|placement| {
            placement.counts()
                && placement.from < day.today
                && placement.to != OPEN_END
                && placement.to > day.today + 20
        });
        for index in self.take(present, count, touched) {
            let shift = self.rng.day(-14, 28);
            self.placements[index as usize].to += if shift == 0 { 7 } else { shift };
        }
    }

    /// Ends present placements yesterday (T1c).
    fn end_placements(&mut self, day: Day, count: usize, touched: &mut Touched) {
        let present =
            self.select(|placement| placement.counts() && placement.from < day.today - 30 && placement.to > day.today);
        for index in self.take(present, count, touched) {
            self.placements[index as usize].to = day.today - 1;
        }
    }

    /// Deletes exported placements (type 2) and other placements.
    fn delete_placements(&mut self, day: Day, exported: usize, others: usize, touched: &mut Touched) {
        let candidates = self.exportable(day.today + 3, day.last_run + 90);
        let mut chosen = self.take(candidates, exported, touched);
        let candidates = self.select(|placement| {
            !placement.deleted && (placement.draft || placement.to < day.today || placement.from > day.last_run + 95)
        });
        chosen.extend(self.take(candidates, others, touched));
        for index in chosen {
            self.placements[index as usize].deleted = true;
        }
    }

    fn approve_drafts(&mut self, day: Day, count: usize, touched: &mut Touched) {
        let drafts = self.select(|placement| placement.draft && !placement.deleted && placement.from > day.today - 30);
        for index in self.take(drafts, count, touched) {
            self.placements[index as usize].draft = false;
        }
    }

    /// Changes the whole-time equivalent of present placements (T1f) and of a few future ones.
    fn change_hours(&mut self, day: Day, count: usize, touched: &mut Touched) {
        let mut candidates = self.select(|placement| placement.counts() && placement.covers(day.today));
        candidates.extend(self.exportable(day.today + 3, day.last_run + 30));
        candidates.sort_unstable();
        candidates.dedup();
        for index in self.take(candidates, count, touched) {
            let placement = &mut self.placements[index as usize];
            placement.tenths = if placement.tenths == 10 { 6 } else { 10 };
        }
    }

    /// Adds missing dates of birth, first of people who start soon, and corrects contact details.
    fn correct_people(&mut self, day: Day, count: usize, touched: &mut Touched) {
        let soon = self.exportable(day.today + 2, day.today + 90);
        let mut incomplete: Vec<u32> = soon
            .into_iter()
            .map(|index| self.placements[index as usize].trainee)
            .filter(|&person| self.people[person as usize].no_birth_date)
            .collect();
        incomplete.sort_unstable();
        incomplete.dedup();
        for person in self.rng.choose(incomplete, count.div_ceil(2)) {
            self.people[person as usize].no_birth_date = false;
            touched.people.insert(person);
        }
        let people = (0..self.people.len() as u32).filter(|person| !touched.people.contains(person)).collect();
        for person in self.rng.choose(people, count - touched.people.len()) {
            self.people[person as usize].revision += 1;
            touched.people.insert(person);
        }
        touched.tis_changes += touched.people.len();
    }

    /// Adds placements. Most start on the day after the last day of a present holder (T1d). Some are entered too late
    /// for the window (D25).
    fn add_placements(&mut self, day: Day, count: usize, touched: &mut Touched) {
        let ending = self.select(|placement| {
            placement.counts()
                && placement.from <= day.today
                && (day.today + 2..day.today + 120).contains(&placement.to)
                && self.rows(placement) > 0
        });
        for index in self.rng.choose(ending, count) {
            let followed = self.placements[index as usize];
            let start = if self.rng.chance(850) { followed.to + 1 } else { self.rng.day(day.today - 5, day.today + 1) };
            self.add_starter(followed.post, start, touched);
        }
    }
}
