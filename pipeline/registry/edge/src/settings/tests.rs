use super::*;

/// 32 bytes in Base64.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

const NEEDED: &str = "\
[registry]
encryption_keys = { file = \"keys.txt\" }
lookup_key = { file = \"lookup.key\" }
[registry.trembita]
url = \"http://127.0.0.1:9/\"
[registry.job.unzr.service]
member_code = \"00000001\"
";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("keys.txt"), format!("k1 {KEY}\n")).unwrap();
    std::fs::write(folder.path().join("lookup.key"), KEY).unwrap();
    folder
}

fn load_in(folder: &Path, text: &str) -> Result<EdgeSettings, ConfigurationError> {
    let source = Some(Source::new("registry.toml", text));
    EdgeSettings::load(&ConfigurationFile { source, folder: folder.to_owned() })
}

fn load(text: &str) -> Result<EdgeSettings, ConfigurationError> {
    load_in(folder().path(), text)
}

fn with(entry: &str) -> String {
    NEEDED.replacen("[registry]\n", &format!("[registry]\n{entry}\n"), 1)
}

#[test]
fn limits_have_defaults_and_the_file_of_clients_is_beside_the_configuration() {
    let settings = load(NEEDED).unwrap();
    let expected =
        GraphqlSettings { introspection: false, graphiql: false, max_depth: 15, max_fields: 200, max_body: 64 * 1024 };
    assert_eq!((settings.graphql, settings.clients), (expected, None));
    let folder = folder();
    let text = with("clients = \"clients.toml\"\ngraphql = { max_fields = 7, introspection = true }");
    let settings = load_in(folder.path(), &text).unwrap();
    assert_eq!(settings.graphql, GraphqlSettings { max_fields: 7, introspection: true, ..expected });
    assert_eq!(settings.clients, Some(folder.path().join("clients.toml")));
}

#[test]
fn a_wrong_limit_is_refused_with_its_line() {
    for wrong in ["max_depth = 31", "max_depth = 0", "max_fields = 0", "max_body = \"1GiB\"", "depth = 3"] {
        let error = load(&with(&format!("graphql = {{ {wrong} }}"))).unwrap_err();
        assert_eq!((error.line, error.file.as_str()), (2, "registry.toml"), "{error}");
    }
}

#[test]
fn what_has_to_be_given_is_named() {
    for (line, named) in [
        ("encryption_keys = { file = \"keys.txt\" }\n", "encryption_keys"),
        ("lookup_key = { file = \"lookup.key\" }\n", "lookup_key"),
        ("url = \"http://127.0.0.1:9/\"\n", "url"),
    ] {
        let error = load(&NEEDED.replace(line, "")).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
}

#[test]
fn a_wrong_key_is_named_and_not_shown() {
    let folder = folder();
    std::fs::write(folder.path().join("keys.txt"), "k1 c2VjcmV0\n").unwrap();
    let error = load_in(folder.path(), NEEDED).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("encryption_keys: line 1") && !text.contains("c2VjcmV0"), "{text}");
    assert_eq!(error.line, 2);
    let error = load(&NEEDED.replace("lookup.key", "absent.key")).unwrap_err().to_string();
    assert!(error.contains("absent.key"), "{error}");
}

#[test]
fn an_address_must_be_https_or_on_this_machine() {
    let at = |entries: &str| NEEDED.replace("url = \"http://127.0.0.1:9/\"", entries);
    for refused in ["url = \"http://security-server.example/\"", "url = \"ftp://127.0.0.1/\"", "url = \"\""] {
        assert_eq!(load(&at(refused)).unwrap_err().line, 5, "{refused}");
    }
    let plain = "url = \"http://security-server.example/\"\nallow_plain_http = true";
    assert!(load(&at(plain)).unwrap().security_server.allow_plain_http);
    let half = "url = \"https://security-server.example/\"\ntls = { ca = \"ca.pem\", key = \"client.key\" }";
    assert!(load(&at(half)).unwrap_err().to_string().contains("together"));
}

#[test]
fn unknown_entries_are_refused() {
    for wrong in ["encryption_key = \"${KEY}\"", "trembita.uri = \"https://a.example\""] {
        assert!(load(&with(wrong)).is_err(), "{wrong}");
    }
}

#[test]
fn the_settings_in_effect_name_keys_and_do_not_show_them() {
    let folder = folder();
    let file = |text: &str| ConfigurationFile {
        source: Some(Source::new("registry.toml", text)),
        folder: folder.path().to_owned(),
    };
    let shown = effective(&file(NEEDED)).unwrap();
    assert!(shown.contains("keys.txt") && shown.contains("max_depth = 15") && !shown.contains(KEY), "{shown}");
    assert!(effective(&file("[esr]\n")).is_ok(), "it may be a file for other flows");
    assert!(effective(&file("[registry]\ngraphql = { depth = 3 }\n")).is_err());
}
