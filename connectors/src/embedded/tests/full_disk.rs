//! A full disk: the commit fails with a message, none of it ever becomes visible, and the log continues.

use std::process::Command;

use tributary_runtime::{Lag, LogError, Producer};

use super::*;

const FOLDER_VARIABLE: &str = "TRIBUTARY_TEST_FULL_FOLDER";
/// Slightly more than the initial size of a journal, in the 512-byte blocks that `sh` counts.
const LARGEST_FILE_BLOCKS: u32 = 68 * 1024 * 2;

/// The same test is both processes: the parent, which checks, and, if a variable is set, the child, whose files cannot
/// grow.
#[test]
fn a_commit_that_the_disk_does_not_accept_leaves_nothing() {
    if let Ok(folder) = std::env::var(FOLDER_VARIABLE) {
        return fill_the_disk(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let limited = format!("trap '' XFSZ; ulimit -f {LARGEST_FILE_BLOCKS}; exec \"$0\" \"$@\"");
    let output = Command::new("sh")
        .args(["-c", &limited])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &test_name(module_path!(), "a_commit_that_the_disk_does_not_accept_leaves_nothing")])
        .env(FOLDER_VARIABLE, folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let log = open(folder.path());
    let mut worker = log.worker(GROUP, "worker-0", &[&INBOX]).unwrap();
    take_partitions(&mut worker);
    assert_eq!(read_keys(&mut worker), ["before", "after"]);
}

fn fill_the_disk(folder: &Path) {
    let log = open(folder);
    let mut producer = log.producer("files");
    let lag = log.lag(vec![(GROUP.to_owned(), &INBOX)]);
    let mut small = output();
    put(&mut small, &INBOX, 0, "before", Some("1"));
    producer.publish(&small).unwrap();
    let megabyte = "x".repeat(1 << 20);
    let mut large = output();
    for _ in 0..80 {
        put(&mut large, &INBOX, 0, "large", Some(&megabyte));
    }
    for _ in 0..2 {
        let Err(LogError::Unavailable(text)) = producer.publish(&large) else { panic!("the disk accepted it") };
        assert!(text.contains("cannot write to") && text.contains("free space"), "{text}");
        assert_eq!(lag.lag().unwrap(), 1);
    }
    let mut small = output();
    put(&mut small, &INBOX, 0, "after", Some("1"));
    producer.publish(&small).unwrap();
    assert_eq!(lag.lag().unwrap(), 2);
}
