//! What ESR sends: RMF and RMC files with good, bad and odd lines.

use std::collections::{BTreeMap, BTreeSet};

use jiff::ToSpan;
use jiff::civil::Date;

use crate::scenario::random::Random;

#[derive(Clone)]
struct Position {
    id: u64,
    number: String,
    office: &'static str,
    dpn: String,
    deleted: bool,
}

/// The inbox: what was sent, and the positions behind it.
pub(crate) struct Inbox {
    offices: Vec<&'static str>,
    numbers: Vec<String>,
    positions: Vec<Position>,
    sent: BTreeMap<String, Vec<u8>>,
    rewritten: BTreeSet<String>,
    next_position: u64,
    next_file: BTreeMap<&'static str, u64>,
}

impl Inbox {
    pub(crate) fn new(offices: Vec<&'static str>, numbers: Vec<String>) -> Inbox {
        Inbox {
            offices,
            numbers,
            positions: Vec::new(),
            sent: BTreeMap::new(),
            rewritten: BTreeSet::new(),
            next_position: 7_000_001,
            next_file: BTreeMap::new(),
        }
    }

    pub(crate) fn position_ids(&self) -> Vec<u64> {
        self.positions.iter().map(|position| position.id).collect()
    }

    /// The first files: an RMF of most offices, sometimes an RMC in its place.
    pub(crate) fn first(&mut self, random: &mut Random, today: Date) -> Vec<(String, Vec<u8>)> {
        for _ in 0..random.between(5, 25) {
            self.add_position(random);
        }
        let mut files = Vec::new();
        for office in self.offices.clone() {
            if random.one_in(10) {
                continue;
            }
            let kind = if random.one_in(8) { "RMC" } else { "RMF" };
            let positions = self.positions.iter().filter(|position| position.office == office).cloned();
            let positions: Vec<Position> = positions.collect();
            let mut lines = both_records(random, &positions);
            odd_lines(random, office, &mut lines);
            files.push(self.file(random, office, kind, today, &lines));
        }
        files
    }

    /// Files of a later day: changes by office, now and then a full file, a repeated or a rewritten one.
    pub(crate) fn later(&mut self, random: &mut Random, today: Date) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        if random.one_in(6) {
            files.extend(self.repeat(random));
        }
        let mut lines: BTreeMap<&'static str, Vec<Vec<u8>>> = BTreeMap::new();
        for _ in 0..random.between(0, 8) {
            let (office, changed) = self.change(random);
            lines.entry(office).or_default().extend(changed);
        }
        for office in self.offices.clone() {
            let mut changes = lines.remove(office).unwrap_or_default();
            if changes.is_empty() && random.one_in(2) {
                continue;
            }
            odd_lines(random, office, &mut changes);
            if random.one_in(7) {
                let positions = self.positions.iter().filter(|position| position.office == office).cloned();
                let positions: Vec<Position> = positions.collect();
                changes.extend(both_records(random, &positions));
                files.push(self.file(random, office, "RMF", today, &changes));
            } else if changes.len() > 3 && random.one_in(3) {
                let (first, second) = changes.split_at(changes.len() / 2);
                files.push(self.file(random, office, "RMC", today, first));
                files.push(self.file(random, office, "RMC", today, second));
            } else {
                files.push(self.file(random, office, "RMC", today, &changes));
            }
        }
        files
    }

    fn add_position(&mut self, random: &mut Random) -> Position {
        let id = self.next_position;
        self.next_position += random.between(1, 9);
        let position = Position {
            id,
            number: if random.one_in(12) { String::new() } else { (id + 23_000_000).to_string() },
            office: random.pick(&self.offices),
            dpn: random.pick(&self.numbers),
            deleted: random.one_in(15),
        };
        self.positions.push(position.clone());
        position
    }

    /// One change of a position: its office's file and its lines.
    fn change(&mut self, random: &mut Random) -> (&'static str, Vec<Vec<u8>>) {
        if self.positions.is_empty() || random.one_in(5) {
            let position = self.add_position(random);
            return (position.office, both_records(random, &[position]));
        }
        let index = random.index(self.positions.len());
        let (numbers, offices) = (self.numbers.clone(), self.offices.clone());
        let position = &mut self.positions[index];
        match random.between(0, 11) {
            0..=2 => position.deleted = true,
            3 | 4 => position.deleted = false,
            5 | 6 => position.dpn = random.pick(&numbers),
            7 => position.dpn = if random.one_in(2) { String::new() } else { "EOE/NONE/300/STR/999".to_owned() },
            8 => position.number = (position.id + 40_000_000 + random.between(0, 3)).to_string(),
            9 => position.office = random.pick(&offices),
            10 => {
                // Gone and back between two runs.
                let mut gone = position.clone();
                gone.deleted = true;
                position.deleted = false;
                let position = position.clone();
                return (position.office, vec![pos(random, &gone), por(random, &position)]);
            }
            _ => {}
        }
        let position = position.clone();
        (position.office, both_records(random, &[position]))
    }

    /// A file that was sent before, as it was or with another content.
    fn repeat(&mut self, random: &mut Random) -> Option<(String, Vec<u8>)> {
        let names: Vec<String> = self.sent.keys().filter(|name| !self.rewritten.contains(*name)).cloned().collect();
        if names.is_empty() {
            return None;
        }
        let name = random.pick(&names);
        let mut content = self.sent.get(&name).cloned().unwrap_or_default();
        if random.one_in(2) {
            let parts: Vec<&str> = name.split('_').collect();
            let office = self.offices.iter().find(|office| **office == parts[1]).copied()?;
            let position = self.add_position(random);
            let lines = both_records(random, &[Position { office, ..position }]);
            content = frame(&name, office, parts[3], &lines, "\n");
        }
        self.sent.insert(name.clone(), content.clone());
        self.rewritten.insert(name.clone());
        Some((name, content))
    }

    /// Names and frames a file; some are suspect.
    fn file(
        &mut self,
        random: &mut Random,
        office: &'static str,
        kind: &str,
        today: Date,
        lines: &[Vec<u8>],
    ) -> (String, Vec<u8>) {
        let number = self.next_file.entry(office).or_insert(0);
        // An RMF and an RMC may share a number.
        *number += u64::from(!random.one_in(12) || *number == 0);
        let date = if random.one_in(4) { today.saturating_sub(1.day()) } else { today };
        let date = date.strftime("%Y%m%d").to_string();
        let mut name = format!("DE_{office}_{kind}_{date}_{:08}.DAT", *number);
        if self.sent.contains_key(&name) {
            *number += 1;
            name = format!("DE_{office}_{kind}_{date}_{:08}.DAT", *number);
        }
        let end = if random.one_in(6) { "\r\n" } else { "\n" };
        let mut content = frame(&name, office, &date, lines, end);
        match random.between(0, 14) {
            0 => content = damage(random, &name, office, &date, lines),
            // Padding, as old systems write it (D110).
            1 => content.extend_from_slice(b"\x1A"),
            2 => content.extend_from_slice(b"\0\0\0\0"),
            _ => {}
        }
        self.sent.insert(name.clone(), content.clone());
        (name, content)
    }
}

/// A POS, a POR or both of each position, in any case the number is written.
fn both_records(random: &mut Random, positions: &[Position]) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    for position in positions {
        match random.between(0, 3) {
            0 => lines.push(por(random, position)),
            1 => lines.extend([pos(random, position), por(random, position)]),
            _ => lines.push(pos(random, position)),
        }
    }
    lines
}

/// The number as ESR might write it.
fn variant(random: &mut Random, dpn: &str) -> String {
    match random.between(0, 9) {
        0 => dpn.to_ascii_lowercase(),
        1 => format!("{dpn} "),
        2 => format!(" {dpn}"),
        _ => dpn.to_owned(),
    }
}

fn indicator(random: &mut Random, position: &Position) -> &'static str {
    if position.deleted {
        return "D";
    }
    if random.one_in(4) { "" } else { "C" }
}

fn managing_office(random: &mut Random, position: &Position) -> &'static str {
    match random.between(0, 9) {
        0 => "ZZZ",
        1 => "",
        _ => position.office,
    }
}

fn pos(random: &mut Random, position: &Position) -> Vec<u8> {
    let title = if random.one_in(10) { "Registrar (night)\\" } else { "Specialty Registrar" };
    let number = if random.one_in(5) { "" } else { &position.number };
    let line = format!(
        "POS,{},,\"{}\",\"{number}\",\"Medical and Dental\",\"{title}\",\"300\",\"General \"\"Medicine\"\"\",\"{}\",\"{}\",\"R1F\",\"NHS\",\"MS02\",\"ST3\",\"\"",
        position.id,
        indicator(random, position),
        variant(random, &position.dpn),
        managing_office(random, position),
    );
    let mut line = line.into_bytes();
    if random.one_in(20) {
        // A Windows-1252 letter in a text that no rule reads.
        let at = line.windows(4).position(|window| window == b"MS02").unwrap_or_default();
        line[at] = 0xE9;
    }
    line
}

fn por(random: &mut Random, position: &Position) -> Vec<u8> {
    let line = format!(
        "POR,{},,\"{}\",\"{}\",\"Specialty Registrar\",\"{}\",\"{}\",\"Host Employer\",\"R1F\",\"0234\",\"Invented Trust\",\"Ward, North\"",
        position.id,
        indicator(random, position),
        position.number,
        variant(random, &position.dpn),
        managing_office(random, position),
    );
    line.into_bytes()
}

/// Lines that are rejected, warned of, or merely counted.
fn odd_lines(random: &mut Random, office: &str, lines: &mut Vec<Vec<u8>>) {
    for _ in 0..random.between(0, 4) {
        let id = random.between(7_900_000, 7_900_009);
        let tail = "\"R1F\",\"NHS\",\"MS02\",\"ST3\",\"\"";
        let start = format!("POS,{id},,\"C\",\"30000009\",\"Medical\",\"Registrar\",\"300\",\"Medicine\"");
        let line = match random.between(0, 13) {
            0 => format!("POS,{id},,\"C\",\"30000009\",\"too few\""),
            1 => format!("{start},\"EOE/R1F01/300/STR/001\",\"{office}\",{tail},\"one more\""),
            2 => format!(
                "POS,{id},,\"X\",\"30000009\",\"Medical\",\"Registrar\",\"300\",\"Medicine\",\"EOE/A\",\"{office}\",{tail}"
            ),
            3 => format!(
                "POS,7A,,\"C\",\"30000009\",\"Medical\",\"Registrar\",\"300\",\"Medicine\",\"EOE/A\",\"{office}\",{tail}"
            ),
            4 => format!(
                "POS,{id},,\"C\",\"3O0\",\"Medical\",\"Registrar\",\"300\",\"Medicine\",\"EOE/A\",\"{office}\",{tail}"
            ),
            5 => format!("{start},\"EOE/R1F01/300/STR/001/MUCH/TOO/LONG\",\"{office}\",{tail}"),
            6 => format!("{start},\"\",\"{office}\",{tail}"),
            7 => format!("{start},\"EOE/R1F01/300/STR/001,\"{office}\",{tail}"),
            8 => "XYZ,1,\"of no known type\"".to_owned(),
            9 => format!("{start},\"{}\",\"{office}\",{tail}", "x".repeat(9000)),
            10 => "ASG,5001,\"7000001\"".to_owned(),
            11 => "PER,5001,,\"C\"".to_owned(),
            12 => "PBD,5001,,\"General Medical Council\",\"7000000\"".to_owned(),
            _ => String::new(),
        };
        let at = random.between(0, lines.len() as u64) as usize;
        lines.insert(at, line.into_bytes());
    }
}

fn frame(name: &str, office: &str, date: &str, lines: &[Vec<u8>], end: &str) -> Vec<u8> {
    let filled = lines.iter().filter(|line| !line.is_empty()).count();
    let mut content = format!("HDR,\"{name}\",{date} 120000,\"{office}\",,{date} 120000,\"01\"{end}").into_bytes();
    for line in lines {
        content.extend_from_slice(line);
        content.extend_from_slice(end.as_bytes());
    }
    content.extend_from_slice(format!("TRL,{}{end}", filled + 2).as_bytes());
    content
}

/// A file that is to be parked (D10).
fn damage(random: &mut Random, name: &str, office: &str, date: &str, lines: &[Vec<u8>]) -> Vec<u8> {
    let good = frame(name, office, date, lines, "\n");
    let text = String::from_utf8_lossy(&good).into_owned();
    let without = |kind: &str| {
        let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with(kind)).collect();
        kept.join("\n") + "\n"
    };
    let damaged = match random.between(0, 5) {
        0 => text.replace("TRL,", "TRL,9"),
        1 => without("TRL"),
        2 => without("HDR"),
        3 => text.replacen("DE_", "DE_X", 1),
        4 => {
            let repeated = ["TRL,2", text.lines().next().unwrap_or_default()][usize::from(random.one_in(2))];
            let middle = lines.iter().cloned().chain([repeated.as_bytes().to_vec()]).collect::<Vec<_>>();
            return frame(name, office, date, &middle, "\n");
        }
        _ => text.replacen(&format!(",\"{office}\",,"), ",\"ZZZ\",,", 1),
    };
    damaged.into_bytes()
}
