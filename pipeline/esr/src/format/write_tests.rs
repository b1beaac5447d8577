//! Written rows read back the same, and have the form of section 2.2 of the domain page.

use std::sync::LazyLock;

use jiff::civil::{Date, DateTime, date, datetime};
use proptest::prelude::*;

use super::layout::{ColumnKind, Layouts, RecordLayout, RecordType};
use super::read::Fields;
use super::rows::{ApplicantRow, ConfirmationRow, HeaderRow, NotificationRow, Templates, TrailerRow};
use super::write::{LineTemplate, UnknownColumn, Value, WriteWarning, WriteWarningKind};
use super::{Encoding, LineEnd};
use tributary_flow::configuration::Source;

static LAYOUTS: LazyLock<Layouts> = LazyLock::new(|| Layouts::load(None).unwrap());

fn templates() -> Templates {
    Templates::new(&LAYOUTS, Encoding::Utf8, LineEnd::Lf)
}

/// Writes a row of two columns, the second of this kind.
fn write_one(kind: &str, max: usize, encoding: Encoding, value: Value<'_>) -> (String, Vec<WriteWarningKind>) {
    let user = Source::new(
        "mine.toml",
        format!(
            "[record.TRL]\ncolumns = [{{ name = \"record_type\", kind = \"literal\", max = 3 }}, \
             {{ name = \"count\", kind = \"{kind}\", max = {max} }}]"
        ),
    );
    let layouts = Layouts::load(Some(&user)).unwrap();
    let template = LineTemplate::new(layouts.record(RecordType::Trl), &["count"]);
    let mut out = String::new();
    let warnings = template.write(encoding, &[value], &mut out);
    let content = out.strip_prefix("TRL,").unwrap().to_owned();
    (content, warnings.into_iter().map(|warning| warning.kind).collect())
}

#[test]
fn the_built_in_layouts_hold_every_column_that_we_write() {
    for (record_type, names) in [
        (RecordType::App, ApplicantRow::COLUMNS),
        (RecordType::Not, NotificationRow::COLUMNS),
        (RecordType::Rtc, ConfirmationRow::COLUMNS),
        (RecordType::Hdr, HeaderRow::COLUMNS),
        (RecordType::Trl, TrailerRow::COLUMNS),
    ] {
        let layout = LAYOUTS.record(record_type);
        assert!(LineTemplate::strict(layout, names).is_ok());
        // The order is that of the layout, so that the lists can be compared with the domain page.
        let columns = layout.columns.iter().map(|column| column.name.as_str());
        let in_layout: Vec<&str> = columns.filter(|name| names.contains(name)).collect();
        assert_eq!(in_layout, names);
    }
    let unknown = LineTemplate::strict(LAYOUTS.record(RecordType::App), &["dpn", "shoe_size"]).unwrap_err();
    assert_eq!(unknown, UnknownColumn { record_type: RecordType::App, column: "shoe_size".to_owned() });
}

#[test]
fn text_is_quoted_also_when_empty_or_numeric_and_other_kinds_are_bare() {
    let utf8 = Encoding::Utf8;
    for (kind, value, written) in [
        ("text", Value::Empty, "\"\""),
        ("text", Value::Text("30000001"), "\"30000001\""),
        ("text", Value::Number(7), "\"7\""),
        ("text", Value::Text(r#"a "b", c\"#), r#""a ""b"", c\""#),
        ("text", Value::Text("two\r\nlines\nmore\tx"), "\"two lines more x\""),
        ("number", Value::Empty, ""),
        ("number", Value::Text("0042"), "0042"),
        ("number", Value::Number(42), "42"),
        ("date", Value::Empty, ""),
        ("date", Value::Date(date(2026, 2, 3)), "20260203"),
        ("date", Value::Text("2026-02-03"), "20260203"),
        ("date", Value::Text("20260203"), "20260203"),
        ("timestamp", Value::Timestamp(datetime(2026, 2, 3, 4, 5, 6, 0)), "20260203 040506"),
        ("literal", Value::Text("RECORD"), "RECORD"),
    ] {
        assert_eq!(write_one(kind, 20, utf8, value), (written.to_owned(), Vec::new()), "{kind} {value:?}");
    }
}

#[test]
fn an_opaque_column_is_written_as_nothing() {
    let template = LineTemplate::new(LAYOUTS.record(RecordType::Pos), &["position_id", "reserved"]);
    let mut out = String::new();
    assert_eq!(template.write(Encoding::Utf8, &[Value::Number(7), Value::Text("ignored")], &mut out).len(), 1);
    assert!(out.starts_with("POS,7,,\"\","), "{out}");
}

#[test]
fn what_does_not_fit_is_cut_or_blank_with_a_warning() {
    use WriteWarningKind::{Cut, WrongKind};
    let utf8 = Encoding::Utf8;
    for (kind, max, value, written, warning) in [
        ("text", 3, Value::Text("Zoëx"), "\"Zoë\"", Cut),
        ("text", 3, Value::Text("\"\"\"\""), "\"\"\"\"\"\"\"\"", Cut),
        ("number", 3, Value::Text("4x"), "", WrongKind),
        ("number", 3, Value::Number(-4), "", WrongKind),
        ("number", 3, Value::Number(1234), "", WrongKind),
        ("date", 8, Value::Text("soon"), "", WrongKind),
        ("date", 8, Value::Number(20_260_203), "", WrongKind),
        ("timestamp", 15, Value::Text("20260203"), "", WrongKind),
        ("literal", 9, Value::Text("a,b"), "", WrongKind),
        ("literal", 9, Value::Text("a b"), "", WrongKind),
    ] {
        assert_eq!(write_one(kind, max, utf8, value), (written.to_owned(), vec![warning]), "{kind} {value:?}");
    }
}

#[test]
fn ascii_translit_writes_letters_without_diacritics() {
    let (content, _) = write_one("text", 20, Encoding::AsciiTranslit, Value::Text("Zoë \u{201C}Ł\u{201D}"));
    assert_eq!(content, "\"Zoe \"\"L\"\"\"");
}

#[test]
fn a_blank_mandatory_column_is_warned_of() {
    let warnings = templates().applicant(&ApplicantRow::default()).warnings;
    let columns: Vec<&str> = warnings.iter().map(|warning| warning.column.as_str()).collect();
    assert_eq!(
        columns,
        ["position_id", "position_number", "effective_date", "last_name", "first_name", "date_of_birth"]
    );
    assert!(warnings.iter().all(|warning| warning.kind == WriteWarningKind::MandatoryBlank));
    let warning = WriteWarning { column: "email".to_owned(), kind: WriteWarningKind::Cut };
    assert_eq!(warning.to_string(), "email was too long and has been cut");
}

#[test]
fn golden_applicant_row() {
    let line = templates().applicant(&ApplicantRow {
        dpn: Value::Text("EOE/RGT01/300/STR/001"),
        position_id: Value::Number(7_000_001),
        position_number: Value::Text("30000001"),
        effective_date: Value::Date(date(2026, 11, 21)),
        projected_hire_date: Value::Date(date(2026, 12, 2)),
        title: Value::Text("DR."),
        last_name: Value::Text("O'Sample"),
        first_name: Value::Text("Zoë"),
        date_of_birth: Value::Date(date(1990, 2, 28)),
        professional_body_1: Value::Text("General Medical Council"),
        registration_number_1: Value::Text("7000001"),
        registration_expiry_1: Value::Date(date(2027, 1, 31)),
        ..ApplicantRow::default()
    });
    assert_eq!(line.warnings, []);
    assert_eq!(
        line.text,
        concat!(
            r#"APP,,"","EOE/RGT01/300/STR/001",7000001,"30000001",20261121,20261202,,"DR.","O'Sample","Zoë","","","#,
            r#"19900228,"","","","","","","","","","","","","","","","","","","","","General Medical Council","#,
            r#""7000001",20270131,"","",,"","","","","""#
        )
    );
}

#[test]
fn golden_notification_row() {
    let line = templates().notification(&NotificationRow {
        notification_type: Value::Number(1),
        dpn: Value::Text("EOE/RGT01/300/STR/001"),
        managing_office: Value::Text("EOE"),
        current_last_name: Value::Text("Sample"),
        current_projected_end_date: Value::Date(date(2026, 12, 1)),
        current_next_site: Value::Text("NOT KNOWN"),
        current_working_hours: Value::Text("0.8"),
        next_projected_start_date: Value::Date(date(2026, 12, 2)),
        next_working_hours: Value::Text("1"),
        vacant_at_next_rotation: Value::Text("N"),
        ..NotificationRow::default()
    });
    assert_eq!(line.warnings, []);
    assert_eq!(
        line.text,
        concat!(
            r#"NOT,1,"","EOE/RGT01/300/STR/001","EOE","","","","Sample","","",20261201,"NOT KNOWN","0.8","#,
            r#""","","","",20261202,"","","","","","","","","","",,,,"","1","N","""#
        )
    );
}

#[derive(Clone, Debug)]
enum Given {
    Empty,
    Text(String),
    Number(i64),
    Date(Date),
    Timestamp(DateTime),
}

impl Given {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Empty => Value::Empty,
            Self::Text(text) => Value::Text(text),
            Self::Number(number) => Value::Number(*number),
            Self::Date(date) => Value::Date(*date),
            Self::Timestamp(moment) => Value::Timestamp(*moment),
        }
    }

    /// What the reader must find. It is written by hand here, not by the code of the writer.
    fn expected(&self) -> String {
        match self {
            Self::Empty => String::new(),
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
            Self::Date(date) => date.strftime("%Y%m%d").to_string(),
            Self::Timestamp(moment) => moment.strftime("%Y%m%d %H%M%S").to_string(),
        }
    }
}

fn any_date() -> impl Strategy<Value = Date> {
    (1900_i16..2100, 1_i8..=12, 1_i8..=28).prop_map(|(year, month, day)| date(year, month, day))
}

/// Text with everything that could break a line, except line breaks: by design, they do not read back the same.
fn nasty_text(max: usize) -> impl Strategy<Value = Given> {
    let piece = prop_oneof![
        prop::sample::select(vec!["\"", "\"\"", ",", "\\", "\\\"", " ", "é", "山", "🩺", "TRL,2", "'", "~"])
            .prop_map(str::to_owned),
        "\\PC{0,6}",
    ];
    prop::collection::vec(piece, 0..8).prop_map(move |pieces| {
        let text: String = pieces.concat().chars().filter(|c| !matches!(c, '\u{2028}' | '\u{2029}')).collect();
        Given::Text(text.chars().take(max).collect())
    })
}

fn given(kind: ColumnKind, max: usize) -> BoxedStrategy<Given> {
    let filled = match kind {
        ColumnKind::Text => nasty_text(max).boxed(),
        ColumnKind::Number => (0..10_i64.pow(max.min(15) as u32)).prop_map(Given::Number).boxed(),
        ColumnKind::Date => any_date().prop_map(Given::Date).boxed(),
        ColumnKind::Timestamp => (any_date(), 0_i8..24, 0_i8..60)
            .prop_map(|(date, hour, minute)| Given::Timestamp(date.at(hour, minute, 7, 0)))
            .boxed(),
        ColumnKind::Literal => "[A-Z]{1,3}".prop_map(Given::Text).boxed(),
        ColumnKind::Opaque => return Just(Given::Empty).boxed(),
    };
    prop_oneof![1 => Just(Given::Empty), 3 => filled].boxed()
}

fn record(layout: &'static RecordLayout) -> impl Strategy<Value = (&'static RecordLayout, Vec<Given>)> {
    let columns: Vec<_> = layout.columns.iter().skip(1).map(|column| given(column.kind, column.max)).collect();
    columns.prop_map(move |values| (layout, values))
}

fn any_record() -> impl Strategy<Value = (&'static RecordLayout, Vec<Given>)> {
    prop::sample::select(RecordType::ALL.to_vec()).prop_flat_map(|record_type| record(LAYOUTS.record(record_type)))
}

proptest! {
    #[test]
    fn what_is_written_reads_back_the_same((layout, given) in any_record()) {
        let names: Vec<&str> = layout.columns.iter().skip(1).map(|column| column.name.as_str()).collect();
        let template = LineTemplate::new(layout, &names);
        let values: Vec<Value<'_>> = given.iter().map(Given::value).collect();
        let mut line = String::new();
        let warnings = template.write(Encoding::Utf8, &values, &mut line);
        prop_assert!(warnings.iter().all(|warning| warning.kind == WriteWarningKind::MandatoryBlank));
        prop_assert!(!line.contains(['\n', '\r']));

        let mut fields = Fields::new();
        prop_assert_eq!(fields.split(&line), Ok(()), "{}", line);
        prop_assert_eq!(fields.len(), layout.columns.len(), "{}", line);
        prop_assert_eq!(fields.get(&line, 0).unwrap(), layout.record_type.as_str());
        for (index, (given, column)) in given.iter().zip(layout.columns.iter().skip(1)).enumerate() {
            let expected = column.value.clone().unwrap_or_else(|| given.expected());
            prop_assert_eq!(fields.get(&line, index + 1).unwrap(), expected, "{}", column.name);
        }
    }

    #[test]
    fn any_text_in_any_column_makes_one_line_of_all_columns(text in any::<String>(), ascii in any::<bool>()) {
        let encoding = if ascii { Encoding::AsciiTranslit } else { Encoding::Utf8 };
        for record_type in RecordType::ALL {
            let layout = LAYOUTS.record(record_type);
            let names: Vec<&str> = layout.columns.iter().skip(1).map(|column| column.name.as_str()).collect();
            let values = vec![Value::Text(&text); names.len()];
            let mut line = String::new();
            let _ = LineTemplate::new(layout, &names).write(encoding, &values, &mut line);
            let mut fields = Fields::new();
            prop_assert!(!line.contains(['\n', '\r']) && (!ascii || line.is_ascii()));
            prop_assert_eq!(fields.split(&line), Ok(()));
            prop_assert_eq!(fields.len(), layout.columns.len());
        }
    }
}
