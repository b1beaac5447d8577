//! The state of the invented region, with the posts, positions and people of its first day. [`crate::placements`] adds
//! placements, [`crate::changes`] the changes.

use std::collections::BTreeMap;

use jiff::civil::{Date, Weekday};

use crate::model::{NO_POST, Person, Placement, Position, Post, PostNumber, PostStatus, SITES_PER_OFFICE, Site};
use crate::names::{GRADES, SPECIALTIES};
use crate::rng::Rng;
use crate::scale::{Profile, Scale};

/// Everything that exists on one day.
#[derive(Debug)]
pub(crate) struct Region {
    pub(crate) profile: &'static Profile,
    pub(crate) rng: Rng,
    pub(crate) first_day: Date,
    /// The day on which most people change posts, in days after the first day.
    pub(crate) rotation: i32,
    pub(crate) posts: Vec<Post>,
    pub(crate) positions: Vec<Position>,
    pub(crate) people: Vec<Person>,
    pub(crate) placements: Vec<Placement>,
    /// The index of the post with very many placements.
    pub(crate) bucket_post: Option<u32>,
    counters: BTreeMap<(u16, u8, u8), u16>,
}

/// The indexes of the posts, positions and people of one office.
#[derive(Debug, Clone)]
pub(crate) struct OfficeLists {
    /// Posts with at least one position, in random order.
    pub(crate) positioned: Vec<u32>,
    /// Posts without a position.
    pub(crate) bare: Vec<u32>,
    pub(crate) people: Vec<u32>,
}

impl Region {
    /// The region on its first day.
    pub(crate) fn new(scale: Scale, seed: u64, first_day: Date) -> Region {
        let profile = Profile::of(scale);
        let mut region = Region {
            profile,
            rng: Rng::new(seed),
            first_day,
            rotation: rotation_day(first_day),
            posts: Vec::with_capacity(profile.posts + 64),
            positions: Vec::with_capacity(profile.positions + 1024),
            people: Vec::with_capacity(profile.people),
            placements: Vec::with_capacity(profile.placements + profile.bucket.placements + 1024),
            bucket_post: None,
            counters: BTreeMap::new(),
        };
        for office in 0..profile.offices {
            let lists = region.set_up_office(office);
            region.place_people(office, lists);
        }
        region.fill_bucket();
        region.spoil_some();
        region
    }

    fn set_up_office(&mut self, office: usize) -> OfficeLists {
        let first_post = self.posts.len() as u32;
        let shared = self.profile.share(self.profile.posts, office);
        let reserved = if office == 0 { self.profile.bucket_posts() + self.profile.twin_posts() } else { 0 };
        for _ in 0..shared - reserved {
            let number = self.next_number(office);
            self.add_post(number);
        }
        let posts: Vec<u32> = (first_post..self.posts.len() as u32).collect();
        let positioned = self.set_up_positions(office, &posts);
        let first_person = self.people.len() as u32;
        for _ in 0..self.profile.share(self.profile.people, office) {
            let person = self.invent_person();
            self.people.push(person);
        }
        OfficeLists {
            positioned: posts[..positioned].to_vec(),
            bare: posts[positioned..].to_vec(),
            people: (first_person..self.people.len() as u32).collect(),
        }
    }

    /// Gives the first posts of the office their positions: 83 % get one, 15 % two (host and lead), the others three or
    /// four (R2). This ends when nine tenths of the positions are used. The other positions have numbers that no post
    /// has (R11). Returns the number of posts with positions.
    fn set_up_positions(&mut self, office: usize, posts: &[u32]) -> usize {
        let reserved = if office == 0 { self.profile.bucket_posts() } else { 0 };
        let total = self.profile.share(self.profile.positions, office) - reserved;
        let matched = total * 9 / 10;
        let end = self.positions.len() + matched;
        let mut positioned = 0;
        while self.positions.len() < end && positioned < posts.len() {
            let wanted = match self.rng.below(1000) {
                0..=834 => 1,
                835..=984 => 2,
                985..=996 => 3,
                _ => 4,
            };
            for copy in 0..wanted.min(end - self.positions.len()) {
                let post = posts[positioned];
                self.add_position(self.posts[post as usize].number, post, copy == 1);
            }
            positioned += 1;
        }
        while self.positions.len() < end + (total - matched) {
            let number = self.next_number(office);
            self.add_position(number, NO_POST, false);
        }
        positioned
    }

    /// The next free number of a random site, specialty and grade in the office.
    pub(crate) fn next_number(&mut self, office: usize) -> PostNumber {
        let site = (office * SITES_PER_OFFICE + self.rng.below(SITES_PER_OFFICE)) as u16;
        let specialty = self.rng.below(SPECIALTIES.len()) as u8;
        let grade = self.rng.below(GRADES.len()) as u8;
        let suffix = if self.rng.chance(60) { 1 + self.rng.below(3) as u8 } else { 0 };
        self.number_at(site, specialty, grade, suffix)
    }

    /// The next free number with these first four parts (section 4.5).
    pub(crate) fn number_at(&mut self, site: u16, specialty: u8, grade: u8, suffix: u8) -> PostNumber {
        let counter = self.counters.entry((site, specialty, grade)).or_default();
        *counter += 1;
        PostNumber { site, specialty, grade, counter: *counter, suffix }
    }

    /// Adds a post and returns its index.
    pub(crate) fn add_post(&mut self, number: PostNumber) -> u32 {
        let status = match self.rng.below(1000) {
            0..=964 => PostStatus::Current,
            965..=994 => PostStatus::Inactive,
            _ => PostStatus::Delete,
        };
        self.posts.push(Post { number, status, live_positions: 0 });
        self.posts.len() as u32 - 1
    }

    /// Adds a live position and returns its index.
    pub(crate) fn add_position(&mut self, dpn: PostNumber, post: u32, lead: bool) -> u32 {
        let index = self.positions.len() as u32;
        let position = Position {
            id: 7_000_001 + index,
            number: 30_000_001 + index * 3,
            dpn,
            post,
            lead,
            deleted: false,
            cleared: false,
            revision: 0,
        };
        self.positions.push(position);
        self.count_live(post, 1);
        index
    }

    fn count_live(&mut self, post: u32, by: i8) {
        if let Some(post) = self.posts.get_mut(post as usize) {
            post.live_positions = post.live_positions.saturating_add_signed(by);
        }
    }

    /// Changes a position, and updates the counts of live positions of its posts.
    pub(crate) fn change_position(&mut self, index: u32, change: impl FnOnce(&mut Position)) {
        let before = self.positions[index as usize];
        if before.live() {
            self.count_live(before.post, -1);
        }
        change(&mut self.positions[index as usize]);
        let after = self.positions[index as usize];
        if after.live() {
            self.count_live(after.post, 1);
        }
    }

    fn invent_person(&mut self) -> Person {
        Person {
            key: self.rng.next(),
            no_birth_date: self.rng.chance(20),
            unknown_gmc: self.rng.chance(15),
            dentist: self.rng.chance(30),
            bad_postcode: self.rng.chance(10),
            revision: 0,
        }
    }

    /// Deletes 3 % of the positions (R3) and adds posts that share a number with another post (R9). Makes sure that
    /// every scale has each kind of incomplete data among the people who start soon.
    fn spoil_some(&mut self) {
        for index in 1..self.positions.len() as u32 {
            if self.rng.chance(30) {
                self.change_position(index, |position| position.deleted = true);
            }
        }
        for _ in 0..self.profile.twin_posts() {
            // The bucket post is never one of the first hundred posts.
            let number = self.posts[self.rng.below(100)].number;
            self.posts.push(Post { number, status: PostStatus::Inactive, live_positions: 0 });
        }
        let soon = self.exportable(3, 80);
        for (turn, placement) in self.rng.choose(soon, 8).into_iter().enumerate() {
            let trainee = self.placements[placement as usize].trainee as usize;
            let person = &mut self.people[trainee];
            match turn {
                0..3 => person.no_birth_date = true,
                3..5 => person.unknown_gmc = true,
                5..7 => person.bad_postcode = true,
                _ => self.placements[placement as usize].exported_before = true,
            }
        }
    }

    /// The placements that count, start in `from..=to` and have a live position.
    pub(crate) fn exportable(&self, from: i32, to: i32) -> Vec<u32> {
        let window = from..=to;
        self.select(|placement| placement.counts() && window.contains(&placement.from) && self.rows(placement) > 0)
    }

    /// The indexes of the placements for which `wanted` holds.
    pub(crate) fn select(&self, wanted: impl Fn(&Placement) -> bool) -> Vec<u32> {
        (0u32..).zip(&self.placements).filter(|(_, placement)| wanted(placement)).map(|(index, _)| index).collect()
    }

    /// The number of applicant rows of a placement that counts: one for each live position of its post.
    pub(crate) fn rows(&self, placement: &Placement) -> usize {
        let post = &self.posts[placement.post as usize];
        if post.status == PostStatus::Delete { 0 } else { usize::from(post.live_positions) }
    }

    /// The index of the office of a placement.
    pub(crate) fn office_of(&self, placement: &Placement) -> usize {
        Site(self.posts[placement.post as usize].number.site).office()
    }
}

/// The first Wednesday more than 13 weeks and two days after the first day. On the first and the second day, its
/// starters are outside the reach of T1b and the window of A5.
fn rotation_day(first_day: Date) -> i32 {
    let earliest = 94;
    let weekday = crate::model::date_at(first_day, earliest).weekday();
    earliest + i32::from(weekday.until(Weekday::Wednesday))
}
