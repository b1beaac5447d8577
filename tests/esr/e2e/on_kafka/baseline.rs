//! The baseline on topics that others write (D1), and the topics that are made before.

use std::process::Command;
use std::sync::Arc;

use crate::group::{Services, join_namespace};
use crate::world::{
    Answer, DAY_1, FULL_FILE, POST_NUMBER, World, answer, person, placement, position, post, status_of,
};
use jiff::{Timestamp, ToSpan};
use serde_json::Value;
use tributary_connectors::kafka::{KafkaConfiguration, KafkaProducer};
use tributary_connectors::tis::snapshot::TisSnapshot;
use tributary_connectors::tis::{Deletions, Held, KnownLines, Load, Topics};
use tributary_esr::flow::DECLARATION;
use tributary_esr::topics;
use tributary_schemas::{CodecBuilder, ConfluentRegistry, ConfluentSettings};

const PARTITIONS: &str = "4";

fn topics_command(command: &str, services: &Services, namespace: &str) -> Answer {
    let mut program = Command::new(env!("CARGO_BIN_EXE_tributary"));
    program.args(["topics", command, "--kafka", &services.kafka, "--registry", &services.registry]);
    answer(program.args(["--namespace", namespace, "--partitions", PARTITIONS]))
}

/// Writes what lies in the `tis` folder of a world into the topics, as another program would.
fn write_as_another_program(world: &World, services: &Services, namespace: &str) {
    let registry = ConfluentRegistry::connect(ConfluentSettings::new(&services.registry)).unwrap();
    let builder = CodecBuilder::new(Arc::new(registry)).namespace(&format!("{namespace}."));
    let codec = builder.topics(DECLARATION.topics()).build().unwrap();
    let load = Load {
        codec: &codec,
        topics: Topics { posts: &topics::TIS_POST, placements: &topics::TIS_PLACEMENT, people: &topics::TIS_PERSON },
        deletions: Deletions { from_full_snapshots: true, refuse_percent: 5, refuse_count: 50, setting: "" },
        flow_partitions: 4,
        header: None,
        now: 0,
        known: &KnownLines::default(),
    };
    let cluster = KafkaConfiguration::new(&services.kafka, namespace, "another");
    let mut producer = KafkaProducer::open(&cluster, "another", "program").unwrap();
    load.run(&TisSnapshot::open(&world.path("tis")).unwrap(), &Held::default(), &mut producer).unwrap();
}

#[test]
fn d1_records_that_stand_in_the_topics_of_tis_at_the_first_start_are_the_baseline() {
    let Some(services) = Services::found() else { return };
    let mut world = World::empty();
    let namespace = join_namespace(&mut world, &services, "");
    world.file(FULL_FILE, &[&position(7_000_001, "", POST_NUMBER)]);
    let applied = topics_command("apply", &services, &namespace);
    assert_eq!(applied.code, 0, "{applied:?}");
    // Another program fills the topics; this one has no snapshot.
    let others = World::empty();
    others.jsonl("posts", &[post(1, POST_NUMBER)]);
    others.jsonl("people", &[person(11, "Testcase"), person(12, "Testcase")]);
    let now = Timestamp::now();
    let today = now.in_tz("Europe/London").unwrap().date();
    let day = |days: i64| (today + days.days()).to_string();
    others.jsonl("placements", &[placement(101, 11, &day(1), &day(200))]);
    write_as_another_program(&others, &services, &namespace);
    let first = world.once(&now.to_string(), &[]).document();
    assert_eq!(first["offices"]["EOE"]["matched"], 1);
    assert_eq!(status_of(&first, 101), None, "it began before the baseline: ESR knows of it");
    // What comes after the first start is news, for every later process.
    others.jsonl("placements", &[placement(102, 12, &day(1), &day(200))]);
    write_as_another_program(&others, &services, &namespace);
    let second = world.once(&(now + 1.minutes()).to_string(), &[]).document();
    assert_eq!(status_of(&second, 102).as_deref(), Some("MISSED_WINDOW"), "{second}");
    assert_eq!(status_of(&second, 101), None);
}

#[test]
fn topics_are_planned_and_applied_with_the_compatibility_of_their_schemas() {
    let Some(services) = Services::found() else { return };
    let mut world = World::small();
    let namespace = join_namespace(&mut world, &services, "");
    let planned = topics_command("plan", &services, &namespace);
    assert_eq!(planned.code, 0, "{planned:?}");
    let create = format!("create   {namespace}.esr.position (4 partitions, cleanup.policy=compact");
    assert!(planned.stdout.contains(&create), "{}", planned.stdout);
    let level = format!("compatibility {namespace}.esr.position-esr.Position from ");
    assert!(planned.stdout.contains(&level) && planned.stdout.contains("to FULL_TRANSITIVE"), "{}", planned.stdout);
    world.flags.push("--no-create-topics".to_owned());
    let refused = world.once(DAY_1, &[]);
    assert_eq!(refused.code, 2, "the plan changes nothing: {refused:?}");
    assert!(refused.stderr.contains("tributary topics apply"), "{}", refused.stderr);

    let applied = topics_command("apply", &services, &namespace);
    assert_eq!((applied.code, applied.stdout.ends_with("applied\n")), (0, true), "{applied:?}");
    let again = topics_command("plan", &services, &namespace);
    assert_eq!(again.stdout, "all topics are as they should be\n");
    let document: Value = world.once(DAY_1, &[]).document();
    assert_eq!(document["offices"]["EOE"]["matched"], 1);
}
