//! Deterministic input: the same size and seed give the same records in the same order.
//!
//! A sample remembers where everything is, so that changes can continue after the first load. Most change single rows,
//! some are moves, and some are merges, in which everything at one post moves to another. The first post has a bucket
//! of placements.

use tributary_runtime::memory::SimulationRng;
use tributary_runtime::{Headers, Output, TimestampMillis, Topic};

use crate::layout::{Dpn, Image, Placement, Position, Post, VERSION};
use crate::topics::{PLACEMENTS, POSITIONS, POSTS};

/// How much there is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Positions; there are three posts to four of them.
    pub positions: u32,
    /// Placements of the bucket post, which has two positions.
    pub bucket: u32,
    /// Changes for each position and placement of the first load.
    pub changes: f64,
    /// Changes that reach the whole bucket, evenly spread.
    pub bucket_changes: u32,
}

impl Default for Size {
    fn default() -> Self {
        Self { positions: 100_000, bucket: 5_000, changes: 1.0, bucket_changes: 20 }
    }
}

/// One input record.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// Where it goes.
    pub topic: &'static Topic,
    /// Its key.
    pub key: &'a [u8],
    /// Its value; `None` deletes.
    pub value: Option<&'a [u8]>,
    /// The time of the change.
    pub timestamp: TimestampMillis,
}

impl Input<'_> {
    /// Sends it as of the time of the change.
    pub fn send(&self, output: &mut Output) {
        output.inherit(self.timestamp, Headers::default());
        match self.value {
            Some(value) => output.send(self.topic, self.key, |buffer| buffer.extend_from_slice(value)),
            None => output.tombstone(self.topic, self.key),
        }
    }
}

/// Called with each input record.
pub type Sink<'a> = &'a mut dyn FnMut(Input<'_>);

/// When the first change happens, unless a clock was given.
const FIRST_TIME: TimestampMillis = 1_760_000_000_000;

const FIRST_POSITION: i64 = 10_000_000;
const FIRST_POST: i64 = 20_000_000;
const FIRST_PLACEMENT: i64 = 30_000_000;

/// Up to which draw of a thousand a post has 1, 2, ... 8 placements.
const PLACEMENTS_PER_POST: [u64; 8] = [300, 550, 700, 800, 880, 930, 970, 1000];

const SPECIALTIES: [&str; 6] =
    ["Anaesthetics", "Cardiology", "Clinical radiology", "General practice", "General surgery", "Paediatrics"];

/// A row that can move between posts.
#[derive(Debug, Clone, Copy)]
struct Movable {
    post: usize,
    revision: u32,
    lives: bool,
    start: i32,
}

/// Everything that was sent so far.
#[derive(Debug)]
pub struct Sample {
    size: Size,
    rng: SimulationRng,
    sent: i64,
    clock: Option<TimestampMillis>,
    positions: Vec<Movable>,
    placements: Vec<Movable>,
    /// Revision of each post, and whether it lives.
    posts: Vec<(u32, bool)>,
    /// Positions and placements of each post number, also of the last two in a hundred, which never become posts.
    members: Vec<(Vec<usize>, Vec<usize>)>,
}

impl Sample {
    /// A sample that has sent nothing.
    pub fn new(seed: u64, size: Size) -> Self {
        let posts = (size.positions as usize * 3 / 4).max(2);
        Self {
            size,
            rng: SimulationRng::new(seed),
            sent: 0,
            clock: None,
            positions: Vec::new(),
            placements: Vec::new(),
            posts: vec![(0, true); posts],
            members: vec![(Vec::new(), Vec::new()); posts + posts / 50 + 1],
        }
    }

    /// From now on, changes happen at this time.
    pub fn set_clock(&mut self, now: TimestampMillis) {
        self.clock = Some(now);
    }

    /// Sends every post, position and placement for the first time.
    pub fn load(&mut self, sink: Sink<'_>) {
        for post in 0..self.posts.len() {
            self.send_post(post, sink);
        }
        for id in 0..self.size.positions as usize {
            let post = if id < 2 { 0 } else { self.any_post() };
            self.positions.push(Movable { post, revision: 0, lives: true, start: 0 });
            self.members[post].0.push(id);
            self.send_position(id, sink);
        }
        for post in 0..self.posts.len() {
            let draw = self.rng.below(1000);
            let usual = PLACEMENTS_PER_POST.iter().position(|most| draw < *most).unwrap_or_default() + 1;
            let count = if post == 0 { self.size.bucket as usize } else { usual };
            (0..count).for_each(|_| self.add_placement(post, sink));
        }
    }

    /// Sends the changes that the size asks for.
    pub fn change(&mut self, sink: Sink<'_>) {
        let count = (self.size.changes * (self.positions.len() + self.placements.len()) as f64) as u64;
        let spacing = count.checked_div(u64::from(self.size.bucket_changes)).unwrap_or(u64::MAX).max(1);
        for number in 0..count {
            if number % spacing == spacing / 2 {
                self.change_bucket(number / spacing % 2 == 0, sink);
            } else {
                self.step(sink);
            }
        }
    }

    /// Sends one change; a merge is several records.
    pub fn step(&mut self, sink: Sink<'_>) {
        match self.rng.below(1000) {
            0..560 => self.change_placement(sink, |placement| placement.lives = true),
            560..620 => {
                let (id, post) = (self.pick(self.placements.len()), self.any_post());
                self.placements[id].lives = true;
                self.move_placement(id, post, sink);
            }
            620..660 => self.change_placement(sink, |placement| placement.lives = !placement.lives),
            660..680 => {
                let post = self.living_number();
                self.add_placement(post, sink);
            }
            680..870 => self.change_position(sink, |_| {}),
            870..910 => {
                let (id, post) = (self.pick(self.positions.len()), self.any_post());
                self.move_position(id, post, sink);
            }
            910..930 => self.change_position(sink, |position| position.lives = !position.lives),
            930..985 => {
                let post = 1 + self.pick(self.posts.len() - 1);
                self.change_post(post, |_| true, sink);
            }
            985..990 => {
                let post = self.living_number();
                self.change_post(post, |lives| !lives, sink);
            }
            _ => self.merge(sink),
        }
    }

    /// Everything at one post moves to another.
    fn merge(&mut self, sink: Sink<'_>) {
        let (from, to) = (self.living_number(), self.living_number());
        let (positions, placements) = self.members[from].clone();
        for id in positions {
            self.move_position(id, to, sink);
        }
        for id in placements {
            if self.placements[id].lives {
                self.move_placement(id, to, sink);
            }
        }
    }

    fn change_bucket(&mut self, post: bool, sink: Sink<'_>) {
        if post {
            self.change_post(0, |_| true, sink);
        } else {
            self.move_position(0, 0, sink);
        }
    }

    fn change_post(&mut self, post: usize, lives: impl Fn(bool) -> bool, sink: Sink<'_>) {
        let (revision, lived) = self.posts[post];
        self.posts[post] = (revision + 1, lives(lived));
        self.send_post(post, sink);
    }

    fn change_position(&mut self, sink: Sink<'_>, change: impl Fn(&mut Movable)) {
        let id = self.pick(self.positions.len());
        self.positions[id].revision += 1;
        change(&mut self.positions[id]);
        self.send_position(id, sink);
    }

    fn change_placement(&mut self, sink: Sink<'_>, change: impl Fn(&mut Movable)) {
        let (id, days) = (self.pick(self.placements.len()), 1 + self.rng.below(30) as i32);
        let placement = &mut self.placements[id];
        placement.revision += 1;
        placement.start += days;
        change(placement);
        self.send_placement(id, sink);
    }

    fn move_position(&mut self, id: usize, to: usize, sink: Sink<'_>) {
        let position = &mut self.positions[id];
        position.revision += 1;
        let from = std::mem::replace(&mut position.post, to);
        self.members[from].0.retain(|member| *member != id);
        self.members[to].0.push(id);
        self.send_position(id, sink);
    }

    fn move_placement(&mut self, id: usize, to: usize, sink: Sink<'_>) {
        let placement = &mut self.placements[id];
        placement.revision += 1;
        let from = std::mem::replace(&mut placement.post, to);
        self.members[from].1.retain(|member| *member != id);
        self.members[to].1.push(id);
        self.send_placement(id, sink);
    }

    fn add_placement(&mut self, post: usize, sink: Sink<'_>) {
        let (id, start) = (self.placements.len(), 19_000 + self.rng.below(1_000) as i32);
        self.placements.push(Movable { post, revision: 0, lives: true, start });
        self.members[post].1.push(id);
        self.send_placement(id, sink);
    }

    /// One of `count`; one draw in five comes from the hundredth in the middle.
    fn pick(&mut self, count: usize) -> usize {
        if self.rng.below(5) == 0 { count / 2 + self.below(count / 100) } else { self.below(count) }
    }

    /// A post number other than the bucket's, also one that never becomes a post.
    fn any_post(&mut self) -> usize {
        1 + self.below(self.members.len() - 2)
    }

    /// The number of a post other than the bucket's.
    fn living_number(&mut self) -> usize {
        1 + self.below(self.posts.len() - 1)
    }

    fn below(&mut self, count: usize) -> usize {
        self.rng.below(count as u64) as usize
    }

    fn time(&mut self) -> TimestampMillis {
        self.sent += 1;
        self.clock.unwrap_or(FIRST_TIME + self.sent / 100)
    }

    fn send_post(&mut self, number: usize, sink: Sink<'_>) {
        let (revision, lives) = self.posts[number];
        let (timestamp, noise) = (self.time(), self.rng.next_u64());
        let (dpn, mut post) = post(number, if revision % 5 == 4 { b'I' } else { b'C' }, revision);
        put(&mut post, 2, &(FIRST_POST + number as i64).to_be_bytes());
        put(&mut post, 14, &timestamp.to_be_bytes());
        put_text(&mut post, 22, 58, &format!("{} {noise:x}", SPECIALTIES[number % SPECIALTIES.len()]));
        sink(Input { topic: &POSTS, key: &dpn.0, value: lives.then_some(&post.0), timestamp });
    }

    fn send_position(&mut self, id: usize, sink: Sink<'_>) {
        let Movable { post, revision, lives, .. } = self.positions[id];
        let (timestamp, noise) = (self.time(), self.rng.next_u64());
        let flag = if !lives {
            b'D'
        } else if revision == 0 {
            b'C'
        } else {
            b'U'
        };
        let mut position = position(post, flag, revision);
        put_text(&mut position, 26, 3, ["YHD", "LDN", "NWN"][id % 3]);
        put(&mut position, 29, &(5_000_000 + id as i64).to_be_bytes());
        put(&mut position, 41, &timestamp.to_be_bytes());
        put_text(&mut position, 49, 71, &format!("Specialty registrar {id} revision {revision} {noise:x}"));
        let key = (FIRST_POSITION + id as i64).to_be_bytes();
        sink(Input { topic: &POSITIONS, key: &key, value: Some(&position.0), timestamp });
    }

    fn send_placement(&mut self, id: usize, sink: Sink<'_>) {
        let Movable { post, revision, lives, start } = self.placements[id];
        let (timestamp, noise) = (self.time(), self.rng.next_u64());
        let mut placement = placement(post, if id.is_multiple_of(7) { b'P' } else { b'A' }, revision);
        put(&mut placement, 26, &(900_000 + id as i64 % 50_000).to_be_bytes());
        put(&mut placement, 34, &start.to_be_bytes());
        put(&mut placement, 38, &(start + 180).to_be_bytes());
        put_text(&mut placement, 42, 8, &format!("SITE{}", id % 1000));
        put_text(&mut placement, 50, 4, &format!("ST{}", 1 + id % 8));
        put(&mut placement, 58, &timestamp.to_be_bytes());
        put_text(&mut placement, 66, 94, &format!("{noise:x} placement {id}, an invented note of usual length"));
        let key = (FIRST_PLACEMENT + id as i64).to_be_bytes();
        sink(Input { topic: &PLACEMENTS, key: &key, value: lives.then_some(&placement.0), timestamp });
    }
}

/// The DPN of a post number.
pub fn dpn(post: usize) -> Dpn {
    let mut dpn = Image([b' '; 24]);
    put_text(&mut dpn, 0, 24, &format!("YHD/RC{:03}/{:03}/ST{}/{post:06}", post % 1000, post % 97, 1 + post % 8));
    dpn
}

/// A position with this post number, flag and revision, and nothing else.
pub fn position(post: usize, flag: u8, revision: u32) -> Position {
    let mut position = Image([b' '; 120]);
    put(&mut position, 0, &[VERSION, flag]);
    put(&mut position, 2, &dpn(post).0);
    put(&mut position, 37, &revision.to_be_bytes());
    position
}

/// A post with this number, status and revision, and nothing else; with its key.
pub fn post(number: usize, status: u8, revision: u32) -> (Dpn, Post) {
    let mut post = Image([b' '; 80]);
    put(&mut post, 0, &[VERSION, status]);
    put(&mut post, 10, &revision.to_be_bytes());
    (dpn(number), post)
}

/// A placement with this post number, lifecycle and revision, and nothing else.
pub fn placement(post: usize, lifecycle: u8, revision: u32) -> Placement {
    let mut placement = Image([b' '; 160]);
    put(&mut placement, 0, &[VERSION, lifecycle]);
    put(&mut placement, 2, &dpn(post).0);
    put(&mut placement, 54, &revision.to_be_bytes());
    placement
}

fn put<const N: usize>(image: &mut Image<N>, at: usize, bytes: &[u8]) {
    image.0[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Writes text in a field of `length`: cut, or padded with spaces.
fn put_text<const N: usize>(image: &mut Image<N>, at: usize, length: usize, text: &str) {
    let field = &mut image.0[at..at + length];
    field.fill(b' ');
    let text = &text.as_bytes()[..text.len().min(length)];
    field[..text.len()].copy_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::Inputs;

    /// Topic, key and value.
    type Recorded = (&'static str, Vec<u8>, Option<Vec<u8>>);

    /// All records, and how many pairs they make.
    fn small(seed: u64) -> (Vec<Recorded>, usize) {
        let mut sample = Sample::new(seed, Size { positions: 400, bucket: 50, changes: 2.0, bucket_changes: 4 });
        let (mut all, mut inputs) = (Vec::new(), Inputs::default());
        let mut sink = |input: Input<'_>| {
            match input.topic.name {
                "positions" => inputs.position(input.key, input.value),
                "posts" => inputs.post(input.key, input.value),
                _ => inputs.placement(input.key, input.value),
            }
            all.push((input.topic.name, input.key.to_vec(), input.value.map(<[u8]>::to_vec)));
        };
        sample.load(&mut sink);
        sample.change(&mut sink);
        (all, inputs.join().len())
    }

    #[test]
    fn the_same_seed_gives_the_same_records() {
        assert_eq!(small(1), small(1));
        assert_ne!(small(1), small(2));
    }

    #[test]
    fn most_rows_are_in_a_pair() {
        let (all, pairs) = small(1);
        assert!(all.len() > 4 * 400 && pairs > 400, "{} records, {pairs} pairs", all.len());
        let longest = all.iter().filter(|(topic, ..)| *topic == "placements").map(|(_, _, value)| value.as_ref());
        assert!(longest.flatten().all(|value| value.len() == 160));
    }
}
