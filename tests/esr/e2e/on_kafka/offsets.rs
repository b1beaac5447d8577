//! Offsets that expired, and records that were deleted before they were read: refused, and reset by a command.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use futures_executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;
use tributary_connectors::kafka::{KafkaConfiguration, KafkaProducer};
use tributary_esr::topics;
use tributary_runtime::{Output, Producer};

use crate::group::{Member, PATIENCE, Services, join_namespace};
use crate::world::{Answer, DAY_1, DAY_2, POST_NUMBER, World, answer, position};

const SECOND_FILE: &str = "DE_EOE_RMC_20261121_00000002.DAT";

fn admin(services: &Services) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", &services.kafka).create().unwrap()
}

/// Forgets the offsets of both groups, as the broker does when they have had no member for a week.
fn forget_offsets(services: &Services, namespace: &str) {
    let admin = admin(services);
    for group in ["esr", "esr-writer"].map(|group| format!("{namespace}.{group}")) {
        let begun = Instant::now();
        loop {
            let answer = block_on(admin.delete_groups(&[&group], &AdminOptions::new())).unwrap();
            let Err((_, code)) = answer.into_iter().next().unwrap() else { break };
            // The members of an ended process stay until their session times out.
            assert!(begun.elapsed() < PATIENCE, "{group} cannot be deleted: {code}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// The command that an error message names, as arguments.
fn command_in(message: &str) -> Vec<String> {
    let line = message.split('`').find(|part| part.starts_with("tributary offsets reset")).unwrap_or_default();
    assert!(!line.is_empty(), "no command in {message}");
    line.split_whitespace().skip(1).map(str::to_owned).collect()
}

/// The command for all partitions, without those options that limit it to one.
fn for_all_partitions(command: &[String]) -> Vec<String> {
    let mut options = command.to_vec();
    for option in ["--group", "--topic", "--partition"] {
        let at = options.iter().position(|it| it == option).unwrap();
        options.drain(at..at + 2);
    }
    options
}

fn tributary(arguments: &[String]) -> Answer {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
    answer(command.args(arguments).env_remove("TRIBUTARY_LOG_LEVEL"))
}

/// Runs a command until the members of ended processes have left their groups.
fn without_members(arguments: &[String]) -> Answer {
    let begun = Instant::now();
    loop {
        let answer = tributary(arguments);
        if answer.code == 0 || !answer.stderr.contains("has members") || begun.elapsed() > PATIENCE {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Names and contents of the outbox, which is empty afterwards.
fn collect(world: &World, files: &mut BTreeMap<String, Vec<String>>) {
    for name in world.outbox_names() {
        let before = files.insert(name.clone(), world.outgoing(&name));
        assert!(before.is_none(), "{name} came out again");
        fs::remove_file(world.path("outbox").join(name)).unwrap();
    }
}

/// The files of two days. `between` is called between them.
fn files_of_two_days(world: &World, between: impl FnOnce()) -> BTreeMap<String, Vec<String>> {
    let mut files = BTreeMap::new();
    world.once(DAY_1, &[]).document();
    collect(world, &mut files);
    world.file(SECOND_FILE, &[&position(7_000_002, "", POST_NUMBER)]);
    between();
    world.once(DAY_2, &[]).document();
    collect(world, &mut files);
    files
}

fn world_in_namespace(services: &Services) -> (World, String) {
    let mut world = World::small();
    let namespace = join_namespace(&mut world, services, "");
    (world, namespace)
}

#[test]
fn offsets_that_expired_are_refused_and_after_a_reset_to_the_state_nothing_comes_twice() {
    let Some(services) = Services::found() else { return };
    let (undisturbed, _) = world_in_namespace(&services);
    let expected = files_of_two_days(&undisturbed, || {});
    let (world, namespace) = world_in_namespace(&services);
    let files = files_of_two_days(&world, || {
        forget_offsets(&services, &namespace);
        let refused = world.once(DAY_2, &[]);
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(refused.stderr.contains("its group has no committed offset, and the state goes up to"), "{refused:?}");
        assert_eq!(world.outbox_names(), Vec::<String>::new());
        // A service ends too.
        let mut service = Member::start(&world, "service", "a");
        assert_eq!(service.exit_code(), Some(2), "{}", service.logged());
        assert!(service.has_logged("offsets-do-not-fit"), "{}", service.logged());

        let command = command_in(&service.logged());
        let early = tributary(&command);
        assert_eq!(early.code, 2, "the members have not timed out yet: {early:?}");
        assert!(early.stderr.contains("has members: tributary-a at"), "{early:?}");
        let one = without_members(&command);
        assert_eq!((one.code, one.stdout.ends_with("applied\n")), (0, true), "{one:?}");
        let all = for_all_partitions(&command);
        let plan: Vec<String> = all.iter().filter(|it| *it != "--yes").cloned().collect();
        let plan: Value =
            serde_json::from_str(&tributary(&[&plan[..], &["--output".into(), "json".into()]].concat()).stdout)
                .unwrap();
        let is_written = |it: &Value| it["topic"] == "esr.file.rows" && !it["state"].is_null();
        let partitions = plan["partitions"].as_array().unwrap();
        assert!(partitions.iter().any(|it| is_written(it) && it["committed"].is_null() && it["target"] == it["state"]));
        assert_eq!(plan["applied"], false);
        let set = without_members(&all);
        assert_eq!(set.code, 0, "{set:?}");
    });
    assert_eq!(files, expected);
}

/// Another program writes a record to each inbox of the posts, and all that these hold is deleted.
fn lose_records_of_posts(services: &Services, namespace: &str) {
    let cluster = KafkaConfiguration::new(&services.kafka, namespace, "another");
    let mut output = Output::new(4);
    for partition in 0..4 {
        output.send_to(&topics::POST, partition, b"lost", |buffer| buffer.push(0));
    }
    KafkaProducer::open(&cluster, "another", "program").unwrap().publish(&output).unwrap();
    let mut deleted = TopicPartitionList::new();
    let name = cluster.name(topics::POST.name);
    (0..4).for_each(|partition| deleted.add_partition_offset(&name, partition, Offset::End).unwrap());
    block_on(admin(services).delete_records(&deleted, &AdminOptions::new())).unwrap();
}

#[test]
fn records_that_were_deleted_before_they_were_read_are_refused_until_somebody_decides() {
    let Some(services) = Services::found() else { return };
    let (world, namespace) = world_in_namespace(&services);
    world.once(DAY_1, &[]).document();
    lose_records_of_posts(&services, &namespace);

    let refused = world.once(DAY_2, &[]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("stage post does not read esr.post-"), "{refused:?}");
    assert!(refused.stderr.contains("were deleted before they were read"), "{refused:?}");
    let command = command_in(&refused.stderr);
    // The state ends before the deleted records, so it is no place to continue from.
    let to_state: Vec<String> = command.iter().map(|it| it.replace("earliest", "state")).collect();
    let cannot = without_members(&to_state);
    assert_eq!(cannot.code, 2, "{cannot:?}");
    assert!(cannot.stdout.contains("are deleted; choose earliest"), "{cannot:?}");
    let mut of_topic = command.clone();
    let at = of_topic.iter().position(|it| it == "--partition").unwrap();
    of_topic.drain(at..at + 2);
    let decided = without_members(&of_topic);
    assert_eq!(decided.code, 0, "{decided:?}");
    world.once(DAY_2, &[]).document();
}

#[test]
fn a_service_whose_next_records_are_deleted_while_it_runs_ends_and_names_them() {
    let Some(services) = Services::found() else { return };
    let (world, namespace) = world_in_namespace(&services);
    let mut service = Member::start(&world, "service", "a");
    service.wait_to_log("snapshot taken in");
    // It sleeps for less than its session. Its last requests to the broker are answered before the records come.
    service.send("STOP");
    std::thread::sleep(Duration::from_secs(1));
    lose_records_of_posts(&services, &namespace);
    service.send("CONT");
    assert_eq!(service.exit_code(), Some(1), "{}", service.logged());
    assert!(service.has_logged("offsets-do-not-fit"), "{}", service.logged());
    assert!(service.has_logged("were deleted before they were read"), "{}", service.logged());
    let answer = without_members(&for_all_partitions(&command_in(&service.logged())));
    assert_eq!(answer.code, 0, "{answer:?}");
    world.once(DAY_1, &[]).document();
}

#[test]
fn the_embedded_log_has_no_offsets_to_reset() {
    let refused = tributary(&["offsets", "reset", "--to", "state"].map(str::to_owned));
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("keeps offsets and state in one transaction"), "{refused:?}");
}
