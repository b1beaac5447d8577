//! The program as a service: it is ready when it says so, and killed when its test ends before it does.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::process::{KilledOnDrop, signal};
use crate::wait_until;

/// How long a test waits for what a service does.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running service.
#[derive(Debug)]
pub struct Service {
    process: KilledOnDrop,
    said: Receiver<String>,
    before: Vec<String>,
}

impl Service {
    /// Starts it. Its standard error is read, its standard output is not.
    pub fn start(command: &mut Command) -> Self {
        let mut process = KilledOnDrop(command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap());
        let stderr = BufReader::new(process.stderr.take().unwrap());
        let (sender, said) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                // The service may write more after the test has read what it waited for.
                let _ = sender.send(line);
            }
        });
        Self { process, said, before: Vec::new() }
    }

    /// Waits until it can be asked. Returns its URL.
    pub fn ready(&mut self) -> String {
        let line = self.wait_until_said("ready: http");
        line.split_once("ready: ").unwrap().1.trim().to_owned()
    }

    /// The first line that contains this, also one from before.
    pub fn wait_until_said(&mut self, part: &str) -> String {
        if let Some(line) = self.before.iter().find(|line| line.contains(part)) {
            return line.clone();
        }
        loop {
            let Ok(line) = self.said.recv_timeout(PATIENCE) else {
                panic!("{part} is not said, but {:?}", self.before)
            };
            self.before.push(line.clone());
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Everything that it has said so far.
    pub fn said(&mut self) -> String {
        self.before.extend(self.said.try_iter());
        self.before.join("\n")
    }

    /// Asks it to end. Returns its exit code and everything that it said.
    pub fn end(mut self) -> (Option<i32>, String) {
        signal(self.process.id(), "TERM");
        let mut status = None;
        wait_until("the service has ended", PATIENCE, || {
            status = self.process.try_wait().unwrap();
            status.is_some()
        });
        self.before.extend(self.said.iter());
        (status.and_then(|status| status.code()), self.before.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_says_that_it_is_ready_and_ends() {
        let script = "trap 'exit 3' TERM; echo 'ready: http://127.0.0.1:1' >&2; while :; do sleep 0.01; done";
        let mut service = Service::start(Command::new("sh").args(["-c", script]));
        assert_eq!(service.ready(), "http://127.0.0.1:1");
        assert_eq!(service.end().0, Some(3));
    }
}
