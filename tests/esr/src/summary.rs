//! Compares the summary of a batch with what the oracle says of it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tributary_esr_oracle::{ApplicantState, Disorder, Outcome};

/// What differs; `None` when nothing does.
pub fn difference(expected: &Outcome, summary: &Value) -> Option<String> {
    let parts = [
        records_differ(expected, summary),
        names_differ(expected, summary),
        offices_differ(expected, summary),
        disorder_differs(expected, summary),
    ];
    parts.into_iter().flatten().next()
}

/// The warnings about the order of files, by what they say.
const DISORDER: [(&str, Disorder); 5] = [
    ("missing: ask ESR for the file", Disorder::Missing),
    ("has the same number as", Disorder::Repeated),
    ("came late, after", Disorder::Late),
    ("the number goes back", Disorder::GoesBack),
    ("changed nothing: overtaken by", Disorder::Overtaken),
];

fn disorder_differs(expected: &Outcome, summary: &Value) -> Option<String> {
    let warnings = summary["warnings"].as_array().expect("a summary has warnings").iter();
    let of_file = |warning: &Value| {
        let text = warning.as_str().unwrap_or_default();
        let (_, disorder) = DISORDER.iter().find(|(part, _)| text.contains(part))?;
        let name = text.split([' ', ',', ':']).find(|word| word.starts_with("DE_"))?;
        Some((name.to_owned(), *disorder))
    };
    let found: BTreeSet<(String, Disorder)> = warnings.filter_map(of_file).collect();
    (expected.disorder != found)
        .then(|| format!("warnings about the order of files differ: expected {:?}, found {found:?}", expected.disorder))
}

/// The applicant records of a summary in the oracle's form, sorted.
pub fn records(summary: &Value) -> Vec<ApplicantState> {
    let text = |record: &Value, field: &str| record[field].as_str().map(str::to_owned);
    let record = |record: &Value| ApplicantState {
        placement_id: record["placement_id"].as_u64().unwrap(),
        position_id: record["position_id"].as_u64().unwrap(),
        trainee_id: record["trainee_id"].as_u64().unwrap(),
        office: text(record, "office").unwrap(),
        status: text(record, "status").unwrap(),
        file: text(record, "file"),
    };
    let records = summary["records"].as_array().expect("--records is given");
    let mut records: Vec<ApplicantState> = records.iter().map(record).collect();
    records.sort();
    records
}

fn records_differ(expected: &Outcome, summary: &Value) -> Option<String> {
    let (expected, found) = (&expected.records, records(summary));
    let missing: Vec<_> = expected.iter().filter(|record| !found.contains(record)).collect();
    let surplus: Vec<_> = found.iter().filter(|record| !expected.contains(record)).collect();
    (*expected != found).then(|| format!("records differ\nexpected {missing:#?}\nfound {surplus:#?}"))
}

/// The files of this batch, not of its last process alone.
fn names_differ(expected: &Outcome, summary: &Value) -> Option<String> {
    let list = |list: &str| summary[list].as_array().expect("a summary has both lists").iter();
    let text = |file: &Value, field: &str| file[field].as_str().unwrap_or_default().to_owned();
    let mut found: Vec<String> = list("outbound").map(|file| text(file, "name")).collect();
    found.sort();
    let files: Vec<String> = expected.files.keys().cloned().collect();
    if files != found {
        return Some(format!("files of the summary differ: expected {files:?}, found {found:?}"));
    }
    let inbound: BTreeMap<String, String> =
        expected.inbound.iter().map(|file| (file.name.clone(), file.status.clone())).collect();
    let found: BTreeMap<String, String> =
        list("inbound").map(|file| (text(file, "name"), text(file, "status"))).collect();
    (inbound != found).then(|| format!("inbound files differ: expected {inbound:?}, found {found:?}"))
}

fn offices_differ(expected: &Outcome, summary: &Value) -> Option<String> {
    expected.offices.iter().find_map(|(office, counts)| {
        let found = &summary["offices"][office];
        let figure = |name: &str| found[name].as_u64().unwrap_or_default() as usize;
        let (live, matched) = (figure("live"), figure("matched"));
        let same = (counts.positions, counts.live, counts.matched) == (figure("positions"), live, matched)
            && counts.unmatched == figure("unmatched")
            && live == matched + counts.unmatched;
        (!same).then(|| format!("positions of {office} differ: expected {counts:?}, found {found}"))
    })
}
