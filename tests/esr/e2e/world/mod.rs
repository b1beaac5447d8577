//! A small world in a temporary folder: files of ESR, a snapshot of TIS, and the program that is run on them.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part of the world")]

pub mod service;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

/// The first day: everything is as of 14:30 London time.
pub const DAY_1: &str = "2026-11-21T14:30:00Z";
/// The day after.
pub const DAY_2: &str = "2026-11-22T14:30:00Z";
/// The number of the one post.
pub const POST_NUMBER: &str = "EOE/ZAA01/300/STR/001";
/// The first full file.
pub const FULL_FILE: &str = "DE_EOE_RMF_20261121_00000001.DAT";

/// The folders, and flags that every run gets.
pub struct World {
    folder: TempDir,
    pub flags: Vec<String>,
}

/// What a run answered.
#[derive(Debug)]
pub struct Answer {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Answer {
    pub fn document(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn warns_of(&self, part: &str) -> bool {
        self.document()["warnings"].as_array().unwrap().iter().any(|warning| warning.as_str().unwrap().contains(part))
    }
}

impl World {
    /// Folders without content; one office is served.
    pub fn empty() -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap(), flags: vec!["--offices".into(), "EOE".into()] };
        fs::create_dir_all(world.path("inbox")).unwrap();
        fs::create_dir_all(world.path("tis")).unwrap();
        world
    }

    /// One position, its post, and a trainee who starts in the window of day 1.
    pub fn small() -> Self {
        let world = Self::empty();
        world.file(FULL_FILE, &[&position(7_000_001, "", POST_NUMBER)]);
        world.jsonl("posts", &[post(1, POST_NUMBER)]);
        world.jsonl("placements", &[placement(101, 11, "2026-12-15", "2027-06-14")]);
        world.jsonl("people", &[person(11, "Testcase")]);
        world
    }

    /// As [`World::small`], for a service that takes files at once.
    pub fn of_service() -> Self {
        let mut world = Self::small();
        fs::write(world.path("my.toml"), "[esr.inbound]\nsettle_seconds = 0\n").unwrap();
        world.flags.extend(["--config".into(), world.path("my.toml").display().to_string()]);
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a whole file of ESR into the inbox.
    pub fn file(&self, name: &str, lines: &[&str]) {
        let office = &name[3..6];
        let count = lines.len() + 2;
        let body: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
        let header = format!("HDR,\"{name}\",20261121 131500,\"{office}\",,20261121 131500,\"01\"");
        fs::write(self.path("inbox").join(name), format!("{header}\n{body}TRL,{count}\n")).unwrap();
    }

    pub fn jsonl(&self, kind: &str, objects: &[Value]) {
        let lines: String = objects.iter().flat_map(|object| [object.to_string(), "\n".to_owned()]).collect();
        fs::write(self.path("tis").join(format!("{kind}.jsonl")), lines).unwrap();
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
        command.arg("run");
        for folder in ["inbox", "tis", "outbox", "state"] {
            command.arg(format!("--{folder}")).arg(self.path(folder));
        }
        command.args(&self.flags).args(arguments).env_remove("TRIBUTARY_LOG_LEVEL");
        command
    }

    /// Runs a batch with a document as summary.
    pub fn once(&self, now: &str, more: &[&str]) -> Answer {
        let arguments = [&["--once", "--output", "json", "--records", "--now", now], more].concat();
        answer(&mut self.command(&arguments))
    }

    /// Asks the service that uses a state folder of this world for a view.
    pub fn ask(&self, state: &str, view: &str, more: &[&str]) -> Answer {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
        command.args(["esr", view, "--output", "json", "--state"]).arg(self.path(state)).args(more);
        answer(command.env_remove("TRIBUTARY_LOG_LEVEL").env_remove("TRIBUTARY_TOKEN"))
    }

    /// The lines of a file in the outbox.
    pub fn outgoing(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path("outbox").join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        text.lines().map(str::to_owned).collect()
    }

    pub fn outbox_names(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path("outbox")) else { return Vec::new() };
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

pub fn answer(command: &mut Command) -> Answer {
    let output = command.output().unwrap();
    Answer {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A POS line.
pub fn position(id: i64, indicator: &str, number: &str) -> String {
    let position_number = id + 23_000_000;
    format!(
        "POS,{id},,\"{indicator}\",\"{position_number}\",\"Medical and Dental\",\"Specialty Registrar\",\"300\",\
         \"General Medicine\",\"{number}\",\"EOE\",\"ZAA\",\"NHS\",\"MS02\",\"Specialty Registrar\",\"\""
    )
}

pub fn post(id: i64, number: &str) -> Value {
    json!({"id": id, "nationalPostNumber": number, "status": "CURRENT", "owner": "East of England"})
}

pub fn placement(id: i64, trainee: i64, from: &str, to: &str) -> Value {
    json!({
        "id": id, "traineeId": trainee, "nationalPostNumber": POST_NUMBER, "postId": 1, "dateFrom": from,
        "dateTo": to, "wholeTimeEquivalent": 1.0, "siteCode": "ZAA01", "siteName": "Sample General Hospital",
        "gradeAbbreviation": "ST3", "placementType": "In post", "lifecycleState": "APPROVED"
    })
}

pub fn person(id: i64, surname: &str) -> Value {
    json!({
        "id": id,
        "contactDetails": {"surname": surname, "forenames": "Sample", "title": "Dr", "address1": "1 Sample Street",
            "postCode": "ZZ99 3VZ", "country": "GB", "email": "sample@example.org"},
        "personalDetails": {"dateOfBirth": "1995-05-05", "gender": "Female"},
        "gmcDetails": {"gmcNumber": "0000011"}
    })
}

/// What became of the applicant record of a placement.
pub fn status_of(document: &Value, placement: i64) -> Option<String> {
    let records = document["records"].as_array().unwrap();
    let record = records.iter().find(|record| record["placement_id"] == placement)?;
    record["status"].as_str().map(str::to_owned)
}
