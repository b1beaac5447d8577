//! Files from ESR and their confirmations, by rule (3.4, D3, D4, D8-D12, D51, D53, D93, D94).

mod confirmations;
mod ledger;
mod order;

use sha2::{Digest, Sha256};
use tributary_schemas::records::esr::{FileArrived, FileChunk, LineVerdict, PositionFileDone};
use tributary_schemas::records::tributary::{Alert, FileEvent, FileRow, FileStatus, Severity};

use super::{Inbound, LedgerStatus};
use crate::harness::{Harness, Sent, stage};
use crate::topics;

const RMC: &str = "DE_EOE_RMC_20261120_00000017.DAT";
const RMF: &str = "DE_EOE_RMF_20261120_00000017.DAT";
const RTC: &str = "DE_EOE_RTC_20261120_00000017.DAT";

const POS: &str = r#"POS,7000001,,"C","30000001","Medical and Dental","Specialty Registrar","300","General Medicine","EOE/R1F01/300/STR/001","EOE","R1F","NHS","MS02","Specialty Registrar ST3","""#;
const POR: &str = r#"POR,7000002,,"C","30000002","Specialty Registrar","EOE/R1F01/300/STR/001","EOE","Host Employer","R1F","0234","Sample NHS Trust","Sample Hospital""#;

fn inbound() -> Harness<Inbound> {
    stage(Inbound::new)
}

/// A complete file with these lines between header and trailer.
fn whole(name: &str, lines: &[&str]) -> Vec<u8> {
    let office = &name[3..6];
    let header = format!("HDR,\"{name}\",20261120 130000,\"{office}\",,20261120 130000,\"01\"");
    let trailer = format!("TRL,{}\n", lines.len() + 2);
    let lines = [&[header.as_str()], lines, &[trailer.as_str()]].concat();
    lines.join("\n").into_bytes()
}

fn hash(content: &[u8]) -> String {
    let hash = Sha256::digest(content);
    format!("{:032x}", u128::from_be_bytes(hash[..16].try_into().unwrap()))
}

fn arrived(name: &str, content: &[u8]) -> FileArrived {
    let lines: Vec<&[u8]> = content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    FileArrived {
        file_name: name.parse().unwrap(),
        sha256: hash(content),
        size: content.len() as i64,
        modified: 1,
        lines: lines.len() as i32,
        first_line: lines.first().map(|line| line.to_vec()).unwrap_or_default(),
        last_line: lines.last().map(|line| line.to_vec()).unwrap_or_default(),
        inode: Some(7),
        changed: Some(1),
        misplaced_line: None,
        padding: None,
    }
}

fn chunk(name: &str, content: &[u8]) -> FileChunk {
    FileChunk {
        file_name: name.parse().unwrap(),
        sha256: hash(content),
        index: 0,
        last: true,
        first_line_number: 1,
        content: content.to_vec(),
    }
}

fn done(name: &str, verdicts: Vec<LineVerdict>) -> PositionFileDone {
    PositionFileDone { partition: 0, partitions: 1, verdicts, ..PositionFileDone::of(name.parse().unwrap()) }
}

/// Everything that is sent when a file arrives and the only position partition answers without a verdict.
fn take_in(inbound: &mut Harness<Inbound>, name: &str, content: &[u8]) -> Vec<Sent> {
    let mut sent = inbound.give("", &arrived(name, content));
    sent.extend(inbound.give("", &chunk(name, content)));
    sent.extend(inbound.give("", &done(name, Vec::new())));
    sent
}

fn statuses(inbound: &Harness<Inbound>, sent: &[Sent]) -> Vec<FileStatus> {
    let events: Vec<Sent> = sent.iter().filter(|sent| sent.topic == topics::EVENT.name).cloned().collect();
    inbound.read::<FileEvent>(&events).iter().map(|event| event.status).collect()
}

/// Status and note of the last row that was sent for a file.
fn row(inbound: &Harness<Inbound>, sent: &[Sent]) -> Option<(FileStatus, String)> {
    let rows: Vec<Sent> = sent.iter().filter(|sent| sent.topic == topics::VIEW.name).cloned().collect();
    inbound.read::<FileEvent>(&rows).pop().map(|row| (row.status, row.note))
}

fn alerts(inbound: &Harness<Inbound>, sent: &[Sent]) -> Vec<(Severity, String)> {
    inbound.read::<Alert>(sent).into_iter().map(|alert| (alert.severity, alert.code)).collect()
}

/// The rows of the sent confirmation, with header and trailer.
fn confirmation(inbound: &Harness<Inbound>, sent: &[Sent]) -> Vec<String> {
    let rows = inbound.read::<FileRow>(sent);
    assert!(rows.iter().all(|row| row.file_name == RTC), "2.1: date and number of the confirmed file");
    rows.into_iter().map(|row| row.line).collect()
}

fn status(inbound: &Harness<Inbound>, name: &str) -> LedgerStatus {
    inbound.processor.ledger().find(|(one, _)| one.to_string() == name).map(|(_, entry)| entry.status).unwrap()
}
