//! A state of the world: ESR positions and TIS objects, and what counts where.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde_json::Value;

use crate::intake::FileName;

/// Identity of a placement inside a post: placement and trainee (D27).
pub(crate) type PlacementKey = (u64, u64);

/// Trimmed and in ASCII capitals: how numbers are compared (R1).
pub(crate) fn fold(text: &str) -> String {
    text.trim().to_ascii_uppercase()
}

/// The line that brought a position to where it lives now.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Arrival {
    pub(crate) date: String,
    pub(crate) number: u64,
    /// False for RMF, so that RMF comes first (D9).
    pub(crate) by_changes_file: bool,
    pub(crate) line: usize,
    /// It came from another office (D6).
    pub(crate) moved_office: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Position {
    pub(crate) id: u64,
    pub(crate) office: String,
    /// DPN as ESR wrote it, trimmed (D21).
    pub(crate) dpn_text: String,
    pub(crate) dpn: String,
    pub(crate) number: String,
    pub(crate) deleted: bool,
    /// The file that says all this (D93).
    pub(crate) file: FileName,
    pub(crate) arrival: Arrival,
}

#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) id: u64,
    pub(crate) dpn: String,
    pub(crate) status: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Placement {
    pub(crate) id: u64,
    pub(crate) trainee: u64,
    pub(crate) first_name: String,
    pub(crate) last_name: String,
    pub(crate) gmc: String,
    pub(crate) dpn: String,
    pub(crate) post: Option<u64>,
    pub(crate) start: Date,
    pub(crate) end: Option<Date>,
    pub(crate) whole_time: Option<f64>,
    pub(crate) site_code: String,
    pub(crate) site_name: String,
    pub(crate) grade: String,
    /// Its type is in the list of A8.
    pub(crate) counted: bool,
    pub(crate) approved: bool,
    /// (position, file) of its export events.
    pub(crate) events: Vec<(u64, String)>,
}

impl Placement {
    pub(crate) fn key(&self) -> PlacementKey {
        (self.id, self.trainee)
    }

    pub(crate) fn covers(&self, day: Date) -> bool {
        self.start <= day && !self.ended_before(day)
    }

    pub(crate) fn ended_before(&self, day: Date) -> bool {
        self.end.is_some_and(|end| end < day)
    }

    /// Ends later than `day`; a blank end covers every later day (D15).
    pub(crate) fn ends_after(&self, day: Date) -> bool {
        self.end.is_none_or(|end| end > day)
    }

    pub(crate) fn same_site(&self, other: &Placement) -> bool {
        !self.site_code.trim().is_empty() && self.site_code.trim().eq_ignore_ascii_case(other.site_code.trim())
    }
}

/// A person is kept as TIS wrote it.
#[derive(Clone, Debug)]
pub(crate) struct Person(pub(crate) Value);

impl Person {
    /// A text of a section such as `contactDetails`; blank counts as absent.
    pub(crate) fn text(&self, section: &str, name: &str) -> String {
        let value = self.0.get(section).and_then(|section| section.get(name));
        let text = value.and_then(Value::as_str).unwrap_or_default();
        if text.trim().is_empty() { String::new() } else { text.to_owned() }
    }

    pub(crate) fn date(&self, section: &str, name: &str) -> Option<Date> {
        crate::snapshot::date(&self.text(section, name))
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    pub(crate) positions: BTreeMap<u64, Position>,
    pub(crate) posts: BTreeMap<u64, Post>,
    pub(crate) placements: BTreeMap<u64, Placement>,
    pub(crate) people: BTreeMap<u64, Person>,
}

impl World {
    /// Every number that a post carries.
    pub(crate) fn post_numbers(&self) -> BTreeSet<String> {
        self.posts.values().map(|post| post.dpn.clone()).collect()
    }

    /// The post a number stands for: CURRENT before INACTIVE, then lowest id (R9, D13).
    pub(crate) fn preferred(&self, dpn: &str) -> Option<&Post> {
        if dpn.is_empty() {
            return None;
        }
        let with_status = |status: &str| self.posts.values().find(|post| post.dpn == dpn && post.status == status);
        with_status("CURRENT").or_else(|| with_status("INACTIVE"))
    }

    /// Placements of a matched number that count, drafts included, by id.
    pub(crate) fn effective(&self, dpn: &str) -> Vec<&Placement> {
        let Some(post) = self.preferred(dpn) else {
            return Vec::new();
        };
        self.placements
            .values()
            .filter(|placement| placement.counted && placement.dpn == dpn)
            .filter(|placement| placement.post.is_none_or(|id| id == post.id || !self.has_number(id, dpn)))
            .collect()
    }

    /// Whether a post has this number. A placement that names a post with another number belongs where its own number
    /// says (D13).
    fn has_number(&self, post: u64, dpn: &str) -> bool {
        self.posts.get(&post).is_some_and(|post| post.dpn == dpn)
    }

    /// The effective placements that are approved.
    pub(crate) fn approved(&self, dpn: &str) -> Vec<&Placement> {
        let mut placements = self.effective(dpn);
        placements.retain(|placement| placement.approved);
        placements
    }

    /// The effective placement of this identity, draft or approved.
    pub(crate) fn find_effective(&self, dpn: &str, key: PlacementKey) -> Option<&Placement> {
        self.effective(dpn).into_iter().find(|placement| placement.key() == key)
    }

    /// Whether a placement has left this number for a reason of its own: gone, moved to another number, post or
    /// trainee, or of a type that does not count. A change of the preferred post alone is none (D13).
    pub(crate) fn has_left(&self, base: &World, dpn: &str, key: PlacementKey) -> bool {
        if self.find_effective(dpn, key).is_some() {
            return false;
        }
        let Some(placement) = self.placements.get(&key.0) else {
            return true;
        };
        let post_before = base.placements.get(&key.0).and_then(|before| before.post);
        placement.trainee != key.1 || placement.dpn != dpn || !placement.counted || (placement.post != post_before)
    }

    /// Live positions of an office that carry a number, by id.
    pub(crate) fn live(&self, office: &str, dpn: &str) -> Vec<&Position> {
        self.positions
            .values()
            .filter(|position| !position.deleted && position.office == office && position.dpn == dpn)
            .collect()
    }

    pub(crate) fn reconciled(&self, office: &str, dpn: &str) -> bool {
        self.preferred(dpn).is_some() && !self.live(office, dpn).is_empty()
    }
}
