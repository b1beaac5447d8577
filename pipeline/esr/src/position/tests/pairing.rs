//! Numbers, full files and records of a position, by rule (R1, R2, R6, A2, D7, D8, D21).

use tributary_schemas::records::esr::{
    Applicant, FileEnd, PositionFileDone, PositionLine, PositionPlacementGone, PositionReconciled,
    PositionSubscription, PostMatch, ReconciliationLine, ReconciliationStatus,
};
use tributary_schemas::records::tributary::Alert;
use tributary_schemas::types::esr::PositionId;
use tributary_schemas::types::tis::{PersonId, PlacementId, PostId};

use super::{DPN, KEY, PositionStage, date, line, offer, paired};
use crate::harness::{Harness, office, stage};
use crate::topics;

const RMF: &str = "DE_EOE_RMF_20261120_00000002.DAT";

fn of_position(id: i64, one: PositionLine) -> PositionLine {
    PositionLine { position_id: PositionId(id), ..one }
}

#[test]
fn r1_d21_a_position_asks_at_the_folded_number_and_keeps_it_as_esr_wrote_it() {
    let mut positions = stage(|context| PositionStage::new(context, 0));
    let sent = positions.give(KEY, &line(2, "eoe/Rgt01/300/str/001"));
    let asked = sent.iter().find(|sent| sent.topic == topics::POST.name).unwrap();
    assert_eq!(asked.text_key(), DPN);
    assert_eq!(positions.read::<PositionSubscription>(&sent)[0].dpn.as_str(), "eoe/Rgt01/300/str/001");
    positions.give(KEY, &PostMatch { version: 1, post_id: Some(PostId(1)) });
    let sent = positions.give(KEY, &offer(1));
    assert_eq!(positions.read::<Applicant>(&sent)[0].dpn.as_str(), "eoe/Rgt01/300/str/001");
}

#[test]
fn r1_the_same_number_written_otherwise_ends_no_pairing() {
    let mut positions = paired();
    positions.give(KEY, &line(3, &DPN.to_ascii_lowercase()));
    assert_eq!(positions.take_tombstones(), [""; 0]);
    assert_eq!(positions.processor.positions().next().unwrap().1.post_id, Some(PostId(1)));
}

#[test]
fn r2_each_position_of_a_post_has_its_own_record_of_a_placement() {
    let mut positions = paired();
    let other = 8_i64.to_be_bytes();
    let second = PositionLine { position_number: Some("30000008".to_owned()), ..of_position(8, line(3, DPN)) };
    positions.give(other, &second);
    positions.give(other, &PostMatch { version: 1, post_id: Some(PostId(1)) });
    positions.give(other, &offer(1));
    let record = positions.take::<Applicant>().remove(0);
    assert_eq!((record.position_id, record.position_number.as_str()), (PositionId(8), "30000008"));
    positions.give(other, &PositionLine { delete: true, ..second });
    assert_eq!(positions.take_tombstones(), ["EOE/applicant/1/8/1001"], "the record of the other position stays");
}

#[test]
fn a2_a_record_follows_its_placement() {
    let mut positions = paired();
    positions.give(
        KEY,
        &tributary_schemas::records::esr::PositionPlacement { date_to: Some(date("2027-03-01")), ..offer(1) },
    );
    let record = positions.take::<Applicant>().remove(0);
    assert_eq!((record.projected_hire_date, record.projected_end_date), (date("2026-12-01"), Some(date("2027-03-01"))));
    let gone = PositionPlacementGone { version: 1, placement_id: PlacementId(1), trainee_id: PersonId(1001) };
    positions.give(KEY, &gone);
    assert_eq!(positions.take_tombstones(), ["EOE/applicant/1/7/1001"]);
    positions.give(KEY, &gone);
    assert_eq!(positions.take_tombstones(), [""; 0], "once");
}

#[test]
fn d25_a_placement_that_has_ended_gives_no_record() {
    let mut positions = paired();
    let ended = tributary_schemas::records::esr::PositionPlacement {
        placement_id: PlacementId(2),
        date_from: date("2026-05-01"),
        date_to: Some(date("2026-11-19")),
        ..offer(1)
    };
    positions.give(KEY, &ended);
    assert_eq!(positions.take::<Applicant>().len(), 0);
}

#[test]
fn the_pairing_is_published_where_it_changes() {
    let mut positions = stage(|context| PositionStage::new(context, 0));
    let statuses = |positions: &mut Harness<PositionStage>| -> Vec<_> {
        positions.take::<PositionReconciled>().iter().map(|one| (one.status, one.post_id)).collect()
    };
    positions.give(KEY, &line(2, DPN));
    assert_eq!(statuses(&mut positions), [(ReconciliationStatus::Unmatched, None)]);
    positions.give(KEY, &PostMatch { version: 1, post_id: Some(PostId(1)) });
    assert_eq!(statuses(&mut positions), [(ReconciliationStatus::Matched, Some(PostId(1)))]);
    positions.give(KEY, &line(3, DPN));
    assert_eq!(statuses(&mut positions), []);
    positions.give(KEY, &PositionLine { delete: true, ..line(4, DPN) });
    assert_eq!(statuses(&mut positions)[0].0, ReconciliationStatus::Deleted);
}

#[test]
fn d7_the_line_that_came_last_decides_whether_it_is_pos_or_por() {
    let mut positions = paired();
    let por = ReconciliationLine {
        line: 3,
        position_id: PositionId(7),
        delete: true,
        dpn: DPN.into(),
        ..ReconciliationLine::of(line(3, DPN).file_name, office("EOE"))
    };
    positions.give(KEY, &por);
    assert_eq!(positions.take_tombstones().len(), 1);
    let held = positions.processor.positions().next().unwrap().1.clone();
    assert_eq!((held.deleted, held.position_number.as_deref()), (true, Some("30000007")), "the line had no number");
    positions.give(KEY, &line(4, DPN));
    assert!(!positions.processor.positions().next().unwrap().1.deleted);
}

fn end_of(positions: &mut Harness<PositionStage>, file_name: &str) -> PositionFileDone {
    positions.give("", &FileEnd { file_name: file_name.parse().unwrap(), office: office("EOE") });
    positions.take::<PositionFileDone>().remove(0)
}

#[test]
fn d8_a_full_file_reports_the_live_positions_of_its_office_that_it_does_not_name() {
    let mut positions = paired();
    for (id, code, delete) in [(8, "EOE", false), (9, "LDN", false), (10, "EOE", true)] {
        let other = PositionLine { office: office(code), delete, ..of_position(id, line(3, DPN)) };
        positions.give(id.to_be_bytes(), &other);
    }
    positions.give(KEY, &PositionLine { file_name: RMF.parse().unwrap(), ..line(2, DPN) });
    let done = end_of(&mut positions, RMF);
    assert_eq!((done.unnamed, done.unnamed_examples), (1, vec![8]));
    assert!(positions.processor.positions().all(|(id, one)| one.deleted == (id.0 == 10)), "nothing is deleted");
}

#[test]
fn d8_a_file_of_changes_reports_nothing() {
    let mut positions = paired();
    let done = end_of(&mut positions, "DE_EOE_RMC_20261120_00000002.DAT");
    assert_eq!((done.unnamed, done.verdicts.len()), (0, 0));
}

#[test]
fn d6_a_position_that_moves_raises_an_alert_once() {
    let mut positions = paired();
    let moved = PositionLine { office: office("LDN"), ..line(3, DPN) };
    positions.give(KEY, &moved);
    assert_eq!(positions.take::<Alert>()[0].code, "position-moved-office");
    positions.give(KEY, &moved);
    assert_eq!(positions.take::<Alert>().len(), 0);
}

#[test]
fn d116_an_exported_record_is_sent_again_only_for_another_person() {
    let mut positions = paired();
    let of =
        |number: &str| tributary_schemas::records::esr::PositionPlacement { gmc_number: number.to_owned(), ..offer(1) };
    positions.give(KEY, &of("7000001"));
    let exported = tributary_schemas::records::esr::ApplicantExported {
        placement_id: PlacementId(1),
        trainee_id: PersonId(1001),
        date_from: date("2026-12-01"),
        gmc_number: "7000001".to_owned(),
        ..Default::default()
    };
    positions.give(KEY, &exported);
    positions.take::<Applicant>();
    positions.give(KEY, &of("7000001"));
    positions.give(KEY, &of(""));
    assert_eq!(positions.take::<Applicant>().len(), 0);
    positions.give(KEY, &of("7000002"));
    positions.give(KEY, &of("7000001"));
    assert_eq!(positions.take::<Applicant>().len(), 2, "the exporter knows what it has sent");
    positions.give(KEY, &of("7000001"));
    assert_eq!(positions.take::<Applicant>().len(), 0);
    positions.give(KEY, &of("7000002"));
    let gone = PositionPlacementGone { version: 1, placement_id: PlacementId(1), trainee_id: PersonId(1001) };
    positions.give(KEY, &gone);
    assert_eq!(positions.take_tombstones(), ["EOE/applicant/1/7/1001"], "the second record is open");
}
