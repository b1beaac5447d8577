//! Tests that lack a service. Cargo counts them as passed; `tests/run` counts the names in the file `TRIBUTARY_SKIPPED`
//! as skipped.

use std::fs::File;
use std::io::Write;
use std::panic::Location;
use std::path::Path;

use crate::services::variable;

/// Notes that the test of this thread is skipped because of `reason`. Fails the test if no test may be skipped.
#[track_caller]
pub fn skip(reason: &str) {
    let text = format!("{}: {reason}", test_name(Location::caller()));
    assert!(variable("TRIBUTARY_TESTS").as_deref() != Some("all"), "TRIBUTARY_TESTS=all allows no skips: {text}");
    eprintln!("skipped {text}");
    if let Some(path) = variable("TRIBUTARY_SKIPPED") {
        note(Path::new(&path), &text);
    }
}

fn note(list: &Path, text: &str) {
    // One write, so that lines of several processes do not mix.
    let mut list = File::options().create(true).append(true).open(list).unwrap();
    list.write_all(format!("{text}\n").as_bytes()).unwrap();
}

/// The test program and the test. Threads of tests have their names, unless there is only one thread.
fn test_name(caller: &Location<'_>) -> String {
    let program = std::env::current_exe().unwrap();
    let program = program.file_stem().unwrap().to_string_lossy().into_owned();
    // Cargo adds a hash.
    let program = program.rsplit_once('-').map_or(program.as_str(), |(name, _)| name);
    match std::thread::current().name() {
        Some(test) if test != "main" => format!("{program}: {test}"),
        _ => format!("{program}: {}:{}", caller.file(), caller.line()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skipped_test_is_listed_by_program_and_name() {
        let name = test_name(Location::caller());
        assert!(
            name.starts_with("tributary_harness: ")
                && (name.ends_with("::a_skipped_test_is_listed_by_program_and_name") || name.contains("skipped.rs:")),
            "{name}"
        );
    }

    #[test]
    fn each_skipped_test_is_a_line_of_the_list() {
        let list = std::env::temp_dir().join(crate::fresh_namespace("skipped"));
        note(&list, "a: reason");
        note(&list, "b: reason");
        let found = std::fs::read_to_string(&list).unwrap();
        std::fs::remove_file(&list).unwrap();
        assert_eq!(found, "a: reason\nb: reason\n");
    }
}
