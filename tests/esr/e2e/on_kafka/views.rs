//! What several processes of one namespace are asked: each answers for all partitions.

use serde_json::Value;
use tributary_harness::wait_until;

use crate::group::{Member, PATIENCE, Services, join_namespace, wait_for};
use crate::world::{Answer, FULL_FILE, POST_NUMBER, World, position};

const RETURN: &str = "DE_EOE_RTC_20261121_00000001.DAT";
const CHANGE: &str = "DE_EOE_RMC_20261121_00000002.DAT";

fn ask(world: &World, member: &str, view: &str) -> Answer {
    world.ask(&format!("state-{member}"), view, &[])
}

/// The rows of a view; `None` while the process cannot be asked.
fn rows(world: &World, member: &str, view: &str) -> Option<Vec<Value>> {
    let answer = ask(world, member, view);
    (answer.code == 0).then(|| answer.document()["items"].as_array().unwrap().clone())
}

/// Name and status of each file, by name.
fn files(world: &World, member: &str) -> Vec<(String, String)> {
    let text = |file: &Value, entry: &str| file[entry].as_str().unwrap().to_owned();
    let files = rows(world, member, "files").unwrap_or_default();
    files.iter().map(|file| (text(file, "name"), text(file, "status"))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, status)| ((*name).to_owned(), (*status).to_owned())).collect()
}

fn wait_for_files(world: &World, member: &str, expected: &[(&str, &str)]) {
    wait_until(&format!("{member} shows {expected:?}"), PATIENCE, || files(world, member) == pairs(expected));
}

#[test]
fn each_of_three_processes_shows_all_files_and_offices_also_after_one_is_killed() {
    let Some(services) = Services::found() else { return };
    let mut world = World::small();
    // So late that nothing is exported during the test, unless it begins at that minute.
    join_namespace(&mut world, &services, "[esr.schedule]\napplicants = \"03:17\"\nnotifications = \"03:17\"");
    world.flags.extend(["--http".to_owned(), "127.0.0.1:0".to_owned()]);
    let mut members: Vec<Member> = ["a", "b", "c"].map(|name| Member::start(&world, name, name)).into();
    wait_for(&world, RETURN);
    let taken = [(FULL_FILE, "processed"), (RETURN, "written")];
    for name in ["a", "b", "c"] {
        wait_for_files(&world, name, &taken);
        let is_counted = || {
            let offices = rows(&world, name, "offices").unwrap_or_default();
            offices.first().is_some_and(|office| office["office"] == "EOE" && office["to_export"] == 1)
        };
        wait_until(&format!("{name} counts the applicant"), PATIENCE, is_counted);
    }
    assert_eq!(rows(&world, "a", "offices"), rows(&world, "c", "offices"));

    members.remove(1).end("KILL");
    world.file(CHANGE, &[&position(7_000_002, "", POST_NUMBER)]);
    let second = RETURN.replace("01.DAT", "02.DAT");
    let taken = [(CHANGE, "processed"), (FULL_FILE, "processed"), (RETURN, "written"), (&second, "written")];
    for name in ["a", "c"] {
        wait_for_files(&world, name, &taken);
    }
    // It shows what came while it was away.
    members.push(Member::start(&world, "b", "b"));
    wait_for_files(&world, "b", &taken);
    let as_of = |name| ask(&world, name, "files").document()["as_of"].as_str().unwrap().to_owned();
    let before = as_of("a");
    wait_until("the view is newer", PATIENCE, || as_of("a") > before);
    for mut member in members {
        assert_eq!(member.end("TERM"), Some(0), "{}", member.logged());
    }
}
