//! What the configuration says, and what it refuses.

use tributary_flow::configuration::Source;
use tributary_schemas::records::registry::JobStatus;

use super::*;
use crate::harness;

/// The example that is shipped.
const TAX: &str = include_str!("../../../../deploy/registry-tax.toml");

fn refused(text: &str) -> ConfigurationError {
    RegistrySettings::load(Some(&Source::new("registry.toml", text))).unwrap_err()
}

/// An error of a configuration that has what is needed.
fn problem(text: &str) -> String {
    RegistrySettings::load(Some(&harness::source(text))).unwrap_err().problem
}

#[test]
fn only_the_code_of_the_organisation_is_needed() {
    let error = RegistrySettings::load(None).unwrap_err();
    assert!(error.problem.contains("job.unzr.service.member_code"), "{error}");
    let settings = harness::settings();
    assert_eq!((settings.tick, settings.purge_after, settings.max_pending), (1000, None, 10_000));
    let expected = CallSettings {
        timeout: 30_000,
        max_in_flight: 10,
        breaker_failures: 5,
        breaker_pause: 30_000,
        attempts: 5,
        wait_base: 15_000,
        wait_factor: 1000,
        wait_cap: 300_000,
        jitter: 0.1,
        deadline: 900_000,
        restarts: 1,
    };
    let kind = harness::unzr(&settings);
    assert_eq!(kind.calls, expected);
    assert_eq!((kind.scopes.read.as_str(), kind.scopes.write.as_str()), ("unzr:read", "unzr:write"));
    assert_eq!(kind.graphql.object, "UnzrInfo");
    assert_eq!((kind.service.action.as_str(), kind.service.version.as_ref()), ("urn:unzr", None));
    assert_eq!(settings.trembita.user_id, UserIdRule::User);
    assert_eq!(settings.trembita.max_answer, 1 << 20);
    assert_eq!(kind.answer.fields.len(), 6);
    assert_eq!(kind.answer.lists["documents"].fields.len(), 6);
    assert_eq!(kind.answer.retry_codes, ["-2"]);
}

#[test]
fn a_users_file_overrides_single_entries_and_a_kind_overrides_calls() {
    let settings = harness::settings_with(
        "[registry]\npurge_after = \"365d\"\ncalls = { attempts = 3, timeout = \"10s\" }\n\
         [registry.job.unzr.calls]\ntimeout = \"2s\"\n",
    );
    let calls = harness::unzr(&settings).calls;
    assert_eq!((settings.purge_after, calls.attempts, calls.timeout), (Some(365 * 86_400_000), 3, 2000));
    assert_eq!(calls.max_in_flight, 10);
}

#[test]
fn given_fields_replace_their_table() {
    let kind = harness::kind_with(
        "[registry.job.unzr.answer]\nfields = { firstName = \"NAME\" }\nlists.documents.fields = { type = \"T\" }\n",
    );
    let name = ("firstName".to_owned(), "NAME".to_owned());
    assert_eq!(kind.answer.fields, BTreeMap::from([name]));
    let documents = &kind.answer.lists["documents"];
    assert_eq!((documents.fields.len(), documents.list.as_str()), (1, "documentList"));
}

#[test]
fn statuses_have_the_configured_names_which_may_coincide() {
    let settings = harness::settings_with("[registry]\nstatuses = { failed_with_error = \"failed\" }\n");
    let names: Vec<&str> = JobStatus::ALL.iter().map(|status| settings.statuses.name(*status)).collect();
    assert_eq!(names, ["pending", "processed", "failed", "failed"]);
}

#[test]
fn the_shipped_example_adds_the_tax_register() {
    let settings = RegistrySettings::load(Some(&Source::new("registry-tax.toml", TAX))).unwrap();
    let tax = settings.kind(&"tax".parse().unwrap()).unwrap();
    let names = GraphqlNames {
        argument: "rnokpp".to_owned(),
        object: "TaxInfo".to_owned(),
        query: "taxInfoRegister".to_owned(),
        mutation: "syncTaxInfoRegister".to_owned(),
    };
    assert_eq!(tax.graphql, names);
    assert_eq!((tax.scopes.read.as_str(), tax.scopes.write.as_str()), ("tax:read", "tax:write"));
    assert_eq!((tax.number.element.as_str(), tax.service.code.as_str()), ("RNOKPP", "InfoRNOKPPDRFO"));
    assert_eq!(tax.service.soap, tributary_soap::Version::Soap11);
    assert!(tax.answer.lists.is_empty());
    let status = tax.answer.status.clone().unwrap();
    assert_eq!(
        (status.element.as_str(), status.found, status.empty, status.retry),
        ("RESULT", vec!["0".to_owned()], vec!["1".to_owned()], vec!["-2".to_owned()],)
    );
    let taken = |text: &str| tax.number.check_request(&crate::number::Number::new(text)).is_ok();
    assert!(taken("3000000001") && !taken("300000000") && !taken("30000000011"));
    assert_ne!(tax.call_topic.name, settings.kind(&harness::kind_name()).unwrap().call_topic.name);
    assert_eq!(settings.kinds.len(), 2);
}

#[test]
fn a_wrong_entry_is_refused_with_its_key_and_what_was_expected() {
    for (text, key, expectation) in [
        ("[registry.job.unzr]\nnumber = { check = \"format\", format = '(' }\n", "job.unzr.number.format", "regular"),
        ("[registry.job.unzr]\nnumber = { element = \"a:b\" }\n", "job.unzr.number.element", "XML element"),
        ("[registry.job.unzr]\ngraphql = { query = \"__a\" }\n", "job.unzr.graphql.query", "a name of GraphQL"),
        ("[registry.job.unzr]\nscopes = { read = \"a b\" }\n", "job.unzr.scopes.read", "without blanks"),
        ("[registry.job.unzr]\nservice = { code = \"\" }\n", "job.unzr.service.code", "XML element"),
        ("[registry.job.unzr]\nservice = { action = \"urn:\\\"\" }\n", "job.unzr.service.action", "URI"),
        ("[registry.job.unzr]\nservice = { subsystem = \"\" }\n", "job.unzr.service.subsystem", "1 to 256"),
        ("[registry.job.unzr.calls]\nattempts = 0\n", "job.unzr.calls.attempts", "from 1"),
        ("[registry.calls]\njitter = 1.5\n", "calls.jitter", "from 0 to 1"),
        ("[registry.trembita]\nuser_id = \"u-{user}\"\n", "trembita.user_id", "constant"),
        ("[registry.trembita]\nclient = { member_code = \"\" }\n", "trembita.client.member_code", "1 to 256"),
        ("[registry]\nstatuses = { failed = \"\" }\n", "statuses.failed", "1 to 256"),
        ("[registry.job.unzr.answer]\nat = \"a..b\"\n", "job.unzr.answer.at", "XML element"),
        ("[registry.job.unzr.answer]\nfields = {}\nlists.documents.fields = {}\n", "documents.fields", "the entry"),
        ("[registry.job.unzr.answer]\nfields = { documents = \"x\" }\n", "job.unzr.answer.lists", "another name"),
        (
            "[registry.job.unzr.answer]\nstatus = { element = \"R\", found = [\"0\"], empty = [\"0\"] }\n",
            "job.unzr.answer.status",
            "means one thing",
        ),
        ("[registry.job.Tax]\n", "job", "a-z"),
        ("[registry.job.tax]\n", "job.tax.scopes", "the entry"),
    ] {
        let problem = problem(text);
        assert!(problem.contains(key) && problem.contains(expectation), "{text}: {problem}");
    }
}

#[test]
fn a_wrong_entry_is_refused_with_its_line() {
    let error = refused("[registry]\ntick = \"soon\"\n");
    assert_eq!((error.line, error.problem.contains("a duration")), (2, true), "{error}");
    let error = refused("[registry]\n\npurge_after = \"0s\"\n");
    assert_eq!((error.line, error.problem.contains("\"off\" or a duration")), (3, true), "{error}");
    let error = refused("[registry.job.unzr]\nservice.member_code = \"1\"\nunknown = 1\n");
    assert_eq!(error.line, 3, "{error}");
    let error = refused("\n\n[registry.job.unzr]\nservice.member_code = \"\"\n");
    assert_eq!((error.line, error.problem.contains("job.unzr.service.member_code")), (3, true), "{error}");
    let error = refused("[registry.job.unzr]\nservice = { soap = \"1.3\" }\n");
    assert_eq!((error.line, error.problem.contains("1.1")), (2, true), "{error}");
}

#[test]
fn strict_checks_are_for_the_unzr_only() {
    let tax = TAX.replace("check = \"format\"", "check = \"strict\"");
    assert_ne!(tax, TAX);
    let problem = refused(&tax).problem;
    assert!(problem.contains("job.tax.number.check") && problem.contains("which is for unzr"), "{problem}");
}

#[test]
fn no_two_kinds_have_the_same_names_in_graphql() {
    for (own, taken) in
        [("\"TaxInfo\"", "\"UnzrInfo\""), ("\"taxInfoRegister\"", "\"unzrInfoRegister\""), ("\"TaxInfo\"", "\"Node\"")]
    {
        let text = TAX.replacen(own, taken, 1);
        assert_ne!(text, TAX);
        let problem = refused(&text).problem;
        assert!(problem.contains("which is taken"), "{problem}");
    }
}
