//! What is wrong in a schema by itself: defaults that are not values of their fields, aliases that are fields, and what
//! is not Avro.

use std::collections::BTreeSet;

use serde_json::Value;

use super::named::{Definition, Definitions, Field, Kind, Schema};
use super::problem::{Found, Place, Problem, Reader, Rule};
use crate::types;

/// The problems in a schema. Avro's parser judges last, because it does not say where a problem stands.
pub(super) fn check(root: &Value) -> Vec<Found> {
    let mut check = Check { definitions: Definitions::of(root), seen: BTreeSet::new(), found: Vec::new() };
    check.schema(&Schema::root(root), "");
    if check.found.is_empty()
        && let Err(reason) = super::parse(&root.to_string())
    {
        check.not_avro(root, &reason);
    }
    check.found
}

struct Check<'a> {
    definitions: Definitions<'a>,
    seen: BTreeSet<String>,
    found: Vec<Found>,
}

impl<'a> Check<'a> {
    fn schema(&mut self, schema: &Schema<'a>, path: &str) {
        match self.definitions.kind(schema) {
            Kind::Array(inner) => self.schema(&inner, &format!("{path}[]")),
            Kind::Map(inner) => self.schema(&inner, &format!("{path}{{}}")),
            Kind::Union(branches) => branches.iter().for_each(|branch| self.schema(branch, path)),
            Kind::Record(record) if self.seen.insert(record.full_name.clone()) => self.record(&record, path),
            Kind::Enum(of) => self.enumeration(&of, path),
            _ => {}
        }
    }

    fn record(&mut self, record: &Definition<'a>, path: &str) {
        let fields = record.fields();
        for field in &fields {
            let at = super::inner_path(path, field.name);
            if let Some(default) = field.default
                && !self.fits(default, &field.schema)
            {
                self.object(record, field, &at, default);
            }
            self.aliases(record, field, &fields, &at);
            self.schema(&field.schema, &at);
        }
    }

    fn object(&mut self, record: &Definition<'a>, field: &Field<'a>, path: &str, default: &Value) {
        let of_type = self.definitions.in_words(&field.schema);
        let values = field.schema.value_type.map(|of| format!(", with the values of {of}")).unwrap_or_default();
        self.found.push(Found {
            problem: Problem {
                field: path.to_owned(),
                rule: Rule::DefaultDoesNotFit,
                reader: Reader::New,
                why: format!("cannot use the default {default}: it is not a value of its type: {of_type}{values}"),
                instead: format!(
                    "Give `{}` a default of its type. The default of an optional field is null.",
                    field.name
                ),
            },
            place: Place { named: record.full_name.clone(), part: field.name.to_owned() },
        });
    }

    /// Avro's parsers differ here, and apache-avro accepts such an alias only behind the field that it names.
    fn aliases(&mut self, record: &Definition<'a>, field: &Field<'a>, fields: &[Field<'a>], path: &str) {
        let is_other = |alias: &&str| *alias != field.name && fields.iter().any(|other| other.name == *alias);
        for alias in field.aliases().into_iter().filter(is_other) {
            let name = field.name;
            self.found.push(Found {
                problem: Problem {
                    field: path.to_owned(),
                    rule: Rule::AliasOfAnotherField,
                    reader: Reader::New,
                    why: format!("has two fields for {alias} of old records: {alias}, and {name} by its alias"),
                    instead: format!(
                        "Remove the alias from `{name}`. If `{name}` replaces `{alias}`: give it a default, write \
                         both, and read `{name}`."
                    ),
                },
                place: Place { named: record.full_name.clone(), part: name.to_owned() },
            });
        }
    }

    fn not_avro(&mut self, root: &Value, reason: &str) {
        let named = super::full_name(root).unwrap_or_default();
        let of_root = || Place { named: named.clone(), part: String::new() };
        let place = self.definitions.all().find_map(misnamed).unwrap_or_else(of_root);
        let field = if place.named == named { place.part.clone() } else { String::new() };
        let problem = Problem {
            field,
            rule: Rule::NotAvro,
            reader: Reader::New,
            why: format!("cannot use the schema, which is not Avro: {reason}"),
            instead: "Correct the schema. Every field and symbol needs a name of its own, of letters, digits and `_`."
                .to_owned(),
        };
        self.found.push(Found { problem, place });
    }

    fn enumeration(&mut self, of: &Definition<'a>, path: &str) {
        let Some(default) = of.default_symbol() else { return };
        if of.symbols().contains(&default) {
            return;
        }
        self.found.push(Found {
            problem: Problem {
                field: path.to_owned(),
                rule: Rule::DefaultDoesNotFit,
                reader: Reader::New,
                why: format!("cannot use the default {default}: it is not a symbol of {}", of.full_name),
                instead: "Name one of the symbols as the default.".to_owned(),
            },
            place: Place { named: of.full_name.clone(), part: String::new() },
        });
    }

    /// Whether `value` is a default of `schema`. That of a union is of its first branch.
    fn fits(&self, value: &Value, schema: &Schema<'a>) -> bool {
        match self.definitions.kind(schema) {
            Kind::Primitive { name, value_type, .. } => {
                let restricting = value_type.filter(|of| types::is_restricted(of, name));
                is_primitive(value, name) && restricting.is_none_or(|of| types::allows(of, value))
            }
            Kind::Array(items) => value.as_array().is_some_and(|list| list.iter().all(|item| self.fits(item, &items))),
            Kind::Map(values) => value.as_object().is_some_and(|map| map.values().all(|one| self.fits(one, &values))),
            Kind::Union(branches) => branches.first().is_some_and(|first| self.fits(value, first)),
            Kind::Enum(of) => value.as_str().is_some_and(|symbol| of.symbols().contains(&symbol)),
            Kind::Fixed(_) => value.is_string(),
            Kind::Record(of) => value.as_object().is_some_and(|object| {
                let fields = of.fields();
                fields.iter().all(|field| {
                    object.get(field.name).or(field.default).is_some_and(|value| self.fits(value, &field.schema))
                })
            }),
            Kind::Unknown => false,
        }
    }
}

/// The first field or symbol of a type whose name Avro does not allow, or that another one has.
fn misnamed(definition: &Definition<'_>) -> Option<Place> {
    let mut seen = BTreeSet::new();
    let fields = definition.fields();
    let mut names = fields.iter().map(|field| field.name).chain(definition.symbols());
    let part = names.find(|name| !is_name(name) || !seen.insert(*name))?;
    Some(Place { named: definition.full_name.clone(), part: part.to_owned() })
}

fn is_name(text: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_alphabetic() || letter == '_';
    text.starts_with(is_letter) && text.chars().all(|letter| is_letter(letter) || letter.is_ascii_digit())
}

fn is_primitive(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "int" => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        "long" => value.as_i64().is_some(),
        "float" | "double" => value.is_number(),
        _ => value.is_string(),
    }
}
