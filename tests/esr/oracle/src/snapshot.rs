//! The TIS snapshot: one object per line, complete for each kind it has a file for (D1, D2, D14).

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde_json::Value;

use crate::world::{Person, Placement, Post, fold};
use crate::{Baseline, Oracle, Snapshot};

const COUNTED_TYPES: [&str; 7] = [
    "In post",
    "In Post - Acting Up",
    "In post - Extension",
    "Parental Leave",
    "Long-term sick",
    "Suspended",
    "Phased Return",
];

pub(crate) fn date(text: &str) -> Option<Date> {
    text.trim().parse().ok()
}

/// The last date of the calendar is no end (D97).
pub(crate) fn end(date: Date) -> Option<Date> {
    (date != Date::MAX).then_some(date)
}

/// What one file says.
struct Loaded<T> {
    objects: BTreeMap<u64, T>,
    bad_lines: bool,
}

fn read<T>(file: &str, object: impl Fn(&Value) -> Option<(u64, T)>) -> Loaded<T> {
    let mut loaded = Loaded { objects: BTreeMap::new(), bad_lines: false };
    for line in file.lines().filter(|line| !line.trim().is_empty()) {
        let parsed: Option<Value> = serde_json::from_str(line).ok();
        match parsed.as_ref().and_then(&object) {
            Some((id, read)) => {
                loaded.objects.insert(id, read);
            }
            None => loaded.bad_lines = true,
        }
    }
    loaded
}

/// Ids that the file deletes. A file without any object deletes nothing (D112).
fn gone<T>(held: &BTreeMap<u64, T>, loaded: Option<&Loaded<T>>) -> Vec<u64> {
    match loaded {
        Some(loaded) if !loaded.bad_lines && !loaded.objects.is_empty() => {
            held.keys().copied().filter(|id| !loaded.objects.contains_key(id)).collect()
        }
        _ => Vec::new(),
    }
}

/// More than 20 % and more than 50 objects (D2).
fn too_many(gone: usize, held: usize) -> bool {
    gone > 50 && gone * 5 > held
}

fn apply<T>(held: &mut BTreeMap<u64, T>, gone: &[u64], loaded: Option<Loaded<T>>) {
    for id in gone {
        held.remove(id);
    }
    if let Some(loaded) = loaded {
        held.extend(loaded.objects);
    }
}

fn text(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A whole number, also as `1.0` (D113).
fn id(value: &Value, name: &str) -> Option<u64> {
    let value = value.get(name)?;
    let whole = |number: f64| (number.fract() == 0.0 && number >= 0.0).then_some(number as u64);
    value.as_u64().or_else(|| value.as_f64().and_then(whole))
}

fn post(value: &Value) -> Option<(u64, Post)> {
    let id = id(value, "id")?;
    let post = Post { id, dpn: fold(&text(value, "nationalPostNumber")), status: fold(&text(value, "status")) };
    Some((id, post))
}

fn placement(value: &Value) -> Option<(u64, Placement)> {
    let placement_id = id(value, "id")?;
    let end = match value.get("dateTo") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) if text.trim().is_empty() => None,
        Some(other) => end(date(other.as_str()?)?),
    };
    let kind = text(value, "placementType");
    let placement = Placement {
        id: placement_id,
        trainee: id(value, "traineeId")?,
        first_name: text(value, "traineeFirstName"),
        last_name: text(value, "traineeLastName"),
        gmc: text(value, "traineeGmcNumber"),
        dpn: fold(&text(value, "nationalPostNumber")),
        post: id(value, "postId"),
        start: date(&text(value, "dateFrom"))?,
        end,
        whole_time: value.get("wholeTimeEquivalent").and_then(Value::as_f64),
        site_code: text(value, "siteCode"),
        site_name: text(value, "siteName"),
        grade: text(value, "gradeAbbreviation"),
        counted: COUNTED_TYPES.iter().any(|counted| counted.eq_ignore_ascii_case(kind.trim())),
        approved: fold(&text(value, "lifecycleState")) == "APPROVED",
        events: events(value),
    };
    Some((placement_id, placement))
}

fn events(value: &Value) -> Vec<(u64, String)> {
    let list = value.get("esrEvents").and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter(|event| text(event, "status").starts_with("EXPORTED"))
        .filter_map(|event| Some((id(event, "positionId")?, text(event, "filename"))))
        .collect()
}

fn person(value: &Value) -> Option<(u64, Person)> {
    Some((id(value, "id")?, Person(value.clone())))
}

impl Oracle {
    /// Takes the snapshot in, unless it would delete too much.
    pub(crate) fn load(&mut self, snapshot: &Snapshot, today: Date) {
        let posts = snapshot.posts.as_deref().map(|file| read(file, post));
        let placements = snapshot.placements.as_deref().map(|file| read(file, placement));
        let people = snapshot.people.as_deref().map(|file| read(file, person));
        let gone_posts = gone(&self.world.posts, posts.as_ref());
        let gone_placements = gone(&self.world.placements, placements.as_ref());
        let gone_people = gone(&self.world.people, people.as_ref());
        if too_many(gone_posts.len(), self.world.posts.len())
            || too_many(gone_placements.len(), self.world.placements.len())
            || too_many(gone_people.len(), self.world.people.len())
        {
            return;
        }
        apply(&mut self.world.posts, &gone_posts, posts);
        apply(&mut self.world.placements, &gone_placements, placements);
        apply(&mut self.world.people, &gone_people, people);
        self.draw_baseline(today);
        self.see_events();
    }

    /// D1: the first run that brings TIS data.
    fn draw_baseline(&mut self, today: Date) {
        let world = &self.world;
        let empty = world.posts.is_empty() && world.placements.is_empty() && world.people.is_empty();
        if self.baseline.is_some() || empty {
            return;
        }
        let soon = crate::applicants::window_start(today);
        self.baseline = Some(Baseline {
            run: self.run,
            posts: world.posts.keys().copied().collect::<BTreeSet<u64>>(),
            placements: world
                .placements
                .values()
                .map(|placement| ((placement.id, placement.trainee, placement.dpn.clone()), placement.start < soon))
                .collect(),
        });
    }

    /// D14: an export event binds to the trainee of the moment at which it is first seen.
    fn see_events(&mut self) {
        for placement in self.world.placements.values() {
            for (position, file) in &placement.events {
                if self.events_seen.insert((placement.id, *position)) {
                    self.events.insert((placement.id, *position, placement.trainee), file.clone());
                }
            }
        }
    }
}
