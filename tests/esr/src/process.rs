//! The program as a process: the folders of an exchange, one run at a time, and what came out.
//!
//! Nothing of the program is linked here: it is started, killed and asked as an operator would.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tributary_esr_oracle::{Batch, Decision};
use tributary_harness::process::program;

use crate::snapshot_folder;

/// The folders of one exchange and the flags that every run of it gets.
pub struct Exchange {
    program: PathBuf,
    folder: TempDir,
    flags: Vec<String>,
    /// The flags of the last batch that was put.
    decisions: Vec<String>,
    /// The offices that the exchange serves.
    all_offices: String,
    /// The offices of the next run.
    offices: String,
    /// Every file ever seen in the outbox.
    seen: BTreeMap<String, String>,
}

/// What a run answered.
#[derive(Debug)]
pub struct Answer {
    /// Exit code; `None` when it was killed.
    pub code: Option<i32>,
    /// Its summary, when it was printed whole.
    pub summary: Option<Value>,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Answer {
    fn of(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            summary: serde_json::from_slice(&output.stdout).ok(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Exchange {
    /// Empty folders for an exchange that serves these offices on the embedded log; `more` are flags of every run.
    pub fn new(offices: &[&str], more: &[String]) -> Self {
        let program = program().unwrap_or_else(|text| panic!("{text}"));
        let folder = tempfile::tempdir().unwrap();
        for name in ["inbox", "tis"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let offices = offices.join(",");
        let flags = more.to_vec();
        let (all_offices, decisions) = (offices.clone(), Vec::new());
        Self { program, folder, flags, all_offices, offices, decisions, seen: BTreeMap::new() }
    }

    /// A file or folder of the exchange.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Adds the files of the batch to the inbox and lays out its snapshot, and no other. The runs that follow are of
    /// its offices and take its decisions.
    pub fn put(&mut self, batch: &Batch) {
        put_batch(self.folder.path(), batch);
        self.decisions = decision_flags(batch);
        self.offices = if batch.offices.is_empty() { self.all_offices.clone() } else { batch.offices.join(",") };
    }

    /// `tributary run --once` as of `now`, ready to be started.
    pub fn command(&self, now: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("run");
        for folder in ["inbox", "tis", "outbox", "state"] {
            command.arg(format!("--{folder}")).arg(self.path(folder));
        }
        command.args(["--once", "--output", "json", "--records", "--now", now]);
        command.args(&self.flags).args(["--offices", &self.offices]).args(&self.decisions);
        command.env_remove("TRIBUTARY_LOG_LEVEL").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a batch to its end, and looks at the outbox.
    pub fn run(&mut self, now: &str) -> Answer {
        let answer = Answer::of(&self.command(now).output().unwrap());
        self.watch();
        answer
    }

    /// Runs a batch and kills it (-9) after `delay`, unless it has ended by then; looks at the outbox.
    pub fn run_and_kill(&mut self, now: &str, delay: Duration) -> Answer {
        let child = self.command(now).spawn().unwrap();
        self.end_of(child, delay)
    }

    /// Waits for the end of a process, and kills it after `limit`. Looks at the outbox.
    pub fn end_of(&mut self, child: Child, limit: Duration) -> Answer {
        let answer = Self::end_after(child, limit);
        self.watch();
        answer
    }

    fn end_after(mut child: Child, delay: Duration) -> Answer {
        let (stdout, stderr) = (read_aside(child.stdout.take()), read_aside(child.stderr.take()));
        let deadline = Instant::now() + delay;
        while Instant::now() < deadline && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        // A process that has ended already gets no signal.
        child.kill().unwrap();
        let status = child.wait().unwrap();
        Answer::of(&Output { status, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() })
    }

    /// Reads the outbox. A file that was there before must be there with the same bytes.
    pub fn watch(&mut self) -> &BTreeMap<String, String> {
        let now = outbox_files(&self.path("outbox"));
        for (name, content) in &self.seen {
            assert_eq!(now.get(name), Some(content), "{name} has changed or gone");
        }
        self.seen = now;
        &self.seen
    }

    /// Names in the outbox that must not be left after a batch.
    pub fn left_over(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path("outbox")) else { return Vec::new() };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with('.')).collect()
    }
}

/// Adds the files of the batch to the inbox in `folder` and lays out its snapshot, and no other.
pub(crate) fn put_batch(folder: &Path, batch: &Batch) {
    for (name, content) in &batch.files {
        fs::write(folder.join("inbox").join(name), content).unwrap();
    }
    snapshot_folder::lay_out(&folder.join("tis"), &batch.snapshot);
}

/// The decisions of the batch as flags of `tributary run`.
pub(crate) fn decision_flags(batch: &Batch) -> Vec<String> {
    let flag = |decision| match decision {
        Decision::Accept => "--accept",
        Decision::Refuse => "--refuse",
    };
    batch.decisions.iter().flat_map(|(name, decision)| [flag(*decision).to_owned(), name.clone()]).collect()
}

/// The files in an outbox, without those under temporary names.
pub(crate) fn outbox_files(outbox: &Path) -> BTreeMap<String, String> {
    let Ok(entries) = fs::read_dir(outbox) else { return BTreeMap::new() };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let read = |name: String| {
        let content = fs::read_to_string(outbox.join(&name)).unwrap();
        (name, content)
    };
    names.filter(|name| !name.starts_with('.')).map(read).collect()
}

/// Reads to the end on a thread of its own: a summary may be larger than a pipe.
fn read_aside(from: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut content = Vec::new();
        from.unwrap().read_to_end(&mut content).unwrap();
        content
    })
}
