//! Makes settings of the table, and says which entry is wrong.

use std::collections::{BTreeMap, BTreeSet};

use regex::{Regex, RegexBuilder};
use tributary_schemas::types::registry::KindName;
use tributary_soap::{Version, is_name};

use super::table::{
    AnswerTable, CallTable, CheckName, GraphqlTable, JobTable, ListTable, NumberTable, Period, ServiceTable,
    SoapVersion, Table, TrembitaTable,
};
use super::{
    AnswerRule, CallSettings, GraphqlNames, Kind, ListRule, NumberCheck, NumberRule, RegistrySettings, Scopes, Service,
    Trembita, UserIdRule,
};
use crate::topics;

/// The kind that is built in.
const UNZR: &str = "unzr";

/// The fields of its answers (R 5.3), each of the element of its name.
const FIELDS: [&str; 6] = ["firstName", "lastName", "middleName", "rnokpp", "gender", "dateBirth"];

/// The list of its answers, and the fields of an item.
const DOCUMENTS: &str = "documents";
const DOCUMENT_FIELDS: [&str; 6] = ["type", "number", "issuedAt", "expiredAt", "issuedBy", "status"];

/// The largest pattern of a number, compiled.
const PATTERN_BYTES: usize = 64 * 1024;

/// The longest name, code or address that is sent.
const LONGEST: usize = 256;

/// Types of GraphQL that no kind may have.
const RESERVED: [&str; 12] = [
    "Query",
    "Mutation",
    "Subscription",
    "Node",
    "UUID",
    "DateTime",
    "String",
    "Int",
    "Float",
    "Boolean",
    "ID",
    "Upload",
];

/// A wrong entry: where it is, and what was expected.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) offset: usize,
    pub(super) problem: String,
}

/// Settings of the table. A mistake in a kind that is not among the `given` is one of the whole file: something is
/// missing.
pub(super) fn settings(table: Table, given: &BTreeSet<String>) -> Result<RegistrySettings, Wrong> {
    let at = |offset: usize| move |problem: String| Wrong { offset, problem };
    for (key, name) in table.statuses.get_ref().all() {
        text(&format!("statuses.{key}"), name).map_err(at(table.statuses.span().start))?;
    }
    let base = *table.calls.get_ref();
    calls("calls", base).map_err(at(table.calls.span().start))?;
    let trembita_at = table.trembita.span().start;
    let mut kinds = BTreeMap::new();
    let mut names = Names::default();
    for (name, job) in table.job {
        let offset = if given.contains(&name) { job.span().start } else { 0 };
        let kind = kind(&name, job.into_inner(), base).map_err(at(offset))?;
        names.add(&kind).map_err(at(offset))?;
        kinds.insert(kind.name.clone(), kind);
    }
    Ok(RegistrySettings {
        tick: table.tick.0,
        purge_after: table.purge_after.0.map(|period| period.0),
        max_pending: i64::from(table.max_pending),
        statuses: table.statuses.into_inner(),
        trembita: trembita(table.trembita.get_ref()).map_err(at(trembita_at))?,
        kinds,
    })
}

fn trembita(table: &TrembitaTable) -> Result<Trembita, String> {
    let constant = table.user_id.replace("{user}", "");
    let user_id = match table.user_id.as_str() {
        "{user}" => UserIdRule::User,
        other if constant == other => UserIdRule::Constant(text("trembita.user_id", other)?),
        _ => return Err("expected \"{user}\" or a constant at trembita.user_id, found a mixture".to_owned()),
    };
    let max_answer = usize::try_from(table.max_answer.as_u64()).unwrap_or(usize::MAX);
    if max_answer == 0 {
        return Err("expected a size of at least one byte at trembita.max_answer, found none".to_owned());
    }
    Ok(Trembita {
        instance: text("trembita.instance", &table.instance)?,
        member_class: text("trembita.client.member_class", &table.client.member_class)?,
        member_code: text("trembita.client.member_code", &table.client.member_code)?,
        subsystem: text("trembita.client.subsystem", &table.client.subsystem)?,
        user_id,
        protocol_version: text("trembita.protocol_version", &table.protocol_version)?,
        max_answer,
    })
}

fn kind(name: &str, table: JobTable, base: CallTable) -> Result<Kind, String> {
    let here = format!("job.{name}");
    let needed = |key: &str| format!("expected the entry {here}.{key}, found none");
    let is_lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
    let known: Option<KindName> = name.parse().ok().filter(|_| name.bytes().all(is_lower));
    let kind = known.ok_or_else(|| {
        format!("expected the name of a kind at job, of 1 to 64 of a-z, 0-9, _ and -, found \"{name}\"")
    })?;
    let scopes = table.scopes.ok_or_else(|| needed("scopes"))?;
    Ok(Kind {
        graphql: graphql(&here, table.graphql.ok_or_else(|| needed("graphql"))?)?,
        scopes: Scopes {
            read: scope(&format!("{here}.scopes.read"), &scopes.read)?,
            write: scope(&format!("{here}.scopes.write"), &scopes.write)?,
        },
        number: number(name, &here, table.number.ok_or_else(|| needed("number"))?)?,
        service: service(&here, &table.service.ok_or_else(|| needed("service"))?)?,
        answer: answer(name, &here, table.answer)?,
        calls: calls(&format!("{here}.calls"), table.calls.over(base))?,
        call_topic: topics::call(&kind),
        name: kind,
    })
}

fn graphql(here: &str, table: GraphqlTable) -> Result<GraphqlNames, String> {
    let named = |key: &str, name: String| graphql_name(&format!("{here}.graphql.{key}"), name);
    Ok(GraphqlNames {
        argument: named("argument", table.argument)?,
        object: named("type", table.object)?,
        query: named("query", table.query)?,
        mutation: named("mutation", table.mutation)?,
    })
}

/// A name of GraphQL. Those with two underscores in front are its own.
fn graphql_name(key: &str, name: String) -> Result<String, String> {
    let starts = name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if starts && !name.starts_with("__") && name.bytes().all(fits) && name.len() <= LONGEST {
        return Ok(name);
    }
    Err(format!("expected a name of GraphQL at {key}, found \"{name}\""))
}

fn scope(key: &str, scope: &str) -> Result<String, String> {
    let is_scope = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E);
    if !scope.is_empty() && scope.bytes().all(is_scope) {
        return Ok(scope.to_owned());
    }
    Err(format!("expected a scope without blanks and quotes at {key}, found \"{scope}\""))
}

/// A text that goes into a message.
fn text(key: &str, text: &str) -> Result<String, String> {
    let is_short = (1..=LONGEST).contains(&text.len());
    if is_short && text.trim() == text && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(format!("expected a text of 1 to {LONGEST} bytes without blanks around it at {key}, found \"{text}\""))
}

/// The name of an element without a prefix.
fn element(key: &str, name: &str) -> Result<String, String> {
    if is_name(name) {
        return Ok(name.to_owned());
    }
    Err(format!("expected the name of an XML element without a prefix at {key}, found \"{name}\""))
}

fn number(kind: &str, here: &str, table: NumberTable) -> Result<NumberRule, String> {
    let key = format!("{here}.number");
    let check = table.check.unwrap_or(if table.format.is_some() { CheckName::Format } else { CheckName::Off });
    let pattern = table.format.map(|format| pattern(&key, &format)).transpose()?;
    let check = match (check, pattern) {
        (CheckName::Off, _) => NumberCheck::Off,
        (_, None) => return Err(format!("expected a pattern at {key}.format, because `check` wants one, found none")),
        (CheckName::Format, Some(pattern)) => NumberCheck::Format(pattern),
        (CheckName::Strict, Some(pattern)) if kind == UNZR => NumberCheck::Strict(pattern),
        (CheckName::Strict, Some(_)) => {
            return Err(format!(
                "expected \"off\" or \"format\" at {key}.check, found \"strict\", which is for {UNZR}"
            ));
        }
    };
    Ok(NumberRule { element: element(&format!("{key}.element"), &table.element)?, check })
}

fn pattern(key: &str, format: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(format).size_limit(PATTERN_BYTES).build();
    built.map_err(|_| format!("expected a regular expression at {key}.format, found \"{format}\""))
}

fn service(here: &str, table: &ServiceTable) -> Result<Service, String> {
    let key = |name: &str| format!("{here}.service.{name}");
    let given = |name: &str, value: &str| if value.is_empty() { Ok(None) } else { text(&key(name), value).map(Some) };
    let code = element(&key("code"), &table.code)?;
    let action = given("action", &table.action)?.unwrap_or_else(|| format!("urn:{code}"));
    if !action.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\')) {
        return Err(format!("expected a URI of ASCII at {}, found \"{action}\"", key("action")));
    }
    Ok(Service {
        member_class: text(&key("member_class"), &table.member_class)?,
        member_code: text(&key("member_code"), &table.member_code)?,
        subsystem: text(&key("subsystem"), &table.subsystem)?,
        version: given("version", &table.version)?,
        namespace: given("namespace", &table.namespace)?,
        soap: match table.soap {
            SoapVersion::Soap11 => Version::Soap11,
            SoapVersion::Soap12 => Version::Soap12,
        },
        action,
        code,
    })
}

fn answer(kind: &str, here: &str, table: AnswerTable) -> Result<AnswerRule, String> {
    let key = |name: &str| format!("{here}.answer.{name}");
    let is_built_in = kind == UNZR;
    let own = || FIELDS.map(|name| (name.to_owned(), name.to_owned())).into();
    let fields = table.fields.unwrap_or_else(|| if is_built_in { own() } else { BTreeMap::new() });
    check_fields(&key("fields"), &fields)?;
    let mut lists = BTreeMap::new();
    let mut given = table.lists;
    if is_built_in {
        let documents = given.remove(DOCUMENTS).unwrap_or_default();
        given.insert(DOCUMENTS.to_owned(), built_in_documents(documents));
    }
    for (name, list) in given {
        let rule = list_rule(&key(&format!("lists.{name}")), list)?;
        for field in [&name, &rule.list] {
            graphql_name(&key("lists"), field.clone())?;
            let is_taken = fields.contains_key(field)
                || lists.iter().any(|(other, rule): (&String, &ListRule)| other == field || rule.list == *field);
            if is_taken || name == rule.list {
                return Err(format!("expected another name at {}, found \"{field}\" twice", key("lists")));
            }
        }
        lists.insert(name, rule);
    }
    if fields.is_empty() && lists.is_empty() {
        return Err(format!("expected at least one field at {}, found none", key("fields")));
    }
    let at: Vec<String> = table.at.split('.').filter(|_| !table.at.is_empty()).map(str::to_owned).collect();
    at.iter().try_for_each(|name| element(&key("at"), name).map(drop))?;
    if let Some(status) = &table.status {
        element(&key("status.element"), &status.element)?;
        let all: Vec<&String> = [&status.found, &status.empty, &status.retry].into_iter().flatten().collect();
        let different: BTreeSet<&String> = all.iter().copied().collect();
        if different.len() < all.len() || status.found.is_empty() {
            let problem = "expected values of which each means one thing, and one for found";
            return Err(format!("{problem}, at {}, found others", key("status")));
        }
    }
    Ok(AnswerRule { at, fields, lists, retry_codes: table.retry_codes, status: table.status })
}

fn check_fields(key: &str, fields: &BTreeMap<String, String>) -> Result<(), String> {
    fields.iter().try_for_each(|(field, name)| {
        graphql_name(key, field.clone())?;
        element(&format!("{key}.{field}"), name).map(drop)
    })
}

fn built_in_documents(table: ListTable) -> ListTable {
    let fields = || DOCUMENT_FIELDS.map(|name| (name.to_owned(), name.to_owned())).into();
    ListTable {
        element: table.element.or_else(|| Some(DOCUMENTS.to_owned())),
        object: table.object.or_else(|| Some("UnzrInfoDocument".to_owned())),
        list: table.list.or_else(|| Some("documentList".to_owned())),
        fields: Some(table.fields.unwrap_or_else(fields)),
    }
}

fn list_rule(key: &str, table: ListTable) -> Result<ListRule, String> {
    let needed = |name: &str| format!("expected the entry {key}.{name}, found none");
    let fields = table.fields.filter(|fields| !fields.is_empty()).ok_or_else(|| needed("fields"))?;
    check_fields(&format!("{key}.fields"), &fields)?;
    Ok(ListRule {
        element: element(&format!("{key}.element"), &table.element.ok_or_else(|| needed("element"))?)?,
        object: graphql_name(&format!("{key}.type"), table.object.ok_or_else(|| needed("type"))?)?,
        list: graphql_name(&format!("{key}.list"), table.list.ok_or_else(|| needed("list"))?)?,
        fields,
    })
}

fn calls(key: &str, table: CallTable) -> Result<CallSettings, String> {
    let needed = |name: &str| format!("expected the entry {key}.{name}, found none");
    let time = |name: &str, period: Option<Period>| period.map(|period| period.0).ok_or_else(|| needed(name));
    let at_least_one = |name: &str, count: u32| match count {
        0 => Err(format!("expected a number from 1 at {key}.{name}, found 0")),
        count => Ok(count),
    };
    let jitter = table.jitter.ok_or_else(|| needed("jitter"))?;
    if !(0.0..=1.0).contains(&jitter) {
        return Err(format!("expected a number from 0 to 1 at {key}.jitter, found {jitter}"));
    }
    let attempts = table.attempts.ok_or_else(|| needed("attempts"))?;
    let max_in_flight = table.max_in_flight.ok_or_else(|| needed("max_in_flight"))?;
    Ok(CallSettings {
        timeout: time("timeout", table.timeout)?,
        max_in_flight: at_least_one("max_in_flight", max_in_flight)? as usize,
        breaker_failures: table.breaker_failures.ok_or_else(|| needed("breaker_failures"))?,
        breaker_pause: time("breaker_pause", table.breaker_pause)?,
        attempts: at_least_one("attempts", u32::from(attempts)).map(|_| i32::from(attempts))?,
        wait_base: time("wait_base", table.wait_base)?,
        wait_factor: time("wait_factor", table.wait_factor)?,
        wait_cap: time("wait_cap", table.wait_cap)?,
        jitter,
        deadline: time("deadline", table.deadline)?,
        restarts: i32::from(table.restarts.ok_or_else(|| needed("restarts"))?),
    })
}

/// The names of all kinds in GraphQL: no two of them may be the same.
#[derive(Default)]
struct Names {
    types: BTreeSet<String>,
    fields: BTreeSet<String>,
}

impl Names {
    fn add(&mut self, kind: &Kind) -> Result<(), String> {
        let GraphqlNames { object, query, mutation, .. } = &kind.graphql;
        let upper = mutation.get(..1).unwrap_or_default().to_ascii_uppercase() + mutation.get(1..).unwrap_or_default();
        let own = [object.clone(), format!("{object}Details"), format!("{upper}Input"), format!("{upper}Payload")];
        let lists = kind.answer.lists.values().map(|list| list.object.clone());
        for name in own.into_iter().chain(lists) {
            if RESERVED.contains(&name.as_str()) || !self.types.insert(name.clone()) {
                return Err(format!("expected a type of its own for job.{}, found {name}, which is taken", kind.name));
            }
        }
        for name in [query, mutation] {
            if name == "node" || !self.fields.insert(name.clone()) {
                return Err(format!("expected a name of its own for job.{}, found {name}, which is taken", kind.name));
            }
        }
        Ok(())
    }
}
