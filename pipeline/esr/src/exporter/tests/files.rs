//! The records in a file, their order, and the records that wait (A12, D20, D25, D40).

use tributary_schemas::records::esr::{
    Applicant, ApplicantExported, ExportRun, FileKind, Notification, NotificationCutDone,
};
use tributary_schemas::records::tributary::{Alert, FileRow, FileWritten, Severity};
use tributary_schemas::types::tis::PlacementId;

use super::{Exporter, Status, applicant, date, give, key, millis, status};
use crate::harness::{Harness, office};

fn export_run(kind: FileKind, number: i64, today: &str) -> ExportRun {
    ExportRun {
        run: number,
        kind,
        office: office("EOE"),
        file_name: format!("DE_EOE_{}_{}_{number:08}.DAT", kind.symbol(), today.replace('-', "")).parse().unwrap(),
        number,
        now: millis(&format!("{today}T14:30:00Z")),
        today: date(today),
        previous_run: None,
        include_late: false,
    }
}

/// The rows of one run, without header and trailer. Afterwards, the file is at its destination.
fn rows_of(exporter: &mut Harness<Exporter>, run: &ExportRun) -> Vec<String> {
    exporter.at(&format!("{}T14:30:00Z", run.today));
    exporter.give("EOE/run/1", run);
    let rows = exporter.take::<FileRow>().into_iter().map(|row| row.line);
    let rows = rows.filter(|line| !line.starts_with("HDR") && !line.starts_with("TRL")).collect();
    exporter.give("EOE/written", &FileWritten { file_name: run.file_name.to_string(), party: "EOE".to_owned() });
    rows
}

fn column(row: &str, number: usize) -> &str {
    row.split(',').nth(number - 1).unwrap()
}

#[test]
fn a12_d25_over_the_cap_the_earliest_start_goes_first_then_the_lowest_placement_and_the_surplus_waits() {
    let mut exporter = super::exporter();
    for placement in 1..=41 {
        give(&mut exporter, &applicant(placement, 7, "2026-12-02"));
    }
    give(&mut exporter, &applicant(99, 7, "2026-12-01"));
    exporter.give("EOE/run/1", &export_run(FileKind::App, 1, "2026-11-20"));
    let alerts = exporter.take::<Alert>();
    assert_eq!(alerts.iter().map(|alert| alert.code.as_str()).collect::<Vec<_>>(), ["post-over-cap"]);
    assert_eq!(status(&exporter, 99), Some(Status::Pending), "the earliest start");
    assert_eq!(status(&exporter, 39), Some(Status::Pending));
    assert_eq!([status(&exporter, 40), status(&exporter, 41)], [Some(Status::ToExport); 2]);
    let next = rows_of(&mut exporter, &export_run(FileKind::App, 2, "2026-11-21"));
    assert_eq!(next.len(), 2);
}

#[test]
fn a10_the_cap_is_of_a_number_however_it_is_written_and_others_have_their_own() {
    let mut exporter = super::exporter();
    for placement in 1..=45 {
        let mut one = applicant(placement, 7, "2026-12-02");
        if placement % 2 == 0 {
            one.dpn = one.dpn.as_str().to_ascii_lowercase().into();
        }
        give(&mut exporter, &one);
    }
    let other = Applicant { dpn: "EOE/RGT01/300/STR/002".into(), ..applicant(50, 8, "2026-12-02") };
    give(&mut exporter, &other);
    let rows = rows_of(&mut exporter, &export_run(FileKind::App, 1, "2026-11-20"));
    assert_eq!(rows.len(), 41);
}

#[test]
fn d25_a_missed_window_has_an_alert_once_and_can_be_exported_late() {
    let mut exporter = super::exporter();
    give(&mut exporter, &applicant(1, 7, "2026-11-21"));
    exporter.give("EOE/run/1", &export_run(FileKind::App, 1, "2026-11-20"));
    let alert = exporter.take::<Alert>().remove(0);
    assert_eq!((alert.severity, alert.code.as_str()), (Severity::Error, "missed-window"));
    exporter.give("EOE/run/2", &export_run(FileKind::App, 2, "2026-11-20"));
    assert_eq!(exporter.take::<Alert>().len(), 0);
    assert_eq!(status(&exporter, 1), Some(Status::MissedWindow));
    let late = ExportRun { include_late: true, ..export_run(FileKind::App, 3, "2026-11-20") };
    assert_eq!(rows_of(&mut exporter, &late).len(), 1);
    assert_eq!(status(&exporter, 1), Some(Status::Exported));
}

#[test]
fn d25_a_record_whose_start_moves_back_into_the_window_is_exported() {
    let mut exporter = super::exporter();
    give(&mut exporter, &applicant(1, 7, "2026-11-21"));
    rows_of(&mut exporter, &export_run(FileKind::App, 1, "2026-11-20"));
    give(&mut exporter, &applicant(1, 7, "2026-12-01"));
    assert_eq!(status(&exporter, 1), Some(Status::ToExport));
    assert_eq!(rows_of(&mut exporter, &export_run(FileKind::App, 2, "2026-11-20")).len(), 1);
}

/// Its window opens on 2026-11-20.
fn later(exporter: &mut Harness<Exporter>, instant: &str, email: &str) {
    exporter.at(instant);
    give(exporter, &Applicant { email: email.to_owned(), ..applicant(1, 7, "2027-02-18") });
}

fn effective_date(exporter: &mut Harness<Exporter>) -> String {
    let rows = rows_of(exporter, &export_run(FileKind::App, 9, "2026-11-20"));
    column(&rows[0], 7).to_owned()
}

#[test]
fn d20_the_effective_date_is_the_london_date_of_the_record_that_caused_the_version() {
    let mut exporter = super::exporter();
    later(&mut exporter, "2026-06-17T23:30:00Z", "a");
    later(&mut exporter, "2026-11-19T12:00:00Z", "a");
    assert_eq!(effective_date(&mut exporter), "20260618", "the same content again causes no version");
    let mut exporter = super::exporter();
    later(&mut exporter, "2026-06-17T23:30:00Z", "a");
    later(&mut exporter, "2026-11-19T12:00:00Z", "b");
    assert_eq!(effective_date(&mut exporter), "20261119");
}

#[test]
fn d20_content_as_at_the_last_run_keeps_its_date() {
    let mut exporter = super::exporter();
    later(&mut exporter, "2026-11-17T12:00:00Z", "a");
    assert_eq!(rows_of(&mut exporter, &export_run(FileKind::App, 1, "2026-11-18")).len(), 0);
    later(&mut exporter, "2026-11-19T12:00:00Z", "b");
    later(&mut exporter, "2026-11-19T13:00:00Z", "a");
    assert_eq!(effective_date(&mut exporter), "20261117");
}

#[test]
fn d20_a_record_that_comes_back_after_its_withdrawal_has_the_date_of_its_return() {
    let mut exporter = super::exporter();
    later(&mut exporter, "2026-11-16T12:00:00Z", "a");
    rows_of(&mut exporter, &export_run(FileKind::App, 1, "2026-11-17"));
    exporter.tombstone(key(&applicant(1, 7, "2027-02-18")));
    rows_of(&mut exporter, &export_run(FileKind::App, 2, "2026-11-18"));
    assert_eq!(status(&exporter, 1), Some(Status::DeletedBeforeExport));
    later(&mut exporter, "2026-11-19T12:00:00Z", "a");
    assert_eq!(effective_date(&mut exporter), "20261119");
}

#[test]
fn d26_a_record_that_is_withdrawn_when_the_run_comes_is_not_exported_and_comes_back() {
    let mut exporter = super::exporter();
    let one = applicant(1, 7, "2026-12-01");
    give(&mut exporter, &one);
    exporter.tombstone(key(&one));
    assert_eq!(rows_of(&mut exporter, &export_run(FileKind::App, 1, "2026-11-20")), [""; 0]);
    give(&mut exporter, &one);
    assert_eq!(rows_of(&mut exporter, &export_run(FileKind::App, 2, "2026-11-20")).len(), 1);
    exporter.tombstone(key(&one));
    assert_eq!(status(&exporter, 1), Some(Status::Exported), "5.2: an exported record stays exported");
}

#[test]
fn d40_applicants_stand_in_order_of_number_by_bytes_then_placement() {
    let mut exporter = super::exporter();
    for (placement, number) in [(4, "b"), (3, "B"), (2, "B"), (1, "b"), (5, "A")] {
        let one = applicant(placement, placement, "2026-12-01");
        give(&mut exporter, &Applicant { dpn: number.into(), last_name: placement.to_string(), ..one });
    }
    let rows = rows_of(&mut exporter, &export_run(FileKind::App, 1, "2026-11-20"));
    let names: Vec<&str> = rows.iter().map(|row| column(row, 11)).collect();
    assert_eq!(names, ["\"5\"", "\"2\"", "\"3\"", "\"1\"", "\"4\""]);
}

fn notification(number: &str, notification_type: i32, placement: i64) -> Notification {
    Notification {
        run: 1,
        notification_type: notification_type.try_into().unwrap(),
        dpn: number.into(),
        placement_id: PlacementId(placement),
        next_trainee_last_name: placement.to_string(),
        ..Notification::of(office("EOE"))
    }
}

#[test]
fn d40_notifications_stand_in_order_of_number_by_bytes_then_type_then_placement() {
    let mut exporter = super::exporter();
    let shuffled =
        [("b", 1, 1), ("B", 5, 0), ("B", 4, 3), ("B", 1, 12), ("B", 2, 3), ("B", 1, 9), ("A", 2, 30), ("B", 1, 9)];
    for (at, (number, kind, placement)) in shuffled.into_iter().enumerate() {
        exporter.give(format!("EOE/notification/{at}"), &notification(number, kind, placement));
    }
    exporter.give("EOE/run/1", &export_run(FileKind::Dnc, 1, "2026-11-20"));
    assert_eq!(exporter.take::<FileRow>().len(), 0, "the partitions of the post stage have not answered");
    exporter.give("run/1/0", &NotificationCutDone { run: 1, partition: 0, partitions: 1 });
    let rows: Vec<String> = exporter.take::<FileRow>().into_iter().map(|row| row.line).collect();
    let order: Vec<String> = rows[1..rows.len() - 1]
        .iter()
        .map(|row| [4, 2, 15].map(|at| column(row, at).trim_matches('"')).join(" "))
        .collect();
    assert_eq!(order, ["A 2 30", "B 1 9", "B 1 9", "B 1 12", "B 2 3", "B 4 3", "B 5 0", "b 1 1"]);
}

#[test]
fn a_file_that_is_written_twice_is_told_once() {
    let mut exporter = super::exporter();
    give(&mut exporter, &applicant(1, 7, "2026-12-01"));
    let run = export_run(FileKind::App, 1, "2026-11-20");
    exporter.give("EOE/run/1", &run);
    exporter.take::<FileRow>();
    let written = FileWritten { file_name: run.file_name.to_string(), party: "EOE".to_owned() };
    exporter.give("EOE/written", &written);
    assert_eq!(exporter.take::<ApplicantExported>().len(), 1);
    exporter.give("EOE/written", &written);
    assert_eq!(exporter.take::<ApplicantExported>().len(), 0);
}

/// Alerts about a value in the file, by code and subject.
fn lost(exporter: &mut Harness<Exporter>) -> Vec<(String, String)> {
    exporter.take::<Alert>().into_iter().map(|alert| (alert.code, alert.subject)).collect()
}

#[test]
fn a_surname_that_is_cut_in_an_app_file_raises_an_alert() {
    let mut exporter = super::exporter();
    give(&mut exporter, &Applicant { previous_last_name: "x".repeat(151), ..applicant(1, 7, "2026-12-01") });
    give(&mut exporter, &Applicant { previous_last_name: "x".repeat(150), ..applicant(2, 8, "2026-12-01") });
    exporter.give("EOE/run/1", &export_run(FileKind::App, 1, "2026-11-20"));
    let alert = exporter.take::<Alert>().remove(0);
    assert_eq!(
        (alert.code.as_str(), alert.subject.as_str(), alert.text.as_str()),
        (
            "value-cut",
            "placement 1/previous_last_name",
            "previous_last_name of placement 1 was too long and has been cut in DE_EOE_APP_20261120_00000001.DAT (5.4): \
             correct it in TIS"
        )
    );
}

#[test]
fn d119_a_mandatory_value_that_does_not_fit_its_column_makes_the_record_invalid_with_an_alert() {
    let mut exporter = super::exporter();
    give(&mut exporter, &Applicant { last_name: "x".repeat(151), ..applicant(1, 7, "2026-12-01") });
    give(&mut exporter, &Applicant { position_number: "12345678901".to_owned(), ..applicant(2, 8, "2026-12-01") });
    give(&mut exporter, &Applicant { last_name: "x".repeat(150), ..applicant(3, 9, "2026-12-01") });
    exporter.give("EOE/run/1", &export_run(FileKind::App, 1, "2026-11-20"));
    let alerts = exporter.take::<Alert>();
    assert_eq!(alerts.iter().map(|alert| alert.code.as_str()).collect::<Vec<_>>(), ["invalid-data"; 2]);
    assert!(alerts[0].text.contains("placement 1") && alerts[0].text.contains("last_name was too long"), "{alerts:?}");
    assert!(!alerts[0].text.contains("xxx"), "alerts carry no personal values");
    assert_eq!([1, 2].map(|placement| status(&exporter, placement)), [Some(Status::InvalidData); 2]);
    assert_eq!(status(&exporter, 3), Some(Status::Pending));
    exporter.give("EOE/run/2", &export_run(FileKind::App, 2, "2026-11-20"));
    assert_eq!(exporter.take::<Alert>().len(), 0, "one alert for each version");
}

#[test]
fn an_empty_value_map_has_one_warning_in_a_file() {
    let mut exporter = super::exporter();
    for placement in 1..=3 {
        let warnings = vec![format!("disability {}", crate::applicant::EMPTY_MAP)];
        give(&mut exporter, &Applicant { warnings, ..applicant(placement, placement, "2026-12-01") });
    }
    let warnings = vec!["title is left blank: its value is not in the value map".to_owned()];
    give(&mut exporter, &Applicant { warnings, ..applicant(4, 4, "2026-12-01") });
    exporter.give("EOE/run/1", &export_run(FileKind::App, 1, "2026-11-20"));
    let alerts = exporter.take::<Alert>();
    assert_eq!(alerts.iter().map(|alert| alert.subject.as_str()).collect::<Vec<_>>(), ["4", NAME_OF_FIRST]);
    assert!(alerts[1].text.contains("in 3 rows"), "{}", alerts[1].text);
}

const NAME_OF_FIRST: &str = "DE_EOE_APP_20261120_00000001.DAT";

#[test]
fn a_run_of_another_kind_or_of_another_file_is_a_dead_letter() {
    let mut exporter = super::exporter();
    let wrong = export_run(FileKind::Rmf, 1, "2026-11-20");
    assert_eq!(exporter.dead_letter("EOE/run/1", &wrong), "kind-without-runs");
    let wrong = ExportRun { kind: FileKind::Dnc, ..export_run(FileKind::App, 1, "2026-11-20") };
    assert_eq!(exporter.dead_letter("EOE/run/1", &wrong), "file-of-another-run");
    let wrong = ExportRun { office: office("LDN"), ..export_run(FileKind::App, 1, "2026-11-20") };
    assert_eq!(exporter.dead_letter("EOE/run/1", &wrong), "file-of-another-run");
}

#[test]
fn r4_a_record_that_came_and_went_while_other_offices_had_runs_is_deleted_before_export() {
    let mut exporter = super::exporter();
    give(&mut exporter, &applicant(1, 7, "2026-12-01"));
    exporter.give("run/1/0", &NotificationCutDone { run: 1, partition: 0, partitions: 1 });
    exporter.tombstone(key(&applicant(1, 7, "2026-12-01")));
    assert_eq!(status(&exporter, 1), Some(Status::DeletedBeforeExport));
}

#[test]
fn d116_a_record_of_another_person_goes_and_the_first_one_returns() {
    let mut exporter = super::exporter();
    let of = |number: &str| Applicant { gmc_number: number.to_owned(), ..applicant(1, 7, "2026-12-01") };
    give(&mut exporter, &of("7000001"));
    assert_eq!(rows_of(&mut exporter, &export_run(FileKind::App, 1, "2026-11-20")).len(), 1);
    give(&mut exporter, &of(""));
    assert_eq!(status(&exporter, 1), Some(Status::Exported), "a number that is missing changes nothing");
    give(&mut exporter, &of("7000002"));
    assert_eq!(status(&exporter, 1), Some(Status::ToExport));
    give(&mut exporter, &of("7000001"));
    assert_eq!(status(&exporter, 1), Some(Status::Exported), "the correction was undone before a run");
    assert_eq!(rows_of(&mut exporter, &export_run(FileKind::App, 2, "2026-11-20")).len(), 0);
    give(&mut exporter, &of("7000002"));
    assert_eq!(rows_of(&mut exporter, &export_run(FileKind::App, 3, "2026-11-20")).len(), 1);
    exporter.take::<ApplicantExported>();
    give(&mut exporter, &of("7000003"));
    exporter.tombstone(key(&of("7000003")));
    assert_eq!(status(&exporter, 1), Some(Status::Exported), "the third was never sent");
}

#[test]
fn a_surname_that_is_cut_in_a_notification_raises_an_alert() {
    let mut exporter = super::exporter();
    let row = Notification { next_trainee_last_name: "x".repeat(151), ..notification("B", 1, 3) };
    exporter.give("EOE/notification/0", &row);
    exporter.give("EOE/run/1", &export_run(FileKind::Dnc, 1, "2026-11-20"));
    exporter.give("run/1/0", &NotificationCutDone { run: 1, partition: 0, partitions: 1 });
    assert_eq!(lost(&mut exporter), [("value-cut".to_owned(), "placement 3/next_last_name".to_owned())]);
}

#[test]
fn beyond_a_hundred_cut_values_of_a_column_one_alert_has_their_number() {
    let mut exporter = super::exporter();
    for placement in 1..=102 {
        let one = applicant(placement, placement, "2026-12-01");
        let dpn = format!("EOE/{placement}").into();
        give(&mut exporter, &Applicant { dpn, town: "x".repeat(31), ..one });
    }
    exporter.give("EOE/run/1", &export_run(FileKind::App, 1, "2026-11-20"));
    let alerts = exporter.take::<Alert>();
    assert_eq!(alerts.len(), 101);
    assert!(alerts[100].text.starts_with("town of 102 rows of DE_EOE_APP_"), "{}", alerts[100].text);
}

#[test]
fn the_note_of_a_file_whose_name_is_not_one_is_a_dead_letter() {
    let mut exporter = super::exporter();
    let written = FileWritten { file_name: "OLD.DAT".to_owned(), party: "EOE".to_owned() };
    assert_eq!(exporter.dead_letter("EOE/written", &written), "not-a-file-name");
}
