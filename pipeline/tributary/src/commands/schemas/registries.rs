//! `tributary schemas plan|apply`: sets the compatibility level of every subject, then registers today's schemas.

use serde::Serialize;
use tokio::runtime::Handle;
use tributary_flow::{Failure, print};
use tributary_schemas::registry::{Compatibility, LEVEL, LevelChange, RegisteredVersion, without_credentials};
use tributary_schemas::{ConfluentRegistry, ConfluentSettings, Registry, RegistryError};

use super::{Site, check};
use crate::cli::{OutputForm, RegistriesOptions};
use crate::runtime::Runtime;

/// The number of attempts before a registry counts as unavailable.
const ATTEMPTS: u32 = 3;

/// Whether the changes are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Plan,
    Apply,
}

/// A registry: its schemas and their levels.
pub(super) struct Client {
    schemas: ConfluentRegistry,
    levels: Compatibility,
}

/// What happens in one registry.
#[derive(Debug, Serialize)]
struct Outcome {
    registry: String,
    /// Why it could not be asked or changed.
    error: Option<String>,
    /// The subjects that change, or cannot.
    subjects: Vec<SubjectChange>,
    applied: bool,
}

/// What happens to one subject.
#[derive(Debug, Serialize)]
struct SubjectChange {
    subject: String,
    /// The level now, if another is set.
    level_from: Option<String>,
    /// Whether today's schema is registered.
    register: bool,
    /// Why the registry refuses the schema.
    conflict: Option<String>,
}

/// Plans or applies the changes in every registry that is named.
pub(super) fn execute(site: &Site, options: &RegistriesOptions, action: Action) -> Result<(), Failure> {
    let mut urls = options.registry.clone();
    if urls.is_empty() {
        if site.configured_registry.is_empty() {
            let text = "no schema registry is named: add --registry URL, or kafka.registry in --config";
            return Err(Failure::refused(text));
        }
        urls.push(site.configured_registry.clone());
    }
    if let Some(report) = check::objections(&site.contract)? {
        eprint!("{}", check::text(&report, "released", None));
        return Err(Failure::refused(format!("nothing was changed: {}", check::summary(&report))));
    }
    let runtime = Runtime::start()?;
    // A wrong URL is refused before the first registry is called.
    let clients: Vec<Client> =
        urls.iter().map(|url| Client::new(url, runtime.handle())).collect::<Result<_, Failure>>()?;
    let outcomes: Vec<Outcome> =
        urls.iter().zip(&clients).map(|(url, client)| in_registry(site, url, client, action)).collect();
    drop(clients);
    runtime.end();
    match site.form {
        OutputForm::Text => outcomes.iter().try_for_each(|outcome| print(&outcome.text(action)))?,
        OutputForm::Json => site.show(&serde_json::json!({ "registries": outcomes }), String::new)?,
    }
    let failed: Vec<&str> =
        outcomes.iter().filter(|outcome| !outcome.is_fine()).map(|outcome| outcome.registry.as_str()).collect();
    if failed.is_empty() {
        return Ok(());
    }
    let failed = failed.join(" and ");
    Err(Failure::unfinished(format!("not done in {failed}; the same command continues where this one ended")))
}

/// One registry. That it does not answer is an outcome: the others are independent of it.
fn in_registry(site: &Site, url: &str, client: &Client, action: Action) -> Outcome {
    let registry = without_credentials(url);
    let mut outcome = Outcome { registry, error: None, subjects: Vec::new(), applied: false };
    outcome.error = work(site, client, action, &mut outcome).err().map(|failure| failure.to_string());
    outcome
}

/// Plans, and applies the plan if nothing conflicts.
fn work(site: &Site, client: &Client, action: Action, outcome: &mut Outcome) -> Result<(), Failure> {
    outcome.subjects = plan(site, client)?;
    if action == Action::Apply && outcome.conflicts() == 0 {
        apply(site, client, &outcome.subjects)?;
        outcome.applied = true;
    }
    Ok(())
}

/// The subjects whose level or schema differs.
fn plan(site: &Site, client: &Client) -> Result<Vec<SubjectChange>, Failure> {
    let mut changes = Vec::new();
    for subject in &site.subjects {
        let Some(schema) = site.contract.records().get(subject.record) else { continue };
        let level = client.own_level(&subject.name)?;
        let register = client.lookup(&subject.name, schema)?.is_none();
        let conflict = if register { client.conflict(&subject.name, schema)? } else { None };
        if register || level.is_some() {
            changes.push(SubjectChange { subject: subject.name.clone(), level_from: level, register, conflict });
        }
    }
    Ok(changes)
}

/// Makes the changes. The level comes first, so that it holds for the first version.
fn apply(site: &Site, client: &Client, changes: &[SubjectChange]) -> Result<(), Failure> {
    for change in changes {
        if let Some(from) = &change.level_from {
            let level = LevelChange { subject: change.subject.clone(), from: from.clone() };
            client.levels.apply(&[level]).map_err(Failure::unfinished)?;
        }
        let subject = site.subjects.iter().find(|subject| subject.name == change.subject);
        let schema = subject.and_then(|subject| site.contract.records().get(subject.record));
        if let (true, Some(schema)) = (change.register, schema) {
            client.schemas.register(&change.subject, schema).map_err(Failure::unfinished)?;
        }
    }
    Ok(())
}

impl Client {
    /// The client of the registry at `url`. It sends nothing yet.
    pub(super) fn new(url: &str, tokio: Handle) -> Result<Self, Failure> {
        let settings = ConfluentSettings { attempts: ATTEMPTS, ..ConfluentSettings::new(url) };
        Ok(Self {
            schemas: ConfluentRegistry::connect(settings).map_err(Failure::refused)?,
            levels: Compatibility::new(url, tokio).map_err(Failure::unfinished)?,
        })
    }

    /// The id of a schema.
    pub(super) fn lookup(&self, subject: &str, schema: &str) -> Result<Option<u32>, Failure> {
        self.schemas.lookup(subject, schema).map_err(Failure::unfinished)
    }

    /// Why the registry refuses a schema. `None` if it accepts it.
    pub(super) fn conflict(&self, subject: &str, schema: &str) -> Result<Option<String>, Failure> {
        match self.schemas.check_compatible(subject, schema) {
            Ok(()) => Ok(None),
            Err(error @ RegistryError::Incompatible { .. }) => Ok(Some(error.to_string())),
            Err(error) => Err(Failure::unfinished(error)),
        }
    }

    /// The versions of a subject.
    pub(super) fn versions(&self, subject: &str) -> Result<Vec<RegisteredVersion>, Failure> {
        self.schemas.versions(subject).map_err(Failure::unfinished)
    }

    /// The level in effect for a subject.
    pub(super) fn level(&self, subject: &str) -> Result<String, Failure> {
        self.levels.level_in_effect(subject).map_err(Failure::unfinished)
    }

    /// The level that a subject has itself, if it is not the one that it needs.
    fn own_level(&self, subject: &str) -> Result<Option<String>, Failure> {
        let differences = self.levels.differences(&[subject.to_owned()]).map_err(Failure::unfinished)?;
        Ok(differences.into_iter().next().map(|change| change.from))
    }
}

impl Outcome {
    fn conflicts(&self) -> usize {
        self.subjects.iter().filter(|subject| subject.conflict.is_some()).count()
    }

    fn is_fine(&self) -> bool {
        self.error.is_none() && self.conflicts() == 0
    }

    fn text(&self, action: Action) -> String {
        let mut text = format!("{}\n", self.registry);
        for change in &self.subjects {
            if let Some(conflict) = &change.conflict {
                text.push_str(&format!("  refused  {conflict}\n"));
                continue;
            }
            if let Some(from) = &change.level_from {
                let level = LevelChange { subject: change.subject.clone(), from: from.clone() };
                text.push_str(&format!("  {level}\n"));
            }
            if change.register {
                text.push_str(&format!("  register {}\n", change.subject));
            }
        }
        text.push_str(&match (&self.error, action) {
            (Some(error), _) => format!("  {error}\n"),
            _ if self.subjects.is_empty() => format!("  all schemas are registered, with the level {LEVEL}\n"),
            _ if self.applied => "  applied\n".to_owned(),
            (None, Action::Apply) => "  nothing was changed\n".to_owned(),
            (None, Action::Plan) => String::new(),
        });
        text
    }
}
