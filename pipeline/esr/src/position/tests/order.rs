//! Lines of older files that come after newer ones (D93, D100).

use tributary_schemas::records::esr::{
    FileEnd, LineVerdict, PositionFileDone, PositionLine, PositionSubscription, ReconciliationLine,
};
use tributary_schemas::records::tributary::{Alert, Severity};
use tributary_schemas::types::esr::PositionId;

use super::{DPN, KEY, PositionStage, line, paired};
use crate::harness::{Harness, office, stage};
use crate::position::StoredPosition;

const OTHER: &str = "EOE/RGT01/300/STR/002";

fn of_file(name: &str, one: PositionLine) -> PositionLine {
    PositionLine { office: office(&name[3..6]), file_name: name.parse().unwrap(), ..one }
}

fn held(positions: &Harness<PositionStage>) -> StoredPosition {
    positions.processor.positions().next().unwrap().1.clone()
}

fn end_of(positions: &mut Harness<PositionStage>, file_name: &str) -> Vec<PositionFileDone> {
    positions.take::<Alert>();
    positions.give("", &FileEnd { file_name: file_name.parse().unwrap(), office: office(&file_name[3..6]) });
    positions.take::<PositionFileDone>()
}

fn verdicts(positions: &mut Harness<PositionStage>, file_name: &str) -> Vec<LineVerdict> {
    end_of(positions, file_name).into_iter().flat_map(|done| done.verdicts).collect()
}

#[test]
fn d93_the_older_file_changes_nothing_whichever_comes_first() {
    // In the order of D9, older first: by date, number and type in an office, by date across offices, and as D9 takes
    // files of one date (D100).
    let pairs = [
        ("DE_EOE_RMC_20261120_00000002.DAT", "DE_EOE_RMC_20261121_00000003.DAT"),
        ("DE_EOE_RMC_20261120_00000009.DAT", "DE_EOE_RMC_20261121_00000003.DAT"),
        ("DE_EOE_RMC_20261120_00000002.DAT", "DE_EOE_RMC_20261120_00000003.DAT"),
        ("DE_EOE_RMF_20261120_00000002.DAT", "DE_EOE_RMC_20261120_00000002.DAT"),
        ("DE_EOE_RMC_20261119_00000002.DAT", "DE_EOE_RMF_20261120_00000001.DAT"),
        ("DE_EOE_RMC_20261120_00000009.DAT", "DE_LDN_RMF_20261121_00000001.DAT"),
        ("DE_LDN_RMC_20261120_00000001.DAT", "DE_EOE_RMC_20261120_00000002.DAT"),
        ("DE_EOE_RMC_20261120_00000001.DAT", "DE_LDN_RMC_20261120_00000001.DAT"),
    ];
    for (older, newer) in pairs {
        let lines = [of_file(older, line(2, OTHER)), of_file(newer, PositionLine { delete: true, ..line(2, DPN) })];
        for order in [[0, 1], [1, 0]] {
            let mut positions = stage(|context| PositionStage::new(context, 0));
            for one in order {
                positions.give(KEY, &lines[one]);
            }
            let held = held(&positions);
            assert_eq!((held.dpn.as_str(), held.deleted, held.office), (DPN, true, office(&newer[3..6])), "{newer}");
            assert_eq!(held.facts_file, Some(newer.parse().unwrap()));
            let expected = usize::from(order == [1, 0]);
            assert_eq!(verdicts(&mut positions, older).len(), expected, "{older}, then {newer}");
            assert_eq!(verdicts(&mut positions, newer), []);
        }
    }
}

#[test]
fn d93_an_overtaken_line_is_accepted_with_a_warning_that_names_the_newer_file() {
    let mut positions = paired();
    let newer = "DE_EOE_RMC_20261121_00000003.DAT";
    positions.give(KEY, &of_file(newer, PositionLine { delete: true, ..line(2, DPN) }));
    positions.take_tombstones();
    assert_eq!(positions.give(KEY, &line(5, DPN)).len(), 0, "nothing is sent");
    let verdict = verdicts(&mut positions, "DE_EOE_RMC_20261120_00000001.DAT").pop().unwrap();
    assert_eq!(verdict.text, format!("overtaken by {newer}"));
    assert_eq!((verdict.line, verdict.accepted, verdict.severity), (5, true, Severity::Warning));
    assert_eq!((verdict.id, verdict.dpn.as_str(), verdict.record_type.as_str()), (Some(7), DPN, "POS"));
    assert_eq!(verdict.overtaken_by, Some(newer.parse().unwrap()));
}

#[test]
fn d93_nothing_of_an_overtaken_line_counts_of_pos_and_por_alike() {
    let mut positions = stage(|context| PositionStage::new(context, 0));
    let newer = PositionLine { position_number: None, ..line(2, DPN) };
    positions.give(KEY, &of_file("DE_EOE_RMC_20261121_00000003.DAT", newer));
    let before = held(&positions);
    positions.give(KEY, &line(2, OTHER));
    positions.give(KEY, &line(3, ""));
    let por = ReconciliationLine {
        line: 4,
        position_id: PositionId(7),
        position_number: Some("9".to_owned()),
        position_title: "Older".to_owned(),
        dpn: OTHER.into(),
        ..ReconciliationLine::of(line(4, OTHER).file_name, office("EOE"))
    };
    positions.give(KEY, &por);
    assert_eq!(held(&positions), before, "D100: not even the number that the newer line leaves blank");
    let verdicts = verdicts(&mut positions, "DE_EOE_RMC_20261120_00000001.DAT");
    let types: Vec<&str> = verdicts.iter().map(|verdict| verdict.record_type.as_str()).collect();
    assert_eq!(types, ["POS", "POS", "POR"]);
    assert!(verdicts.iter().all(|verdict| verdict.accepted && verdict.overtaken_by.is_some()), "D5 is not asked");
}

#[test]
fn d93_a_late_file_of_the_former_office_does_not_bring_a_position_back() {
    let mut positions = paired();
    positions.give(KEY, &of_file("DE_LDN_RMC_20261122_00000001.DAT", line(2, DPN)));
    positions.take::<Alert>();
    positions.give(KEY, &of_file("DE_EOE_RMC_20261121_00000009.DAT", line(2, DPN)));
    assert_eq!(held(&positions).office, office("LDN"));
    assert_eq!(positions.take::<Alert>(), [], "it did not move");
}

#[test]
fn d93_any_line_counts_where_the_file_of_the_facts_is_not_known() {
    let mut positions = paired();
    let mut stored = held(&positions);
    stored.facts_file = None;
    positions.processor.stored.put(PositionId(7), stored);
    positions.take::<PositionSubscription>();
    positions.give(KEY, &of_file("DE_EOE_RMC_20250101_00000001.DAT", line(2, OTHER)));
    assert_eq!(held(&positions).dpn.as_str(), OTHER);
    assert_eq!(verdicts(&mut positions, "DE_EOE_RMC_20250101_00000001.DAT"), []);
}

#[test]
fn d8_d93_a_late_full_file_deletes_nothing_and_need_not_name_what_is_newer() {
    let mut positions = stage(|context| PositionStage::new(context, 0));
    let late = "DE_EOE_RMF_20261119_00000001.DAT";
    for (id, name) in [(7_i64, "DE_EOE_RMC_20261118_00000001.DAT"), (8, "DE_EOE_RMC_20261120_00000002.DAT")] {
        positions.give(id.to_be_bytes(), &of_file(name, PositionLine { position_id: PositionId(id), ..line(2, DPN) }));
    }
    let [done] = end_of(&mut positions, late).try_into().unwrap();
    assert_eq!((done.unnamed, done.unnamed_examples), (1, vec![7]), "8 is newer than the full file");
    assert!(positions.processor.positions().all(|(_, one)| !one.deleted));
}

#[test]
fn many_verdicts_go_in_several_records() {
    let mut positions = paired();
    positions.give(KEY, &of_file("DE_EOE_RMC_20261121_00000003.DAT", line(2, DPN)));
    for number in 2..2_502 {
        positions.give(KEY, &line(number, DPN));
    }
    let answers = end_of(&mut positions, "DE_EOE_RMC_20261120_00000001.DAT");
    let sizes: Vec<(usize, bool)> = answers.iter().map(|answer| (answer.verdicts.len(), answer.more)).collect();
    assert_eq!(sizes, [(1_000, true), (1_000, true), (500, false)]);
    assert_eq!(verdicts(&mut positions, "DE_EOE_RMC_20261120_00000001.DAT"), [], "sent once");
}
