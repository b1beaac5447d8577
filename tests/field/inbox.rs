//! The inbox: entries that fail, entries that are no files, files that keep changing, parked files (D107-D110).

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::world::service::{Service, wait_for};
use crate::world::{Answer, DAY_1, DAY_2, FULL_FILE, POST_NUMBER, World, position};

const CHANGES: &str = "DE_EOE_RMC_20261121_00000002.DAT";
const CONFIRMATION: &str = "DE_EOE_RTC_20261121_00000001.DAT";
const APPLICANTS: &str = "DE_EOE_APP_20261121_00000001.DAT";
const OF_KSS: &str = "DE_KSS_RMC_20261120_00000004.DAT";

/// A user who owns nothing.
const NOBODY: u32 = 65_534;

fn status_of(answer: &Answer, name: &str) -> Value {
    let document = answer.document();
    let files = document["inbound"].as_array().unwrap();
    files.iter().find(|file| file["name"] == name).map_or(Value::Null, |file| file["status"].clone())
}

fn warnings_about(answer: &Answer, part: &str) -> usize {
    let document = answer.document();
    let warnings = document["warnings"].as_array().unwrap();
    warnings.iter().filter(|warning| warning.as_str().unwrap().contains(part)).count()
}

fn configure(world: &mut World, text: &str) {
    fs::write(world.path("my.toml"), text).unwrap();
    world.flags.extend(["--config".into(), world.path("my.toml").display().to_string()]);
}

fn serve_two_offices(world: &mut World) {
    world.flags = vec!["--offices".into(), "EOE,KSS".into()];
    world.file(OF_KSS, &[&position(8_000_001, "", "KSS/ZBA01/300/STR/001")]);
}

fn make_pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// A command for the program as a user whom rights stop: this one, or another one if this is root. `None` if there is
/// no other one.
fn stopped_by_rights(world: &World) -> Option<Command> {
    let folder = world.path("");
    if fs::metadata(&folder).unwrap().uid() != 0 {
        return Some(Command::new(env!("CARGO_BIN_EXE_tributary")));
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    fs::copy(env!("CARGO_BIN_EXE_tributary"), world.path("tributary")).unwrap();
    let mut paths = vec![folder.clone()];
    while let Some(path) = paths.pop() {
        chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
        if path.is_dir() {
            paths.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    // The folders above may keep other users out.
    let mut probe = Command::new("setpriv");
    if !probe.args(command.get_args()).arg("ls").arg(folder).output().is_ok_and(|output| output.status.success()) {
        return None;
    }
    command.arg(world.path("tributary"));
    Some(command)
}

#[test]
fn d107_a_file_without_permission_stops_no_other_office() {
    let mut world = World::small();
    serve_two_offices(&mut world);
    let file = world.path("inbox").join(OF_KSS);
    let allow = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    let run = |now| {
        let mut command = stopped_by_rights(&world)?;
        // After the folders have got their owner.
        allow(if now == DAY_1 { 0o000 } else { 0o644 });
        let arguments = world.command(&["--once", "--output", "json", "--records", "--now", now]);
        Some(crate::world::answer(command.args(arguments.get_args())))
    };
    let Some(answer) = run(DAY_1) else {
        return tributary_harness::skip("needs `setpriv`, and a folder for temporary files that other users may pass");
    };
    assert_eq!(warnings_about(&answer, OF_KSS), 1, "{answer:?}");
    assert!(answer.warns_of("Permission denied"));
    assert_eq!(status_of(&answer, FULL_FILE), "processed");
    assert_eq!(world.outgoing(APPLICANTS).len(), 3);
    assert_eq!(status_of(&run(DAY_2).unwrap(), OF_KSS), "processed", "it is read once it can be");
}

#[test]
fn d107_an_entry_that_cannot_be_looked_at_stops_no_other() {
    let world = World::small();
    symlink(CHANGES, world.path("inbox").join(CHANGES)).unwrap();
    let answer = world.once(DAY_1, &[]);
    assert_eq!(warnings_about(&answer, CHANGES), 1, "{answer:?}");
    assert_eq!(status_of(&answer, FULL_FILE), "processed");
    fs::remove_file(world.path("inbox").join(CHANGES)).unwrap();
    world.file(CHANGES, &[&position(7_000_002, "", POST_NUMBER)]);
    assert_eq!(status_of(&world.once(DAY_2, &[]), CHANGES), "processed");
}

#[test]
fn d107_an_archive_that_cannot_be_written_leaves_a_summary_and_the_file_where_it_is() {
    let mut world = World::small();
    configure(&mut world, "[esr.inbound]\nafter = \"archive\"\n");
    // A file in place of the folder stops every user, even root.
    fs::write(world.path("inbox/archive"), "in the way").unwrap();
    let answer = world.once(DAY_1, &[]);
    assert!(answer.warns_of(&format!("{FULL_FILE} has been taken in and stays in the inbox")), "{answer:?}");
    assert_eq!(status_of(&answer, FULL_FILE), "processed");
    fs::remove_file(world.path("inbox/archive")).unwrap();
    world.once(DAY_2, &[]).document();
    assert!(world.path("inbox/archive").join(FULL_FILE).exists());
}

#[test]
fn d107_a_file_beyond_the_limit_is_refused_by_name_and_its_name_is_not_used_up() {
    let mut world = World::small();
    configure(&mut world, "[esr.inbound]\nfile_limit = \"2KiB\"\n");
    // It is large, but takes no room on the disk.
    File::create(world.path("inbox").join(CHANGES)).unwrap().set_len(1 << 40).unwrap();
    let answer = world.once(DAY_1, &[]);
    assert!(answer.warns_of(CHANGES) && answer.warns_of("esr.inbound.file_limit"), "{answer:?}");
    assert_eq!((status_of(&answer, CHANGES), status_of(&answer, FULL_FILE)), (json!("refused"), json!("processed")));
    world.file(CHANGES, &[&position(7_000_002, "", POST_NUMBER)]);
    assert_eq!(status_of(&world.once(DAY_2, &[]), CHANGES), "processed");
}

#[test]
fn d107_what_is_no_regular_file_with_a_name_in_utf8_is_named_once() {
    let world = World::small();
    let name = |number: u32| format!("DE_EOE_RMC_20261122_{number:08}.DAT");
    let inbox = world.path("inbox");
    fs::create_dir(inbox.join(name(2))).unwrap();
    symlink("gone", inbox.join(name(3))).unwrap();
    make_pipe(&inbox.join(name(4)));
    let _socket = std::os::unix::net::UnixListener::bind(inbox.join(name(5))).unwrap();
    symlink("/dev/null", inbox.join(name(6))).unwrap();
    fs::write(inbox.join(OsStr::from_bytes(b"DE_EOE_RMC_20261125_0000000\xb5.DAT")), "x").unwrap();
    fs::create_dir(inbox.join("archive")).unwrap();
    let answer = world.once(DAY_1, &[]);
    for part in ["a folder", "a link to nothing", "a named pipe", "a socket", "a device", "not in UTF-8"] {
        assert_eq!(warnings_about(&answer, part), 1, "{part}: {answer:?}");
    }
    assert_eq!(warnings_about(&answer, "left in the inbox"), 6);
    assert_eq!(status_of(&answer, FULL_FILE), "processed");
}

#[test]
fn d107_an_inbox_that_is_away_is_reported_once_and_again_when_it_is_back() {
    let world = World::of_service();
    let mut service = Service::start(&world, &[]);
    wait_for(&world, CONFIRMATION);
    fs::rename(world.path("inbox"), world.path("away")).unwrap();
    service.wait_until_said(&["ERROR", "cannot list"]);
    std::thread::sleep(Duration::from_secs(3));
    fs::rename(world.path("away"), world.path("inbox")).unwrap();
    service.wait_until_said(&["no longer so", "cannot list"]);
    world.file(CHANGES, &[&position(7_000_002, "", POST_NUMBER)]);
    wait_for(&world, "DE_EOE_RTC_20261121_00000002.DAT");
    let (code, stderr) = service.end("-TERM");
    assert_eq!((code, stderr.matches("cannot list").count()), (Some(0), 2), "{stderr}");
}

#[test]
fn d107_a_service_reports_an_entry_once_and_takes_in_the_others() {
    let mut world = World::small();
    world.file(CHANGES, &[&position(7_000_002, "", POST_NUMBER)]);
    configure(&mut world, "[esr.inbound]\nsettle_seconds = 0\nfile_limit = \"1KiB\"\n");
    fs::write(world.path("inbox").join(FULL_FILE), vec![b'x'; 2_000]).unwrap();
    make_pipe(&world.path("inbox/DE_EOE_RMC_20261120_00000001.DAT"));
    let mut service = Service::start(&world, &[]);
    service.wait_until_said(&["WARN", "left in the inbox", "a named pipe"]);
    service.wait_until_said(&["ERROR", FULL_FILE, "file_limit"]);
    wait_for(&world, "DE_EOE_RTC_20261121_00000002.DAT");
    world.file(FULL_FILE, &[&position(7_000_001, "", POST_NUMBER)]);
    service.wait_until_said(&["no longer so", FULL_FILE]);
    wait_for(&world, CONFIRMATION);
    let (code, stderr) = service.end("-TERM");
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(stderr.matches("file_limit").count(), 2, "{stderr}");
    assert_eq!(stderr.matches("a named pipe").count(), 1, "{stderr}");
}

#[test]
fn d108_a_file_that_keeps_changing_delays_no_other_office() {
    let mut world = World::small();
    serve_two_offices(&mut world);
    configure(&mut world, "[esr.inbound]\nsettle_seconds = 2\n");
    let (is_written, path) = (AtomicBool::new(true), world.path("inbox").join(OF_KSS));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while is_written.load(Ordering::Relaxed) {
                File::options().append(true).open(&path).unwrap().write_all(b"\n").unwrap();
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let service = Service::start(&world, &[]);
        // The one of KSS comes first in the order of files (D9).
        wait_for(&world, CONFIRMATION);
        let names = world.outbox_names();
        is_written.store(false, Ordering::Relaxed);
        assert!(!names.iter().any(|name| name.starts_with("DE_KSS")), "{names:?}");
        wait_for(&world, "DE_KSS_RTC_20261120_00000004.DAT");
        assert_eq!(service.end("-TERM").0, Some(0));
    });
}

/// Writes `content` over a file, and sets the time of its last change to what it was.
fn replace_in_place(path: &Path, content: &[u8]) {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    let mut file = File::options().write(true).open(path).unwrap();
    file.write_all(content).unwrap();
    file.set_modified(modified).unwrap();
}

/// Leaves only the start of a file, with the size that the whole has. Returns the whole.
fn half_written(path: &Path) -> Vec<u8> {
    let whole = fs::read(path).unwrap();
    let mut half = whole.clone();
    half[100..].fill(0);
    fs::write(path, half).unwrap();
    whole
}

#[test]
fn d109_a_parked_file_that_is_completed_with_its_size_and_time_as_before_is_read() {
    let world = World::small();
    let path = world.path("inbox").join(FULL_FILE);
    let whole = half_written(&path);
    assert_eq!(status_of(&world.once(DAY_1, &[]), FULL_FILE), "parked");
    let answer = world.once(DAY_1, &[]);
    assert_eq!(status_of(&answer, FULL_FILE), "parked", "until it is decided");
    assert!(answer.warns_of(&format!("{FULL_FILE} is parked")), "{answer:?}");
    let text = crate::world::answer(&mut world.command(&["--once", "--now", DAY_1])).stdout;
    assert!(text.contains(&format!("parked     {FULL_FILE}")), "{text}");
    replace_in_place(&path, &whole);
    assert_eq!(status_of(&world.once(DAY_2, &[]), FULL_FILE), "processed");
}

#[test]
fn d109_the_service_reads_a_parked_file_again_once_it_is_complete() {
    let world = World::of_service();
    let path = world.path("inbox").join(FULL_FILE);
    let whole = half_written(&path);
    let mut service = Service::start(&world, &[]);
    service.wait_until_said(&["file parked", FULL_FILE]);
    replace_in_place(&path, &whole);
    service.wait_until_said(&["file processed", FULL_FILE]);
    assert_eq!(service.end("-TERM").0, Some(0));
}

#[test]
fn d109_changed_rights_or_another_place_are_no_new_delivery() {
    let world = World::small();
    world.once(DAY_1, &[]).document();
    let path = world.path("inbox").join(FULL_FILE);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(status_of(&world.once(DAY_1, &[]), FULL_FILE), Value::Null);
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    fs::copy(&path, world.path("copy")).unwrap();
    File::options().write(true).open(world.path("copy")).unwrap().set_modified(modified).unwrap();
    fs::rename(world.path("copy"), &path).unwrap();
    assert_eq!(status_of(&world.once(DAY_2, &[]), FULL_FILE), Value::Null);
}

#[test]
fn d110_padding_after_the_trailer_is_noted_and_a_second_trailer_parks_the_file() {
    let world = World::small();
    let mut file = File::options().append(true).open(world.path("inbox").join(FULL_FILE)).unwrap();
    file.write_all(b"\x1A\0\0").unwrap();
    world.file(CHANGES, &[&position(7_000_002, "", POST_NUMBER), "TRL,3", &position(7_000_003, "", POST_NUMBER)]);
    let answer = world.once(DAY_1, &[]);
    assert_eq!((status_of(&answer, FULL_FILE), status_of(&answer, CHANGES)), (json!("processed"), json!("parked")));
    assert!(
        answer.warns_of("3 bytes of padding") && answer.warns_of("line 3, in the middle of the file"),
        "{answer:?}"
    );
    assert_eq!(world.outgoing(CONFIRMATION).len(), 3, "{:?}", world.outgoing(CONFIRMATION));
}
