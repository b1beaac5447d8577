//! Every kind of change: what the check objects to, with field, rule, reader, file and line. apache-avro has the same
//! verdict. The registry's verdict is in `confluent.rs`.

#![allow(clippy::unwrap_used, reason = "a test states what must hold")]

mod changes;

use apache_avro::Schema;
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};
use changes::{ALLOWED, FORBIDDEN, OF_OTHERS, RECORD, contract, is_refused_by_avro, record_with};
use tributary_schemas::check::{Report, check};
use tributary_schemas::compatibility::{Rule, Verdict, changes as differences, compare};
use tributary_schemas::contract::{Contract, SourceFile};

fn report(edits: &[(&str, &str, &str)]) -> Report {
    check(&contract(edits), &contract(&[]), "before").unwrap()
}

#[test]
fn every_forbidden_change_is_objected_to_by_field_rule_reader_file_and_line() {
    for change in FORBIDDEN {
        let report = report(change.edits);
        assert!(!report.compatible, "{}", change.name);
        let mut found = Vec::new();
        for entry in report.records.iter().filter(|entry| entry.record == RECORD) {
            assert_eq!(entry.verdict, Verdict::Incompatible, "{}", change.name);
            let against = if change.problems[0].1 == Rule::DefaultDoesNotFit { None } else { Some("before") };
            assert_eq!(entry.against.as_deref(), against, "{}", change.name);
            for problem in &entry.problems {
                assert!(!problem.why.is_empty() && problem.instead.ends_with('.'), "{problem:?}");
                found.push((problem.field.as_str(), problem.rule, problem.reader, entry.file.as_str(), entry.line));
            }
        }
        assert_eq!(found, change.problems, "{}: {report:#?}", change.name);
    }
}

#[test]
fn every_allowed_change_passes() {
    for change in ALLOWED {
        let report = report(change.edits);
        assert!(report.compatible, "{}: {report:#?}", change.name);
        let verdict = if change.edits.is_empty() { Verdict::Same } else { Verdict::Compatible };
        let entry = report.records.iter().find(|entry| entry.record == RECORD).unwrap();
        assert_eq!(
            (entry.verdict, entry.file.as_str(), entry.line),
            (verdict, "test/Sample.avsc", 3),
            "{}",
            change.name
        );
    }
}

#[test]
fn every_rule_of_a_change_has_a_planted_one() {
    let planted: Vec<Rule> = FORBIDDEN
        .iter()
        .flat_map(|change| change.problems.iter().map(|(_, rule, ..)| *rule))
        .chain(OF_OTHERS.iter().flat_map(|(_, _, problems)| problems.iter().map(|(rule, _)| *rule)))
        .collect();
    // These have tests of their own: most are about whole contracts. `not-readable` stands for what nobody foresaw.
    let others = [
        Rule::AliasOfAnotherField,
        Rule::NotAvro,
        Rule::RecordRemoved,
        Rule::ReleasedVersionEdited,
        Rule::NamespaceChanged,
        Rule::NotReadable,
    ];
    for rule in Rule::ALL {
        assert!(planted.contains(rule) || others.contains(rule), "{rule}");
    }
}

/// Whether apache-avro takes the change, in both directions. A schema that it cannot parse is refused.
fn apache_agrees(old: &str, new: &str) -> bool {
    let (Ok(old), Ok(new)) = (Schema::parse_str(old), Schema::parse_str(new)) else { return false };
    let can_read = |writer, reader| matches!(SchemaCompatibility::can_read(writer, reader), Ok(Compatibility::Full));
    can_read(&old, &new) && can_read(&new, &old)
}

#[test]
fn apache_avro_has_the_same_verdict() {
    let before = contract(&[]);
    let old = &before.records()[RECORD];
    for change in ALLOWED.iter().chain(FORBIDDEN) {
        // apache-avro takes a definition and a reference to it for two types.
        if change.name == "the first use of a type is removed" {
            continue;
        }
        let new = contract(change.edits).records()[RECORD].clone();
        assert_eq!(apache_agrees(old, &new), !is_refused_by_avro(change), "{}", change.name);
    }
}

#[test]
fn types_that_the_contract_does_not_use_are_compared_too() {
    for (old, new, expected) in OF_OTHERS {
        let (verdict, problems) = compare(&record_with(old), &record_with(new)).unwrap();
        let found: Vec<_> = problems.iter().map(|problem| (problem.rule, problem.reader)).collect();
        assert_eq!(&found, expected, "{old} {new}: {problems:?}");
        assert_eq!(verdict == Verdict::Compatible, expected.is_empty());
        assert_eq!(apache_agrees(&record_with(old), &record_with(new)), expected.is_empty(), "{old} {new}");
    }
}

#[test]
fn the_way_that_an_objection_names_works() {
    // The first release of a rename: the old field stays, the new one has a default.
    let edit = [(
        "Sample",
        r#"{"name": "title", "type": "string"},"#,
        r#"{"name": "title", "type": "string"}, {"name": "heading", "type": ["null", "string"], "default": null},"#,
    )];
    assert!(report(&edit).compatible);
    let renamed = report(FORBIDDEN.iter().find(|change| change.name == "a rename").unwrap().edits);
    let problem = renamed.records.iter().flat_map(|entry| &entry.problems).next().unwrap();
    for part in ["Release 1: keep `title`, add `heading` of the type string with a default", "Keep `title` for good"] {
        assert!(problem.instead.contains(part), "{}", problem.instead);
    }
    let with_default =
        report(FORBIDDEN.iter().find(|change| change.name == "a rename with an alias and defaults").unwrap().edits);
    let problem = with_default.records.iter().flat_map(|entry| &entry.problems).next().unwrap();
    assert!(problem.instead.ends_with("Release 3: remove `count`."), "{}", problem.instead);
}

#[test]
fn a_default_that_an_objection_names_is_avro() {
    let without = r#"{"type":"record","name":"Sample","namespace":"test","fields":[]}"#;
    let advice = |of_type: &str| compare(without, &record_with(of_type)).unwrap().1.remove(0).instead;
    let optional = advice(r#"["null","string"]"#);
    assert!(optional.starts_with("Add \"default\": null to `field`."), "{optional}");
    let of_array = r#"{"type":"array","items":"string"}"#;
    for of_type in [r#""long""#, of_array, r#"["string","null"]"#, r#"["int","string"]"#] {
        let advice = advice(of_type);
        let (_, named) = advice.split_once("\"type\": ").unwrap();
        let (named, _) = named.split_once(", \"default\": null").unwrap();
        let with_default = record_with(&format!(r#"{named},"default":null"#));
        assert_eq!(compare(without, &with_default), Ok((Verdict::Compatible, Vec::new())), "{advice}");
    }
}

#[test]
fn another_type_of_an_optional_field_stays_optional() {
    let (_, problems) = compare(&record_with(r#"["null","int"]"#), &record_with(r#"["null","long"]"#)).unwrap();
    assert!(problems[0].instead.contains("of the type optional long with a default"), "{problems:?}");
}

#[test]
fn a_record_that_is_not_avro_is_objected_to_even_without_an_older_version() {
    let (id, bad) = (r#"{"name":"id","type":"int"}"#, r#"{"name":"bad-name","type":"int"}"#);
    for (fields, line) in [(format!("{id},\n{bad}"), 3), (format!("{id},\n{id}"), 2)] {
        let head = r#"{"type":"record","name":"R","namespace":"test","doc":"d","fields":["#;
        let text = format!("{head}\n{fields}]}}");
        let file = SourceFile { path: "test/R.avsc".to_owned(), text };
        let report = check(&Contract::of(vec![file], Vec::new()).unwrap(), &Contract::default(), "before").unwrap();
        assert!(!report.compatible, "{report:#?}");
        let [entry] = report.records.as_slice() else { panic!("{report:#?}") };
        assert_eq!((entry.problems[0].rule, entry.file.as_str(), entry.line), (Rule::NotAvro, "test/R.avsc", line));
        assert_eq!(entry.against, None);
    }
}

#[test]
fn an_alias_that_is_another_field_is_objected_to_in_any_order() {
    const TITLE: &str = r#"{"name": "title", "type": "string"},"#;
    const HEADING: &str = r#"{"name": "heading", "type": "string", "default": "", "aliases": ["title"]},"#;
    for both in [format!("{TITLE} {HEADING}"), format!("{HEADING} {TITLE}")] {
        let report = report(&[("Sample", TITLE, both.as_str())]);
        let entry = report.records.iter().find(|entry| entry.record == RECORD).unwrap();
        let found: Vec<_> = entry.problems.iter().map(|problem| (problem.field.as_str(), problem.rule)).collect();
        assert_eq!(found, [("heading", Rule::AliasOfAnotherField)]);
        assert_eq!((entry.file.as_str(), entry.line), ("test/Sample.avsc", 10));
    }
}

#[test]
fn a_namespace_is_part_of_the_name() {
    let schema = |namespace: &str| {
        format!(
            r#"{{"type":"record","name":"Sample","namespace":"{namespace}","fields":[{{"name":"id","type":"long"}}]}}"#
        )
    };
    let (verdict, problems) = compare(&schema("one"), &schema("two")).unwrap();
    assert_eq!(verdict, Verdict::Incompatible);
    assert!(problems.iter().all(|problem| problem.rule == Rule::NamespaceChanged), "{problems:?}");
}

#[test]
fn a_record_that_goes_is_objected_to_and_one_that_comes_is_not() {
    let lone = |name: &str| {
        let text = format!(r#"{{"type":"record","name":"{name}","namespace":"test","doc":"d","fields":[]}}"#);
        Contract::of(vec![SourceFile { path: format!("test/{name}.avsc"), text }], Vec::new()).unwrap()
    };
    let report = check(&lone("Other"), &contract(&[]), "before").unwrap();
    assert!(!report.compatible);
    let entry = report.records.iter().find(|entry| entry.record == RECORD).unwrap();
    assert_eq!((entry.problems[0].rule, entry.file.as_str(), entry.line), (Rule::RecordRemoved, "test/Sample.avsc", 1));
    let entry = report.records.iter().find(|entry| entry.record == "test.Other").unwrap();
    assert_eq!((entry.verdict, entry.against.as_deref()), (Verdict::Compatible, None), "{report:#?}");
}

#[test]
fn every_released_version_counts_not_only_the_newest() {
    let version = |number: u32, fields: &str| SourceFile {
        path: format!("released/test.R/{number}.avsc"),
        text: format!(r#"{{"type":"record","name":"R","namespace":"test","doc":"d","fields":[{fields}]}}"#),
    };
    let of_types = |fields: &str| {
        let file = SourceFile { path: "avro/test/R.avsc".to_owned(), text: version(0, fields).text };
        Contract::of(vec![file], Vec::new()).unwrap()
    };
    let (id, with_default) = (r#"{"name":"id","type":"int"}"#, r#"{"name":"id","type":"int","default":0}"#);
    let older = Contract::of(Vec::new(), vec![version(1, id), version(2, with_default)]).unwrap();
    let report = check(&of_types(""), &older, "released").unwrap();
    let verdicts: Vec<_> =
        report.records.iter().map(|entry| (entry.against.as_deref().unwrap(), entry.verdict)).collect();
    assert_eq!(verdicts, [("released 1", Verdict::Incompatible), ("released 2", Verdict::Compatible)]);
}

#[test]
fn a_released_version_that_was_edited_is_objected_to() {
    let version = |doc: &str| SourceFile {
        path: "schemas/released/test.R/1.avsc".to_owned(),
        text: format!(r#"{{"type":"record","name":"R","namespace":"test","doc":"{doc}","fields":[]}}"#),
    };
    let file = |doc: &str| SourceFile { path: "schemas/avro/test/R.avsc".to_owned(), ..version(doc) };
    let then = Contract::of(vec![file("d")], vec![version("d")]).unwrap();
    let now = Contract::of(vec![file("d")], vec![version("other")]).unwrap();
    let report = check(&now, &then, "git:v1").unwrap();
    let entry = report.records.iter().find(|entry| entry.verdict == Verdict::Incompatible).unwrap();
    assert_eq!(entry.problems[0].rule, Rule::ReleasedVersionEdited);
    assert_eq!(entry.file, "schemas/released/test.R/1.avsc");
    assert!(check(&then, &then, "git:v1").unwrap().compatible);
}

#[test]
fn the_contract_of_this_program_is_compatible_with_all_released_versions() {
    let contract = Contract::built_in().unwrap();
    let report = check(&contract, &contract.clone().only_released(), "released").unwrap();
    assert!(report.compatible, "{report:#?}");
    assert_eq!(report.records.len(), contract.released().len());
}

#[test]
fn differences_are_given_in_words() {
    let contract_after = contract(&[
        (
            "Sample",
            r#"{"name": "id", "type": "long"},"#,
            r#"{"name": "more", "type": ["null", "long"], "default": null},"#,
        ),
        ("Sample", r#""type": "int", "default": 0"#, r#""type": "long", "default": 1"#),
        ("Status", r#""CLOSED""#, r#""LOST""#),
        ("Inner", "A part.", "A piece."),
    ]);
    let (old, new) = (contract(&[]), contract_after);
    let changes = differences(&old.records()[RECORD], &new.records()[RECORD]).unwrap();
    let words: Vec<String> = changes.iter().map(|change| format!("{}: {}", change.field, change.change)).collect();
    assert_eq!(
        words,
        [
            "more: added: optional long, default null",
            "count: is long, was int",
            "count: has the default 1, had 0",
            "status: test.Status has the symbol LOST",
            "status: test.Status no longer has the symbol CLOSED",
            "inner: another description",
            "id: removed: long, without default",
        ]
    );
}
