//! Deterministic sample data: the files of an invented region, for the demo, the tests and the benchmark. The same
//! scale, seed and first day always produce the same bytes.
//!
//! This crate holds the state of the region ([`SampleRegion`]), the changes of later days, and the writers of the files
//! of ESR and TIS. It reads no files and has no rule of the exchange. Comments cite the rules that a detail of the data
//! tests.

mod changes;
mod esr_files;
mod model;
mod names;
mod person;
mod placements;
mod position_changes;
mod region;
mod rng;
mod scale;
mod tis_snapshot;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use jiff::Timestamp;
use jiff::civil::Date;

use changes::Day;
use esr_files::{EsrFile, Heading};
use model::date_at;
use names::OFFICES;
use region::Region;
pub use scale::Scale;

/// An invented region that writes the files that ESR and TIS send on its days.
///
/// The days have an order: first, second, peak. On a skipped day nothing changes.
#[derive(Debug)]
pub struct SampleRegion {
    region: Region,
    offices: Vec<&'static str>,
    /// The number of the next file of each office.
    next_number: u32,
    /// The last written day, in days after the first.
    last_day: i32,
}

/// The result of writing a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The time of the exchange: 14:30 London time on that day.
    pub now: Timestamp,
    /// Names of the files, inbound files first.
    pub files: Vec<String>,
    /// The amounts in the files.
    pub counts: Counts,
}

/// The amounts of a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Positions that ESR has reported so far, also deleted ones.
    pub positions: usize,
    /// Posts in the snapshot.
    pub posts: usize,
    /// People in the snapshot.
    pub people: usize,
    /// Placements in the snapshot.
    pub placements: usize,
    /// POS and POR lines in the files of the day, without bad lines.
    pub position_records: usize,
    /// Lines in the inbound files of the day, with headers and trailers.
    pub lines: usize,
    /// Intentionally bad lines.
    pub bad_lines: usize,
    /// Changes in TIS since the previous day.
    pub tis_changes: usize,
    /// Pairs of a counting placement and a live position that enter the window of A5 on exactly this day. People with
    /// incomplete data are included.
    pub coming_into_window: usize,
}

impl SampleRegion {
    /// A region of this scale. `first_day` is the date of its full files and its first snapshot.
    pub fn new(scale: Scale, seed: u64, first_day: Date) -> SampleRegion {
        let region = Region::new(scale, seed, first_day);
        let offices = OFFICES[..region.profile.offices].iter().map(|office| office.code).collect();
        SampleRegion { region, offices, next_number: 1, last_day: 0 }
    }

    /// The codes of the offices.
    pub fn offices(&self) -> &[&str] {
        &self.offices
    }

    /// Writes an RMF of every office into `inbox` and the first snapshot into `tis`. Creates the folders.
    ///
    /// # Errors
    /// The error of writing into the folders.
    pub fn write_first_day(&mut self, inbox: &Path, tis: &Path) -> io::Result<Written> {
        self.write(inbox, tis, 0, None, 0)
    }

    /// Changes the region. Then writes an RMC of every office with the changed positions, and replaces the snapshot.
    ///
    /// # Errors
    /// The error of writing into the folders.
    pub fn write_second_day(&mut self, inbox: &Path, tis: &Path) -> io::Result<Written> {
        let profile = self.region.profile;
        self.write_changes(inbox, tis, 1, profile.rmc_records, profile.tis_changes)
    }

    /// Writes the day on which the starters of the rotation day enter the window (at national scale 40,000 applicants),
    /// with a tenth of the other changes of the second day.
    ///
    /// # Errors
    /// The error of writing into the folders.
    pub fn write_peak_day(&mut self, inbox: &Path, tis: &Path) -> io::Result<Written> {
        let profile = self.region.profile;
        let (records, changes) = (profile.rmc_records / 10, profile.tis_changes / 10);
        self.write_changes(inbox, tis, self.peak_offset(), records, changes)
    }

    /// 90 days before the rotation day, a start on that day is less than 13 weeks away (A5).
    fn peak_offset(&self) -> i32 {
        self.region.rotation - 90
    }

    fn write_changes(
        &mut self,
        inbox: &Path,
        tis: &Path,
        today: i32,
        rmc_records: usize,
        tis_changes: usize,
    ) -> io::Result<Written> {
        let day = Day { today, last_run: self.last_day, rmc_records, tis_changes };
        let touched = self.region.change(day);
        self.write(inbox, tis, today, Some(&touched.positions), touched.tis_changes)
    }

    /// Writes full files, or files with the `changed` positions, and the snapshot.
    fn write(
        &mut self,
        inbox: &Path,
        tis: &Path,
        today: i32,
        changed: Option<&BTreeSet<u32>>,
        tis_changes: usize,
    ) -> io::Result<Written> {
        fs::create_dir_all(inbox)?;
        fs::create_dir_all(tis)?;
        let region = &self.region;
        let mut counts = Counts {
            positions: region.positions.len(),
            posts: region.posts.len(),
            people: region.people.len(),
            placements: region.placements.iter().filter(|placement| !placement.deleted).count(),
            tis_changes,
            coming_into_window: region
                .exportable(today + 90, today + 90)
                .into_iter()
                .map(|index| region.rows(&region.placements[index as usize]))
                .sum(),
            ..Counts::default()
        };
        let by_office = region.positions_by_office(changed);
        let mut files = Vec::new();
        for (office, positions) in by_office.iter().enumerate() {
            let heading = Heading {
                office,
                kind: if changed.is_some() { "RMC" } else { "RMF" },
                date: date_at(region.first_day, today),
                previous: changed.is_some().then(|| date_at(region.first_day, self.last_day)),
                number: self.next_number,
            };
            files.push(region.write_office(inbox, &heading, positions, &mut counts)?);
        }
        files.extend(region.write_snapshot(tis, today)?);
        self.next_number += 1;
        self.last_day = today;
        Ok(Written { now: half_past_two(date_at(self.region.first_day, today))?, files, counts })
    }
}

impl Region {
    /// Indexes of the changed positions, or of all positions, by office.
    fn positions_by_office(&self, changed: Option<&BTreeSet<u32>>) -> Vec<Vec<u32>> {
        let mut lists = vec![Vec::new(); self.profile.offices];
        let mut add = |index: u32| lists[self.positions[index as usize].office()].push(index);
        match changed {
            Some(changed) => changed.iter().copied().for_each(&mut add),
            None => (0..self.positions.len() as u32).for_each(&mut add),
        }
        lists
    }

    /// Writes the file of one office and returns its name.
    fn write_office(
        &self,
        inbox: &Path,
        heading: &Heading,
        positions: &[u32],
        counts: &mut Counts,
    ) -> io::Result<String> {
        let full = heading.kind == "RMF";
        let mut file = EsrFile::create(inbox, heading)?;
        for &index in positions {
            file.position(&self.positions[index as usize], full)?;
        }
        counts.position_records += 2 * positions.len();
        if full {
            self.write_trainees(&mut file, positions)?;
        }
        if self.profile.bad_lines && (full || heading.office == 0) {
            counts.bad_lines += file.bad_lines(heading.office)?;
        }
        let (name, lines) = file.finish()?;
        counts.lines += lines;
        Ok(name)
    }

    /// Writes the ASG group of every fortieth present trainee of the positions.
    fn write_trainees(&self, file: &mut EsrFile<'_>, positions: &[u32]) -> io::Result<()> {
        let mut position_of_post = vec![None; self.posts.len()];
        for &index in positions.iter().rev() {
            let position = &self.positions[index as usize];
            if position.live()
                && let Some(slot) = position_of_post.get_mut(position.post as usize)
            {
                *slot = Some(position);
            }
        }
        let present = self.placements.iter().filter(|placement| placement.counts() && placement.covers(0));
        let paired = present
            .filter_map(|placement| position_of_post[placement.post as usize].map(|position| (placement, position)));
        for (turn, (placement, position)) in paired.step_by(40).enumerate() {
            let person = &self.people[placement.trainee as usize];
            file.trainee(self.first_day, placement, person, position, turn % 2 == 0)?;
        }
        Ok(())
    }
}

/// 14:30 London time (10.1 of the domain).
fn half_past_two(date: Date) -> io::Result<Timestamp> {
    let local = date.at(14, 30, 0, 0).in_tz("Europe/London").map_err(io::Error::other)?;
    Ok(local.timestamp())
}
