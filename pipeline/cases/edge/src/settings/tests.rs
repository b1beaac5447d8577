use std::time::Duration;

use tributary_flow::configuration::ConfigurationFile;

use super::*;

fn load(text: &str) -> Result<EdgeSettings, ConfigurationError> {
    EdgeSettings::load(Some(&Source::new("dis.toml", text)))
}

const TWO: &str = "[cases]\n[cases.origins.esdh-a]\nclient_id = \"esdh-a\"\ndetails = [\"https://esdh.example\"]\n\
                   [cases.clients.journal-1]\nclient_id = \"journal-1\"\nsees = [\"esdh-a\"]\n";

#[test]
fn the_built_in_settings_are_right() {
    let settings = EdgeSettings::load(None).unwrap();
    assert_eq!((settings.list_limit, settings.oversize, settings.broker.is_some()), (10_000, 404, false));
    assert!(settings.fill.origins.is_empty());
}

#[test]
fn tables_of_the_file_fill_the_registry() {
    let fill = load(TWO).unwrap().fill;
    let grants: Vec<(&str, &str)> =
        fill.grants.iter().map(|grant| (grant.client.as_str(), grant.origin.as_str())).collect();
    assert_eq!(grants, [("journal-1", "esdh-a")]);
    assert_eq!(fill.origins[0].details, ["https://esdh.example"]);
}

const BROKER: &str = "[cases]\n[cases.rabbitmq]\nurl = \"amqps://rabbit.example:5671/dis\"\nuser = \"t\"\n\
                      password = \"${CARGO_PKG_NAME}\"\nca = \"ca.pem\"\n";

#[test]
fn the_example_is_right_and_names_its_test_origin() {
    let settings = load(include_str!("../../../config/example.toml")).unwrap();
    assert_eq!(settings.test_origins.iter().map(String::as_str).collect::<Vec<_>>(), ["esdh-test"]);
    let names: Vec<&str> = settings.fill.clients.iter().map(|client| client.name.as_str()).collect();
    assert_eq!((names, settings.fill.grants.len()), (vec!["archive-1", "journal-1"], 3));
}

#[test]
fn every_key_of_the_broker_is_known_and_the_password_is_not_shown() {
    let text = format!(
        "{BROKER}queue = \"q_{{CLIENT_NAME}}\"\nprobe = \"5s\"\nretry = [\"5s\", \"1m\"]\nalarm = \"1h\"\n\
         [cases.kafka]\nsender = \"header\"\n"
    );
    let settings = load(&text).unwrap();
    assert!(settings.effective.contains("password = \"${CARGO_PKG_NAME}\""), "{}", settings.effective);
    let broker = settings.broker.unwrap();
    assert_eq!(broker.queue_of(&"journal-1".parse().unwrap()), "q_journal-1");
    let (probe, alarm) = (Duration::from_secs(5), Duration::from_hours(1));
    assert_eq!((broker.probe, broker.alarm), (probe, alarm));
    assert_eq!(broker.retry, [Duration::from_secs(5), Duration::from_mins(1)]);
}

#[test]
fn the_broker_has_defaults() {
    let broker = load(BROKER).unwrap().broker.unwrap();
    assert_eq!(broker.queue_of(&"journal-1".parse().unwrap()), "dis_notifications_journal-1");
    assert_eq!(broker.retry.iter().map(Duration::as_secs).collect::<Vec<_>>(), [5, 30, 60, 300, 900]);
}

#[test]
fn password_and_authorities_are_read_beside_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let client = |text: &str| {
        let source = Some(Source::new("dis.toml", text));
        let file = ConfigurationFile { source, folder: folder.path().to_owned() };
        load(text).unwrap().broker.unwrap().client(&file)
    };
    let refused = |text: &str, line: usize, problem: &str| {
        let error = client(text).unwrap_err();
        assert_eq!((error.line, error.problem.contains(problem)), (line, true), "{error}");
    };
    refused(BROKER, 6, "ca.pem");
    std::fs::write(folder.path().join("ca.pem"), "nothing").unwrap();
    refused(BROKER, 6, "no certificate");
    refused(&BROKER.replace("amqps", "amqp"), 6, "amqps");
    refused(&BROKER.replace("CARGO_PKG_NAME", "NO_SUCH_VARIABLE"), 5, "NO_SUCH_VARIABLE");
    let without_ca = BROKER.replace("ca = \"ca.pem\"\n", "");
    let shown = format!("{:?}", client(&without_ca).unwrap());
    assert!(!shown.contains(env!("CARGO_PKG_NAME")), "{shown}");
}

#[test]
fn the_limits_of_details_have_units_and_are_shown_again() {
    let details = load("[cases]\ndetails = { private_networks = [\"10.1.0.0/16\", \"fd12::/16\"] }\n").unwrap();
    let limits = &details.details;
    assert_eq!((limits.timeout.as_secs(), limits.body_limit), (30, 10 << 20));
    let networks: Vec<String> = limits.private_networks.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.1.0.0/16", "fd12::/16"]);
    assert_eq!(load(&details.effective).unwrap().details, details.details, "{}", details.effective);
}

#[test]
fn wrong_entries_are_refused_with_their_line() {
    let cases = [
        ("[cases]\nlist_limits = 5\n".to_owned(), 2, "list_limits"),
        ("[cases]\nlist_limit = 0\n".to_owned(), 2, "from 1"),
        ("[cases]\noversize = 500\n".to_owned(), 2, "404 or 413"),
        ("[cases]\nordering = \"some\"\n".to_owned(), 2, "strict"),
        ("[cases]\n\ndetails = { private_networks = [\"10.0.0.0\"] }\n".to_owned(), 3, "a network"),
        ("[cases]\ndetails = { timeout = \"1h\" }\n".to_owned(), 2, "a duration"),
        ("[cases]\ndetails = { body_limit = \"2GiB\" }\n".to_owned(), 2, "a size"),
        (format!("{TWO}channel = \"rabbitmq\"\n"), 5, "NoExternalBroker"),
        (TWO.replace("sees = [\"esdh-a\"]", "sees = [\"esdh-b\"]"), 5, "UnknownOrigin"),
        (format!("{TWO}[cases.clients.Journal-1]\nclient_id = \"x\"\n"), 5, "NameTaken"),
        (format!("{TWO}[cases.clients.journal-2]\nclient_id = \"journal-1\"\n"), 8, "NameTaken"),
        (format!("{TWO}[cases.clients.\"a b\"]\nclient_id = \"x\"\n"), 8, "InvalidName"),
        (TWO.replace("https://esdh", "https://me@esdh"), 4, "a user part"),
        (BROKER.replace("amqps://", "https://"), 3, "amqps://rabbit.example"),
        (BROKER.replace("amqps://", "amqps://me:hunter2@"), 3, "without user"),
        (BROKER.replace("${CARGO_PKG_NAME}", "hunter2"), 5, "a secret as"),
        (format!("{BROKER}queue = \"q\"\n"), 7, "{CLIENT_NAME}"),
        (format!("{BROKER}retry = []\n"), 7, "at least one"),
        (format!("{BROKER}retry = [\"soon\"]\n"), 7, "a duration"),
    ];
    for (text, line, problem) in cases {
        let error = load(&text).unwrap_err();
        assert_eq!((error.line, error.problem.contains(problem)), (line, true), "{error}");
        assert!(!error.problem.contains("hunter2"), "{error}");
    }
}

#[test]
fn tables_are_where_the_database_is() {
    let text = "[cql]\nnodes = [\"cassandra.example:9042\"]\nuser = \"u\"\npassword = \"${CARGO_PKG_NAME}\"\n\
                [cases]\nviews = \"cql\"\n";
    let settings = load(text).unwrap();
    assert!(settings.effective.contains("views = \"cql\""), "{}", settings.effective);
    let tables = settings.tables(&ConfigurationFile::default()).unwrap().unwrap();
    assert_eq!((tables.keyspace.as_str(), tables.create), ("tributary", Some(3)));
    assert_eq!(tables.user, Some(("u".to_owned(), env!("CARGO_PKG_NAME").to_owned())));
    let local = load("[cases]\n").unwrap();
    assert!(local.tables(&ConfigurationFile::default()).unwrap().is_none());
    let error = load("[cases]\nviews = \"cql\"\n").unwrap_err().to_string();
    assert!(error.starts_with("dis.toml:2: ") && error.contains("[cql]"), "{error}");
}
