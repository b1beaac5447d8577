//! Whether the defaults in a schema are values of their fields.

use std::collections::BTreeSet;

use serde_json::Value;

use super::named::{Definition, Definitions, Field, Kind, Schema};
use super::problem::{Found, Place, Problem, Reader, Rule};
use crate::types;

/// The defaults in a schema that do not fit.
pub(super) fn check(root: &Value) -> Vec<Found> {
    let mut check = Check { definitions: Definitions::of(root), seen: BTreeSet::new(), found: Vec::new() };
    check.schema(&Schema::root(root), "");
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
        for field in record.fields() {
            let at = super::inner_path(path, field.name);
            if let Some(default) = field.default
                && !self.fits(default, &field.schema)
            {
                self.object(record, &field, &at, default);
            }
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
                why: format!("the default {default} is not a value of its type: {of_type}{values}"),
                instead: format!(
                    "Give `{}` a default of its type. The default of an optional field is null.",
                    field.name
                ),
            },
            place: Place { named: record.full_name.clone(), part: field.name.to_owned() },
        });
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
                why: format!("the default {default} is not a symbol of {}", of.full_name),
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
