//! Applicant records and their states, by rule (section 5).

use tributary_schemas::records::esr::{
    Applicant, ApplicantExported, ExportRun, FileKind, NotificationCutDone, OfficeApplicants,
};
use tributary_schemas::records::tributary::{Clock, FileRow, FileWritten};
use tributary_schemas::types::esr::PositionId;
use tributary_schemas::types::tis::{PersonId, PlacementId};

use super::{ApplicantKey, Exporter, Status};
use crate::harness::{Harness, NOW, date, millis, office, stage};

mod files;

fn exporter() -> Harness<Exporter> {
    stage(|context| Exporter::new(context, 0))
}

fn applicant(placement: i64, position: i64, start: &str) -> Applicant {
    Applicant {
        placement_id: PlacementId(placement),
        position_id: PositionId(position),
        trainee_id: PersonId(placement + 1000),
        dpn: "EOE/RGT01/300/STR/001".into(),
        position_number: "30000001".to_owned(),
        projected_hire_date: date(start),
        last_name: "Sample".to_owned(),
        first_name: "Zoë".to_owned(),
        date_of_birth: Some(date("1990-04-01")),
        ..Applicant::of(office("EOE"))
    }
}

fn key(applicant: &Applicant) -> String {
    let (placement, position, trainee) = (applicant.placement_id, applicant.position_id, applicant.trainee_id);
    ApplicantKey { office: office("EOE"), placement, position, trainee }.to_string()
}

fn give(exporter: &mut Harness<Exporter>, applicant: &Applicant) {
    exporter.give(key(applicant), applicant);
}

/// Does one run. Returns the number of written rows.
fn run(exporter: &mut Harness<Exporter>, number: i64) -> usize {
    let file_name = format!("DE_EOE_APP_20261120_{number:08}.DAT");
    let run = ExportRun {
        run: number,
        kind: FileKind::App,
        office: office("EOE"),
        file_name: file_name.parse().unwrap(),
        number,
        now: millis(NOW),
        today: date("2026-11-20"),
        previous_run: None,
        include_late: false,
    };
    exporter.give("EOE/run/1", &run);
    let rows = exporter.take::<FileRow>().iter().filter(|row| row.line.starts_with("APP")).count();
    exporter.give("EOE/written", &FileWritten { file_name, party: "EOE".to_owned() });
    rows
}

fn status(exporter: &Harness<Exporter>, placement: i64) -> Option<Status> {
    let mut all = exporter.processor.applicants();
    all.find(|(key, _)| key.placement.0 == placement).map(|(_, state)| state.status)
}

#[test]
fn a5_a6_the_window_is_from_two_days_to_less_than_thirteen_weeks() {
    let mut exporter = exporter();
    for (placement, start) in [(1, "2026-11-21"), (2, "2026-11-22"), (3, "2027-02-18"), (4, "2027-02-19")] {
        give(&mut exporter, &applicant(placement, 7, start));
    }
    assert_eq!(run(&mut exporter, 1), 2);
    let states = [1, 2, 3, 4].map(|placement| status(&exporter, placement).unwrap());
    assert_eq!(states, [Status::MissedWindow, Status::Exported, Status::Exported, Status::ToExport]);
    assert_eq!(exporter.take::<ApplicantExported>().len(), 2);
}

#[test]
fn a3_what_was_exported_is_not_exported_again() {
    let mut exporter = exporter();
    give(&mut exporter, &applicant(1, 7, "2026-12-01"));
    assert_eq!(run(&mut exporter, 1), 1);
    give(&mut exporter, &applicant(1, 7, "2026-12-02"));
    assert_eq!(run(&mut exporter, 2), 0);
}

#[test]
fn a10_at_most_forty_rows_of_a_number_the_rest_waits() {
    let mut exporter = exporter();
    for placement in 1..=41 {
        give(&mut exporter, &applicant(placement, 7, "2026-12-01"));
    }
    assert_eq!(run(&mut exporter, 1), 40);
    assert_eq!(status(&exporter, 41), Some(Status::ToExport));
    assert_eq!(run(&mut exporter, 2), 1);
}

#[test]
fn d24_a_person_goes_once_for_a_position() {
    let mut exporter = exporter();
    for (placement, start) in [(1, "2026-12-02"), (2, "2026-12-01")] {
        give(&mut exporter, &Applicant { gmc_number: "7000001".to_owned(), ..applicant(placement, 7, start) });
    }
    assert_eq!(run(&mut exporter, 1), 1);
    assert_eq!((status(&exporter, 1), status(&exporter, 2)), (Some(Status::ToExport), Some(Status::Exported)));
}

#[test]
fn r4_withdrawn_records_are_deleted_before_export_or_forgotten_when_no_run_saw_them() {
    let mut exporter = exporter();
    let (seen, unseen) = (applicant(1, 7, "2027-06-01"), applicant(2, 7, "2027-06-01"));
    give(&mut exporter, &seen);
    run(&mut exporter, 1);
    give(&mut exporter, &unseen);
    exporter.tombstone(key(&seen));
    exporter.tombstone(key(&unseen));
    assert_eq!((status(&exporter, 1), status(&exporter, 2)), (Some(Status::DeletedBeforeExport), None));
}

#[test]
fn a_record_without_a_mandatory_field_is_invalid_until_it_is_corrected() {
    let mut exporter = exporter();
    give(&mut exporter, &Applicant { date_of_birth: None, ..applicant(1, 7, "2026-12-01") });
    assert_eq!(run(&mut exporter, 1), 0);
    assert_eq!(status(&exporter, 1), Some(Status::InvalidData));
    give(&mut exporter, &applicant(1, 7, "2026-12-01"));
    assert_eq!(run(&mut exporter, 2), 1);
}

#[test]
fn d14_what_tis_remembers_is_exported_without_a_row_at_the_first_run() {
    let mut exporter = exporter();
    give(&mut exporter, &Applicant { sent_before: Some("OLD.DAT".to_owned()), ..applicant(1, 7, "2026-12-01") });
    assert_eq!(status(&exporter, 1), Some(Status::ToExport));
    assert_eq!(run(&mut exporter, 1), 0);
    assert_eq!(status(&exporter, 1), Some(Status::Exported));
}

#[test]
fn the_clock_shows_the_counts_that_changed_and_otherwise_the_time_every_ten_seconds() {
    let mut exporter = exporter();
    let tick = |exporter: &mut Harness<Exporter>, second: i64| {
        let sent = exporter.give("clock", &Clock { now: millis(NOW) + second * 1000, ..Clock::default() });
        let keys: Vec<String> = sent.iter().map(super::super::harness::Sent::text_key).collect();
        (keys, exporter.read::<OfficeApplicants>(&sent).pop())
    };
    let keys = ["office/EOE", "office/LDN", "clock"].map(str::to_owned).to_vec();
    let none = OfficeApplicants::of("LDN".parse().unwrap());
    assert_eq!(tick(&mut exporter, 0), (keys, Some(none)), "an office without records has zeros");
    assert_eq!(tick(&mut exporter, 5), (vec![], None));
    give(&mut exporter, &applicant(1, 7, "2026-12-01"));
    give(&mut exporter, &Applicant { date_of_birth: None, ..applicant(2, 7, "2026-12-01") });
    let none = OfficeApplicants::of(office("EOE"));
    let waiting = OfficeApplicants { to_export: 1, invalid_data: 1, ..none.clone() };
    let both = vec!["office/EOE".to_owned(), "clock".to_owned()];
    assert_eq!(tick(&mut exporter, 10), (both.clone(), Some(waiting)));
    give(&mut exporter, &applicant(1, 7, "2026-12-01"));
    assert_eq!(tick(&mut exporter, 15), (vec![], None), "the same record changes nothing");
    run(&mut exporter, 1);
    let exported = OfficeApplicants { exported: 1, invalid_data: 1, ..none };
    assert_eq!(tick(&mut exporter, 20), (both, Some(exported)));
    assert_eq!(tick(&mut exporter, 29), (vec![], None));
    assert_eq!(tick(&mut exporter, 30), (vec!["clock".to_owned()], None));
}

/// The effective date of a record, as its last run left it.
fn effective_date(exporter: &Harness<Exporter>, placement: i64) -> String {
    let (_, state) = exporter.processor.applicants().find(|(key, _)| key.placement == PlacementId(placement)).unwrap();
    state.effective_date.to_string()
}

#[test]
fn d104_a_record_whose_date_cannot_be_gets_the_date_of_the_run_that_sees_it_first() {
    let mut exporter = exporter();
    for (placement, at) in [
        (1, "1970-01-01T00:00:00Z"),
        (2, "2099-01-01T00:00:00Z"),
        (3, "2026-11-19T08:00:00Z"),
        (4, "2026-11-21T08:00:00Z"),
    ] {
        exporter.at(at);
        give(&mut exporter, &applicant(placement, 7, "2026-12-01"));
    }
    exporter.at(NOW);
    exporter.header(Some("undated"));
    give(&mut exporter, &applicant(5, 7, "2026-12-01"));
    give(&mut exporter, &applicant(6, 7, "2027-12-01"));
    exporter.header(None);
    assert_eq!(run(&mut exporter, 1), 5);
    let expected = ["2026-11-20", "2026-11-20", "2026-11-19", "2026-11-21", "2026-11-20", "2026-11-20"];
    for (placement, expected) in (1..).zip(expected) {
        assert_eq!(effective_date(&exporter, placement), expected, "{placement}");
    }
}

#[test]
fn d104_d118_a_run_of_other_offices_dates_a_record_whose_time_was_not_believed() {
    let mut exporter = exporter();
    exporter.header(Some("undated"));
    give(&mut exporter, &applicant(1, 7, "2026-12-01"));
    exporter.header(None);
    exporter.give("run/1/0", &NotificationCutDone { run: 1, partition: 0, partitions: 1 });
    assert_eq!(effective_date(&exporter, 1), "2026-11-20");
}
