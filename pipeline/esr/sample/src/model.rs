//! The compact state of the region: numbers and flags only. Texts are derived when a file is written, so national scale
//! needs only tens of megabytes.

use jiff::ToSpan;
use jiff::civil::Date;

use crate::names::{GRADES, OFFICES, PLACES, SPECIALTIES, SUFFIXES};

/// The number of sites of each office.
pub(crate) const SITES_PER_OFFICE: usize = 24;
/// Marks a position whose number belongs to no post.
pub(crate) const NO_POST: u32 = u32::MAX;
/// Marks a placement without end date (D15).
pub(crate) const OPEN_END: i32 = i32::MAX;

/// A national post number by its parts (section 4.5 of the domain).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PostNumber {
    pub(crate) site: u16,
    pub(crate) specialty: u8,
    pub(crate) grade: u8,
    pub(crate) counter: u16,
    pub(crate) suffix: u8,
}

impl std::fmt::Display for PostNumber {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let site = Site(self.site);
        out.write_str(OFFICES[site.office()].prefix)?;
        // Some numbers contain the name of the site and not its code, as in real data.
        if self.site % 12 == 11 {
            write!(out, "/{}{}", PLACES[site.within()].to_uppercase(), site.office())?;
        } else {
            write!(out, "/{site}")?;
        }
        let specialty = SPECIALTIES[usize::from(self.specialty)].0;
        let grade = GRADES[usize::from(self.grade)].0;
        write!(out, "/{specialty}/{grade}/{:03}", self.counter)?;
        match SUFFIXES[usize::from(self.suffix)] {
            "" => Ok(()),
            suffix => write!(out, "/{suffix}"),
        }
    }
}

/// A site, displayed as its code. The first three characters are the code of its trust.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site(pub(crate) u16);

impl Site {
    /// The index of its office.
    pub(crate) fn office(self) -> usize {
        usize::from(self.0) / SITES_PER_OFFICE
    }

    /// The index within its office.
    pub(crate) fn within(self) -> usize {
        usize::from(self.0) % SITES_PER_OFFICE
    }

    /// The organisation code of its trust: `Z`, a letter for the office, a letter for the trust.
    pub(crate) fn trust(self) -> [u8; 3] {
        [b'Z', b'A' + self.office() as u8, b'A' + (self.within() / 3) as u8]
    }

    /// The name of the trust's place.
    pub(crate) fn trust_place(self) -> &'static str {
        PLACES[self.within() / 3 * 3]
    }

    /// The name of the site's own place.
    pub(crate) fn place(self) -> &'static str {
        PLACES[self.within()]
    }
}

impl std::fmt::Display for Site {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for letter in self.trust() {
            write!(out, "{}", char::from(letter))?;
        }
        write!(out, "{:02}", self.within() % 3 + 1)
    }
}

/// Funding status of a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PostStatus {
    Current,
    Inactive,
    Delete,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Post {
    pub(crate) number: PostNumber,
    pub(crate) status: PostStatus,
    /// The number of live positions with its number.
    pub(crate) live_positions: u8,
}

impl Post {
    pub(crate) fn office(&self) -> usize {
        Site(self.number.site).office()
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Position {
    pub(crate) id: u32,
    pub(crate) number: u32,
    pub(crate) dpn: PostNumber,
    /// The index of the post with that number, or [`NO_POST`].
    pub(crate) post: u32,
    pub(crate) lead: bool,
    pub(crate) deleted: bool,
    /// Whether the trust has cleared the DPN (D5).
    pub(crate) cleared: bool,
    /// The number of changes of its title.
    pub(crate) revision: u8,
}

impl Position {
    pub(crate) fn office(&self) -> usize {
        Site(self.dpn.site).office()
    }

    pub(crate) fn live(&self) -> bool {
        !self.deleted && !self.cleared
    }
}

#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "independent flaws and flags, not states of one thing")]
pub(crate) struct Person {
    /// Everything about the person that never changes is derived from this key.
    pub(crate) key: u64,
    pub(crate) no_birth_date: bool,
    pub(crate) unknown_gmc: bool,
    pub(crate) dentist: bool,
    pub(crate) bad_postcode: bool,
    /// The number of corrections of the contact details.
    pub(crate) revision: u8,
}

#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "independent flaws and flags, not states of one thing")]
pub(crate) struct Placement {
    pub(crate) id: u32,
    /// The index of the person.
    pub(crate) trainee: u32,
    /// The index of the post.
    pub(crate) post: u32,
    /// The first day, in days after the first day of the region.
    pub(crate) from: i32,
    /// The last day, in days after the first day of the region, or [`OPEN_END`].
    pub(crate) to: i32,
    /// The whole-time equivalent, in tenths.
    pub(crate) tenths: u8,
    /// The index into [`crate::names::PLACEMENT_TYPES`].
    pub(crate) kind: u8,
    pub(crate) draft: bool,
    pub(crate) no_site: bool,
    /// Whether TIS says that it was exported before (D14).
    pub(crate) exported_before: bool,
    pub(crate) deleted: bool,
}

impl Placement {
    /// Whether it is approved (A7) and of a type that counts (A8).
    pub(crate) fn counts(&self) -> bool {
        !self.deleted && !self.draft && usize::from(self.kind) < crate::names::COUNTED_TYPES
    }

    pub(crate) fn covers(&self, day: i32) -> bool {
        self.from <= day && day <= self.to
    }
}

/// The date `offset` days after `first_day`.
pub(crate) fn date_at(first_day: Date, offset: i32) -> Date {
    first_day.saturating_add(offset.days())
}
