//! The index on the memory log under a seeded random schedule, with and without faults, against the oracle.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use tributary_aggregation::ei_settings::IndexSettings;
use tributary_aggregation_oracle::{Engagement, Oracle, Question, Request, Subscriber, Transaction};
use tributary_aggregation_tests::seen;
use tributary_aggregation_tests::simulated_index::{BEGIN, OWN, PATIENTS, SimulatedIndex};
use tributary_runtime::memory::{Faults, SimulationRng};

const DOMAINS: [&str; 2] = ["riv:crm:scheduling", "riv:crm:requeststatus"];
const CATEGORIES: [&str; 3] = ["Booking", "voo", "vko"];
const OWNERS: [&str; 3] = [OWN, "SE-OTHER-EI", "SE-THIRD-EI"];
const SUBSCRIBERS: [&str; 3] = ["SE-SUB-1", "SE-SUB-2", "SE-SUB-3"];
const SECOND: i64 = 1000;

/// The seeds of a test: 200, or what the environment asks for.
fn seeds() -> Vec<u64> {
    let asked = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
    match asked("TRIBUTARY_SEED") {
        Some(seed) => vec![seed],
        None => (0..asked("TRIBUTARY_SEEDS").unwrap_or(200)).collect(),
    }
}

fn one<T: Copy>(rng: &mut SimulationRng, of: &[T]) -> T {
    of[rng.below(of.len() as u64) as usize]
}

/// Runs each seed, and shows which one fails.
fn check(test: impl Fn(u64) -> (u64, u64)) -> (u64, u64) {
    let mut trouble = (0, 0);
    for seed in seeds() {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(seed)));
        let (deaths, aborts) = result.unwrap_or_else(|_| panic!("seed {seed} fails: TRIBUTARY_SEED={seed} replays it"));
        trouble = (trouble.0 + deaths, trouble.1 + aborts);
    }
    trouble
}

/// An index and its oracle.
struct Pair {
    index: SimulatedIndex,
    oracle: Oracle,
    is_locked: bool,
}

impl Pair {
    fn new(seed: u64, faults: Option<Faults>, has_window: bool) -> Self {
        let settings = IndexSettings {
            collect_window_ms: if has_window { 5 * SECOND } else { 0 },
            collect_messages: 4,
            delete_wins: seed.is_multiple_of(2),
            ..IndexSettings::of(OWN.parse().unwrap())
        };
        let index = SimulatedIndex::new(seed, settings, faults);
        let oracle = Oracle::new(index.rules(), BEGIN);
        let mut pair = Self { index, oracle, is_locked: false };
        pair.subscribe();
        pair
    }

    fn transaction(&mut self) -> Transaction {
        let rng = &mut self.index.rng;
        let engagement = Engagement {
            patient: rng.below(PATIENTS as u64) as usize,
            domain: one(rng, &DOMAINS).to_owned(),
            category: one(rng, &CATEGORIES).to_owned(),
            object: rng.below(2) as u32,
            owner: one(rng, &OWNERS).to_owned(),
        };
        Transaction { is_delete: rng.chance(0.3), engagement, content: rng.chance(0.7).then(|| rng.below(3)) }
    }

    fn request(&mut self) -> Request {
        let count = if self.index.rng.chance(0.5) { 1 } else { 1 + self.index.rng.below(12) };
        let is_notification = self.index.rng.chance(0.3);
        Request { is_notification, transactions: (0..count).map(|_| self.transaction()).collect() }
    }

    fn send(&mut self) {
        let request = self.request();
        assert_eq!(self.index.send(&request), self.oracle.send(&request), "{request:?}");
        self.index.turn(6);
    }

    fn subscribe(&mut self) {
        let rng = &mut self.index.rng;
        let mut subscribers = Vec::new();
        for address in SUBSCRIBERS {
            let mut filters = Vec::new();
            for domain in DOMAINS {
                if rng.chance(0.6) {
                    let categories = CATEGORIES.iter().filter(|_| rng.chance(0.4));
                    let categories = categories.map(|category| category.to_uppercase()).collect();
                    filters.push((domain.to_owned(), categories));
                }
            }
            if rng.chance(0.8) {
                subscribers.push(Subscriber { address: address.to_owned(), filters });
            }
        }
        self.index.subscribe(&subscribers);
        self.oracle.subscribe(subscribers);
    }

    fn lock(&mut self) {
        self.is_locked = !self.is_locked;
        self.index.lock(self.is_locked);
        if self.is_locked {
            self.oracle.lock();
        } else {
            self.oracle.unlock();
        }
    }

    fn pass(&mut self) {
        let time = self.index.time + one(&mut self.index.rng, &[SECOND, 4 * SECOND, 5 * SECOND, 3600 * SECOND]);
        self.index.pass(time);
        self.oracle.pass(time);
    }

    fn step(&mut self) {
        match self.index.rng.below(20) {
            0..=12 => self.send(),
            13 | 14 => self.pass(),
            15 => self.lock(),
            16 => self.subscribe(),
            17 => self.index.restart(),
            18 => self.look(),
            _ => self.index.turn(30),
        }
    }

    fn question(&mut self) -> Question {
        let rng = &mut self.index.rng;
        Question {
            patient: rng.below(PATIENTS as u64) as usize,
            domain: one(rng, &DOMAINS).to_owned(),
            category: rng.chance(0.3).then(|| one(rng, &CATEGORIES).to_owned()),
            object: rng.chance(0.3).then(|| rng.below(2) as u32),
            content: rng.chance(0.3).then(|| rng.below(3)),
            owner: rng.chance(0.3).then(|| one(rng, &OWNERS).to_owned()),
        }
    }

    /// All that readers see, after all that was sent has its effect.
    fn look(&mut self) {
        self.index.settle();
        let view = self.index.view();
        assert_eq!(seen::rows(&view, PATIENTS), self.oracle.rows());
        for _ in 0..10 {
            let question = self.question();
            assert_eq!(seen::found(&view, &question), self.oracle.find(&question), "{question:?}");
        }
        for patient in 0..PATIENTS {
            for subscriber in SUBSCRIBERS {
                let told = self.index.told(subscriber, patient);
                assert_eq!(told, self.oracle.told(subscriber, patient), "{subscriber} {patient}");
            }
            let marks = self.oracle.marks(patient).into_iter().map(|mark| (mark.domain, mark.category));
            assert_eq!(self.index.marks(patient), marks.collect::<Vec<_>>(), "{patient}");
        }
        assert_eq!(self.index.held(), self.oracle.held() as i64);
        assert_eq!(self.index.dead_letters(), 0);
    }
}

fn run(seed: u64, faults: Option<Faults>, has_window: bool) -> (u64, u64) {
    let mut pair = Pair::new(seed, faults, has_window);
    for _ in 0..60 {
        pair.step();
    }
    pair.look();
    if pair.is_locked {
        pair.lock();
    }
    let time = pair.index.time + 3600 * SECOND;
    pair.index.pass(time);
    pair.oracle.pass(time);
    pair.look();
    assert_eq!(pair.index.held(), 0, "nothing is left");
    pair.index.end();
    pair.index.trouble()
}

#[test]
fn the_index_follows_its_rules_in_any_order_of_work() {
    check(|seed| run(seed, None, seed.is_multiple_of(3)));
}

#[test]
fn the_index_follows_its_rules_while_workers_die_and_partitions_move() {
    let (deaths, aborts) = check(|seed| run(seed, Some(Faults::all(seed)), false));
    let count = seeds().len() as u64;
    assert!(deaths >= count && aborts >= count, "too few faults: {deaths} deaths, {aborts} aborts");
}

#[test]
fn updates_are_collected_by_the_rules_while_workers_die_and_partitions_move() {
    let (deaths, aborts) = check(|seed| run(seed, Some(Faults::all(seed)), true));
    let count = seeds().len() as u64;
    assert!(deaths >= count && aborts >= count, "too few faults: {deaths} deaths, {aborts} aborts");
}

/// The write lock: acceptance and questions go on, and what waits is applied after the lock is opened, also when every
/// process was gone meanwhile.
#[test]
fn a_locked_index_accepts_and_answers_and_drains_after_unlock_and_restart() {
    for seed in 0..20 {
        let mut pair = Pair::new(seed, Some(Faults::all(seed)), false);
        (0..10).for_each(|_| pair.send());
        pair.look();
        let before = pair.oracle.rows();
        pair.lock();
        let mut waiting = 0;
        for _ in 0..200 {
            pair.send();
            waiting = pair.oracle.held();
        }
        pair.look();
        assert!(waiting > 200, "{waiting} wait");
        assert_eq!(pair.oracle.rows(), before, "nothing is applied");
        pair.index.restart();
        pair.send();
        pair.look();
        pair.lock();
        pair.index.restart();
        pair.look();
        assert_eq!(pair.index.held(), 0);
        assert_ne!(pair.oracle.rows(), before);
    }
}
