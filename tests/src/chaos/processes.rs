//! Processes of one consumer group, each with a state folder of its own.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tributary_harness::process::{KilledOnDrop, signal};

/// How long a process may take to end in good order.
const END_LIMIT: Duration = Duration::from_mins(2);

/// The command that starts a process with this state folder and instance name.
pub type Program = Box<dyn Fn(&Path, &str) -> Command>;

struct Member {
    instance: String,
    child: Option<KilledOnDrop>,
}

/// The processes; they end with the value.
pub struct Processes {
    folder: TempDir,
    program: Program,
    members: Vec<Member>,
    /// How many there have ever been, for their names.
    named: usize,
}

impl Processes {
    /// None yet.
    pub fn new(program: Program) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), program, members: Vec::new(), named: 0 }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.members.len()
    }

    /// The process of a worker with this transactional id, which names the instance.
    pub fn by_transactional_id(&self, id: &str) -> Option<usize> {
        self.members.iter().position(|member| id.contains(&format!(".{}.", member.instance)))
    }

    /// One more.
    pub fn add(&mut self) {
        self.members.push(Member { instance: format!("member-{}", self.named), child: None });
        self.named += 1;
        self.start(self.members.len() - 1);
    }

    /// One that has ended starts again, as it was.
    pub fn start(&mut self, number: usize) {
        let member = &mut self.members[number];
        let log = File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let mut command = (self.program)(&self.folder.path().join(&member.instance), &member.instance);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        member.child = Some(KilledOnDrop(child));
    }

    /// Sends a signal to a process.
    pub fn signal(&self, number: usize, name: &str) {
        signal(self.members[number].child.as_ref().unwrap().id(), name);
    }

    /// Kills a process (-9).
    pub fn kill(&mut self, number: usize) {
        let mut child = self.members[number].child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Ends a process, which must end well.
    pub fn end(&mut self, number: usize) {
        self.signal(number, "TERM");
        let child = self.members[number].child.as_mut().unwrap();
        let deadline = Instant::now() + END_LIMIT;
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break Some(status),
                None if Instant::now() > deadline => break None,
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        let name = &self.members[number].instance;
        assert!(status.is_some_and(|status| status.success()), "{name} ended with {status:?}\n{}", self.last_lines());
        self.members[number].child = None;
    }

    /// Ends all processes in good order.
    pub fn end_all(&mut self) {
        (0..self.members.len()).for_each(|number| self.end(number));
    }

    /// A process that has ended leaves for good.
    pub fn forget(&mut self, number: usize) {
        self.members.remove(number);
    }

    /// Fails if a process has ended by itself.
    pub fn check(&mut self) {
        for number in 0..self.members.len() {
            let ended = self.members[number].child.as_mut().and_then(|child| child.try_wait().unwrap());
            let name = &self.members[number].instance;
            assert!(ended.is_none(), "{name} has ended by itself: {ended:?}\n{}", self.last_lines());
        }
    }

    /// Everything that the processes have logged.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.folder.path().join("log")).unwrap_or_default()).into_owned()
    }

    /// The end of it, for the message of a failed test.
    pub fn last_lines(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }
}
