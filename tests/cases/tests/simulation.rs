//! The whole flow on the memory log under a seeded random schedule, with and without faults, against the oracle.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use tributary_cases::configuration::{Ordering, UpdatedPolicy};
use tributary_cases_oracle::{Consumers, Kind, Notice, Oracle, Replay, Sent, Told};
use tributary_cases_tests::simulated_flow::{BEGIN, CLIENTS, DAY, ORIGINS, SimulatedFlow};
use tributary_runtime::memory::{Faults, SimulationRng};

const KINDS: [Kind; 4] = [Kind::Create, Kind::Update, Kind::Close, Kind::Delete];

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

/// The client that a broker delivers to.
const DELIVERED: &str = "archive";

/// A name in other letters, sometimes.
fn spelled(rng: &mut SimulationRng, name: &str) -> String {
    if rng.chance(0.3) { name.to_ascii_uppercase() } else { name.to_owned() }
}

/// A registry with all origin systems and clients.
fn oracle(updated: UpdatedPolicy) -> Oracle {
    let mut oracle = Oracle::new(SimulatedFlow::rules(updated));
    for origin in ORIGINS {
        oracle.put_origin(origin);
    }
    for client in CLIENTS {
        oracle.put_client(client, false);
    }
    oracle
}

/// A flow and its oracle, and the commands so far.
struct Pair {
    flow: SimulatedFlow,
    oracle: Oracle,
    sent: Vec<Sent>,
    ordering: Ordering,
}

impl Pair {
    fn new(seed: u64, ordering: Ordering, faults: Option<Faults>) -> Self {
        let updated = if seed % 4 < 2 { UpdatedPolicy::Max } else { UpdatedPolicy::Overwrite };
        let mut oracle = oracle(updated);
        oracle.pass(BEGIN);
        let grants = [("archive", "esdh-a"), ("archive", "esdh-b"), ("journal-1", "esdh-a")];
        for (client, origin) in grants {
            oracle.grant(client, origin, None);
        }
        let mut flow = SimulatedFlow::new(seed, (ordering, updated), faults, &grants);
        flow.put_client(DELIVERED, true);
        oracle.put_client(DELIVERED, true);
        flow.settle();
        Self { flow, oracle, sent: Vec::new(), ordering }
    }

    /// A new command for one of a few cases, or a repeat.
    fn command(&mut self, kind: Kind) -> Sent {
        let rng = &mut self.flow.rng;
        let of_kind: Vec<&Sent> = self.sent.iter().filter(|sent| sent.kind == kind).collect();
        if rng.chance(0.25) && !of_kind.is_empty() {
            return of_kind[rng.below(of_kind.len() as u64) as usize].clone();
        }
        let id = self.sent.len() as u32 + 1;
        let names: Vec<String> = CLIENTS.iter().filter(|_| rng.chance(0.5)).map(|&name| name.to_owned()).collect();
        let consumers = match rng.below(10) {
            0 => Consumers::Anyone,
            1 | 2 => Consumers::Only(names),
            _ => Consumers::AsItWas,
        };
        let has_content = matches!(kind, Kind::Create | Kind::Update);
        let needs_time = has_content || (kind == Kind::Close && rng.chance(0.5));
        let sent = Sent {
            kind,
            origin: if rng.chance(0.8) { ORIGINS[0] } else { ORIGINS[1] }.to_owned(),
            case: 1 + rng.below(6) as u32,
            id,
            time: needs_time.then(|| rng.below(1000) as i64),
            consumers: if has_content { consumers } else { Consumers::AsItWas },
            is_allowed: !has_content || rng.chance(0.95),
        };
        self.sent.push(sent.clone());
        sent
    }

    /// Some commands of one queue, which are processed in their order.
    fn commands(&mut self) {
        let kind = one(&mut self.flow.rng, &[Kind::Create, Kind::Create, Kind::Update, Kind::Close, Kind::Delete]);
        for _ in 0..=self.flow.rng.below(5) {
            let sent = self.command(kind);
            self.flow.send(&sent);
            self.oracle.send(&sent);
            self.flow.turn(5);
        }
    }

    fn change_grant(&mut self) {
        let (client, origin) = (one(&mut self.flow.rng, &CLIENTS), one(&mut self.flow.rng, &ORIGINS));
        let case = self.flow.rng.chance(0.4).then(|| 1 + self.flow.rng.below(6) as u32);
        let is_given = self.flow.rng.chance(0.5);
        self.flow.grant(is_given, client, origin, case);
        if is_given {
            self.oracle.grant(client, origin, case);
        } else {
            self.oracle.revoke(client, origin, case);
        }
    }

    fn hold(&mut self) {
        let kind = one(&mut self.flow.rng, &KINDS);
        let is_held = self.flow.rng.chance(0.4);
        self.flow.hold(is_held, kind);
        if is_held {
            self.oracle.hold(kind);
        } else {
            self.oracle.resume(kind);
        }
    }

    /// An origin system or a client leaves or returns, or is there already.
    fn change_registry(&mut self) {
        let rng = &mut self.flow.rng;
        let (is_origin, is_put) = (rng.chance(0.5), rng.chance(0.6));
        if is_origin {
            let name = one(rng, &ORIGINS);
            let name = spelled(rng, name);
            if is_put {
                self.flow.put_origin(&name);
                self.oracle.put_origin(&name);
            } else {
                self.flow.delete_origin(&name);
                self.oracle.delete_origin(&name);
            }
            return;
        }
        let name = one(rng, &CLIENTS);
        let (spelled, is_on_broker) = (spelled(rng, name), name == DELIVERED);
        if is_put {
            self.flow.put_client(&spelled, is_on_broker);
            self.oracle.put_client(&spelled, is_on_broker);
        } else {
            self.flow.delete_client(&spelled);
            self.oracle.delete_client(&spelled);
        }
    }

    fn receive(&mut self) {
        let client = one(&mut self.flow.rng, &CLIENTS);
        let Some(position) = self.flow.position(client) else { return };
        self.flow.acknowledge(client, position.last);
        self.oracle.receive(client);
    }

    fn replay(&mut self) {
        let client = one(&mut self.flow.rng, &CLIENTS);
        let time = self.flow.time;
        let rng = &mut self.flow.rng;
        let wanted = Replay {
            case: rng.chance(0.3).then(|| 1 + rng.below(6) as u32),
            from: rng.chance(0.3).then(|| time - one(rng, &[0, 1, DAY, 8 * DAY])),
            to: rng.chance(0.3).then(|| time + 1 - one(rng, &[0, 1, DAY, 8 * DAY])),
        };
        self.flow.replay(client, wanted);
        self.oracle.replay(client, wanted);
    }

    fn pass(&mut self) {
        let time = self.flow.time + one(&mut self.flow.rng, &[1, DAY / 2, DAY, 6 * DAY, 31 * DAY]);
        self.flow.pass(time);
        self.oracle.pass(time);
    }

    fn step(&mut self) {
        match self.flow.rng.below(26) {
            0..=12 => self.commands(),
            13..=15 => self.change_grant(),
            16 | 17 => self.hold(),
            18 | 19 => self.change_registry(),
            20 | 21 => self.receive(),
            22 | 23 => self.replay(),
            _ => self.pass(),
        }
        // What comes next must come next: the oracle has one order.
        self.flow.settle();
    }

    fn compare(&mut self) {
        self.flow.end();
        assert_eq!(self.flow.rows(), self.oracle.rows(), "the list of cases");
        assert_eq!(self.flow.deleted(), self.oracle.deleted(), "deleted cases");
        let outcomes: BTreeMap<(String, u32), (u32, String)> =
            self.flow.outcomes().into_iter().map(|(key, (_, case, status))| (key, (case, status))).collect();
        let expected: BTreeMap<(String, u32), (u32, String)> = self
            .oracle
            .outcomes
            .iter()
            .map(|(key, (case, status))| (key.clone(), (*case, status.to_string())))
            .collect();
        assert_eq!(outcomes, expected, "outcomes");
        let mut letters: Vec<(String, u32, String)> = self.oracle.dead_letters.iter().map(owned).collect();
        letters.sort();
        assert_eq!(self.flow.dead_letters(), letters, "dead letters");
        for client in CLIENTS {
            self.compare_queue(client);
        }
        let (version, in_force) = self.flow.registry_version();
        assert_eq!(version, in_force, "every change is in force");
    }

    fn compare_queue(&self, client: &str) {
        let position = self.flow.position(client);
        assert_eq!(position.is_some(), self.oracle.has_client(client), "{client} is known");
        let unread = self.oracle.unread.get(client).copied().unwrap_or_default();
        assert!(position.is_none_or(|position| position.unread == unread), "what {client} has never read");
        let kept = self.flow.kept(client).into_values().collect();
        let pairs = [(kept, self.oracle.kept(client)), (self.flow.waiting(client), self.oracle.waiting(client))];
        for (found, expected) in pairs {
            match self.ordering {
                Ordering::Strict => assert_eq!(found, expected, "the queue of {client}"),
                Ordering::PerCase => assert_eq!(by_case(&found), by_case(&expected), "the queue of {client}"),
            }
        }
    }
}

fn owned((origin, id, code): &(String, u32, &'static str)) -> (String, u32, String) {
    (origin.clone(), *id, (*code).to_owned())
}

/// The notifications of each case in their order.
fn by_case(notices: &[Notice]) -> BTreeMap<u32, Vec<Notice>> {
    let mut cases: BTreeMap<u32, Vec<Notice>> = BTreeMap::new();
    for notice in notices {
        cases.entry(notice.case).or_default().push(notice.clone());
    }
    cases
}

fn run(seed: u64, faults: Option<Faults>) -> (u64, u64) {
    let ordering = if seed.is_multiple_of(2) { Ordering::Strict } else { Ordering::PerCase };
    let mut pair = Pair::new(seed, ordering, faults);
    (0..50).for_each(|_| pair.step());
    pair.compare();
    pair.flow.trouble()
}

#[test]
fn the_flow_does_what_the_oracle_says() {
    check(|seed| run(seed, None));
}

#[test]
fn crashes_aborts_and_rebalances_change_nothing() {
    let (deaths, aborts) = check(|seed| run(seed, Some(Faults::all(seed))));
    let count = seeds().len() as u64;
    assert!(deaths >= count && aborts >= count, "too few faults: {deaths} deaths, {aborts} aborts");
}

/// A case of one origin with some of the four commands, each up to three times.
fn commands_of(case: u32, rng: &mut SimulationRng) -> Vec<Sent> {
    let origin = one(rng, &ORIGINS).to_owned();
    let mut commands = Vec::new();
    for kind in KINDS {
        if rng.chance(0.75) {
            let time = (kind != Kind::Delete).then(|| rng.below(1000) as i64);
            let id = case * 10 + kind as u32;
            let consumers = Consumers::AsItWas;
            commands.push(Sent { kind, origin: origin.clone(), case, id, time, consumers, is_allowed: true });
        }
    }
    commands
}

/// All queues at once, in any order, with repeats, while grants change and queues are held.
fn run_free(seed: u64) -> (u64, u64) {
    let ordering = if seed.is_multiple_of(2) { Ordering::Strict } else { Ordering::PerCase };
    // The archive always sees everything, the portal nothing; the grants of the journals change.
    let grants = [("archive", "esdh-a"), ("archive", "esdh-b")];
    let policies = (ordering, UpdatedPolicy::Max);
    let mut flow = SimulatedFlow::new(seed, policies, Some(Faults::all(seed)), &grants);
    flow.is_compacted = false;
    let by_case: Vec<Vec<Sent>> = (1..=12).map(|case| commands_of(case, &mut flow.rng)).collect();
    let mut all: Vec<Sent> = Vec::new();
    for command in by_case.iter().flatten() {
        (0..=flow.rng.below(3)).for_each(|_| all.push(command.clone()));
    }
    for at in (1..all.len()).rev() {
        all.swap(at, flow.rng.below(at as u64 + 1) as usize);
    }
    for command in &all {
        flow.send(command);
        flow.turn(3);
        if flow.rng.chance(0.2) {
            let (client, origin) = (one(&mut flow.rng, &["journal-1", "journal-2"]), one(&mut flow.rng, &ORIGINS));
            let is_given = flow.rng.chance(0.5);
            flow.grant(is_given, client, origin, None);
        }
        if flow.rng.chance(0.1) {
            let (is_held, kind) = (flow.rng.chance(0.5), one(&mut flow.rng, &KINDS));
            flow.hold(is_held, kind);
        }
        if flow.rng.chance(0.1) {
            change_client(&mut flow);
        }
    }
    for kind in KINDS {
        flow.hold(false, kind);
    }
    flow.end();
    check_ends(&flow, &by_case);
    for client in CLIENTS {
        check_history(&flow, client, &all, ordering);
    }
    flow.trouble()
}

/// A journal leaves or returns, or a client is told again what its queue keeps.
fn change_client(flow: &mut SimulatedFlow) {
    let journal = one(&mut flow.rng, &["journal-1", "journal-2"]);
    match flow.rng.below(4) {
        0 => flow.delete_client(journal),
        1 => flow.put_client(journal, false),
        2 => flow.replay(journal, Replay::default()),
        _ => flow.replay("archive", Replay::default()),
    }
}

/// A deleted case is deleted, whatever the order was, and every other case has the row of any order.
fn check_ends(flow: &SimulatedFlow, by_case: &[Vec<Sent>]) {
    let mut oracle = oracle(UpdatedPolicy::Max);
    by_case.iter().flatten().for_each(|command| oracle.send(command));
    assert_eq!(flow.rows(), oracle.rows(), "the end does not depend on the order");
    let outcomes = flow.outcomes();
    assert_eq!(outcomes.len(), by_case.iter().flatten().count(), "each command has one outcome");
}

fn check_history(flow: &SimulatedFlow, client: &str, all: &[Sent], ordering: Ordering) {
    let history = flow.history(client);
    let positions: Vec<i64> = history.iter().map(|(position, ..)| *position).collect();
    assert_eq!(positions, (1..=history.len() as i64).collect::<Vec<_>>(), "positions of {client}");
    let (again, first): (Vec<_>, Vec<_>) = history.into_iter().partition(|(_, _, is_told_again)| *is_told_again);
    let places: BTreeMap<Notice, i64> = first.iter().map(|(position, notice, _)| (notice.clone(), *position)).collect();
    assert_eq!(places.len(), first.len(), "{client} receives nothing twice, unless it is told again");
    for (position, notice, _) in &again {
        assert!(places.get(notice).is_some_and(|first| first < position), "{client} is told again what it was told");
    }
    let notices: Vec<Notice> = first.into_iter().map(|(_, notice, _)| notice).collect();
    if client == "portal" {
        assert_eq!(notices, [], "a client without a grant receives nothing");
    }
    if client != "archive" {
        return;
    }
    let applied: BTreeSet<(u32, u32)> = flow
        .outcomes()
        .into_iter()
        .filter(|(_, (_, _, status))| status == "applied")
        .map(|((_, id), (_, case, _))| (case, id))
        .collect();
    let told: BTreeSet<(u32, u32)> = notices.iter().map(|notice| (notice.case, notice.id)).collect();
    assert_eq!(told, applied, "{client} receives each applied command");
    for (case, notices) in by_case(&notices) {
        assert_eq!(notices[0].told, Told::Created, "nothing of case {case} before Created");
        let deleted = notices.iter().position(|notice| notice.told == Told::Deleted);
        assert!(deleted.is_none_or(|at| at + 1 == notices.len()), "nothing of case {case} after Deleted");
    }
    if ordering == Ordering::Strict {
        check_order(&notices, all, Told::Created, Kind::Create);
        check_order(&notices, all, Told::Deleted, Kind::Delete);
    }
}

/// Notifications that stem from one queue come in the order of its commands, over all cases.
fn check_order(notices: &[Notice], all: &[Sent], told: Told, kind: Kind) {
    let found: Vec<u32> = notices.iter().filter(|notice| notice.told == told).map(|notice| notice.id).collect();
    let mut expected: Vec<u32> = Vec::new();
    for command in all.iter().filter(|command| command.kind == kind && found.contains(&command.id)) {
        if !expected.contains(&command.id) {
            expected.push(command.id);
        }
    }
    assert_eq!(found, expected, "{told:?} in the order of the queue");
}

#[test]
fn any_order_of_the_queues_with_repeats_ends_in_the_same_state_and_each_notification_comes_once() {
    let (deaths, aborts) = check(run_free);
    let count = seeds().len() as u64;
    assert!(deaths >= count && aborts >= count, "too few faults: {deaths} deaths, {aborts} aborts");
}
