//! The level of a namespace: what `tributary upgrade` shows and refuses, and which processes may start.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::{Value, json};
use tributary_connectors::kafka::{KafkaConfiguration, KafkaProducer};
use tributary_esr::flow::DECLARATION;
use tributary_esr::topics;
use tributary_runtime::{Output, Producer};
use tributary_schemas::records::tributary::NamespaceLevel;
use tributary_schemas::{CodecBuilder, ConfluentRegistry, ConfluentSettings};

use crate::group::{Member, PATIENCE, Services, join_namespace};
use crate::world::{Answer, DAY_1, World, answer};

fn upgrade(services: &Services, namespace: &str, arguments: &[&str]) -> Answer {
    let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_tributary"));
    program.arg("upgrade").args(arguments).args(["--log", "kafka", "--partitions", "4", "--kafka", &services.kafka]);
    answer(program.args(["--registry", &services.registry, "--namespace", namespace]))
}

fn status(services: &Services, namespace: &str) -> Value {
    let answer = upgrade(services, namespace, &["status", "--output", "json"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    serde_json::from_str(&answer.stdout).unwrap()
}

/// The status, once it is as `is_wanted` wants it.
fn status_when(services: &Services, namespace: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let status = status(services, namespace);
        if is_wanted(&status) {
            return status;
        }
        assert!(begun.elapsed() < PATIENCE, "{status}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn status_names_the_level_and_the_members_and_a_foreign_member_blocks_the_next_level() {
    let Some(services) = Services::found() else { return };
    let mut world = World::small();
    let namespace = join_namespace(&mut world, &services, "");
    let no_topics = upgrade(&services, &namespace, &["status"]);
    assert!(no_topics.code == 2 && no_topics.stderr.contains("`tributary topics apply`"), "{no_topics:?}");
    let mut topics = std::process::Command::new(env!("CARGO_BIN_EXE_tributary"));
    topics.args(["topics", "apply", "--kafka", &services.kafka, "--namespace", &namespace, "--partitions", "4"]);
    assert_eq!(answer(&mut topics).code, 0);
    let nobody = status(&services, &namespace);
    assert_eq!(nobody, json!({"level": null, "available": 1, "members": [], "blocked_by": []}));
    let refused = upgrade(&services, &namespace, &["finalize"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("no process has started in this namespace yet"), "{}", refused.stderr);

    let mut member = Member::start(&world, "first", "first");
    let version = env!("CARGO_PKG_VERSION");
    let members = json!([{"instance": "first", "version": version, "min": 1, "max": 1}]);
    let alone = status_when(&services, &namespace, |status| status["members"] == members);
    assert_eq!((&alone["level"], &alone["blocked_by"]), (&json!(1), &json!([])));
    let already = upgrade(&services, &namespace, &["finalize"]);
    assert_eq!((already.code, already.stdout.as_str()), (0, "the namespace was already at level 1\n"));
    // With another number, some partitions would never learn of the level.
    let mut wrong = std::process::Command::new(env!("CARGO_BIN_EXE_tributary"));
    wrong.args(["upgrade", "finalize", "--log", "kafka", "--partitions", "8", "--kafka", &services.kafka]);
    let wrong = answer(wrong.args(["--registry", &services.registry, "--namespace", &namespace]));
    assert!(wrong.code == 2 && wrong.stderr.contains("topics are missing or differ"), "{wrong:?}");
    let unknown = upgrade(&services, &namespace, &["finalize", "--level", "7"]);
    assert_eq!(unknown.code, 2, "{unknown:?}");
    assert!(unknown.stderr.contains("runs the levels 1 to 1, not 7"), "{}", unknown.stderr);

    let foreign: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &services.kafka)
        .set("group.id", format!("{namespace}.esr"))
        .set("client.id", "kcat")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .create()
        .unwrap();
    foreign.subscribe(&[&format!("{namespace}.tis.post")]).unwrap();
    let blocked = status_when(&services, &namespace, |status| {
        foreign.poll(Duration::from_millis(50));
        status["blocked_by"] != json!([])
    });
    let reason = blocked["blocked_by"][0].as_str().unwrap();
    assert!(reason.starts_with("kcat at ") && reason.contains("has not said which levels it runs"), "{reason}");
    drop(foreign);
    assert_eq!(member.end("TERM"), Some(0));
}

#[test]
fn a_process_that_cannot_run_the_level_does_not_start_and_names_the_release_that_can() {
    let Some(services) = Services::found() else { return };
    let mut world = World::small();
    let namespace = join_namespace(&mut world, &services, "");
    world.once(DAY_1, &[]).document();
    // A later release has raised the level.
    let registry = ConfluentRegistry::connect(ConfluentSettings::new(&services.registry)).unwrap();
    let builder = CodecBuilder::new(Arc::new(registry)).namespace(&format!("{namespace}."));
    let codec = builder.topics(DECLARATION.topics()).build().unwrap();
    let level = NamespaceLevel { level: 2, release: "9.8.7".to_owned() };
    let mut output = Output::new(1);
    output.send(&topics::CONTROL, b"level", |buffer| codec.encode(&level, buffer).unwrap());
    let cluster = KafkaConfiguration::new(&services.kafka, &namespace, "later");
    KafkaProducer::open(&cluster, "esr", "level").unwrap().publish(&output).unwrap();

    let before = world.outbox_names();
    let refused = world.once(DAY_1, &[]);
    assert_eq!(refused.code, 2, "{refused:?}");
    for part in ["at level 2", "runs the levels 1 to 1", "start release 9.8.7 or a later one"] {
        assert!(refused.stderr.contains(part), "{}", refused.stderr);
    }
    assert_eq!(world.outbox_names(), before);
    let finalize = upgrade(&services, &namespace, &["finalize"]);
    assert_eq!(finalize.code, 2, "{finalize:?}");
    assert!(finalize.stderr.contains("a level never falls"), "{}", finalize.stderr);
}
