//! The TOML of a descriptor.

use std::time::Duration;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use toml::Spanned;
use tributary_flow::configuration::{self, ConfigurationError, Override, Source};

use super::parts::{BodyElement, Check, ElementPath, GroupBy, Keep, ValueSource};
use super::{Descriptor, Origin, Query, Requests, Response};
use crate::engagement::Field;
use crate::soap::{Elements, Name, is_name};

/// The longest time that a descriptor may set.
const LONGEST_MS: u64 = 24 * 3600 * 1000;
/// How far back most recent content may be asked for.
const MOST_DAYS: u16 = 36_600;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    name: Spanned<String>,
    path: Spanned<String>,
    contract: Spanned<String>,
    interaction: Spanned<String>,
    wsdl_namespace: Spanned<String>,
    url: Option<Spanned<String>>,
    schemas: Option<String>,
    cache_ttl_ms: Option<Spanned<u64>>,
    service_timeout_ms: Option<Spanned<u64>>,
    aggregate_timeout_ms: Option<Spanned<u64>>,
    aggregated_service_timeout_ms: Option<Spanned<u64>>,
    query: QueryTable,
    requests: RequestsTable,
    response: ResponseTable,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueryTable {
    patient: Spanned<String>,
    domain: Spanned<String>,
    #[serde(default)]
    categories: Vec<Spanned<String>>,
    most_recent_content_days: Option<Spanned<u16>>,
    #[serde(default)]
    refuse: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestsTable {
    group_by: GroupBy,
    #[serde(default)]
    keep: Vec<KeepTable>,
    body: Option<Vec<BodyTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeepTable {
    request: Spanned<String>,
    engagement: Field,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BodyTable {
    element: Spanned<String>,
    from: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResponseTable {
    concatenate: Spanned<Vec<Spanned<String>>>,
    append: Option<Spanned<String>>,
    #[serde(default)]
    validate: bool,
    #[serde(default)]
    checks: Vec<CheckTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckTable {
    path: Spanned<String>,
    pattern: Spanned<String>,
}

/// Reads a descriptor.
pub(super) fn read(source: &Source) -> Result<Descriptor, ConfigurationError> {
    let none = Source::new("nothing", "");
    let table: Table = configuration::read(&none, Some(source), Override::SingleKeys)?;
    let reader = Reader { source };
    let contract = reader.checked(table.contract, "a namespace", is_uri)?;
    let line = |at: usize| source.error_at(at, "").line;
    let times = [&table.service_timeout_ms, &table.aggregate_timeout_ms, &table.aggregated_service_timeout_ms];
    let times_at = times.into_iter().flatten().map(|time| time.span().start).min();
    let origin = Origin {
        file: source.name.clone(),
        path_line: line(table.path.span().start),
        times_line: times_at.map(line),
        digest: Sha256::digest(&source.text).into(),
    };
    Ok(Descriptor {
        name: reader.checked(table.name, "a name of letters, digits, \".\", \"-\" and \"_\"", is_service_name)?,
        origin,
        path: reader.checked(table.path, "a path such as \"/GetAggregatedX/service/v1\" that is not taken", is_path)?,
        interaction: reader.checked(table.interaction, "a local name", is_name)?,
        wsdl_namespace: reader.checked(table.wsdl_namespace, "a namespace", is_uri)?,
        url: table.url.map(|url| reader.checked(url, "an http or https URL", is_url)).transpose()?,
        schemas: table.schemas,
        cache_ttl: reader.milliseconds(table.cache_ttl_ms)?,
        service_timeout: reader.milliseconds(table.service_timeout_ms)?,
        aggregate_timeout: reader.milliseconds(table.aggregate_timeout_ms)?,
        aggregated_service_timeout: reader.milliseconds(table.aggregated_service_timeout_ms)?,
        query: reader.query(table.query)?,
        requests: reader.requests(table.requests)?,
        response: reader.response(table.response, &contract)?,
        contract,
    })
}

/// Turns entries into what they mean, and wrong ones into errors with their line.
struct Reader<'s> {
    source: &'s Source,
}

impl Reader<'_> {
    fn wrong<T>(&self, entry: &Spanned<T>, problem: String) -> ConfigurationError {
        self.source.error_at(entry.span().start, problem)
    }

    fn checked(
        &self,
        entry: Spanned<String>,
        expected: &str,
        is_right: fn(&str) -> bool,
    ) -> Result<String, ConfigurationError> {
        if is_right(entry.get_ref()) {
            return Ok(entry.into_inner());
        }
        Err(self.wrong(&entry, format!("expected {expected}, found \"{}\"", entry.get_ref())))
    }

    fn meant<T>(
        &self,
        entry: &Spanned<String>,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, ConfigurationError> {
        read(entry.get_ref()).map_err(|problem| self.wrong(entry, problem))
    }

    fn milliseconds(&self, entry: Option<Spanned<u64>>) -> Result<Option<Duration>, ConfigurationError> {
        match entry {
            Some(entry) if !(1..=LONGEST_MS).contains(entry.get_ref()) => {
                let found = entry.get_ref();
                Err(self.wrong(&entry, format!("expected 1 to {LONGEST_MS} milliseconds, found {found}")))
            }
            entry => Ok(entry.map(|entry| Duration::from_millis(entry.into_inner()))),
        }
    }

    fn query(&self, table: QueryTable) -> Result<Query, ConfigurationError> {
        let days = table.most_recent_content_days;
        if let Some(wrong) = days.as_ref().filter(|days| !(1..=MOST_DAYS).contains(days.get_ref())) {
            let found = wrong.get_ref();
            return Err(self.wrong(wrong, format!("expected 1 to {MOST_DAYS} days, found {found}")));
        }
        let categories = table.categories.into_iter();
        let refuse = table.refuse.iter();
        Ok(Query {
            patient: self.meant(&table.patient, ElementPath::read)?,
            domain: self.checked(table.domain, "a domain", is_uri)?,
            categories: categories
                .map(|category| self.checked(category, "a category", is_text))
                .collect::<Result<_, _>>()?,
            most_recent_content_days: days.map(Spanned::into_inner),
            refuse: refuse.map(|path| self.meant(path, ElementPath::read)).collect::<Result<_, _>>()?,
        })
    }

    fn requests(&self, table: RequestsTable) -> Result<Requests, ConfigurationError> {
        let keep = table.keep.into_iter().map(|keep| {
            let request = self.meant(&keep.request, ElementPath::read)?;
            Ok::<_, ConfigurationError>(Keep { request, engagement: keep.engagement })
        });
        let element = |table: BodyTable| {
            let from = self.meant(&table.from, ValueSource::read)?;
            Ok::<_, ConfigurationError>(BodyElement {
                element: self.checked(table.element, "a local name", is_name)?,
                from,
            })
        };
        Ok(Requests {
            group_by: table.group_by,
            keep: keep.collect::<Result<_, _>>()?,
            body: table.body.map(|body| body.into_iter().map(element).collect()).transpose()?,
        })
    }

    fn response(&self, table: ResponseTable, contract: &str) -> Result<Response, ConfigurationError> {
        let mut concatenate: Vec<Name> = Vec::new();
        for entry in table.concatenate.get_ref() {
            let name = self.meant(entry, |text| element_name(text, contract))?;
            if concatenate.contains(&name) {
                return Err(self.wrong(entry, format!("expected another element, found {name} a second time")));
            }
            concatenate.push(name);
        }
        if concatenate.is_empty() {
            return Err(self.wrong(&table.concatenate, "expected at least one element, found none".to_owned()));
        }
        let append = table.append.map(|append| {
            self.meant(&append, |text| {
                Elements::read(text).map_err(|error| format!("expected well-formed elements: {error}"))
            })
        });
        let checks = table.checks.into_iter().map(|check| {
            let path = self.meant(&check.path, ElementPath::read)?;
            self.meant(&check.pattern, |pattern| Check::read(path, pattern))
        });
        let checks: Vec<Check> = checks.collect::<Result<_, _>>()?;
        let checks = if table.validate { checks } else { Vec::new() };
        Ok(Response { concatenate, append: append.transpose()?, checks })
    }
}

/// A name in the contract's namespace, or `{namespace}name`.
fn element_name(text: &str, contract: &str) -> Result<Name, String> {
    let (namespace, local) = match text.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        Some((namespace, local)) => (namespace, local),
        None => (contract, text),
    };
    if is_name(local) && (namespace.is_empty() || is_uri(namespace)) {
        return Ok(Name::new(namespace, local));
    }
    Err(format!("expected a name such as \"timeslotDetail\" or \"{{namespace}}name\", found \"{text}\""))
}

fn is_uri(text: &str) -> bool {
    is_text(text) && !text.contains(['"', '\'', '<', '>', '&', ' '])
}

fn is_text(text: &str) -> bool {
    !text.is_empty() && text.len() <= 1024 && !text.contains(char::is_control)
}

fn is_service_name(text: &str) -> bool {
    is_text(text) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

fn is_path(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'/' | b'~');
    let is_path = is_text(text) && text.starts_with('/') && text.len() > 1 && !text.ends_with('/');
    is_path && text.bytes().all(allowed) && !is_taken(text)
}

/// Whether the path is one of the port itself, of the index, or of another flow.
fn is_taken(path: &str) -> bool {
    const OWN: [&str; 13] = [
        "api",
        "esr",
        "graphql",
        "livez",
        "metrics",
        "openapi.json",
        "readyz",
        "resetcache",
        "skltp-ei",
        "startupz",
        "status",
        "swagger",
        "aggregation",
    ];
    let first = path.split('/').nth(1).unwrap_or_default();
    OWN.contains(&first) || path.ends_with("/service/process-notification/v1")
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    is_text(text) && rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/')) && !text.contains(' ')
}
