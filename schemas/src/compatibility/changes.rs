//! The differences of two versions of a schema, in words.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::named::{Definition, Definitions, Field, Kind, Schema};
use super::{inner_path, json};

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The path of the field; empty for the record itself.
    pub field: String,
    /// What has changed.
    pub change: String,
}

/// The differences of two versions of a schema, given as JSON that needs no other schema, in the order of the new one.
///
/// # Errors
/// A sentence that says why one of the two is not JSON.
pub fn changes(old: &str, new: &str) -> Result<Vec<Change>, String> {
    let (old, new) = (json(old)?, json(new)?);
    let mut words =
        Words { old: Definitions::of(&old), new: Definitions::of(&new), seen: BTreeSet::new(), changes: Vec::new() };
    words.schemas(&Schema::root(&old), &Schema::root(&new), "");
    Ok(words.changes)
}

struct Words<'o, 'n> {
    old: Definitions<'o>,
    new: Definitions<'n>,
    seen: BTreeSet<String>,
    changes: Vec<Change>,
}

impl<'o, 'n> Words<'o, 'n> {
    fn say(&mut self, field: &str, change: String) {
        self.changes.push(Change { field: field.to_owned(), change });
    }

    fn schemas(&mut self, old: &Schema<'o>, new: &Schema<'n>, path: &str) {
        match (self.old.kind(old), self.new.kind(new)) {
            (Kind::Array(one), Kind::Array(other)) => self.schemas(&one, &other, &format!("{path}[]")),
            (Kind::Map(one), Kind::Map(other)) => self.schemas(&one, &other, &format!("{path}{{}}")),
            (Kind::Union(one), Kind::Union(other)) if one.len() == 2 && other.len() == 2 => {
                self.schemas(&one[1], &other[1], path);
            }
            (Kind::Enum(one), Kind::Enum(other)) if one.full_name == other.full_name => self.enums(&one, &other, path),
            (Kind::Record(one), Kind::Record(other)) if one.full_name == other.full_name || path.is_empty() => {
                self.records(&one, &other, path);
            }
            (Kind::Primitive { value_type: was, .. }, Kind::Primitive { value_type: is, .. })
                if self.old.in_words(old) == self.new.in_words(new) =>
            {
                self.attribute(path, "tributary.type", was, is);
            }
            _ => {
                let (was, is) = (self.old.in_words(old), self.new.in_words(new));
                if was != is {
                    self.say(path, format!("is {is}, was {was}"));
                }
            }
        }
    }

    fn records(&mut self, old: &Definition<'o>, new: &Definition<'n>, path: &str) {
        if !self.seen.insert(new.full_name.clone()) {
            return;
        }
        self.attribute(path, "name", Some(&old.full_name), Some(&new.full_name));
        self.texts(path, old.json.get("doc"), new.json.get("doc"));
        let (was, is) = (old.fields(), new.fields());
        for field in &is {
            let at = inner_path(path, field.name);
            match was.iter().find(|before| before.name == field.name) {
                Some(before) => self.field(before, field, &at),
                None => self.say(&at, format!("added: {}{}", self.new.in_words(&field.schema), default_of(field))),
            }
        }
        for field in was.iter().filter(|field| is.iter().all(|other| other.name != field.name)) {
            let words = format!("removed: {}{}", self.old.in_words(&field.schema), default_of(field));
            self.say(&inner_path(path, field.name), words);
        }
        let in_both = |fields: &[Field<'_>], others: &[&str]| -> Vec<String> {
            fields.iter().filter(|field| others.contains(&field.name)).map(|field| field.name.to_owned()).collect()
        };
        let (old_names, new_names): (Vec<&str>, Vec<&str>) =
            (was.iter().map(|field| field.name).collect(), is.iter().map(|field| field.name).collect());
        if in_both(&was, &new_names) != in_both(&is, &old_names) {
            self.say(path, "the fields have another order".to_owned());
        }
    }

    fn field(&mut self, old: &Field<'o>, new: &Field<'n>, path: &str) {
        self.schemas(&old.schema, &new.schema, path);
        match (old.default, new.default) {
            (was, is) if was == is => {}
            (None, Some(is)) => self.say(path, format!("has the default {is}, had none")),
            (Some(was), None) => self.say(path, format!("has no default, had {was}")),
            (Some(was), Some(is)) => self.say(path, format!("has the default {is}, had {was}")),
            (None, None) => {}
        }
        self.texts(path, old.json.get("doc"), new.json.get("doc"));
        let (was, is) = (old.aliases(), new.aliases());
        if was != is {
            self.say(path, format!("has the aliases [{}], had [{}]", is.join(", "), was.join(", ")));
        }
    }

    fn enums(&mut self, old: &Definition<'o>, new: &Definition<'n>, path: &str) {
        if !self.seen.insert(new.full_name.clone()) {
            return;
        }
        let (was, is) = (old.symbols(), new.symbols());
        for symbol in is.iter().filter(|symbol| !was.contains(symbol)) {
            self.say(path, format!("{} has the symbol {symbol}", new.full_name));
        }
        for symbol in was.iter().filter(|symbol| !is.contains(symbol)) {
            self.say(path, format!("{} no longer has the symbol {symbol}", new.full_name));
        }
        self.attribute(path, "default", old.default_symbol(), new.default_symbol());
        self.texts(path, old.json.get("doc"), new.json.get("doc"));
    }

    fn attribute(&mut self, path: &str, name: &str, old: Option<&str>, new: Option<&str>) {
        if old != new {
            self.say(path, format!("{name} is {}, was {}", new.unwrap_or("not set"), old.unwrap_or("not set")));
        }
    }

    fn texts(&mut self, path: &str, old: Option<&Value>, new: Option<&Value>) {
        if old != new {
            self.say(path, "another description".to_owned());
        }
    }
}

fn default_of(field: &Field<'_>) -> String {
    field.default.map_or_else(|| ", without default".to_owned(), |default| format!(", default {default}"))
}
