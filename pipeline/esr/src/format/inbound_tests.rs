//! Good and bad lines from ESR: D3 to D6, and the rows about lines in the table of bad input.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::inbound::{Indicator, Note, Parsed, Rejection, parse_line};
use super::layout::{Layouts, RecordType};
use super::read::Line;
use super::{InboundLayouts, LineParser, LineReader, Office};
use tributary_flow::configuration::Source;

static LAYOUTS: LazyLock<InboundLayouts> = LazyLock::new(|| InboundLayouts::new(&Layouts::load(None).unwrap(), 8192));

const POS: &str = r#"POS,7000001,,"C","30000001","Medical and Dental","Specialty Registrar","300","General Medicine","WES/R1F01/300/STR/001","WES","R1F","NHS","MS02","Specialty Registrar ST3","""#;
const POR: &str = r#"POR,7000001,,"D","30000001","Specialty Registrar","WES/R1F01/300/STR/001","WES","Host Employer","R1F","0234","Sample NHS Trust","Sample, General ""Hospital""""#;

fn wessex() -> Office {
    "WES".parse().unwrap()
}

fn parse(line: &str) -> Parsed<'_> {
    parse_bytes(line.as_bytes())
}

fn parse_bytes(bytes: &[u8]) -> Parsed<'_> {
    parse_line(Line { number: 1, bytes }, wessex(), &LAYOUTS)
}

fn rejected(line: &str) -> Rejection {
    match parse(line) {
        Parsed::Rejected(rejection) => rejection,
        other => panic!("{line} was read as {other:?}"),
    }
}

#[test]
fn a_pos_line_is_read_by_its_columns() {
    let Parsed::Position(line) = parse(POS) else { panic!("not a position") };
    assert_eq!(line.position_id, 7_000_001);
    assert_eq!(line.indicator, Some(Indicator::Change));
    assert_eq!(line.number.as_deref(), Some("30000001"));
    let texts = [
        &line.staff_group,
        &line.position_title,
        &line.occupation_code,
        &line.area_of_work,
        &line.dpn,
        &line.managing_office,
        &line.ods_code,
        &line.grade_trust,
        &line.grade_payscale,
        &line.grade_description,
        &line.workplace_organisation,
    ];
    assert_eq!(
        texts.map(AsRef::as_ref),
        [
            "Medical and Dental",
            "Specialty Registrar",
            "300",
            "General Medicine",
            "WES/R1F01/300/STR/001",
            "WES",
            "R1F",
            "NHS",
            "MS02",
            "Specialty Registrar ST3",
            ""
        ]
    );
    assert_eq!(line.notes, []);
}

#[test]
fn a_por_line_is_read_by_its_columns() {
    let Parsed::Reconciliation(line) = parse(POR) else { panic!("not a reconciliation") };
    assert_eq!((line.position_id, line.indicator), (7_000_001, Some(Indicator::Delete)));
    let texts = [
        &line.position_title,
        &line.dpn,
        &line.managing_office,
        &line.host_lead_indicator,
        &line.ods_code,
        &line.employing_vpd,
        &line.esr_organisation,
        &line.esr_location,
    ];
    assert_eq!(
        texts.map(AsRef::as_ref),
        [
            "Specialty Registrar",
            "WES/R1F01/300/STR/001",
            "WES",
            "Host Employer",
            "R1F",
            "0234",
            "Sample NHS Trust",
            "Sample, General \"Hospital\""
        ]
    );
}

#[test]
fn ids_and_numbers_may_be_quoted_or_bare_and_optional_fields_empty() {
    let Parsed::Position(line) = parse(r#"POS,"7000001",,,,,,,,X/1,,,,,,"#) else { panic!("not a position") };
    assert_eq!((line.position_id, line.indicator, line.number), (7_000_001, None, None));
    assert_eq!(line.dpn, "X/1");
}

#[test]
fn d3_a_backslash_before_the_closing_quote_is_good() {
    let line = POS.replace("General Medicine", "General Medicine\\");
    let Parsed::Position(line) = parse(&line) else { panic!("not a position") };
    assert_eq!((line.area_of_work.as_ref(), line.notes), ("General Medicine\\", Vec::new()));
}

#[test]
fn d3_a_line_that_is_not_utf8_is_good_and_noted() {
    let bytes: Vec<u8> = POS.replace("General Medicine", "M#decine").bytes().collect();
    let bytes: Vec<u8> = bytes.into_iter().map(|byte| if byte == b'#' { 0xE9 } else { byte }).collect();
    let Parsed::Position(line) = parse_bytes(&bytes) else { panic!("not a position") };
    assert_eq!(line.area_of_work, "Médecine");
    assert_eq!(line.notes, [Note::NotUtf8]);
}

#[test]
fn d4_pos_has_exactly_16_columns_and_por_13() {
    let short = rejected(POS.strip_suffix(r#","""#).unwrap());
    assert_eq!((short.column, short.reason.as_str()), (16, "POS has 16 columns, found 15"));
    assert_eq!((short.record_type.as_str(), short.id, short.dpn.as_str()), ("POS", Some(7_000_001), ""));
    let long = rejected(&format!("{POR},"));
    assert_eq!((long.column, long.reason.as_str()), (14, "POR has 13 columns, found 14"));
}

#[test]
fn d4_an_unquoted_comma_makes_a_column_too_many() {
    let rejection = rejected(&POS.replace("\"Specialty Registrar ST3\"", "Registrar, ST3"));
    assert_eq!((rejection.column, rejection.reason.as_str()), (17, "POS has 16 columns, found 17"));
}

#[test]
fn d4_wrong_fields_are_rejected_with_their_column() {
    let long = "WES/R1F01/300/STR/001/5678901234567890".get(..31).unwrap();
    for (line, column) in [
        (POS.replace("POS,7000001", "POS,"), 2),
        (POS.replace("POS,7000001", "POS,70x"), 2),
        (POS.replace("POS,7000001", "POS,-7"), 2),
        (POS.replace("POS,7000001", "POS,1234567890123456"), 2),
        (POS.replace("\"C\"", "\"X\""), 4),
        (POS.replace("\"C\"", "\"c\""), 4),
        (POS.replace("30000001", "3000000X"), 5),
        (POS.replace("30000001", "30000000001"), 5),
        (POS.replace("WES/R1F01/300/STR/001", long), 10),
        (POR.replace("30000001", "3000 001"), 5),
        (POR.replace("WES/R1F01/300/STR/001", long), 7),
    ] {
        assert_eq!(rejected(&line).column, column, "{line}");
    }
    let Parsed::Position(line) = parse(POS) else { panic!("not a position") };
    let limit = POS.replace(line.dpn.as_ref(), long.get(..30).unwrap());
    assert!(matches!(parse(&limit), Parsed::Position(_)), "30 characters are allowed");
}

#[test]
fn d4_a_rejection_tells_what_could_be_read() {
    let rejection = rejected(&POR.replace("30000001", "3000000X"));
    assert_eq!(
        (rejection.record_type.as_str(), rejection.id, rejection.dpn.as_str()),
        ("POR", Some(7_000_001), "WES/R1F01/300/STR/001")
    );
    assert_eq!(rejection.reason, "the position number is not a number of up to 10 digits");
}

#[test]
fn d4_a_line_over_the_limit_is_rejected() {
    let at_limit = POS.replace("General Medicine", &"x".repeat(8192 - POS.len() + "General Medicine".len()));
    assert_eq!(at_limit.len(), 8192);
    assert!(matches!(parse(&at_limit), Parsed::Position(_)));
    let rejection = rejected(&at_limit.replace("xx", "xxx"));
    assert_eq!((rejection.record_type.as_str(), rejection.column), ("POS", 0));
    assert!(rejection.reason.ends_with("more than 8192"), "{}", rejection.reason);
}

#[test]
fn d5_a_blank_dpn_is_left_to_the_position_stage() {
    for blank in ["", "   "] {
        let line = POS.replace("WES/R1F01/300/STR/001", blank);
        let Parsed::Position(line) = parse(&line) else { panic!("not a position") };
        assert_eq!(line.dpn, "");
    }
}

#[test]
fn d6_another_managing_office_is_noted_and_a_blank_one_not() {
    let line = POR.replace("\"WES\"", "\"OXF\"");
    let Parsed::Reconciliation(line) = parse(&line) else { panic!("not a reconciliation") };
    assert_eq!(line.notes, [Note::OtherOffice("OXF".to_owned())]);
    let line = POR.replace("\"WES\"", "\"\"");
    let Parsed::Reconciliation(line) = parse(&line) else { panic!("not a reconciliation") };
    assert_eq!(line.notes, []);
}

#[test]
fn d21_the_dpn_is_trimmed_and_otherwise_as_written() {
    let line = POS.replace("WES/R1F01/300/STR/001", " wes/R1F01/300/Str/001  ");
    let Parsed::Position(line) = parse(&line) else { panic!("not a position") };
    assert_eq!(line.dpn, "wes/R1F01/300/Str/001");
}

#[test]
fn an_unknown_record_type_is_rejected() {
    let rejection = rejected(r#"XYZ,9000002,"no such record type""#);
    assert_eq!((rejection.record_type.as_str(), rejection.id, rejection.column), ("XYZ", None, 1));
    assert_eq!(rejected("APP,1").column, 1, "a type that ESR does not send here");
    assert_eq!(rejected("pos,1").record_type, "pos");
    assert_eq!(rejected("a long text").record_type, "a l");
    assert_eq!(rejected(",,").record_type, "");
}

#[test]
fn a_malformed_line_is_rejected_with_its_column() {
    let rejection = rejected(r#"POS,7000001,,"C" ,"3""#);
    assert_eq!((rejection.record_type.as_str(), rejection.id, rejection.column), ("POS", None, 4));
    assert_eq!(rejection.reason, "there is text after the closing quote");
    let rejection = rejected(r#"POR,7,"open"#);
    assert_eq!((rejection.column, rejection.reason.as_str()), (3, "the closing quote is missing"));
}

#[test]
fn lines_of_the_asg_family_are_checked_for_their_id_and_dates() {
    for (line, record_type, id) in [
        (r#"ASG,600000001,,"C",500001"#, RecordType::Asg, "600000001"),
        (r#"PER,500001,,"C",,,"","Sample","Ann","","","DR.","F",19900229"#, RecordType::Per, ""),
        (r#"PER,500001,,"C",,,"","Sample","Ann","","","DR.","F",19920229,,"#, RecordType::Per, "500001"),
        (r#"ADD,500001,7,"Home""#, RecordType::Add, "500001"),
        (r#"ABS,500001,,"C",20261101,20261103,3,8"#, RecordType::Abs, "500001"),
        (r#"PBD,500001,,"General Medical Council","7000001","#, RecordType::Pbd, "500001"),
    ] {
        match parse(line) {
            Parsed::Person(person) => assert_eq!((person.record_type, person.id.as_ref()), (record_type, id)),
            Parsed::Rejected(rejection) => assert_eq!((rejection.column, id), (14, ""), "a bad date: {line}"),
            other => panic!("{line} was read as {other:?}"),
        }
    }
    assert_eq!(
        rejected(r#"ABS,500001,,"C",2026-11-01,,"#).reason,
        "`absence_start` is not a date in the form YYYYMMDD"
    );
    assert_eq!(rejected("PER").column, 2);
}

#[test]
fn headers_trailers_and_blank_lines_are_told_apart() {
    let header = r#"HDR,"DE_WES_RMC_20261120_00000017.DAT",20261120 130000,"WES",,20261120 130000,"01""#;
    let Parsed::Header(header) = parse(header) else { panic!("not a header") };
    assert_eq!((header.file_name.as_ref(), header.office.as_ref()), ("DE_WES_RMC_20261120_00000017.DAT", "WES"));
    assert_eq!(header.created, Some(jiff::civil::datetime(2026, 11, 20, 13, 0, 0, 0)));
    assert!(matches!(parse("TRL,12"), Parsed::Trailer(trailer) if trailer.count == Some(12)));
    assert!(matches!(parse("TRL,x"), Parsed::Trailer(trailer) if trailer.count.is_none()));
    assert_eq!(parse("  "), Parsed::Blank);
}

#[test]
fn a_user_layout_moves_columns() {
    let user = Source::new(
        "mine.toml",
        r#"
        [record.POS]
        columns = [
            { name = "record_type", kind = "literal", max = 3 },
            { name = "dpn", kind = "text", max = 5 },
            { name = "position_id", kind = "number", max = 15 },
        ]
        "#,
    );
    let layouts = InboundLayouts::new(&Layouts::load(Some(&user)).unwrap(), 8192);
    let parsed = |bytes| parse_line(Line { number: 1, bytes }, wessex(), &layouts).into_owned();
    let Parsed::Position(line) = parsed(b"POS,A/1,7") else { panic!("not a position") };
    assert_eq!((line.position_id, line.dpn.as_ref()), (7, "A/1"));
    let Parsed::Rejected(rejection) = parsed(b"POS,A/1234,7") else { panic!("not rejected") };
    assert_eq!((rejection.column, rejection.reason.as_str()), (2, "the DPN has more than 5 characters"));
}

fn nasty_line() -> impl Strategy<Value = Vec<u8>> {
    let good = prop::sample::select(vec![POS, POR, "TRL,2", "ABS,1,,,20260101", "HDR,\"x\",,\"WES\",,,\"01\""]);
    let position = any::<prop::sample::Index>();
    let changed = (good, prop::collection::vec((position, any::<u8>()), 0..4)).prop_map(|(line, changes)| {
        let mut bytes = line.as_bytes().to_vec();
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    });
    prop_oneof![changed, prop::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic_and_one_bad_line_does_not_harm_the_next(bytes in nasty_line()) {
        let mut parser = LineParser::new(&LAYOUTS, wessex());
        for line in LineReader::new(&bytes) {
            let first = parser.parse(line);
            prop_assert_eq!(&first, &parse_line(line, wessex(), &LAYOUTS));
        }
        let good = Line { number: 1, bytes: POS.as_bytes() };
        prop_assert!(matches!(parser.parse(good), Parsed::Position(_)));
    }
}
