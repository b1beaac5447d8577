//! Compares two versions of a schema in both directions, type by type, and names what does not fit.
//!
//! The rules are those of Avro's schema resolution, and some of Tributary's own: see [`Rule::is_of_avro`].

use std::collections::BTreeSet;

use serde_json::Value;

use super::named::{Definition, Definitions, Kind, Schema};
use super::problem::{Found, Place, Problem, Reader, Rule};
use super::{instead, primitives, records};

/// The two versions, and what was found.
pub(super) struct Walk<'a> {
    pub(super) old: Definitions<'a>,
    pub(super) new: Definitions<'a>,
    /// The pairs of records that are being compared, so that a record may contain itself.
    open: BTreeSet<(String, String)>,
    pub(super) found: Vec<Found>,
}

/// Where the comparison is.
#[derive(Debug, Clone)]
pub(super) struct At {
    /// The path of the field.
    pub(super) path: String,
    pub(super) place: Place,
    /// The innermost field, and whether the old version has a default for it.
    pub(super) field: String,
    pub(super) has_old_default: bool,
    /// The whole type of this field in the new version, or of the schema.
    pub(super) type_in_words: String,
}

/// The problems of two versions of a schema.
pub(super) fn problems(old: &Value, new: &Value) -> Vec<Found> {
    let mut walk =
        Walk { old: Definitions::of(old), new: Definitions::of(new), open: BTreeSet::new(), found: Vec::new() };
    let place = Place { named: super::full_name(new).unwrap_or_default(), part: String::new() };
    let (old, new) = (Schema::root(old), Schema::root(new));
    let type_in_words = walk.new.in_words(&new);
    let at = At { path: String::new(), place, field: String::new(), has_old_default: false, type_in_words };
    walk.schemas(&old, &new, &at);
    walk.found
}

impl<'a> Walk<'a> {
    /// Compares two schemas that stand at the same place.
    pub(super) fn schemas(&mut self, old: &Schema<'a>, new: &Schema<'a>, at: &At) {
        match (self.old.kind(old), self.new.kind(new)) {
            (Kind::Primitive { .. }, Kind::Primitive { .. }) => primitives::compare(self, old, new, at),
            (Kind::Array(one), Kind::Array(other)) => self.schemas(&one, &other, &at.within("[]")),
            (Kind::Map(one), Kind::Map(other)) => self.schemas(&one, &other, &at.within("{}")),
            (Kind::Union(one), Kind::Union(other)) => self.unions(&one, &other, at),
            (Kind::Union(branches), _) => self.required(&branches, new, at),
            (_, Kind::Union(branches)) => self.optional(old, &branches, at),
            (Kind::Enum(one), Kind::Enum(other)) => {
                if self.has_same_name(&one, &other, at) {
                    self.enums(&one, &other, at);
                }
            }
            (Kind::Fixed(one), Kind::Fixed(other)) => {
                if self.has_same_name(&one, &other, at) && one.json.get("size") != other.json.get("size") {
                    self.changed(old, new, at);
                }
            }
            (Kind::Record(one), Kind::Record(other)) => {
                let pair = (one.full_name.clone(), other.full_name.clone());
                if self.has_same_name(&one, &other, at) && self.open.insert(pair.clone()) {
                    records::compare(self, &one, &other, at);
                    self.open.remove(&pair);
                }
            }
            _ => self.changed(old, new, at),
        }
    }

    /// A type that has nothing to do with the old one: no reader can take it.
    pub(super) fn changed(&mut self, old: &Schema<'a>, new: &Schema<'a>, at: &At) {
        let (was, is) = (self.old.in_words(old), self.new.in_words(new));
        let way = instead::another_field(at.name(), &at.type_in_words, at.has_old_default);
        self.add(at, Rule::TypeChanged, Reader::New, format!("reads {is}, and old records hold {was}"), way.clone());
        self.add(at, Rule::TypeChanged, Reader::Old, format!("reads {was}, and new records hold {is}"), way);
    }

    /// Notes a problem.
    pub(super) fn add(&mut self, at: &At, rule: Rule, reader: Reader, why: String, instead: String) {
        let problem = Problem { field: at.path.clone(), rule, reader, why, instead };
        let found = Found { problem, place: at.place.clone() };
        // A type that is used in several fields is reported once.
        let is_known = |known: &Found| {
            known.place == found.place
                && (known.problem.rule, known.problem.reader) == (rule, reader)
                && known.problem.why == found.problem.why
        };
        if !self.found.iter().any(is_known) {
            self.found.push(found);
        }
    }

    /// Whether the names are the same, or only the namespaces differ, so that what is inside can be compared.
    fn has_same_name(&mut self, old: &Definition<'a>, new: &Definition<'a>, at: &At) -> bool {
        if old.full_name == new.full_name {
            return true;
        }
        let (was, is) = (&old.full_name, &new.full_name);
        let is_same_short = old.short_name() == new.short_name();
        let rule = if is_same_short { Rule::NamespaceChanged } else { Rule::TypeRenamed };
        let way = instead::keep_name(was, is);
        self.add(at, rule, Reader::New, format!("reads {is}, and old records hold {was}"), way.clone());
        self.add(at, rule, Reader::Old, format!("reads {was}, and new records hold {is}"), way);
        is_same_short
    }

    fn enums(&mut self, old: &Definition<'a>, new: &Definition<'a>, at: &At) {
        let (was, is) = (old.symbols(), new.symbols());
        let in_enum =
            |symbol: &str| At { place: Place { named: new.full_name.clone(), part: symbol.to_owned() }, ..at.clone() };
        if old.default_symbol().is_none() {
            for symbol in is.iter().filter(|symbol| !was.contains(symbol)) {
                let why = format!("has no default for the new symbol {symbol} of {}", new.full_name);
                let way = instead::another_enum(symbol, &at.field);
                self.add(&in_enum(symbol), Rule::SymbolAdded, Reader::Old, why, way);
            }
        }
        if new.default_symbol().is_none() {
            for symbol in was.iter().filter(|symbol| !is.contains(symbol)) {
                let why = format!("has no default for {symbol} of {}, which old records may hold", new.full_name);
                self.add(&in_enum(""), Rule::SymbolRemoved, Reader::New, why, instead::keep_symbol(symbol));
            }
        }
    }

    /// The old version has a union, the new one has not.
    fn required(&mut self, old: &[Schema<'a>], new: &Schema<'a>, at: &At) {
        let is = self.new.in_words(new);
        let (nulls, others): (Vec<_>, Vec<_>) = old.iter().partition(|branch| branch.json == "null");
        if !nulls.is_empty() {
            let way = format!("Keep `{}` optional. Refuse null where a record is written.", at.name());
            self.add(at, Rule::BecameRequired, Reader::New, format!("reads {is}, and old records may hold null"), way);
        }
        self.branches(&others, &[new], at);
    }

    /// The new version has a union, the old one has not.
    fn optional(&mut self, old: &Schema<'a>, new: &[Schema<'a>], at: &At) {
        let was = self.old.in_words(old);
        let (nulls, others): (Vec<_>, Vec<_>) = new.iter().partition(|branch| branch.json == "null");
        if !nulls.is_empty() {
            let way = instead::another_field(at.name(), &format!("optional {was}"), at.has_old_default);
            self.add(at, Rule::BecameOptional, Reader::Old, format!("reads {was}, and new records may hold null"), way);
        }
        self.branches(&[old], &others, at);
    }

    fn unions(&mut self, old: &[Schema<'a>], new: &[Schema<'a>], at: &At) {
        self.branches(&old.iter().collect::<Vec<_>>(), &new.iter().collect::<Vec<_>>(), at);
    }

    /// Compares branches: those of the same kind with each other, and one that is left on each side too.
    fn branches(&mut self, old: &[&Schema<'a>], new: &[&Schema<'a>], at: &At) {
        let mut left: Vec<&Schema<'a>> = new.to_vec();
        let mut gone: Vec<&Schema<'a>> = Vec::new();
        for branch in old {
            let sort = sort(&self.old, branch);
            match left.iter().position(|other| self::sort(&self.new, other) == sort) {
                Some(index) => {
                    let same = left.remove(index);
                    self.schemas(branch, same, at);
                }
                None => gone.push(branch),
            }
        }
        if let ([one], [other]) = (gone.as_slice(), left.as_slice()) {
            return self.schemas(one, other, at);
        }
        for branch in gone.into_iter().filter(|branch| !self.is_promoted(branch, new, Reader::New)).collect::<Vec<_>>()
        {
            let was = self.old.in_words(branch);
            let why = format!("has no {was}, which old records may hold");
            let way = format!("Keep {was} in `{}`, and stop writing it.", at.name());
            self.add(at, Rule::BranchRemoved, Reader::New, why, way);
        }
        for branch in left.into_iter().filter(|branch| !self.is_promoted(branch, old, Reader::Old)).collect::<Vec<_>>()
        {
            let is = self.new.in_words(branch);
            let why = format!("has no {is}, which new records may hold");
            let way = instead::another_field(at.name(), &format!("optional {is}"), at.has_old_default);
            self.add(at, Rule::BranchAdded, Reader::Old, why, way);
        }
    }

    /// Whether a reader takes `branch` as one of its own `branches`.
    fn is_promoted(&self, branch: &Schema<'a>, branches: &[&Schema<'a>], reader: Reader) -> bool {
        let (of_branch, of_reader) = match reader {
            Reader::New => (&self.old, &self.new),
            Reader::Old => (&self.new, &self.old),
        };
        let Kind::Primitive { name: written, .. } = of_branch.kind(branch) else { return false };
        branches.iter().any(|other| {
            matches!(of_reader.kind(other), Kind::Primitive { name: read, .. } if primitives::can_read(written, read))
        })
    }
}

impl At {
    /// The items of an array or the values of a map.
    fn within(&self, part: &str) -> Self {
        Self { path: format!("{}{part}", self.path), ..self.clone() }
    }

    /// The field for messages.
    pub(super) fn name(&self) -> &str {
        if self.field.is_empty() { "the record" } else { &self.field }
    }
}

/// What two branches of unions that stand for each other have in common.
fn sort<'a>(definitions: &Definitions<'a>, schema: &Schema<'a>) -> String {
    match definitions.kind(schema) {
        Kind::Primitive { name, .. } => name.to_owned(),
        Kind::Array(_) => "array".to_owned(),
        Kind::Map(_) => "map".to_owned(),
        Kind::Union(_) | Kind::Unknown => String::new(),
        Kind::Enum(of) | Kind::Fixed(of) | Kind::Record(of) => format!("named {}", of.full_name),
    }
}
