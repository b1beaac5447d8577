use super::*;

fn load(text: &str) -> Result<EdgeSettings, ConfigurationError> {
    EdgeSettings::load(Some(&Source::new("dis.toml", text)))
}

const TWO: &str = "[cases]\n[cases.origins.esdh-a]\nclient_id = \"esdh-a\"\ndetails = [\"https://esdh.example\"]\n\
                   [cases.clients.journal-1]\nclient_id = \"journal-1\"\nsees = [\"esdh-a\"]\n";

#[test]
fn the_built_in_settings_are_right() {
    let settings = EdgeSettings::load(None).unwrap();
    assert_eq!((settings.list_limit, settings.oversize, settings.has_broker), (10_000, 404, false));
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

#[test]
fn the_example_is_right_and_names_its_test_origin() {
    let settings = load(include_str!("../../../config/example.toml")).unwrap();
    assert_eq!(settings.test_origins.iter().map(String::as_str).collect::<Vec<_>>(), ["esdh-test"]);
    let names: Vec<&str> = settings.fill.clients.iter().map(|client| client.name.as_str()).collect();
    assert_eq!((names, settings.fill.grants.len()), (vec!["archive-1", "journal-1"], 3));
}

#[test]
fn every_key_of_the_broker_is_known_and_the_password_is_not_shown() {
    let text = "[cases]\nviews = \"local\"\n[cases.rabbitmq]\nurl = \"amqps://rabbit.example:5671/dis\"\nuser = \"t\"\n\
                password = \"hunter2\"\nca = \"ca.pem\"\nqueue = \"q_{CLIENT_NAME}\"\nprobe = \"5s\"\n\
                retry = [\"5s\"]\nalarm = \"1h\"\n[cases.kafka]\nsender = \"header\"\n";
    let settings = load(text).unwrap();
    assert!(settings.has_broker);
    assert!(!settings.effective.contains("hunter2"), "{}", settings.effective);
}

#[test]
fn wrong_entries_are_refused_with_their_line() {
    let cases = [
        ("[cases]\nlist_limits = 5\n".to_owned(), 2, "list_limits"),
        ("[cases]\nlist_limit = 0\n".to_owned(), 2, "from 1"),
        ("[cases]\noversize = 500\n".to_owned(), 2, "404 or 413"),
        ("[cases]\nordering = \"some\"\n".to_owned(), 2, "strict"),
        ("[cases]\n\ndetails = { private_networks = [\"10.0.0.0\"] }\n".to_owned(), 3, "a network"),
        (format!("{TWO}channel = \"rabbitmq\"\n"), 5, "NoExternalBroker"),
        (TWO.replace("sees = [\"esdh-a\"]", "sees = [\"esdh-b\"]"), 5, "UnknownOrigin"),
        (format!("{TWO}[cases.clients.Journal-1]\nclient_id = \"x\"\n"), 5, "NameTaken"),
        (format!("{TWO}[cases.clients.journal-2]\nclient_id = \"journal-1\"\n"), 8, "NameTaken"),
        (format!("{TWO}[cases.clients.\"a b\"]\nclient_id = \"x\"\n"), 8, "InvalidName"),
        (TWO.replace("https://esdh", "https://me@esdh"), 4, "a user part"),
    ];
    for (text, line, problem) in cases {
        let error = load(&text).unwrap_err();
        assert_eq!((error.line, error.problem.contains(problem)), (line, true), "{error}");
    }
}
