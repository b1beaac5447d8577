//! What a run leaves behind for the next run of an office (D118), and placements that continue others (D116).

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

use crate::Oracle;
use crate::applicants::Trainee;
use crate::world::{Placement, PlacementKey, World};

/// What an office compares with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Base {
    /// The world at the end of the run.
    pub(crate) world: World,
    /// The run; 0 before the first.
    pub(crate) run: u32,
    /// London date of the run; `None` if this office had none.
    pub(crate) date: Option<Date>,
    /// By DPN: last approved and effective version of each placement seen at a run.
    pub(crate) versions: BTreeMap<String, BTreeMap<PlacementKey, Placement>>,
    /// The trainee of each of these versions, as reported to ESR.
    pub(crate) trainees: BTreeMap<(String, PlacementKey), Trainee>,
    /// Placements of the baseline that had begun before it, with trainee and number (D1).
    pub(crate) began: BTreeSet<(u64, u64, String)>,
    /// By DPN: the preferred post that came by renumbering or by a change of preference.
    pub(crate) moved_posts: BTreeMap<String, u64>,
}

impl Base {
    /// Notes which preferred posts came to their number by renumbering or preference (D13, D27).
    fn note_moved_posts(&mut self, world: &World) {
        for dpn in world.post_numbers() {
            let Some(post) = world.preferred(&dpn) else {
                self.moved_posts.remove(&dpn);
                continue;
            };
            let moved = match self.world.preferred(&dpn) {
                Some(before) if before.id == post.id => continue,
                Some(_) => true,
                None => self.world.posts.get(&post.id).is_some_and(|before| before.dpn != dpn),
            };
            if moved {
                self.moved_posts.insert(dpn, post.id);
            } else {
                self.moved_posts.remove(&dpn);
            }
        }
    }

    /// Keeps the approved versions of this run for the next; forgets what was deleted (ruling: created again later). A
    /// placement that continues another one has its version.
    fn remember_versions(&mut self, world: &World) {
        let mut numbers = world.post_numbers();
        numbers.extend(self.versions.keys().cloned());
        for dpn in numbers {
            let continued = self.continued(world, &dpn);
            let mut versions = self.versions.get(&dpn).cloned().unwrap_or_default();
            for (new, old) in &continued {
                if let Some(version) = versions.get(old).cloned() {
                    versions.insert(*new, version);
                }
                if let Some(trainee) = self.trainees.get(&(dpn.clone(), *old)).cloned() {
                    self.trainees.insert((dpn.clone(), *new), trainee);
                }
            }
            let replaced: BTreeSet<PlacementKey> = continued.values().copied().collect();
            versions.retain(|key, _| {
                !replaced.contains(key)
                    && !self.is_of_another(world, &dpn, *key)
                    && (continued.contains_key(key) || !world.has_left(&self.world, &dpn, *key))
            });
            for placement in world.approved(&dpn) {
                let trainee = Trainee::of(placement, world.people.get(&placement.trainee));
                self.trainees.insert((dpn.clone(), placement.key()), trainee);
                versions.insert(placement.key(), placement.clone());
            }
            self.versions.insert(dpn, versions);
        }
    }

    /// Whether a version was noted of this placement, and its trainee is another person to ESR now: a registration
    /// number was corrected (D116).
    pub(crate) fn is_of_another(&self, world: &World, dpn: &str, key: PlacementKey) -> bool {
        let noted = self.versions.get(dpn).is_some_and(|versions| versions.contains_key(&key));
        let before = self.trainees.get(&(dpn.to_owned(), key)).filter(|_| noted);
        let now = world.find_effective(dpn, key).map(|now| Trainee::of(now, world.people.get(&now.trainee)));
        matches!((before, now), (Some(before), Some(now)) if !before.is_same_person(&now))
    }

    /// Which placements of a number continue which others (D116): those that stood at the last run, were noted and have
    /// left the number. The same placement of the same person comes first; then the same person with the same dates, in
    /// the order of ids.
    pub(crate) fn continued(&self, world: &World, dpn: &str) -> BTreeMap<PlacementKey, PlacementKey> {
        let mut found = BTreeMap::new();
        let Some(versions) = self.versions.get(dpn) else { return found };
        let is_here = |key: PlacementKey| {
            let placement = world.placements.get(&key.0);
            placement.is_some_and(|placement| placement.trainee == key.1 && placement.dpn == dpn)
        };
        let mut left: Vec<(&PlacementKey, &Placement)> = versions.iter().collect();
        left.retain(|(key, _)| !is_here(**key) && self.world.find_effective(dpn, **key).is_some());
        let mut new: Vec<&Placement> = world.effective(dpn);
        new.retain(|placement| !versions.contains_key(&placement.key()));
        new.sort_by_key(|placement| placement.key());
        for same_id in [true, false] {
            for placement in &new {
                let trainee = Trainee::of(placement, world.people.get(&placement.trainee));
                let fits = |(key, old): &&(&PlacementKey, &Placement)| {
                    let same_dates = (old.start, old.end) == (placement.start, placement.end);
                    let before = self.trainees.get(&(dpn.to_owned(), **key));
                    !found.values().any(|taken| taken == *key)
                        && (if same_id { key.0 == placement.id } else { same_dates })
                        && before.is_some_and(|before| before.is_same_person(&trainee))
                };
                if found.contains_key(&placement.key()) {
                    continue;
                }
                if let Some((key, _)) = left.iter().find(fits) {
                    found.insert(placement.key(), **key);
                }
            }
        }
        found
    }
}

impl Oracle {
    /// The bases of the offices of this run and of all runs. An office without a run compares with the last run of any;
    /// it knew no position then.
    pub(crate) fn open_bases(&self) -> BTreeMap<String, Base> {
        let last = self.bases.get("").cloned().unwrap_or_default();
        let base_of = |office: &String| {
            let mut base = self.bases.get(office).cloned().unwrap_or_else(|| {
                let mut base = Base { date: None, ..last.clone() };
                base.world.positions.retain(|_, position| position.office != *office);
                base
            });
            base.note_moved_posts(&self.world);
            (office.clone(), base)
        };
        self.serving.iter().chain([&String::new()]).map(base_of).collect()
    }

    /// Each base is that of this run.
    pub(crate) fn close_bases(&mut self, bases: BTreeMap<String, Base>, today: Date) {
        for (office, mut base) in bases {
            base.remember_versions(&self.world);
            base.world = self.world.clone();
            base.date = Some(today);
            base.run = self.run;
            let began = self.baseline.iter().flat_map(|line| &line.placements).filter(|(_, began)| **began);
            base.began = began.map(|(key, _)| key.clone()).collect();
            self.bases.insert(office, base);
        }
    }

    /// Notes which placements are of another person than at the last run. What TIS remembered before was of the other.
    pub(crate) fn tell_persons_apart(&mut self, base: &Base, events: &BTreeMap<(u64, u64, u64), String>) {
        self.of_others.clear();
        for (dpn, versions) in &base.versions {
            for key in versions.keys().filter(|key| base.is_of_another(&self.world, dpn, **key)) {
                self.of_others.insert((dpn.clone(), *key));
                for (event, file) in events.iter().filter(|(event, _)| (event.0, event.2) == *key) {
                    if let (Some(_), Some(before)) =
                        (self.events.remove(event), base.trainees.get(&(dpn.clone(), *key)))
                    {
                        self.events_of_others.push((*event, before.clone(), file.clone()));
                    }
                }
            }
        }
    }

    /// The file in which TIS says that a placement was sent for a position and this person (D14).
    pub(crate) fn told_by_tis(&self, placement: u64, position: u64, trainee: u64, person: &Trainee) -> Option<String> {
        let event = (placement, position, trainee);
        let of_another =
            |(other, before, _): &&((u64, u64, u64), Trainee, String)| *other == event && before.is_same_person(person);
        let other = || self.events_of_others.iter().find(of_another).map(|(_, _, file)| file.clone());
        self.events.get(&event).cloned().or_else(other)
    }

    /// A placement of the baseline that had begun is one also when another placement continues it (D1, D116).
    pub(crate) fn keep_baseline(&mut self, bases: &BTreeMap<String, Base>) {
        let Some(base) = bases.get("") else { return };
        for dpn in self.world.post_numbers() {
            for (new, old) in base.continued(&self.world, &dpn) {
                let Some(line) = &mut self.baseline else { return };
                if let Some(began) = line.placements.get(&(old.0, old.1, dpn.clone())).copied() {
                    line.placements.entry((new.0, new.1, dpn.clone())).or_insert(began);
                }
            }
        }
    }

    /// A placement that continues another one was sent where the other one was (D116).
    pub(crate) fn continue_exports(&mut self, office: &str, base: &Base) {
        for dpn in self.world.post_numbers() {
            for (new, old) in base.continued(&self.world, &dpn) {
                // D1: also where only this office still knew the other one.
                let own = self.bases.get_mut(office).map(|base| &mut base.began);
                if let Some(began) = own.filter(|began| began.contains(&(old.0, old.1, dpn.clone()))) {
                    began.insert((new.0, new.1, dpn.clone()));
                }
                let positions: Vec<u64> = self
                    .world
                    .positions
                    .values()
                    .filter(|position| position.dpn == dpn)
                    .filter(|position| match office {
                        "" => !self.bases.contains_key(&position.office),
                        office => position.office == office,
                    })
                    .map(|position| position.id)
                    .collect();
                let Some(person) = base.trainees.get(&(dpn.clone(), old)) else { continue };
                for position in positions {
                    if let Some(file) = self.file_of(old, position, person) {
                        self.events.entry((new.0, position, new.1)).or_insert(file);
                    }
                }
            }
        }
    }

    /// The file in which a placement was sent for a position.
    fn file_of(&self, (placement, trainee): PlacementKey, position: u64, person: &Trainee) -> Option<String> {
        let exported = self.exported_file(placement, position, trainee, person);
        exported.or_else(|| self.told_by_tis(placement, position, trainee, person))
    }
}
