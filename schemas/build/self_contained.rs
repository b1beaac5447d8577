//! Schemas as a registry needs them: every referenced type is written out where it is first used.
//!
//! Keys come in a fixed order, so that a schema has the same bytes in every build.

use std::collections::HashSet;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::model::{Contract, resolve};

const KEYS_FIRST: [&str; 9] =
    ["type", "name", "namespace", "doc", "fields", "symbols", "items", "logicalType", "default"];

/// The schema of `full_name` as one JSON text that needs no other.
pub(crate) fn schema(contract: &Contract, full_name: &str) -> Result<String, String> {
    let mut writer = Writer { contract, written: HashSet::new(), out: String::new() };
    writer.named(full_name)?;
    Ok(writer.out)
}

struct Writer<'a> {
    contract: &'a Contract,
    written: HashSet<String>,
    out: String,
}

impl Writer<'_> {
    fn named(&mut self, full_name: &str) -> Result<(), String> {
        if !self.written.insert(full_name.to_owned()) {
            self.text(full_name);
            return Ok(());
        }
        let named = self.contract.get(full_name)?;
        let Value::Object(object) = &named.json else { return Err(format!("{full_name} is not an object")) };
        self.object(object, &named.namespace)
    }

    /// A schema: a name, a union, or an object.
    fn schema(&mut self, schema: &Value, namespace: &str) -> Result<(), String> {
        match schema {
            Value::String(name) => {
                let name = resolve(name, namespace);
                if name.contains('.') {
                    return self.named(&name);
                }
                self.text(&name);
                Ok(())
            }
            Value::Array(branches) => self.list(branches, |writer, branch| writer.schema(branch, namespace)),
            Value::Object(object) => self.object(object, namespace),
            other => Err(format!("{other} is not a schema")),
        }
    }

    /// A schema object or a field: both hold a schema under `type`.
    fn object(&mut self, object: &Map<String, Value>, namespace: &str) -> Result<(), String> {
        let mut keys: Vec<&String> = object.keys().collect();
        keys.sort_by_key(|key| (KEYS_FIRST.iter().position(|first| first == key).unwrap_or(usize::MAX), *key));
        self.out.push('{');
        for (index, key) in keys.into_iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            self.text(key);
            self.out.push(':');
            self.member(key, &object[key], namespace)?;
        }
        self.out.push('}');
        Ok(())
    }

    fn member(&mut self, key: &str, value: &Value, namespace: &str) -> Result<(), String> {
        match (key, value) {
            ("type", Value::String(name)) if ["record", "enum", "array"].contains(&name.as_str()) => {
                self.text(name);
                Ok(())
            }
            ("type" | "items", schema) => self.schema(schema, namespace),
            ("fields", Value::Array(fields)) => self.list(fields, |writer, field| writer.schema(field, namespace)),
            (_, other) => {
                let _ = write!(self.out, "{other}");
                Ok(())
            }
        }
    }

    fn list(
        &mut self,
        values: &[Value],
        write: impl Fn(&mut Self, &Value) -> Result<(), String>,
    ) -> Result<(), String> {
        self.out.push('[');
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            write(self, value)?;
        }
        self.out.push(']');
        Ok(())
    }

    fn text(&mut self, text: &str) {
        let _ = write!(self.out, "{}", Value::from(text));
    }
}
