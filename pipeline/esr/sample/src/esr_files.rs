//! The files that ESR sends: RMF and RMC, one for each office (sections 2 and 3 of the domain).

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use jiff::civil::Date;

use crate::model::{OPEN_END, Person, Placement, Position, Site, date_at};
use crate::names::{GRADES, OFFICES, SPECIALTIES};
use crate::person::Particulars;

/// The name and header of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heading {
    pub(crate) office: usize,
    /// `RMF` or `RMC`.
    pub(crate) kind: &'static str,
    pub(crate) date: Date,
    pub(crate) previous: Option<Date>,
    pub(crate) number: u32,
}

impl Heading {
    pub(crate) fn file_name(&self) -> String {
        let office = OFFICES[self.office].code;
        format!("DE_{office}_{}_{}_{:08}.DAT", self.kind, compact(self.date), self.number)
    }
}

/// `YYYYMMDD`.
fn compact(date: Date) -> impl Display {
    date.strftime("%Y%m%d")
}

/// An unfinished inbound file. It appears under its name when it is complete.
pub(crate) struct EsrFile<'a> {
    folder: &'a Path,
    name: String,
    out: BufWriter<File>,
    lines: usize,
}

impl<'a> EsrFile<'a> {
    /// Starts a file with its header.
    pub(crate) fn create(folder: &'a Path, heading: &Heading) -> io::Result<EsrFile<'a>> {
        let name = heading.file_name();
        let out = BufWriter::with_capacity(1 << 18, File::create(temporary(folder, &name))?);
        let mut file = EsrFile { folder, name, out, lines: 0 };
        let office = OFFICES[heading.office].code;
        let this = format!("{} 131500", compact(heading.date));
        let previous = heading.previous.map(|date| format!("{} 131500", compact(date))).unwrap_or_default();
        file.line(format_args!("HDR,\"{}\",{this},\"{office}\",{previous},{this},\"01\"", heading.file_name()))?;
        Ok(file)
    }

    /// Writes one line unchanged.
    pub(crate) fn line(&mut self, text: impl Display) -> io::Result<()> {
        self.lines += 1;
        writeln!(self.out, "{text}")
    }

    /// Writes the POS and the POR line of a position. With `full`, some live positions have a blank indicator, as in
    /// full files of ESR.
    pub(crate) fn position(&mut self, position: &Position, full: bool) -> io::Result<()> {
        let Position { id, number, dpn, .. } = *position;
        let site = Site(dpn.site);
        let office = OFFICES[position.office()].code;
        let indicator = match (position.deleted, full && id.is_multiple_of(3)) {
            (true, _) => "D",
            (false, true) => "",
            (false, false) => "C",
        };
        let (_, occupation, area) = SPECIALTIES[usize::from(dpn.specialty)];
        let (_, grade, role, scale) = GRADES[usize::from(dpn.grade)];
        let title = Title { role, area, revision: position.revision, backslash: id % 1_000_000 == 1 };
        let cleared = if position.cleared { String::new() } else { dpn.to_string() };
        let [a, b, c] = site.trust().map(char::from);
        self.line(format_args!(
            "POS,{id},,\"{indicator}\",\"{number}\",\"Medical and Dental\",\"{title}\",\"{occupation}\",\"{area}\",\
             \"{cleared}\",\"{office}\",\"{a}{b}{c}\",\"NHS\",\"{scale}\",\"{grade}\",\"{site}\""
        ))?;
        let (employer, vpd) = if position.lead {
            ("Lead Employer", 100 + site.office())
        } else {
            ("Host Employer", 200 + usize::from(dpn.site))
        };
        let (trust, place) = (site.trust_place(), site.place());
        self.line(format_args!(
            "POR,{id},,\"{indicator}\",\"{number}\",\"{title}\",\"{cleared}\",\"{office}\",\"{employer}\",\
             \"{a}{b}{c}\",\"{vpd:04}\",\"{trust} Sample NHS Trust\",\"{place} General Hospital\""
        ))
    }

    /// Writes the ASG group of a trainee in a position. `absent` adds an absence.
    pub(crate) fn trainee(
        &mut self,
        first_day: Date,
        placement: &Placement,
        person: &Person,
        position: &Position,
        absent: bool,
    ) -> io::Result<()> {
        let particulars = Particulars::of(placement.trainee, person);
        let id = 500_001 + placement.trainee;
        let hired = compact(date_at(first_day, placement.from));
        let end = match placement.to {
            OPEN_END => String::new(),
            to => compact(date_at(first_day, to)).to_string(),
        };
        self.line(format_args!(
            "ASG,{},,\"C\",{id},{},\"{}\",\"{}\",{hired},{end}",
            600_000_001 + placement.id,
            position.id,
            position.number,
            position.dpn
        ))?;
        self.line(format_args!(
            "PER,{id},,\"C\",,,\"\",\"{}\",\"{}\",\"\",\"\",\"DR.\",\"F\",{},,\"\",\"{}\",,,\"{}\",\"A\",,,,,,,,,,\"\",\"\",\"\"",
            particulars.law_surname(),
            particulars.law_first_name(),
            compact(particulars.birth_date),
            particulars.mobile,
            particulars.email,
        ))?;
        self.line(format_args!(
            "ADD,{id},{},\"Home\",\"GB\",\"Yes\",\"{} Sample Street\",\"\",\"\",\"Sampleton\",\"\",\"{}\",\"GB\"",
            700_000_001 + placement.id,
            1 + placement.trainee % 99,
            particulars.postcode
        ))?;
        if absent {
            let (start, end) = (date_at(first_day, -20), date_at(first_day, -18));
            let absence = 800_000_001 + placement.id;
            self.line(format_args!("ABS,{id},,\"C\",{},{},3,{absence}", compact(start), compact(end)))?;
        }
        if let Some(number) = &particulars.gmc_number {
            self.line(format_args!("PBD,{id},,\"General Medical Council\",\"{number}\","))?;
        }
        Ok(())
    }

    /// Writes the intentionally bad lines and returns their number.
    pub(crate) fn bad_lines(&mut self, office: usize) -> io::Result<usize> {
        let code = OFFICES[office].code;
        // A missing column; an unknown record type; a DPN over 30 characters; a number with a letter.
        self.line(format_args!("POS,9000001,,\"C\",\"39000001\",\"Medical and Dental\",\"Specialty Registrar\""))?;
        self.line(format_args!("XYZ,9000002,\"no such record type\""))?;
        self.line(format_args!(
            "POR,9000003,,\"C\",\"39000003\",\"Specialty Registrar\",\"{code}/NUMBER-THAT-IS-TOO-LONG/300/STR/001\",\
             \"{code}\",\"Host Employer\",\"ZZZ\",\"0234\",\"Sample NHS Trust\",\"Sample Hospital\""
        ))?;
        self.line(format_args!(
            "POR,9000004,,\"C\",\"3900000X\",\"Specialty Registrar\",\"{code}/ZZZ01/300/STR/001\",\
             \"{code}\",\"Host Employer\",\"ZZZ\",\"0234\",\"Sample NHS Trust\",\"Sample Hospital\""
        ))?;
        Ok(4)
    }

    /// Writes the trailer and renames the file to its final name.
    pub(crate) fn finish(mut self) -> io::Result<(String, usize)> {
        writeln!(self.out, "TRL,{}", self.lines + 1)?;
        self.out.flush()?;
        fs::rename(temporary(self.folder, &self.name), self.folder.join(&self.name))?;
        Ok((self.name, self.lines + 1))
    }
}

/// The name of an unfinished file.
pub(crate) fn temporary(folder: &Path, name: &str) -> std::path::PathBuf {
    folder.join(format!(".{name}.part"))
}

/// A position title. The title of the very first position ends in a backslash. That is an ordinary character although
/// the closing quote follows (D3).
struct Title {
    role: &'static str,
    area: &'static str,
    revision: u8,
    backslash: bool,
}

impl Display for Title {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A title has at most 60 characters, so long names of areas are left out.
        out.write_str(self.role)?;
        if self.role.len() + self.area.len() < 50 {
            write!(out, " {}", self.area)?;
        }
        if self.revision > 0 {
            write!(out, " ({})", self.revision + 1)?;
        }
        if self.backslash {
            out.write_str("\\")?;
        }
        Ok(())
    }
}
