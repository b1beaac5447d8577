//! The built-in configuration, and how a user's file changes it.

use super::*;

fn load(text: &str) -> Result<EsrConfiguration, ConfigurationError> {
    EsrConfiguration::load(Some(&Source::new("my.toml", text)))
}

#[test]
fn the_built_in_configuration_has_the_defaults_of_the_domain_page() {
    let configuration = EsrConfiguration::load(None).unwrap();
    assert_eq!(configuration.offices.len(), 13);
    assert_eq!(configuration.offices[&"LDN".parse().unwrap()].local_offices.len(), 4);
    assert_eq!((configuration.applicants.min_days, configuration.applicants.max_weeks), (2, 13));
    assert_eq!(configuration.applicants.max_rows_per_post, 40);
    assert_eq!(configuration.applicants.placement_types.len(), 7);
    assert_eq!(configuration.inbound.line_limit, 8192);
    assert_eq!(configuration.inbound.file_limit, ByteSize::mib(256));
    assert_eq!(configuration.inbound.after, After::Keep);
    assert_eq!(configuration.schedule.applicants.to_string(), "14:00");
    assert_eq!(configuration.schedule.notifications.to_string(), "15:00");
    assert_eq!(configuration.notifications.withdrawal_reason, "3");
    assert_eq!(configuration.outbound.first_number.of(FileKind::App), 1);
}

#[test]
fn a8_types_are_compared_without_regard_to_case() {
    let applicants = EsrConfiguration::load(None).unwrap().applicants;
    assert!(applicants.counts("In Post"));
    assert!(applicants.counts(" in post - extension "));
    assert!(!applicants.counts("OOPC"));
    assert!(!applicants.counts(""));
}

#[test]
fn a_user_file_overrides_single_entries() {
    let configuration = load(
        "[esr.applicants]\nmin_days = 3\n[esr.office.XYZ]\nregion = \"Test\"\nlocal_offices = []\n\
         designated_bodies = []\n",
    )
    .unwrap();
    assert_eq!((configuration.applicants.min_days, configuration.applicants.max_weeks), (3, 13));
    assert_eq!(configuration.offices.len(), 14);
}

#[test]
fn d107_the_largest_file_has_a_unit_and_bounds() {
    let limit = |size: &str| load(&format!("[esr.inbound]\nfile_limit = {size}\n")).map(|it| it.inbound.file_limit);
    assert_eq!(limit("\"1.5MiB\"").unwrap(), ByteSize::kib(1536));
    for size in ["\"2GiB\"", "0", "\"much\""] {
        assert_eq!(limit(size).unwrap_err().line, 2, "{size}");
    }
}

#[test]
fn what_is_shown_can_be_given_as_configuration() {
    let configuration = load(
        "[esr.schedule]\napplicants = \"06:30\"\n[esr.outbound]\nline_end = \"crlf\"\nencoding = \"ascii-translit\"\n",
    )
    .unwrap();
    assert_eq!(load(&configuration.to_toml()), Ok(configuration));
}

#[test]
fn a_wrong_entry_is_reported_with_file_line_and_expectation() {
    for (text, message) in [
        ("\n[esr.applicants]\nmin_days = 999\n", "my.toml:3: expected a number from 0 to 366, found 999"),
        ("[esr.applicants]\nmin_days = \"two\"\n", "my.toml:2: expected a whole number, found string \"two\""),
        ("[esr.inbound]\nafter = \"delete\"\n", "my.toml:2: expected `keep` or `archive`, found `delete`"),
        (
            "[esr.schedule]\napplicants = \"2pm\"\n",
            "my.toml:2: expected a time of day such as \"14:00\", found \"2pm\"",
        ),
        (
            "[esr.notifications]\n\nreason = \"3\"\n",
            "my.toml:3: expected `withdrawal_reason`, found the unknown entry `reason`",
        ),
        ("esr.version = 2\n", "my.toml:1: expected version 1, found 2"),
        ("[esr.outbound.first_number]\nAPP = 0\n", "my.toml:2: expected a number from 1 to 99999999, found 0"),
        (
            "[esr.applicants]\nplacement_types = []\n",
            "my.toml:2: expected at least one text and no blank one, found a blank",
        ),
    ] {
        assert_eq!(load(text).unwrap_err().to_string(), message);
    }
    let error = load("\n[esr.office.eoe]\nregion = \"x\"\nlocal_offices = []\ndesignated_bodies = []\n").unwrap_err();
    assert_eq!(error.to_string(), "my.toml:2: expected an office code of three upper-case letters, found `eoe`");
    let error = load("\n[esr.office.EOX]\nregion = \"x\"\n").unwrap_err();
    assert_eq!(error.to_string(), "my.toml:2: expected the entry `local_offices`, found none");
}

#[test]
fn layouts_and_maps_come_from_the_files_that_the_configuration_names() {
    let user = Source::new("my.toml", "esr.value_maps = \"maps.toml\"\n");
    let settings = EsrSettings::load(Some(&user), &|name| {
        assert_eq!(name, "maps.toml");
        Ok("[map.title]\nBaron = \"BARON\"\n".to_owned())
    });
    assert_eq!(settings.unwrap().value_maps.title.get("Baron").code(), "BARON");
    let error = EsrSettings::load(Some(&user), &|_| Err("no such file".to_owned())).unwrap_err();
    assert_eq!(error.to_string(), "maps.toml:1: expected a file that can be read, found: no such file");
}

#[test]
fn the_example_configuration_is_valid() {
    let example = Source::new("deploy/tributary.toml", include_str!("../../../../deploy/tributary.toml"));
    let configuration = EsrConfiguration::load(Some(&example)).unwrap();
    assert_ne!(configuration, EsrConfiguration::load(None).unwrap());
}
