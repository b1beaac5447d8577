//! `tributary schemas`: without a service, in a git repository, and with a real registry.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../tests/esr/e2e/world/mod.rs"]
mod world;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use tributary_schemas::compatibility::Rule;
use world::{Answer, DAY_1, World, answer};

fn schemas(arguments: &[&str]) -> Answer {
    answer(Command::new(env!("CARGO_BIN_EXE_tributary")).arg("schemas").args(arguments))
}

fn json(answer: &Answer) -> Value {
    serde_json::from_str(&answer.stdout).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

/// The contract of the source tree in a folder of its own.
fn copied_contract() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas");
    for part in ["avro", "state", "released"] {
        if source.join(part).is_dir() {
            copy(&source.join(part), &folder.path().join("schemas").join(part));
        }
    }
    folder
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn edit(folder: &TempDir, file: &str, from: &str, to: &str) {
    let path = folder.path().join("schemas").join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} does not hold {from}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

const CLOCK: &str = "avro/tributary/Clock.avsc";

/// The line of the only field of the clock.
fn line_of_now(folder: &TempDir) -> u64 {
    let text = fs::read_to_string(folder.path().join("schemas").join(CLOCK)).unwrap();
    text.lines().position(|line| line.contains("\"now\"")).unwrap() as u64 + 1
}

#[test]
fn list_names_records_topics_and_versions() {
    let listed = json(&schemas(&["list", "--namespace", "dev", "--output", "json"]));
    let records = listed["records"].as_array().unwrap();
    let position = records.iter().find(|record| record["record"] == "esr.Position").unwrap();
    assert_eq!(position["topics"][0], "dev.esr.position");
    assert_eq!((&position["versions"][0], &position["unreleased"]), (&Value::from(1), &Value::from(false)));
    assert!(position.get("registry").is_none());
    let text = schemas(&["list"]).stdout;
    assert!(text.starts_with("record ") && text.contains("tributary.Clock "), "{text}");
}

#[test]
fn show_and_diff_know_versions_and_the_nearest_names() {
    let shown = json(&schemas(&["show", "tributary.Clock", "--version", "1"]));
    assert_eq!(shown["name"], "Clock");
    let shown = json(&schemas(&["show", "tributary.Clock", "--output", "json"]));
    assert_eq!((&shown["version"], &shown["schema"]["name"]), (&Value::from("current"), &Value::from("Clock")));
    let same = json(&schemas(&["diff", "tributary.Clock", "1", "current", "--output", "json"]));
    assert_eq!((&same["verdict"], same["changes"].as_array().unwrap().len()), (&Value::from("same"), 0));
    for (record, nearest) in [("Clock", "tributary.Clock"), ("esr.Positoin", "esr.Position")] {
        let unknown = schemas(&["show", record]);
        assert!(unknown.code == 2 && unknown.stderr.contains(nearest), "{unknown:?}");
    }
    let unknown = schemas(&["diff", "tributary.Clock", "1", "99"]);
    assert!(unknown.code == 2 && unknown.stderr.contains("it has 1, current"), "{unknown:?}");
}

#[test]
fn the_contract_of_this_program_and_of_the_source_tree_pass_the_check() {
    for arguments in [&["check", "--against", "released"][..], &["check", "--against", "released", "--output", "json"]]
    {
        let checked = schemas(arguments);
        assert_eq!(checked.code, 0, "{checked:?}");
    }
    let folder = copied_contract();
    let root = folder.path().join("schemas");
    let parts = [folder.path().to_path_buf(), root.clone(), root.join("avro")];
    for part in parts {
        let checked = schemas(&["check", part.to_str().unwrap(), "--against", "released"]);
        assert_eq!(checked.code, 0, "{checked:?}");
        let released = root.join("released");
        assert_eq!(schemas(&["check", part.to_str().unwrap(), "--against", released.to_str().unwrap()]).code, 0);
    }
}

#[test]
fn a_planted_change_is_named_with_file_line_rule_and_a_way() {
    let folder = copied_contract();
    edit(&folder, CLOCK, "\"long\"", "\"int\"");
    let root = folder.path().join("schemas");
    let arguments = ["check", root.to_str().unwrap(), "--against", "released"];
    let checked = schemas(&[&arguments[..], &["--output", "json"]].concat());
    assert_eq!(checked.code, 1, "{checked:?}");
    let report = json(&checked);
    assert_eq!((&report["compatible"], &report["registry"]), (&Value::from(false), &Value::Array(Vec::new())));
    let records = report["records"].as_array().unwrap();
    let entry = records.iter().find(|entry| entry["verdict"] == "incompatible").unwrap();
    let file = root.join(CLOCK).display().to_string();
    assert_eq!(
        (entry["file"].as_str().unwrap(), entry["line"].as_u64().unwrap()),
        (file.as_str(), line_of_now(&folder))
    );
    assert_eq!((&entry["record"], &entry["against"]), (&Value::from("tributary.Clock"), &Value::from("released 1")));
    let problem = &entry["problems"][0];
    assert_eq!((&problem["field"], &problem["rule"]), (&Value::from("now"), &Value::from("type-narrowed")));
    assert_eq!(problem["reader"], "new");
    assert!(problem["why"].is_string() && problem["instead"].as_str().unwrap().starts_with("Release 1"), "{problem}");
    let text = schemas(&arguments);
    assert!(text.stdout.contains(&format!("{file}:{}: now: type-narrowed", line_of_now(&folder))), "{}", text.stdout);
}

#[test]
fn a_change_in_an_inner_record_is_named_with_the_file_of_that_record() {
    let folder = copied_contract();
    edit(&folder, "avro/esr/SentBefore.avsc", "\"fields\": [", "\"fields\": [{\"name\": \"more\", \"type\": \"int\"},");
    let root = folder.path().join("schemas");
    let report = json(&schemas(&["check", root.to_str().unwrap(), "--against", "released", "--output", "json"]));
    let outer = report["records"].as_array().unwrap().iter().find(|entry| entry["record"] == "esr.TraineePlacement");
    let outer = outer.unwrap();
    assert!(outer["file"].as_str().unwrap().ends_with("avro/esr/SentBefore.avsc"), "{outer}");
    assert_eq!(outer["problems"][0]["field"], "sentBefore[].more");
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let nothing = tempfile::tempdir().unwrap();
    let empty = schemas(&["check", nothing.path().to_str().unwrap(), "--against", "released"]);
    assert!(empty.code == 2 && empty.stderr.contains("holds no schemas"), "{empty:?}");
    assert_eq!(schemas(&["check", "--against", "/no/such/folder"]).code, 2);
    let folder = copied_contract();
    edit(&folder, CLOCK, "\"long\"", "\"float\"");
    let invalid = schemas(&["check", folder.path().to_str().unwrap(), "--against", "released"]);
    assert!(invalid.code == 2 && invalid.stderr.contains("Clock.avsc"), "{invalid:?}");
    assert_eq!(schemas(&["check"]).code, 2);
    let unnamed = schemas(&["plan"]);
    assert!(unnamed.code == 2 && unnamed.stderr.contains("--registry URL"), "{unnamed:?}");
}

#[test]
fn a_wrong_url_is_refused_before_any_registry_is_called() {
    for action in ["plan", "apply"] {
        for wrong in ["nonsense", "ftp://user:secret@host"] {
            let refused = schemas(&[action, "--registry", "http://127.0.0.1:1", "--registry", wrong]);
            assert!(refused.code == 2 && refused.stderr.contains("is not an http://"), "{refused:?}");
            assert!(refused.stdout.is_empty() && !refused.stderr.contains("secret"), "{refused:?}");
        }
    }
}

#[test]
fn the_password_of_a_registry_is_not_shown() {
    let url = "http://user:secret@127.0.0.1:1";
    for arguments in [&["plan"][..], &["plan", "--output", "json"], &["list"], &["check", "--against", "released"]] {
        let answer = schemas(&[arguments, &["--registry", url]].concat());
        let shown = format!("{}{}", answer.stdout, answer.stderr);
        assert!(shown.contains("http://127.0.0.1:1") && !shown.contains("secret"), "{answer:?}");
    }
}

#[test]
fn a_folder_that_lost_all_its_released_versions_is_objected_to() {
    let folder = copied_contract();
    let root = folder.path().join("schemas");
    fs::remove_dir_all(root.join("released")).unwrap();
    let checked = schemas(&["check", root.to_str().unwrap(), "--against", "released", "--output", "json"]);
    assert_eq!(checked.code, 1, "{checked:?}");
    let report = json(&checked);
    let records = report["records"].as_array().unwrap();
    let gone = |entry: &&Value| entry["record"] == "tributary.Clock" && entry["verdict"] == "incompatible";
    let clock = records.iter().find(gone).unwrap();
    assert_eq!(clock["against"], "released 1");
    assert_eq!(clock["problems"][0]["rule"], "released-version-edited");
    assert_eq!(clock["problems"][0]["why"], "misses version 1 of tributary.Clock, which was released");
}

fn git(folder: &Path, arguments: &[&str]) {
    let mut git = Command::new("git");
    git.current_dir(folder).args(["-c", "user.name=Test", "-c", "user.email=test@example.org"]).args(arguments);
    let output = git.output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn check_in(folder: &Path, arguments: &[&str]) -> Answer {
    let mut program = Command::new(env!("CARGO_BIN_EXE_tributary"));
    answer(program.current_dir(folder).args(["schemas", "check"]).args(arguments))
}

#[test]
fn a_revision_of_a_repository_is_compared() {
    let folder = copied_contract();
    let root = folder.path();
    git(root, &["init", "-q"]);
    git(root, &["add", "."]);
    git(root, &["commit", "-q", "-m", "First"]);
    git(root, &["tag", "v1"]);
    let same = check_in(root, &["schemas", "--against", "git:v1"]);
    assert_eq!(same.code, 0, "{same:?}");
    let count = same.stdout.split(' ').next().unwrap();
    assert!(same.stdout.contains(&format!("git:v1: {count} the same, 0 compatible")), "{}", same.stdout);
    // From a folder below, too: the paths are those of the repository.
    assert_eq!(check_in(&root.join("schemas"), &[".", "--against", "git:v1"]).code, 0);
    edit(&folder, CLOCK, "\"long\"", "\"int\"");
    edit(&folder, "released/tributary.Clock/1.avsc", "\"doc\"", "\"formerly\"");
    let changed = check_in(root, &["schemas", "--against", "git:v1", "--output", "json"]);
    assert_eq!(changed.code, 1, "{changed:?}");
    let report = json(&changed);
    let of_clock: Vec<(&str, &str)> = report["records"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["verdict"] == "incompatible")
        .map(|entry| (entry["against"].as_str().unwrap(), entry["problems"][0]["rule"].as_str().unwrap()))
        .collect();
    assert_eq!(
        of_clock,
        [
            ("git:v1 released 1", "type-narrowed"),
            ("git:v1", "type-narrowed"),
            ("git:v1 released 1", "released-version-edited"),
        ]
    );
}

#[test]
fn a_revision_that_is_not_there_and_a_missing_git_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let outside = check_in(folder.path(), &["--against", "git:v1"]);
    assert!(outside.code == 2 && outside.stderr.contains("no revision v1"), "{outside:?}");
    git(folder.path(), &["init", "-q"]);
    git(folder.path(), &["commit", "-q", "--allow-empty", "-m", "Empty"]);
    let unknown = check_in(folder.path(), &["--against", "git:v1"]);
    assert!(unknown.code == 2 && unknown.stderr.contains("no revision v1"), "{unknown:?}");
    let empty = check_in(folder.path(), &["--against", "git:HEAD"]);
    assert!(empty.code == 2 && empty.stderr.contains("has no schemas in schemas/avro"), "{empty:?}");
    let mut program = Command::new(env!("CARGO_BIN_EXE_tributary"));
    let without = answer(program.env("PATH", folder.path()).args(["schemas", "check", "--against", "git:HEAD"]));
    assert!(without.code == 2 && without.stderr.contains("needs git"), "{without:?}");
}

#[test]
fn every_rule_is_explained_in_the_documentation() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schemas.md")).unwrap();
    for rule in Rule::ALL {
        assert!(page.contains(&format!("`{rule}`")), "docs/schemas.md does not explain {rule}");
    }
}

#[test]
fn schemas_are_planned_applied_listed_and_checked_in_a_registry() {
    let Some(url) = tributary_harness::registry() else { return };
    let namespace = tributary_harness::fresh_namespace("schemas-command");
    let site = ["--registry", &url, "--namespace", &namespace];
    let run = |arguments: &[&str]| schemas(&[arguments, &site[..]].concat());
    let planned = run(&["plan"]);
    let subject = format!("{namespace}.esr.position-esr.Position");
    assert_eq!(planned.code, 0, "{planned:?}");
    assert!(planned.stdout.contains(&format!("register {subject}\n")), "{}", planned.stdout);
    let before = json(&run(&["check", "--against", "released", "--output", "json"]));
    assert!(before["registry"].as_array().unwrap().iter().all(|subject| subject["verdict"] == "missing"), "{before}");
    // A registry that does not answer stops no other.
    let both = run(&["apply", "--registry", "http://127.0.0.1:1"]);
    assert_eq!(both.code, 1, "{both:?}");
    assert!(both.stdout.contains("does not answer") && both.stdout.contains("  applied\n"), "{}", both.stdout);
    assert!(both.stderr.contains("not done in http://127.0.0.1:1"), "{}", both.stderr);
    let again = run(&["apply"]);
    assert_eq!(again.code, 0, "{again:?}");
    assert!(again.stdout.contains("all schemas are registered, with the level FULL_TRANSITIVE"), "{}", again.stdout);
    let listed = json(&run(&["list", "--output", "json"]));
    let records = listed["records"].as_array().unwrap();
    let position = records.iter().find(|record| record["record"] == "esr.Position").unwrap();
    let registered = &position["registry"][0];
    assert_eq!(
        (&registered["subject"], &registered["level"]),
        (&Value::from(subject), &Value::from("FULL_TRANSITIVE"))
    );
    assert!(registered["versions"][0]["id"].is_u64(), "{registered}");
    let checked = run(&["check", "--against", "released"]);
    assert_eq!(checked.code, 0, "{checked:?}");
}

#[test]
fn a_registry_with_another_schema_or_a_lower_level_fails_the_check() {
    let Some(url) = tributary_harness::registry() else { return };
    let namespace = tributary_harness::fresh_namespace("schemas-conflict");
    let site = ["--registry", &url, "--namespace", &namespace];
    let folder = copied_contract();
    let root = folder.path().join("schemas");
    let planted = ["check", root.to_str().unwrap(), "--against", root.to_str().unwrap(), "--output", "json"];
    assert_eq!(schemas(&[&["apply"][..], &site].concat()).code, 0);
    edit(&folder, CLOCK, "\"long\"", "\"int\"");
    // Against itself the contract is fine: only the registry knows the older version.
    fs::remove_dir_all(root.join("released")).unwrap();
    let checked = schemas(&[&planted[..], &site].concat());
    assert_eq!(checked.code, 1, "{checked:?}");
    let report = json(&checked);
    let subjects = report["registry"].as_array().unwrap();
    let clock = subjects.iter().find(|one| one["subject"].as_str().unwrap().ends_with("tributary.Clock")).unwrap();
    assert_eq!(
        (&clock["verdict"], &clock["level_wanted"]),
        (&Value::from("incompatible"), &Value::from("FULL_TRANSITIVE"))
    );
}

#[test]
fn a_process_that_registers_nothing_names_the_line_that_does() {
    let Some(services) = tributary_harness::Services::find() else { return };
    let namespace = tributary_harness::fresh_namespace("no-register");
    let mut world = World::small();
    world.flags.extend(services.flags(&namespace));
    world.flags.push("--no-register-schemas".to_owned());
    let refused = world.once(DAY_1, &[]);
    let line = format!("tributary schemas apply --registry {} --namespace {namespace}", services.registry);
    assert!(refused.code == 2 && refused.stderr.contains(&line), "{refused:?}");
    let again = world.once(DAY_1, &[]);
    assert_eq!(again.code, 2, "the first start has registered nothing: {again:?}");
    let typed: Vec<&str> = line.split(' ').skip(2).collect();
    let applied = schemas(&typed);
    assert_eq!(applied.code, 0, "{applied:?}");
    let document = world.once(DAY_1, &[]).document();
    assert_eq!(document["offices"]["EOE"]["matched"], 1);
}
