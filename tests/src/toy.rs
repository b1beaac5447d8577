//! A flow of one stage, complete: it counts words. Topics, metrics, lag, HTTP and simulation come from the contract.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use clap::ArgMatches;
use tributary_flow::configuration::{ConfigurationError, ConfigurationFile};
use tributary_flow::declaration::{Declaration, Group, StageDeclaration, Workers};
use tributary_flow::http::Mount;
use tributary_flow::{ConfiguredFlow, Failure, Flow, Process, RunningFlow};
use tributary_runtime::{Cleanup, Output, Partitions, ProcessError, Processor, Record, Role, StateStore, Store, Topic};

const fn topic(name: &'static str, cleanup: Cleanup, role: Role) -> Topic {
    Topic { name, partitions: Partitions::Flow, cleanup, role, records: &[] }
}

/// Words, as keys.
pub static WORDS: Topic = topic("toy.words", Cleanup::Delete(std::time::Duration::from_hours(24)), Role::Inbox);
/// How often each word has come so far, as decimal text.
pub static COUNTS: Topic = topic("toy.counts", Cleanup::Compact, Role::Output);
static CHANGELOG: Topic = topic("toy.count-changelog", Cleanup::Compact, Role::Changelog);
static DEAD_LETTERS: Topic =
    topic("toy.dead-letter", Cleanup::Delete(std::time::Duration::from_hours(24)), Role::Output);

static CONTROL: Topic = Topic {
    partitions: Partitions::Fixed(1),
    records: &["tributary.NamespaceLevel", "tributary.GroupMember"],
    ..topic("toy.control", Cleanup::Compact, Role::Output)
};

/// The flow as static data.
pub static DECLARATION: Declaration = Declaration {
    name: "toy",
    about: "Counts words",
    groups: &[Group {
        name: "toy",
        workers: Workers::Configured,
        stages: &[StageDeclaration { name: "count", inbox: &WORDS, changelog: Some(&CHANGELOG) }],
    }],
    outputs: &[&COUNTS],
    dead_letters: &DEAD_LETTERS,
    control: &CONTROL,
    leader: None,
    views: &[],
    defaults: "[toy]\n",
    former_tables: &[],
    serves_requests: true,
};

/// Counts words.
#[derive(Debug, Clone, Copy)]
pub struct Toy;

impl Flow for Toy {
    fn declaration(&self) -> &'static Declaration {
        &DECLARATION
    }
    fn effective_configuration(&self, _: &ConfigurationFile) -> Result<String, ConfigurationError> {
        Ok(DECLARATION.defaults.to_owned())
    }
    fn configure(&self, _: &ConfigurationFile, _: &ArgMatches) -> Result<Arc<dyn ConfiguredFlow>, Failure> {
        Ok(Arc::new(*self))
    }
}

impl ConfiguredFlow for Toy {
    fn open(&self, process: Arc<dyn Process>) -> Result<Arc<dyn RunningFlow>, Failure> {
        Ok(Arc::new(Counting(process)))
    }
}

struct Counting(Arc<dyn Process>);

impl RunningFlow for Counting {
    fn processor(&self, _: &'static str, _: i32) -> Box<dyn Processor> {
        Box::new(Counter(Store::new(0, "counts")))
    }
    fn mounts(&self) -> Vec<Mount> {
        let paths = Router::new().route("/toy/counts", get(counts)).with_state(Arc::clone(&self.0));
        vec![Mount::new(paths).open()]
    }
}

async fn counts(State(process): State<Arc<dyn Process>>) -> Json<BTreeMap<String, u64>> {
    let counts = process.inspect(|counter: &Counter| counter.0.iter().map(|(w, n)| (w.clone(), *n)).collect());
    Json(counts.unwrap_or_default().into_iter().flat_map(|counts: Vec<_>| counts).collect())
}

struct Counter(Store<String, u64>);

impl Processor for Counter {
    fn process(&mut self, record: &Record<'_>, output: &mut Output) -> Result<(), ProcessError> {
        let word = String::from_utf8_lossy(record.key).into_owned();
        let count = self.0.get(&word).copied().unwrap_or_default() + 1;
        output.send(&COUNTS, record.key, |buffer| buffer.extend_from_slice(count.to_string().as_bytes()));
        self.0.put(word, count);
        Ok(())
    }
    fn stores(&mut self) -> Vec<&mut dyn StateStore> {
        vec![&mut self.0]
    }
}
