//! What is on the disk, and in which order: a power cut leaves only what was synced. The test reads the system
//! calls of the program, which `strace` lists.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::collections::HashMap;
use std::fs;
use std::process::{Command, Stdio};

use tributary_harness::skip;
use world::{DAY_1, FULL_FILE, World};

const MARKER: &str = "state/esr/baseline-in-progress";
const CONTINUATION: &str = "state/esr/batch-in-progress";
/// What the records of the one post, placement and person say, and no other record before.
const BASELINE: [&str; 3] = ["East of England", "Sample General Hospital", "Testcase"];

/// A system call. It began and ended at these lines of the list.
#[derive(Debug)]
struct Call {
    begin: usize,
    end: usize,
    text: String,
}

impl Call {
    /// Brings a file or folder to the disk.
    fn syncs(&self, path: &str) -> bool {
        (self.text.starts_with("fsync(") || self.text.starts_with("fdatasync(")) && self.text.contains(path)
    }

    /// Lets a file appear under this name.
    fn creates(&self, path: &str) -> bool {
        let is_renamed = self.text.starts_with("rename") && self.text.contains(&format!("{path}\")"));
        let is_linked = self.text.starts_with("link") && self.text.contains(&format!("{path}\""));
        let is_opened = self.text.contains("O_CREAT") && self.text.contains(&format!("{path}\","));
        is_renamed || is_linked || is_opened
    }

    fn creates_folder(&self, path: &str) -> bool {
        self.text.starts_with("mkdir") && self.text.contains(&format!("{path}\","))
    }

    fn removes(&self, path: &str) -> bool {
        self.text.starts_with("unlink") && self.text.contains(&format!("{path}\""))
    }

    /// Gives the log a record with this text.
    fn stores(&self, text: &str) -> bool {
        self.text.starts_with("write") && self.text.contains("/state/log/") && self.text.contains(text)
    }
}

struct Trace(Vec<Call>);

impl Trace {
    /// Of a first batch; `None` means that the test is skipped.
    fn of_first_batch(world: &World) -> Option<Self> {
        if !has_strace() {
            return None;
        }
        let (list, run) = (world.path("calls"), world.command(&["--once", "--output", "json", "--now", DAY_1]));
        let mut strace = Command::new("strace");
        let calls = "trace=write,fsync,fdatasync,openat,?rename,renameat,renameat2,?link,linkat,?unlink,unlinkat,?mkdir,mkdirat";
        strace.args(["-f", "-y", "-s", "100000", "-e", calls, "-o"]).arg(&list).arg(run.get_program());
        let answer = world::answer(strace.args(run.get_args()).env_remove("TRIBUTARY_LOG_LEVEL"));
        assert_eq!(answer.code, 0, "{answer:?}");
        Some(Self::read(&fs::read_to_string(list).unwrap()))
    }

    /// A call that others interleave is listed twice: `<unfinished ...>` where it begins, `resumed` where it ends.
    fn read(list: &str) -> Self {
        let (mut calls, mut unfinished): (Vec<Call>, HashMap<&str, usize>) = (Vec::new(), HashMap::new());
        for (line, text) in list.lines().enumerate() {
            let Some((process, text)) = text.split_once(' ') else { continue };
            let text = text.trim_start();
            if text.starts_with("<... ") {
                if let Some(call) = unfinished.remove(process) {
                    calls[call].end = line;
                }
                continue;
            }
            let is_unfinished = text.ends_with("<unfinished ...>");
            if is_unfinished {
                unfinished.insert(process, calls.len());
            }
            calls.push(Call { begin: line, end: if is_unfinished { usize::MAX } else { line }, text: text.to_owned() });
        }
        Self(calls)
    }

    fn first(&self, what: &str, is_wanted: impl Fn(&Call) -> bool) -> &Call {
        self.0.iter().find(|call| is_wanted(call)).unwrap_or_else(|| panic!("{what}: no such call"))
    }

    /// Whether this is done between the end of one call and the begin of the other.
    fn is_done_between(&self, from: &Call, to: Option<&Call>, is_wanted: impl Fn(&Call) -> bool) -> bool {
        let to = to.map_or(usize::MAX, |to| to.begin);
        self.0.iter().any(|call| from.end < call.begin && call.end < to && is_wanted(call))
    }
}

/// Without strace the test is skipped.
#[track_caller]
fn has_strace() -> bool {
    let mut probe = Command::new("strace");
    let is_there =
        probe.args(["-e", "trace=none", "true"]).stderr(Stdio::null()).status().is_ok_and(|end| end.success());
    if !is_there {
        skip("strace is missing or not allowed");
    }
    is_there
}

fn traced_folder(world: &World, name: &str) -> String {
    format!("<{}>", world.path(name).display())
}

#[test]
fn the_folder_of_the_flow_is_on_the_disk_before_the_first_record() {
    let world = World::small();
    let Some(trace) = Trace::of_first_batch(&world) else { return };
    let created = trace.first("the folder appears", |call| call.creates_folder("state/esr"));
    let record = trace.first("the file is stored", |call| call.stores(FULL_FILE));
    let state = traced_folder(&world, "state");
    assert!(trace.is_done_between(created, Some(record), |call| call.syncs(&state)), "what is in it could get lost");
}

#[test]
fn d1_the_marker_of_the_baseline_is_on_the_disk_before_its_first_record() {
    let world = World::small();
    let Some(trace) = Trace::of_first_batch(&world) else { return };
    let created = trace.first("the marker appears", |call| call.creates(MARKER));
    let record = trace.first("a record is stored", |call| BASELINE.iter().any(|text| call.stores(text)));
    let folder = traced_folder(&world, "state/esr");
    assert!(trace.is_done_between(created, Some(record), |call| call.syncs(&folder)), "the marker could get lost");
}

#[test]
fn d1_the_marker_of_the_baseline_goes_for_good_once_every_record_is_on_the_disk() {
    let world = World::small();
    let Some(trace) = Trace::of_first_batch(&world) else { return };
    let removed = trace.first("the marker goes", |call| call.removes(MARKER));
    let folder = traced_folder(&world, "state/esr");
    for text in BASELINE {
        let record = trace.first(text, |call| call.stores(text));
        let is_safe = trace.is_done_between(record, Some(removed), |call| call.syncs("/state/log/"));
        assert!(is_safe, "the record of {text} could get lost");
    }
    assert!(trace.is_done_between(removed, None, |call| call.syncs(&folder)), "the marker could return");
}

#[test]
fn what_tells_an_interrupted_batch_is_on_the_disk_before_the_first_record_and_goes_for_good() {
    let world = World::small();
    let Some(trace) = Trace::of_first_batch(&world) else { return };
    let created = trace.first("the batch is noted", |call| call.creates(CONTINUATION));
    let record = trace.first("the file is stored", |call| call.stores(FULL_FILE));
    let removed = trace.first("the batch is done", |call| call.removes(CONTINUATION));
    let folder = traced_folder(&world, "state/esr");
    let beginning = Call { begin: 0, end: 0, text: String::new() };
    let written = |call: &Call| call.syncs("batch-in-progress");
    assert!(trace.is_done_between(&beginning, Some(created), written), "it could be empty");
    assert!(trace.is_done_between(created, Some(record), |call| call.syncs(&folder)), "it could get lost");
    assert!(trace.is_done_between(record, Some(removed), |call| call.syncs("/state/log/")), "a record could get lost");
    assert!(trace.is_done_between(removed, None, |call| call.syncs(&folder)), "it could return");
}

#[test]
fn d63_a_file_for_esr_is_on_the_disk_before_it_appears_and_its_name_after_that() {
    let world = World::small();
    let Some(trace) = Trace::of_first_batch(&world) else { return };
    let name = "DE_EOE_APP_20261121_00000001.DAT";
    let created = trace.first("the file appears", |call| call.creates(&format!("/{name}")));
    let beginning = Call { begin: 0, end: 0, text: String::new() };
    assert!(
        trace.is_done_between(&beginning, Some(created), |call| call.syncs(&format!(".{name}"))),
        "it could be empty"
    );
    let folder = traced_folder(&world, "outbox");
    assert!(trace.is_done_between(created, None, |call| call.syncs(&folder)), "it could get lost");
}
