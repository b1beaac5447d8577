use super::*;

fn load_in(folder: &Path, text: &str) -> Result<EdgeSettings, String> {
    let source = Some(Source::new("agp.toml", text));
    EdgeSettings::load(&ConfigurationFile { source, folder: folder.to_owned() }).map_err(|error| error.to_string())
}

fn load(text: &str) -> Result<EdgeSettings, String> {
    load_in(Path::new("/nowhere"), text)
}

/// The least that a configuration must say.
const LEAST: &str = "[aggregation.ei]\nhsa_id = \"SE-EI\"\n[aggregation.tak]\noff = true\n";

#[test]
fn the_least_configuration_offers_all_built_in_services() {
    let settings = load(LEAST).unwrap();
    let names: Vec<_> = settings.services.iter().map(|one| one.service.descriptor().name.as_str()).collect();
    assert_eq!(
        names,
        [
            "GetAggregatedCareDocumentation.v3",
            "GetAggregatedLaboratoryOrderOutcome.v4",
            "GetAggregatedRequestActivities.v1",
            "GetAggregatedRequestActivities.v2",
            "GetAggregatedSubjectOfCareSchedule.v1",
        ]
    );
    assert_eq!(settings.tak, TakPlace::Off);
    assert_eq!(settings.calls.connect_timeout, Duration::from_secs(2));
    let expected = NotificationSettings {
        redeliveries: 2,
        redelivery_delay: Duration::from_secs(5),
        timeout: Duration::from_secs(5),
    };
    assert_eq!(settings.notification, expected);
    assert!(settings.effective.contains("service_timeout_ms = 4000"), "{}", settings.effective);
}

#[test]
fn a_wrong_entry_is_refused_with_its_line() {
    for (text, expected) in [
        ("[aggregation]\nlogical_adress = \"x\"\n", "agp.toml:2: "),
        ("[aggregation.vp]\nurll = \"x\"\n", "agp.toml:2: "),
        ("[aggregation.cache]\nttl = 5\n", "agp.toml:2: "),
        ("[aggregation.vp]\n\nurl = \"ftp://vp.example\"\n", "agp.toml:3: expected a URL"),
        ("[aggregation.vp]\ntls = { certificate = \"a.pem\" }\n", "expected `certificate` and `key` together"),
        ("[aggregation.vp]\ntls = { ca = \"absent.pem\" }\n", "agp.toml:2: cannot read /nowhere/absent.pem"),
        ("[aggregation]\nservices = [\"GetNothing\"]\n", "agp.toml:2: expected one of the services"),
        ("[aggregation]\nservice_folder = \"absent\"\n", "agp.toml:2: expected a folder of descriptors"),
        ("[aggregation.notification]\nredeliveries = 5000\n", "expected 0 to 1000, found 5000"),
        ("[aggregation]\naudit_key = \"secret\"\n", "expected a secret as"),
        ("[aggregation.cache]\n\nstore = \"log\"\n", "agp.toml:3: expected `key` beside `store = \"log\"`: 64 hex"),
        ("[aggregation.cache]\nkey = \"secret\"\n", "agp.toml:2: expected a secret as"),
        ("[aggregation.cache]\nkey = \"${NO_SUCH_VARIABLE}\"\n", "agp.toml:2: key: the environment has no variable"),
        ("[aggregation.cache]\nkey = \"${CARGO_PKG_NAME}\"\n", "agp.toml:2: key: expected 64 hexadecimal digits"),
    ] {
        let error = load(&format!("{text}{LEAST}")).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
        assert!(!error.contains("= \"secret\""), "{error}");
    }
}

#[test]
fn the_key_of_the_cache_in_the_log_is_read_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let key = "0123456789abcdef".repeat(4);
    std::fs::write(folder.path().join("cache.key"), format!("{key}\n")).unwrap();
    let text = format!("[aggregation.cache]\nstore = \"log\"\nkey = {{ file = \"cache.key\" }}\n{LEAST}");
    let settings = load_in(folder.path(), &text).unwrap();
    assert_eq!(settings.cache_key.as_ref().map(|key| [key.0[0], key.0[31]]), Some([0x01, 0xef]));
    assert!(!format!("{settings:?}").contains(&key) && !settings.effective.contains(&key));
    assert!(settings.effective.contains("file = \"cache.key\""), "{}", settings.effective);
    std::fs::write(folder.path().join("cache.key"), "0123").unwrap();
    let error = load_in(folder.path(), &text).unwrap_err();
    assert!(error.starts_with("agp.toml:3: key: expected 64 hexadecimal digits") && !error.contains("0123"), "{error}");
    // In memory, nothing is sealed.
    assert!(load(LEAST).unwrap().cache_key.is_none());
}

#[test]
fn where_tak_is_must_be_said() {
    let least = "[aggregation.ei]\nhsa_id = \"SE-EI\"\n";
    for (table, expected) in [
        ("", "found no such table"),
        ("[aggregation.tak]\n", "found none of them"),
        ("[aggregation.tak]\noff = true\nfile = \"tak.json\"\n", "found `off` beside another"),
        ("[aggregation.tak]\nurl = \"tak.example\"\n", "expected a URL"),
    ] {
        let error = load(&format!("{least}{table}")).unwrap_err();
        assert!(error.contains(expected), "{table}: {error}");
    }
    let both = load(&format!("{least}[aggregation.tak]\nurl = \"https://tak.example/v2\"\nfile = \"tak.json\"\n"));
    let file = Some(PathBuf::from("/nowhere/tak.json"));
    assert_eq!(both.unwrap().tak, TakPlace::Url("https://tak.example/v2".to_owned(), file));
}

#[test]
fn descriptors_of_a_folder_come_to_the_built_in_ones_and_schemas_are_relative_to_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("services")).unwrap();
    let descriptor = "name = \"GetAggregatedX.v1\"\npath = \"/X/service/v1\"\ncontract = \"urn:x\"\n\
                      interaction = \"GetX\"\nwsdl_namespace = \"urn:x:rivtabp21\"\nschemas = \"xsd\"\n\
                      [query]\npatient = \"patient\"\ndomain = \"riv:x\"\n[requests]\ngroup_by = \"sourceSystem\"\n\
                      [response]\nconcatenate = [\"row\"]\n";
    std::fs::write(folder.path().join("services/x.toml"), descriptor).unwrap();
    std::fs::write(folder.path().join("services/readme.txt"), "no descriptor").unwrap();
    let text = format!("[aggregation]\nservice_folder = \"services\"\nservices = [\"GetAggregatedX.v1\"]\n{LEAST}");
    let error = load_in(folder.path(), &text).unwrap_err();
    assert!(error.contains("the schemas of GetAggregatedX.v1: cannot read"), "{error}");
    std::fs::create_dir(folder.path().join("xsd")).unwrap();
    std::fs::write(folder.path().join("xsd/x.xsd"), "<schema targetNamespace=\"urn:x\"/>").unwrap();
    let settings = load_in(folder.path(), &text).unwrap();
    assert_eq!(settings.services.len(), 1);
    assert_eq!(settings.services[0].schemas.of_contract(), Some("x.xsd"));
    std::fs::write(folder.path().join("services/x.toml"), "name = 5\n").unwrap();
    let error = load_in(folder.path(), &text).unwrap_err();
    assert!(error.contains("x.toml:1: "), "{error}");
}

#[test]
fn a_file_for_other_flows_misses_nothing() {
    let shown = |text: &str| {
        let source = Some(Source::new("agp.toml", text));
        effective(&ConfigurationFile { source, folder: PathBuf::new() }).map_err(|error| error.to_string())
    };
    assert!(shown("[cases]\n").unwrap().contains("service_timeout_ms = 4000"));
    assert!(effective(&ConfigurationFile::default()).is_ok());
    let given_back = shown("[aggregation]\ncheck_soap_action = true\n").unwrap();
    assert!(given_back.contains("check_soap_action = true"), "{given_back}");
    assert_eq!(shown(&given_back).unwrap(), given_back);
    assert!(shown("[aggregation]\nchek_soap_action = true\n").unwrap_err().starts_with("agp.toml:2: "));
    assert!(shown("[aggregation.ei]\nhsa_id = \"SE-EI\"\n").unwrap_err().contains("[aggregation.tak]"));
    assert!(shown("[aggregation.tak]\noff = true\n").unwrap_err().contains("hsa_id"));
    assert!(shown(LEAST).unwrap().contains("hsa_id = \"SE-EI\""));
}
