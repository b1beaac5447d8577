//! A running service: what it says, and how it ends.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::World;

/// How long the tests wait for what must become true.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A running service. It is killed when the test ends before it does.
pub struct Service {
    child: Child,
    said: Receiver<String>,
    before: Vec<String>,
}

impl Service {
    pub fn start(world: &World, more: &[&str]) -> Self {
        // Batches before it may be as of a time that is far from that of the machine.
        Self::spawn(world.command(more).arg("--confirm-clock"))
    }

    /// Starts this command.
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, said) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                // The service may write more after the test has read what it waited for.
                let _ = sender.send(line);
            }
        });
        Self { child, said, before: Vec::new() }
    }

    /// The first line from now on that has all these parts.
    pub fn wait_until_said(&mut self, parts: &[&str]) -> String {
        loop {
            let Ok(line) = self.said.recv_timeout(PATIENCE) else {
                panic!("{parts:?} is not said, but {:?}", self.before)
            };
            self.before.push(line.clone());
            if parts.iter().all(|part| line.contains(part)) {
                return line;
            }
        }
    }

    pub fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success());
    }

    /// Sends a signal and waits for the end: the exit code, and everything that was logged.
    pub fn end(self, signal: &str) -> (Option<i32>, String) {
        self.signal(signal);
        self.wait()
    }

    /// Waits for the end: the exit code, and everything that was logged.
    pub fn wait(mut self) -> (Option<i32>, String) {
        let begun = Instant::now();
        let status: ExitStatus = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "the service does not end; it said {:?}", self.before);
            std::thread::sleep(Duration::from_millis(20));
        };
        self.before.extend(self.said.iter());
        (status.code(), self.before.join("\n"))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until a file is in the outbox.
pub fn wait_for(world: &World, file: &str) {
    let begun = Instant::now();
    while !world.path("outbox").join(file).exists() {
        assert!(begun.elapsed() < PATIENCE, "{file} does not appear; there are {:?}", world.outbox_names());
        std::thread::sleep(Duration::from_millis(50));
    }
}
