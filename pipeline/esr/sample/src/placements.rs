//! The placements of the first day: the holder of each post, the next holder, and the dates.

use crate::model::{OPEN_END, Placement};
use crate::names::COUNTED_TYPES;
use crate::region::{OfficeLists, Region};

/// Starts that every scale has: today and tomorrow (T1a), in 13 weeks and a day later (T1b), the first day of the
/// window and the day before it (A6).
const SPECIAL_STARTS: [i32; 6] = [0, 1, 91, 92, 2, 3];

/// The posts of an office that are still free.
struct Free {
    positioned: Vec<u32>,
    bare: Vec<u32>,
}

impl Region {
    /// Creates all placements of one office.
    pub(crate) fn place_people(&mut self, office: usize, lists: OfficeLists) {
        let OfficeLists { positioned, bare, people } = lists;
        let mut free = Free { positioned, bare };
        let share = |total| self.profile.share(total, office);
        let (holders, starting) = (share(self.profile.holders), share(self.profile.starting));
        let (later, all) = (share(self.profile.later), share(self.profile.placements));
        let rotation_rows = share(self.profile.rotation_rows);
        let first = self.placements.len();

        // Placement `first + i` is the present placement of person `people[i]`.
        for &person in &people[..holders] {
            let post = self.free_post(&mut free);
            self.hold_post(person, post);
        }
        let mut newcomers = people[holders..].to_vec();
        let moved = self.rotate_soon(first, holders, starting, &mut newcomers, &mut free);
        self.rotate_later(first + moved, holders - moved, rotation_rows, &mut newcomers, &mut free);
        for _ in 0..later {
            let person = self.rng.pick(&people);
            let post = self.free_post(&mut free);
            let start = self.rotation + self.rng.day(60, 400);
            self.start(person, post, start);
        }
        while self.placements.len() < first + all {
            self.finished(&people, &mut free, self.placements.len() + 8 >= first + all);
        }
    }

    fn free_post(&mut self, free: &mut Free) -> u32 {
        let (most, rest) = if self.rng.chance(60) {
            (&mut free.bare, &mut free.positioned)
        } else {
            (&mut free.positioned, &mut free.bare)
        };
        let taken = most.pop().or_else(|| rest.pop());
        // The built-in scales never need a random post here, because they have more posts than placements to add.
        taken.unwrap_or_else(|| self.rng.below(self.posts.len()) as u32)
    }

    fn hold_post(&mut self, person: u32, post: u32) {
        let from = self.rng.day(-330, -1);
        let to = if self.rng.chance(10) { OPEN_END } else { self.rng.day(5, 700) };
        let index = self.add_placement(person, post, from, to);
        let draft = self.rng.chance(10);
        self.placements[index].draft = draft;
    }

    /// Adds a placement that starts on `from`, with one of a few usual lengths.
    pub(crate) fn start(&mut self, person: u32, post: u32, from: i32) -> usize {
        let length = self.rng.pick(&[119, 181, 363, 363]);
        let index = self.add_placement(person, post, from, from + length);
        let draft = self.rng.chance(60);
        self.placements[index].draft = draft;
        index
    }

    /// Adds an approved placement and returns its index.
    pub(crate) fn add_placement(&mut self, trainee: u32, post: u32, from: i32, to: i32) -> usize {
        let kind = match self.rng.below(1000) {
            0..=699 => 0,
            700..=859 => 1,
            860..=959 => self.rng.below(COUNTED_TYPES),
            _ => COUNTED_TYPES + self.rng.below(4),
        };
        let tenths = self.rng.pick(&[10, 10, 10, 10, 10, 10, 8, 8, 6]);
        self.placements.push(Placement {
            id: 2_000_001 + self.placements.len() as u32,
            trainee,
            post,
            from,
            to,
            tenths,
            kind: kind as u8,
            draft: false,
            no_site: self.rng.chance(15),
            exported_before: false,
            deleted: false,
        });
        self.placements.len() - 1
    }

    /// Moves holders within 13 weeks, in small rings. Each holder takes the post of the next one. The last holder takes
    /// the post of the first or a vacant one (T1c). A newcomer starts with every sixth ring. Returns the number of
    /// holders that moved.
    fn rotate_soon(
        &mut self,
        first: usize,
        holders: usize,
        starting: usize,
        newcomers: &mut Vec<u32>,
        free: &mut Free,
    ) -> usize {
        let (mut moved, mut started, mut ring) = (0, 0, 0);
        while started < starting {
            let start = match SPECIAL_STARTS.get(ring) {
                Some(&start) => start,
                None if self.rng.chance(80) => self.rng.pick(&SPECIAL_STARTS),
                None => self.rng.day(2, 92),
            };
            if ring % 6 == 5
                && let Some(person) = newcomers.pop()
            {
                let post = self.free_post(free);
                self.start(person, post, start);
                started += 1;
            }
            let size = (2 + self.rng.below(5)).min(holders - moved).min(starting - started);
            self.rotate(first + moved, size, start, free);
            moved += size;
            started += size;
            ring += 1;
        }
        moved
    }

    /// Moves remaining holders and newcomers on the rotation day, until `wanted_rows` applicant rows enter the window
    /// 90 days before that day.
    fn rotate_later(
        &mut self,
        mut next: usize,
        mut left: usize,
        wanted_rows: usize,
        newcomers: &mut Vec<u32>,
        free: &mut Free,
    ) {
        let mut rows = 0;
        while rows < wanted_rows && left > 0 {
            let before = self.placements.len();
            let size = (2 + self.rng.below(8)).min(left);
            self.rotate(next, size, self.rotation, free);
            next += size;
            left -= size;
            if self.rng.chance(400)
                && let Some(person) = newcomers.pop()
            {
                let post = self.free_post(free);
                self.start(person, post, self.rotation);
            }
            let counted = self.placements[before..].iter().filter(|placement| placement.counts());
            rows += counted.map(|placement| self.rows(placement)).sum::<usize>();
        }
    }

    /// Moves one ring: the holders of the placements `first..first + size` move on the day `start`.
    fn rotate(&mut self, first: usize, size: usize, start: i32, free: &mut Free) {
        if size == 0 {
            return;
        }
        let closing = if size > 1 && self.rng.chance(600) { self.placements[first].post } else { self.free_post(free) };
        for index in first..first + size {
            let last = index + 1 == first + size;
            let post = if last { closing } else { self.placements[index + 1].post };
            self.placements[index].to = start - 1;
            let trainee = self.placements[index].trainee;
            self.start(trainee, post, start);
        }
    }

    /// Adds a placement that is over. With `just`, it ended yesterday or ends today (T1c).
    fn finished(&mut self, people: &[u32], free: &mut Free, just: bool) {
        let trainee = self.rng.pick(people);
        let post = self.free_post(free);
        let to = if just { self.rng.day(-1, 0) } else { self.rng.day(-1_500, -2) };
        let from = to - self.rng.pick(&[119, 181, 363]);
        self.add_placement(trainee, post, from, to);
    }

    /// Adds the many placements of the bucket post in the first office. The placements that start soon exceed the limit
    /// of one file for one number (A10) and belong to different people (A11).
    pub(crate) fn fill_bucket(&mut self) {
        let bucket = &self.profile.bucket;
        if bucket.placements == 0 {
            return;
        }
        let number = self.next_number(0);
        let post = self.add_post(number);
        self.posts[post as usize].status = crate::model::PostStatus::Current;
        self.add_position(number, post, true);
        self.bucket_post = Some(post);
        let step = self.people.len() / bucket.placements.min(self.people.len()).max(1);
        for turn in 0..bucket.placements {
            let trainee = (turn * step.max(1) % self.people.len()) as u32;
            let (from, to) = if turn < bucket.starting {
                (self.rng.day(12, 85), self.rng.day(200, 400))
            } else if turn < bucket.starting + bucket.current {
                (self.rng.day(-300, -60), self.rng.day(100, 400))
            } else {
                let to = self.rng.day(-2_000, -5);
                (to - self.rng.day(20, 200), to)
            };
            let index = self.add_placement(trainee, post, from, to);
            self.placements[index].kind = 0;
        }
    }
}
