//! A broker and a registry that go away under a service and under a batch: nothing is lost, nothing comes twice.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::group::{Member, Services, join_namespace, names_of, script, wait_for};
use crate::world::{DAY_1, DAY_2, POST_NUMBER, World, answer, position, status_of};

fn restart(service: &str, folder: &Path, pause: &str) {
    let mut restart = script("restart");
    restart.args([service, "--pause", pause, "--dir"]).arg(folder);
    assert!(restart.stdout(Stdio::null()).status().unwrap().success());
}

#[test]
fn a_service_and_a_batch_outlive_restarts_of_broker_and_registry() {
    // Services of its own: other tests need theirs to stay up.
    if Services::found().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let services = Services::start(folder.path());
    let mut world = World::small();
    join_namespace(&mut world, &services, "");
    let mut service = Member::start(&world, "service", "a");
    wait_for(&world, "DE_EOE_RTC_20261121_00000001.DAT");
    // The broker goes away while nothing is done, and while a file comes.
    let down = std::thread::spawn({
        let folder = folder.path().to_owned();
        move || restart("kafka", &folder, "5")
    });
    std::thread::sleep(Duration::from_secs(2));
    world.file("DE_EOE_RMC_20261121_00000002.DAT", &[&position(7_000_002, "", POST_NUMBER)]);
    down.join().unwrap();
    wait_for(&world, "DE_EOE_RTC_20261121_00000002.DAT");
    restart("registry", folder.path(), "0");
    world.file("DE_EOE_RMC_20261121_00000003.DAT", &[&position(7_000_003, "", POST_NUMBER)]);
    wait_for(&world, "DE_EOE_RTC_20261121_00000003.DAT");
    assert!(service.is_running());
    assert_eq!(service.end("TERM"), Some(0), "{}", service.logged());
    assert_eq!(names_of(&world, "RTC").len(), 3);

    // A batch that meets a stopped broker continues when the broker returns.
    let flags = ["--once", "--output", "json", "--records", "--now", DAY_1, "--give-up-after", "90"];
    let mut batch = world.command(&flags);
    let batch = std::thread::spawn(move || answer(&mut batch));
    restart("kafka", folder.path(), "3");
    let document = batch.join().unwrap().document();
    let figures = &document["offices"]["EOE"];
    assert_eq!((&figures["positions"], &figures["matched"]), (&3.into(), &3.into()));
    assert_eq!(status_of(&document, 101).as_deref(), Some("EXPORTED"));
    let again = world.once(DAY_2, &[]).document();
    let rows: Vec<_> =
        again["outbound"].as_array().unwrap().iter().map(|file| file["rows"].as_i64().unwrap()).collect();
    assert_eq!(rows.iter().sum::<i64>(), 0, "{again}");
}
