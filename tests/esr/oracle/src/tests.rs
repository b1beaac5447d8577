//! Small cases worked by hand from the rules, and the words to write them in.

mod applicants;
mod intake;
mod notifications;
mod persons_and_offices;

use serde_json::{Value, json};

use crate::columns::split;
use crate::{Batch, Decision, Disorder, Oracle, Outcome, Snapshot};

/// First day of most cases; 13 weeks later is 31 August.
const DAY_1: &str = "2026-06-01T13:30:00Z";
const DAY_2: &str = "2026-06-02T13:30:00Z";
const A: &str = "EOE/R1F01/300/STR/001";
const B: &str = "EOE/R1F01/300/STR/002";

type File = (String, Vec<u8>);

fn pos(id: u64, indicator: &str, dpn: &str) -> String {
    format!(
        "POS,{id},,\"{indicator}\",\"{}\",\"Medical\",\"Registrar\",\"300\",\"Medicine\",\"{dpn}\",\"\",\"R1F\",\"NHS\",\"MS02\",\"ST3\",\"\"",
        id + 100
    )
}

fn por(id: u64, indicator: &str, number: &str, dpn: &str) -> String {
    format!(
        "POR,{id},,\"{indicator}\",\"{number}\",\"Registrar\",\"{dpn}\",\"\",\"Host Employer\",\"R1F\",\"431\",\"Trust\",\"Ward\""
    )
}

fn file(office: &str, kind: &str, number: u64, lines: &[String]) -> File {
    dated(office, kind, 1, number, lines)
}

/// A file of a day of June.
fn dated(office: &str, kind: &str, day: u32, number: u64, lines: &[String]) -> File {
    let name = format!("DE_{office}_{kind}_202606{day:02}_{number:08}.DAT");
    let mut text = format!("HDR,\"{name}\",20260601 120000,\"{office}\",,20260601 120000,\"01\"\n");
    text += &lines.iter().map(|line| line.clone() + "\n").collect::<String>();
    text = text + "TRL," + &(lines.len() + 2).to_string() + "\n";
    (name, text.into_bytes())
}

fn rmf(lines: &[String]) -> File {
    file("EOE", "RMF", 1, lines)
}

fn rmc(number: u64, lines: &[String]) -> File {
    file("EOE", "RMC", number, lines)
}

fn post(id: u64, dpn: &str) -> Value {
    json!({"id": id, "nationalPostNumber": dpn, "status": "CURRENT"})
}

/// An approved placement of the post with id 10, at one site.
fn placement(id: u64, trainee: u64, dpn: &str, from: &str, to: &str) -> Value {
    json!({
        "id": id, "traineeId": trainee, "nationalPostNumber": dpn, "dateFrom": from, "dateTo": to,
        "wholeTimeEquivalent": 1, "siteCode": "RGT01", "siteName": "Invented Hospital", "gradeAbbreviation": "ST3",
        "placementType": "In post", "lifecycleState": "APPROVED",
    })
}

/// A placement with one field changed.
fn with(mut object: Value, field: &str, value: impl Into<Value>) -> Value {
    object[field] = value.into();
    object
}

fn person(id: u64) -> Value {
    json!({
        "id": id,
        "contactDetails": {"surname": format!("P{id}"), "forenames": "Ann", "email": format!("p{id}@example.org")},
        "personalDetails": {"dateOfBirth": "1990-04-01"},
        "gmcDetails": {"gmcNumber": format!("700000{id}")},
    })
}

fn lines(objects: &[Value]) -> String {
    objects.iter().map(|object| object.to_string() + "\n").collect()
}

/// Posts and placements; people 1 to 5 are always there.
fn tis(posts: &[Value], placements: &[Value]) -> Snapshot {
    let people: Vec<Value> = (1..=5).map(person).collect();
    Snapshot { posts: Some(lines(posts)), placements: Some(lines(placements)), people: Some(lines(&people)) }
}

fn oracle() -> Oracle {
    Oracle::new(&["EOE", "LDN"])
}

/// A run of one office alone.
fn run_of(oracle: &mut Oracle, office: &str, now: &str, snapshot: Snapshot) -> Outcome {
    let (files, decisions, offices) = (Vec::new(), Vec::new(), vec![office.to_owned()]);
    oracle.run(&Batch { now: now.parse().unwrap(), files, snapshot, decisions, offices })
}

fn run(oracle: &mut Oracle, now: &str, files: Vec<File>, snapshot: Snapshot) -> Outcome {
    let (decisions, offices) = (Vec::new(), Vec::new());
    oracle.run(&Batch { now: now.parse().unwrap(), files, snapshot, decisions, offices })
}

/// Lines of the file of a type and office, without header and trailer.
fn rows(outcome: &Outcome, kind: &str, office: &str) -> Vec<String> {
    let start = format!("DE_{office}_{kind}_");
    let (_, text) = outcome.files.iter().find(|(name, _)| name.starts_with(&start)).unwrap();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines[1..lines.len() - 1].to_vec()
}

fn columns(line: &str) -> Vec<String> {
    split(line).unwrap()
}

/// Notifications of EOE in short: `type:current>next`, or `2:current-withdrawn`.
fn told(outcome: &Outcome) -> Vec<String> {
    told_in(outcome, "EOE")
}

fn told_in(outcome: &Outcome, office: &str) -> Vec<String> {
    let short = |line: &String| {
        let columns = columns(line);
        let (kind, current, next, withdrawn) = (&columns[1], &columns[8], &columns[14], &columns[21]);
        if kind == "2" { format!("2:{current}-{withdrawn}") } else { format!("{kind}:{current}>{next}") }
    };
    rows(outcome, "DNC", office).iter().map(short).collect()
}

/// Applicants of EOE in short: `DPN position last name`.
fn sent(outcome: &Outcome) -> Vec<String> {
    let short = |line: &String| {
        let columns = columns(line);
        format!("{} {} {}", columns[3], columns[4], columns[10])
    };
    rows(outcome, "APP", "EOE").iter().map(short).collect()
}

/// Records in short: `placement/position/trainee office STATE`.
fn records(outcome: &Outcome) -> Vec<String> {
    let short = |record: &crate::ApplicantState| {
        format!(
            "{}/{}/{} {} {}",
            record.placement_id, record.position_id, record.trainee_id, record.office, record.status
        )
    };
    outcome.records.iter().map(short).collect()
}
