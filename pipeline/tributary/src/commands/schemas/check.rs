//! `tributary schemas check`.

use std::collections::BTreeMap;
use std::path::Path;

use tributary_flow::Failure;
use tributary_schemas::check::{Report, SubjectVerdict, check};
use tributary_schemas::compatibility::{Problem, Verdict};
use tributary_schemas::contract::Contract;
use tributary_schemas::registry::{LEVEL, without_credentials};

use super::registries::Client;
use super::{Site, counted, revision};
use crate::runtime::Runtime;

/// The older versions that this program brings along.
const RELEASED: &str = "released";

/// What stands before a revision.
const GIT: &str = "git:";

/// Compares the contract with older versions of it.
pub(super) fn execute(
    site: &Site,
    folder: Option<&Path>,
    against: &str,
    registry: Option<&str>,
) -> Result<(), Failure> {
    let contract = match folder {
        Some(folder) => Contract::in_folder(folder).map_err(Failure::refused)?,
        None => site.contract.clone(),
    };
    let older = match against.strip_prefix(GIT) {
        Some(revision) => revision::contract(revision)?,
        None if against == RELEASED => site.contract.clone().only_released(),
        None => Contract::in_folder(Path::new(against)).map_err(Failure::refused)?,
    };
    let mut report = check(&contract, &older, against).map_err(Failure::refused)?;
    if let Some(url) = registry {
        report.registry = of_registry(site, &contract, url)?;
        report.compatible &= report.registry.iter().all(is_fine);
    }
    site.show(&report, || text(&report, against, registry))?;
    if report.compatible { Ok(()) } else { Err(Failure::unfinished(summary(&report))) }
}

/// The objections of this program's contract to its released versions. `None` if there are none.
pub(super) fn objections(contract: &Contract) -> Result<Option<Report>, Failure> {
    let report = check(contract, &contract.clone().only_released(), RELEASED).map_err(Failure::refused)?;
    Ok((!report.compatible).then_some(report))
}

fn is_fine(subject: &SubjectVerdict) -> bool {
    subject.verdict != "incompatible" && subject.level.as_ref().is_none_or(|level| *level == subject.level_wanted)
}

fn of_registry(site: &Site, contract: &Contract, url: &str) -> Result<Vec<SubjectVerdict>, Failure> {
    let runtime = Runtime::start()?;
    let client = Client::new(url, runtime.handle())?;
    let verdicts = site
        .subjects
        .iter()
        .filter_map(|subject| Some((subject, contract.records().get(subject.record)?)))
        .map(|(subject, schema)| of_subject(&client, &subject.name, schema))
        .collect();
    runtime.end();
    verdicts
}

fn of_subject(client: &Client, subject: &str, schema: &str) -> Result<SubjectVerdict, Failure> {
    let verdict = if client.lookup(subject, schema)?.is_some() {
        "same"
    } else if client.versions(subject)?.is_empty() {
        "missing"
    } else if client.conflict(subject, schema)?.is_some() {
        "incompatible"
    } else {
        "compatible"
    };
    // `apply` sets the level of a missing subject before its first version.
    let level = if verdict == "missing" { None } else { Some(client.level(subject)?) };
    Ok(SubjectVerdict {
        subject: subject.to_owned(),
        verdict: verdict.to_owned(),
        level,
        level_wanted: LEVEL.to_owned(),
    })
}

/// The report for people: each problem once, with all records that have it.
pub(super) fn text(report: &Report, against: &str, registry: Option<&str>) -> String {
    let mut text = problems(report);
    // A record has the worst of its verdicts.
    let mut records: BTreeMap<&str, Verdict> = BTreeMap::new();
    for entry in &report.records {
        let worst = records.entry(&entry.record).or_insert(entry.verdict);
        *worst = entry.verdict.max(*worst);
    }
    let count = |verdict| records.values().filter(|of_record| **of_record == verdict).count();
    text.push_str(&format!(
        "{} against {against}: {} the same, {} compatible, {} with objections\n",
        counted(records.len(), "record"),
        count(Verdict::Same),
        count(Verdict::Compatible),
        count(Verdict::Incompatible),
    ));
    if let Some(url) = registry {
        text.push_str(&subjects(report, url));
    }
    text
}

/// A problem, and the records with the versions that have it.
type Objection<'a> = (&'a Problem, Vec<String>);

fn problems(report: &Report) -> String {
    let mut places: BTreeMap<(&str, u32), Vec<Objection<'_>>> = BTreeMap::new();
    for entry in &report.records {
        for problem in &entry.problems {
            let at = places.entry((&entry.file, entry.line)).or_default();
            let against = entry.against.as_ref().map(|against| format!(" against {against}")).unwrap_or_default();
            let of = format!("{}{against}", entry.record);
            let same = |known: &&mut Objection<'_>| {
                (known.0.rule, known.0.reader, &known.0.why) == (problem.rule, problem.reader, &problem.why)
            };
            match at.iter_mut().find(same) {
                Some((_, records)) => records.push(of),
                None => at.push((problem, vec![of])),
            }
        }
    }
    let mut text = String::new();
    for ((file, line), problems) in places {
        for (problem, records) in problems {
            let field = if problem.field.is_empty() { String::new() } else { format!("{}: ", problem.field) };
            text.push_str(&format!("{file}:{line}: {field}{}\n", problem.rule));
            text.push_str(&format!("  why      the {} reader {}\n", problem.reader, problem.why));
            text.push_str(&format!("  instead  {}\n", problem.instead));
            text.push_str(&format!("  in       {}\n\n", records.join(", ")));
        }
    }
    text
}

fn subjects(report: &Report, url: &str) -> String {
    let mut text = String::new();
    for subject in report.registry.iter().filter(|subject| subject.verdict != "same" || !is_fine(subject)) {
        let level = subject.level.as_deref().unwrap_or("none");
        text.push_str(&format!(
            "  {}: {}, level {level} (wanted {})\n",
            subject.subject, subject.verdict, subject.level_wanted
        ));
    }
    let same = report.registry.iter().filter(|subject| subject.verdict == "same").count();
    let url = without_credentials(url);
    format!("{} in {url}: {same} the same\n{text}", counted(report.registry.len(), "subject"))
}

/// The objections in one sentence.
pub(super) fn summary(report: &Report) -> String {
    let problems: usize = report.records.iter().map(|record| record.problems.len()).sum();
    let subjects = report.registry.iter().filter(|subject| !is_fine(subject)).count();
    let mut parts = Vec::new();
    if problems > 0 {
        parts.push(counted(problems, "problem"));
    }
    if subjects > 0 {
        parts.push(format!("{} of the registry", counted(subjects, "subject")));
    }
    format!("the schemas are not compatible: {}; docs/schemas.md explains the rules", parts.join(", "))
}
