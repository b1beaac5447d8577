//! The contract in a revision of a git repository.

use std::io::{ErrorKind, Write};
use std::process::{Command, Output, Stdio};

use tributary_flow::Failure;
use tributary_schemas::contract::{Contract, FOLDERS, RELEASED_FOLDER, SourceFile};

/// Where the contract lies in a repository.
const ROOT: &str = "schemas";

/// Reads the contract of a revision of the repository of the current folder.
///
/// # Errors
/// [`Failure::Refused`] when there is no git, no repository, no such revision, or no valid contract in it.
pub(super) fn contract(revision: &str) -> Result<Contract, Failure> {
    let commit = commit(revision)?;
    let paths = paths(&commit)?;
    let files = read(&commit, &paths)?;
    if files.is_empty() {
        let text = format!("the revision {revision} has no schemas in {ROOT}/{}", FOLDERS.join(", "));
        return Err(Failure::refused(text));
    }
    let released = format!("{ROOT}/{RELEASED_FOLDER}/");
    let (released, types): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| file.path.starts_with(&released));
    Contract::of(types, released).map_err(|error| Failure::refused(format!("the revision {revision}: {error}")))
}

fn commit(revision: &str) -> Result<String, Failure> {
    let output = git(&["rev-parse", "--verify", "--end-of-options", &format!("{revision}^{{commit}}")], None)?;
    if !output.status.success() {
        let folder = std::env::current_dir().map(|folder| folder.display().to_string()).unwrap_or_default();
        let said = String::from_utf8_lossy(&output.stderr);
        let text = format!("git finds no revision {revision} in the repository of {folder}: {}", said.trim());
        return Err(Failure::refused(text));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The schema files of the contract.
fn paths(commit: &str) -> Result<Vec<String>, Failure> {
    let folders: Vec<String> =
        FOLDERS.iter().chain([&RELEASED_FOLDER]).map(|folder| format!("{ROOT}/{folder}")).collect();
    let mut arguments = vec!["ls-tree", "-r", "-z", "--name-only", "--full-tree", commit, "--"];
    arguments.extend(folders.iter().map(String::as_str));
    let output = succeeded(git(&arguments, None)?)?;
    let names = output.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    Ok(names.filter(|name| name.ends_with(".avsc")).map(std::borrow::Cow::into_owned).collect())
}

fn read(commit: &str, paths: &[String]) -> Result<Vec<SourceFile>, Failure> {
    let mut wanted = String::new();
    for path in paths {
        wanted.push_str(&format!("{commit}:{path}\n"));
    }
    let output = succeeded(git(&["cat-file", "--batch"], Some(&wanted))?)?;
    let mut rest = output.as_slice();
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        let text = object(&mut rest)
            .ok_or_else(|| Failure::refused(format!("git does not give {path} of {commit} as a text file")))?;
        files.push(SourceFile { path: path.clone(), text });
    }
    Ok(files)
}

/// The next object of a batch: `<id> blob <size>`, its content, and a line feed.
fn object(rest: &mut &[u8]) -> Option<String> {
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let head = std::str::from_utf8(&rest[..end]).ok()?;
    let size: usize = head.split(' ').nth(2)?.parse().ok()?;
    let content = rest.get(end + 1..end.checked_add(1)?.checked_add(size)?)?;
    let text = String::from_utf8(content.to_vec()).ok()?;
    *rest = rest.get(end + 1 + size + 1..)?;
    Some(text)
}

fn succeeded(output: Output) -> Result<Vec<u8>, Failure> {
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(Failure::refused(format!("git failed: {}", String::from_utf8_lossy(&output.stderr).trim())))
}

/// Runs git, with `input` on its standard input.
fn git(arguments: &[&str], input: Option<&str>) -> Result<Output, Failure> {
    let mut command = Command::new("git");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::refused(
            "--against git:REV needs git, which is not in the path: install it, or name a folder with that revision",
        ),
        _ => Failure::refused(format!("git cannot be started: {error}")),
    })?;
    let failed = |error: std::io::Error| Failure::refused(format!("git cannot be used: {error}"));
    let stdin = child.stdin.take();
    // Git answers while it reads, so both ends need a thread.
    let (written, output) = std::thread::scope(|scope| {
        let writer = scope.spawn(move || match (stdin, input) {
            (Some(mut stdin), Some(input)) => stdin.write_all(input.as_bytes()),
            _ => Ok(()),
        });
        let output = child.wait_with_output();
        (writer.join().unwrap_or_else(|_| Err(std::io::Error::other("its input ended early"))), output)
    });
    written.map_err(failed)?;
    output.map_err(failed)
}
