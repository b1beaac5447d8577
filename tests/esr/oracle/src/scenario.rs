//! Small random worlds for comparing the product with the oracle: a few batches whose events crowd the edges of the
//! rules.
//!
//! The same seed yields the same batches. What the batches must lead to is not decided here.

mod delivery;
mod positions;
mod random;
mod tis;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::scenario::delivery::Delivery;
use crate::scenario::positions::Inbox;
use crate::scenario::random::Random;
use crate::scenario::tis::Tis;
use crate::{Batch, Snapshot};

/// Days on which sequences begin: before both changes of the clocks, before a leap-less month end, at the August peak.
const FIRST_DAYS: [&str; 6] = ["2026-03-27", "2026-10-23", "2026-07-30", "2026-11-20", "2027-02-26", "2026-08-04"];
/// UTC times of runs; with summer time 23:30 is the next day in London.
const TIMES: [i32; 4] = [23 * 60 + 30, 14 * 60 + 30, 30, 8 * 60];

/// The offices of a scenario, in the order of the office list.
pub fn offices(seed: u64) -> Vec<&'static str> {
    if seed.is_multiple_of(3) { vec!["EOE", "KSS", "LDN"] } else { vec!["EOE", "LDN"] }
}

/// A sequence of 2 to 5 batches. Files may come late, and an operator decides about parked ones.
pub fn scenario(seed: u64) -> Vec<Batch> {
    delivered(seed, batches(seed, first_moment, next_moment, false))
}

/// The same with runs of some offices only (D118) and with corrected registration numbers (D116).
pub fn scenario_of_some_offices(seed: u64) -> Vec<Batch> {
    delivered(seed, batches(seed, first_moment, next_moment, true))
}

/// The batches as they come: files may come late, and an operator decides about parked ones.
fn delivered(seed: u64, mut batches: Vec<Batch>) -> Vec<Batch> {
    let mut delivery = Delivery::new(seed);
    for batch in &mut batches {
        delivery.deliver(batch);
    }
    batches
}

/// The same for a process that lives in real time: all that arrives does so on the day of `start`, a minute apart.
/// Nothing comes late, and nobody decides.
pub fn scenario_of_one_day(seed: u64, start: Timestamp) -> Vec<Batch> {
    batches(seed, |_| start, |_, now| now.saturating_add(1.minute()).unwrap_or(now), false)
}

fn batches(
    seed: u64,
    first: impl FnOnce(&mut Random) -> Timestamp,
    next: impl Fn(&mut Random, Timestamp) -> Timestamp,
    some_offices: bool,
) -> Vec<Batch> {
    let mut random = Random::new(seed);
    let numbers = post_numbers(&mut random);
    let mut inbox = Inbox::new(offices(seed), numbers.clone());
    let mut now = first(&mut random);
    let mut tis = Tis::new(&mut random, &numbers, london_date(now));
    let mut batches = Vec::new();
    let last = random.between(2, 5) - 1;
    for index in 0..=last {
        if index > 0 {
            now = next(&mut random, now);
        }
        let today = london_date(now);
        let late_start = index == 0 && random.one_in(12);
        let files = if index == 0 { inbox.first(&mut random, today) } else { inbox.later(&mut random, today) };
        tis.corrects_numbers = some_offices;
        if index > 0 {
            tis.change(&mut random, &inbox.position_ids(), today);
        }
        let served = if some_offices && index < last { offices_of_run(&mut random, seed) } else { Vec::new() };
        let files = files.into_iter().filter(|(name, _)| is_served(name, &served)).collect();
        let snapshot = if late_start { Snapshot::default() } else { tis.snapshot(&mut random, index == 0) };
        batches.push(Batch { now, files, snapshot, decisions: Vec::new(), offices: served });
    }
    batches
}

/// Now and then an operator runs one office alone, or leaves one out; empty for all.
fn offices_of_run(random: &mut Random, seed: u64) -> Vec<String> {
    let mut offices: Vec<String> = offices(seed).into_iter().map(str::to_owned).collect();
    if !random.one_in(4) {
        return Vec::new();
    }
    offices.remove(random.index(offices.len()));
    offices
}

/// Files of offices without a run stay away.
fn is_served(name: &str, served: &[String]) -> bool {
    served.is_empty() || !name.starts_with("DE_") || served.iter().any(|office| name[3..].starts_with(office.as_str()))
}

/// Numbers of posts; the last ones have no post at first.
fn post_numbers(random: &mut Random) -> Vec<String> {
    let grades = ["STR", "FY1", "GPST", "CTL"];
    (1..=random.between(3, 12))
        .map(|index| {
            let office = random.pick(&["EOE", "LDN", "KSS"]);
            format!("{office}/R1F01/30{}/{}/{index:03}", index % 10, random.pick(&grades))
        })
        .collect()
}

fn first_moment(random: &mut Random) -> Timestamp {
    let date: Date = random.pick(&FIRST_DAYS).parse().unwrap_or_default();
    at(date, random.pick(&TIMES[1..]))
}

/// Later on the same day, on the next one, or after a pause.
fn next_moment(random: &mut Random, now: Timestamp) -> Timestamp {
    let date = now.to_zoned(TimeZone::UTC).date();
    let pause = match random.between(0, 9) {
        0 | 1 => return now.saturating_add(2.hours()).unwrap_or(now),
        2..=5 => 1,
        6 | 7 => random.between(2, 4) as i64,
        8 => random.between(5, 12) as i64,
        _ => random.between(80, 95) as i64,
    };
    at(date.saturating_add(pause.days()), random.pick(&TIMES))
}

fn at(date: Date, minutes: i32) -> Timestamp {
    let midnight = date.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp()).unwrap_or_default();
    midnight.saturating_add(i64::from(minutes).minutes()).unwrap_or(midnight)
}

fn london_date(now: Timestamp) -> Date {
    let london = TimeZone::get("Europe/London").unwrap_or(TimeZone::UTC);
    now.to_zoned(london).date()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Oracle;
    use std::collections::BTreeMap;

    #[test]
    fn the_same_seed_yields_the_same_batches_and_time_moves_on() {
        for seed in 0..100 {
            let (first, second) = (scenario(seed), scenario(seed));
            assert_eq!(format!("{first:?}"), format!("{second:?}"));
            assert!((2..=5).contains(&first.len()));
            assert!(first.windows(2).all(|pair| pair[0].now < pair[1].now));
        }
    }

    #[test]
    fn a_scenario_of_one_day_stays_on_it() {
        let start: Timestamp = "2026-11-22T09:00:00Z".parse().unwrap();
        for seed in 0..100 {
            let batches = scenario_of_one_day(seed, start);
            assert_eq!(batches[0].now, start);
            assert!(batches.windows(2).all(|pair| pair[0].now < pair[1].now));
            assert!(batches.iter().all(|batch| london_date(batch.now) == london_date(start)));
        }
    }

    /// Scenarios that never reach a rule would compare nothing.
    #[test]
    fn scenarios_reach_every_kind_of_row_and_state() {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for seed in 0..300 {
            let mut oracle = Oracle::new(&offices(seed));
            for batch in scenario(seed) {
                let outcome = oracle.run(&batch);
                for record in outcome.records {
                    *seen.entry(record.status).or_default() += 1;
                }
                for (_, disorder) in outcome.disorder {
                    *seen.entry(format!("{disorder:?}")).or_default() += 1;
                }
                for (_, decision) in &batch.decisions {
                    *seen.entry(format!("{decision:?}")).or_default() += 1;
                }
                for file in outcome.inbound {
                    *seen.entry(file.status).or_default() += 1;
                }
                for counts in outcome.offices.values() {
                    for (kind, count) in &counts.notifications {
                        *seen.entry(format!("type {kind}")).or_default() += count;
                    }
                }
                let lines = outcome.files.values().flat_map(|file| file.lines());
                for line in oracle.sent.values().flatten() {
                    *seen.entry(format!("{:?}", line.0.0)).or_default() += usize::from(line.1.was_sent_in(oracle.run));
                }
                *seen.entry("applicants".to_owned()).or_default() +=
                    lines.filter(|line| line.starts_with("APP")).count();
            }
        }
        for state in ["TO_EXPORT", "EXPORTED", "INVALID_DATA", "DELETED_BEFORE_EXPORT", "MISSED_WINDOW"] {
            assert!(seen.get(state).is_some_and(|count| *count > 300), "{state}: {seen:?}");
        }
        for kind in ["type 1", "type 2", "type 4", "type 5", "applicants"] {
            assert!(seen.get(kind).is_some_and(|count| *count > 50), "{kind}: {seen:?}");
        }
        let triggers = [
            "NextBecomesCurrent",
            "EarliestEligible",
            "Vacant",
            "Created",
            "DatesChanged",
            "WholeTimeChanged",
            "Deleted",
            "FullSet",
        ];
        for trigger in triggers {
            assert!(seen.get(trigger).is_some_and(|count| *count > 25), "{trigger}: {seen:?}");
        }
        for disorder in ["Missing", "Repeated", "Late", "GoesBack", "Overtaken", "Accept", "Refuse"] {
            assert!(seen.get(disorder).is_some_and(|count| *count > 10), "{disorder}: {seen:?}");
        }
        for status in ["processed", "parked", "refused", "ignored"] {
            assert!(seen.get(status).is_some_and(|count| *count > 10), "{status}: {seen:?}");
        }
    }
}
