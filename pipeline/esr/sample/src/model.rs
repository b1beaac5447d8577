//! What the region is made of, held compactly: numbers and flags only. Texts are derived when a
//! file is written, so that national scale takes some ten megabytes.

use jiff::ToSpan;
use jiff::civil::Date;

use crate::names::{GRADES, OFFICES, PLACES, SPECIALTIES, SUFFIXES};

/// Sites of each office.
pub(crate) const SITES_PER_OFFICE: usize = 24;
/// Stands for a position whose number is that of no post.
pub(crate) const NO_POST: u32 = u32::MAX;
/// Stands for a placement without end date (D15).
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
        // Some numbers name the site instead of giving its code, as in real data.
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

/// A site; displays as its code. The first three characters are the code of its trust.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site(pub(crate) u16);

impl Site {
    /// Index of its office.
    pub(crate) fn office(self) -> usize {
        usize::from(self.0) / SITES_PER_OFFICE
    }

    /// Index within its office.
    pub(crate) fn within(self) -> usize {
        usize::from(self.0) % SITES_PER_OFFICE
    }

    /// The organisation code of its trust: `Z`, a letter for the office, a letter for the trust.
    pub(crate) fn trust(self) -> [u8; 3] {
        [b'Z', b'A' + self.office() as u8, b'A' + (self.within() / 3) as u8]
    }

    /// Name of the trust's place.
    pub(crate) fn trust_place(self) -> &'static str {
        PLACES[self.within() / 3 * 3]
    }

    /// Name of the site's own place.
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
    /// Live positions that carry its number.
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
    /// Index of the post with that number, or [`NO_POST`].
    pub(crate) post: u32,
    pub(crate) lead: bool,
    pub(crate) deleted: bool,
    /// The trust has cleared the DPN (D5).
    pub(crate) cleared: bool,
    /// Raised with every change of its title.
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
    /// Everything about the person that never changes derives from this.
    pub(crate) key: u64,
    pub(crate) no_birth_date: bool,
    pub(crate) unknown_gmc: bool,
    pub(crate) dentist: bool,
    pub(crate) bad_postcode: bool,
    /// Raised with every correction of the contact details.
    pub(crate) revision: u8,
}

#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "independent flaws and flags, not states of one thing")]
pub(crate) struct Placement {
    pub(crate) id: u32,
    /// Index of the person.
    pub(crate) trainee: u32,
    /// Index of the post.
    pub(crate) post: u32,
    /// Days after the first day.
    pub(crate) from: i32,
    /// Last day, in days after the first day, or [`OPEN_END`].
    pub(crate) to: i32,
    /// Tenths of whole time.
    pub(crate) tenths: u8,
    /// Index into [`crate::names::PLACEMENT_TYPES`].
    pub(crate) kind: u8,
    pub(crate) draft: bool,
    pub(crate) no_site: bool,
    /// TIS says that it was exported already (D14).
    pub(crate) exported_before: bool,
    pub(crate) deleted: bool,
}

impl Placement {
    /// A8 and A7: a type that counts, and approved.
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
