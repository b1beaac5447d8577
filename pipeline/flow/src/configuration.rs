//! Reads TOML over built-in defaults, and reports the line of each error.

#[cfg(feature = "edge")]
mod cql;
mod secret;

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

#[cfg(feature = "edge")]
pub use cql::{CqlConsistency, CqlTable};
pub use secret::{Secret, SecretSource};

/// A configuration file that was read: its name, for messages, and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The name shown in messages, normally the path.
    pub name: String,
    /// The whole text.
    pub text: String,
    /// The top-level tables that are read. `None` for all.
    tables: Option<&'static [&'static str]>,
}

impl Source {
    /// Creates a source with that name and text.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into(), tables: None }
    }

    /// The same source for a reader that knows only these top-level tables.
    #[must_use]
    pub fn only(self, tables: &'static [&'static str]) -> Self {
        Self { tables: Some(tables), ..self }
    }

    /// An error at byte `offset` of this source.
    pub fn error_at(&self, offset: usize, problem: impl Into<String>) -> ConfigurationError {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line = 1 + before.matches('\n').count();
        ConfigurationError { file: self.name.clone(), line, problem: problem.into() }
    }
}

/// The configuration file of a process, and the folder that its relative paths start from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigurationFile {
    /// The file. `None` when all settings have their defaults.
    pub source: Option<Source>,
    /// Its folder.
    pub folder: PathBuf,
}

impl ConfigurationFile {
    /// Reads `path`. Without a path, all settings have their defaults.
    ///
    /// # Errors
    /// A sentence that says why the file cannot be read.
    pub fn read(path: Option<&Path>) -> Result<Self, String> {
        let Some(path) = path else { return Ok(Self::default()) };
        let text = fs::read_to_string(path)
            .map_err(|error| format!("cannot read the configuration file {}: {error}", path.display()))?;
        let source = Some(Source::new(path.display().to_string(), text));
        Ok(Self { source, folder: path.parent().unwrap_or(Path::new("")).to_owned() })
    }

    /// The text of a file that the configuration names.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn text_of(&self, name: &str) -> Result<String, String> {
        fs::read_to_string(self.folder.join(name)).map_err(|error| error.to_string())
    }
}

/// A wrong entry: its position, and what was expected there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {problem}")]
pub struct ConfigurationError {
    /// The file, as named by its [`Source`].
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// What was expected and what was found.
    pub problem: String,
}

/// How a user's file overrides the defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Override {
    /// Each key alone replaces the default of that key.
    SingleKeys,
    /// A table `[group.name]` replaces the default table as a whole.
    WholeTables,
}

/// Reads `T` from `defaults` with the entries of `user` over them.
///
/// # Errors
/// The first wrong entry, with file and line.
pub fn read<T: DeserializeOwned>(
    defaults: &Source,
    user: Option<&Source>,
    depth: Override,
) -> Result<T, ConfigurationError> {
    let levels = match depth {
        Override::SingleKeys => usize::MAX,
        Override::WholeTables => 1,
    };
    deserialize(parse(defaults)?, user.map(parse).transpose()?, levels, user.unwrap_or(defaults))
}

/// Reads `T` from the top-level table `name` of `defaults`, with the single entries of that table of `user` over them.
/// Other tables of `user` have other readers.
///
/// # Errors
/// The first wrong entry, with file and line.
pub fn read_table<T: DeserializeOwned>(
    name: &str,
    defaults: &Source,
    user: Option<&Source>,
) -> Result<T, ConfigurationError> {
    let base = table(parse(defaults)?, name, defaults)?.unwrap_or_else(|| Spanned::new(0..0, DeTable::new()));
    let over = match user {
        Some(user) => table(parse(user)?, name, user)?,
        None => None,
    };
    deserialize(base, over, usize::MAX, user.unwrap_or(defaults))
}

/// The top-level keys of a source, each with its byte offset.
///
/// # Errors
/// The first TOML error, with file and line.
pub fn top_level_keys(source: &Source) -> Result<Vec<(String, usize)>, ConfigurationError> {
    let keys = parse(source)?.into_inner().into_iter();
    Ok(keys.map(|(key, _)| (key.get_ref().to_string(), key.span().start)).collect())
}

/// The known name that a mistyped name probably means.
pub fn nearest<'a>(mistyped: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |name: &str| strsim::jaro_winkler(mistyped, name);
    let likely = known.into_iter().filter(|name| likeness(name) > 0.8);
    likely.max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}

fn table<'i>(
    source_table: Spanned<DeTable<'i>>,
    name: &str,
    source: &Source,
) -> Result<Option<Spanned<DeTable<'i>>>, ConfigurationError> {
    let Some(value) = source_table.into_inner().remove(name) else { return Ok(None) };
    let span = value.span();
    match value.into_inner() {
        DeValue::Table(table) => Ok(Some(Spanned::new(span, table))),
        _ => Err(source.error_at(span.start, format!("expected a table [{name}], found a value"))),
    }
}

fn deserialize<T: DeserializeOwned>(
    base: Spanned<DeTable<'_>>,
    over: Option<Spanned<DeTable<'_>>>,
    levels: usize,
    // A test proves that the defaults alone are right, so the error is in the user's file.
    blamed: &Source,
) -> Result<T, ConfigurationError> {
    let table = match over {
        Some(over) => lay_over(base, over, levels),
        None => base,
    };
    T::deserialize(Deserializer::from(table)).map_err(|error| from_toml(blamed, &error))
}

fn parse(source: &Source) -> Result<Spanned<DeTable<'_>>, ConfigurationError> {
    let mut table = DeTable::parse(&source.text).map_err(|error| from_toml(source, &error))?;
    if let Some(tables) = source.tables {
        let read = std::mem::take(table.get_mut());
        *table.get_mut() = read.into_iter().filter(|(name, _)| tables.contains(&name.get_ref().as_ref())).collect();
    }
    Ok(table)
}

fn lay_over<'i>(base: Spanned<DeTable<'i>>, over: Spanned<DeTable<'i>>, levels: usize) -> Spanned<DeTable<'i>> {
    let span = over.span();
    let mut merged = base.into_inner();
    for (key, value) in over.into_inner() {
        let below = if levels > 0 { merged.remove(&key) } else { None };
        let value = match below {
            Some(below) => lay_value_over(below, value, levels),
            None => value,
        };
        // The old key is removed first, so that the new key has its position in the user's file.
        merged.remove(&key);
        merged.insert(key, value);
    }
    Spanned::new(span, merged)
}

fn lay_value_over<'i>(base: Spanned<DeValue<'i>>, over: Spanned<DeValue<'i>>, levels: usize) -> Spanned<DeValue<'i>> {
    let span = over.span();
    match (base.into_inner(), over.into_inner()) {
        (DeValue::Table(base), DeValue::Table(over)) if levels > 0 => {
            let merged = lay_over(Spanned::new(0..0, base), Spanned::new(span.clone(), over), levels - 1);
            Spanned::new(span, DeValue::Table(merged.into_inner()))
        }
        (_, over) => Spanned::new(span, over),
    }
}

fn from_toml(source: &Source, error: &toml::de::Error) -> ConfigurationError {
    let offset = error.span().map_or(0, |span| span.start);
    source.error_at(offset, expectation(error.message()))
}

/// Rewrites the messages of the parser to "expected ..., found ...".
fn expectation(message: &str) -> String {
    if message.starts_with("expected ") {
        return message.to_owned();
    }
    if let Some(field) = message.strip_prefix("missing field ") {
        return format!("expected the entry {field}, found none");
    }
    let Some((found, expected)) = message.split_once(", expected ") else {
        return message.to_owned();
    };
    let found = found.strip_prefix("invalid type: ").or_else(|| found.strip_prefix("invalid value: ")).unwrap_or(found);
    let found = found
        .strip_prefix("unknown field ")
        .map(|name| format!("the unknown entry {name}"))
        .or_else(|| found.strip_prefix("unknown variant ").map(str::to_owned))
        .unwrap_or_else(|| found.to_owned());
    let expected = match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number",
        "a string" => "a text",
        "a boolean" => "true or false",
        other => other,
    };
    format!("expected {expected}, found {found}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        outer: BTreeMap<String, Inner>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        a: Option<u32>,
        b: Option<u32>,
    }

    fn defaults() -> Source {
        Source::new("built-in", "[outer.x]\na = 1\nb = 2\n")
    }

    #[test]
    fn a_user_overrides_single_keys_or_whole_tables() {
        let user = Source::new("my.toml", "[outer.x]\nb = 3\n[outer.y]\na = 4\n");
        let merged: Sample = read(&defaults(), Some(&user), Override::SingleKeys).unwrap();
        assert_eq!(merged.outer["x"], Inner { a: Some(1), b: Some(3) });
        assert_eq!(merged.outer["y"], Inner { a: Some(4), b: None });
        let replaced: Sample = read(&defaults(), Some(&user), Override::WholeTables).unwrap();
        assert_eq!(replaced.outer["x"], Inner { a: None, b: Some(3) });
    }

    #[test]
    fn tables_of_another_reader_are_left_out() {
        let text = "[outer.x]\nb = 3\n[other]\nc = true\n";
        let read_single = |source: &Source| read::<Sample>(&defaults(), Some(source), Override::SingleKeys);
        assert!(read_single(&Source::new("my.toml", text).only(&["outer"])).is_ok());
        let error = read_single(&Source::new("my.toml", text)).unwrap_err();
        assert_eq!(error.to_string(), "my.toml:3: expected `outer`, found the unknown entry `other`");
    }

    #[test]
    fn a_table_is_read_by_itself_and_its_mistakes_keep_their_lines() {
        let defaults = Source::new("built-in", "[flow.outer.x]\na = 1\nb = 2\n");
        let user = Source::new("my.toml", "[other]\nc = 1\n[flow.outer.x]\nb = 3\n");
        let read: Sample = read_table("flow", &defaults, Some(&user)).unwrap();
        assert_eq!(read.outer["x"], Inner { a: Some(1), b: Some(3) });
        let wrong = Source::new("my.toml", "[other]\nc = 1\n[flow.outer.x]\nb = true\n");
        let error = read_table::<Sample>("flow", &defaults, Some(&wrong)).unwrap_err();
        assert_eq!(error.to_string(), "my.toml:4: expected a whole number, found boolean `true`");
        let value = Source::new("my.toml", "flow = 3\n");
        let error = read_table::<Sample>("flow", &defaults, Some(&value)).unwrap_err();
        assert_eq!(error.to_string(), "my.toml:1: expected a table [flow], found a value");
    }

    #[test]
    fn a_mistyped_name_finds_the_nearest_known_one() {
        assert_eq!(nearest("inbuond", ["inbound", "outbound"]), Some("inbound"));
        assert_eq!(nearest("pigeon", ["inbound", "outbound"]), None);
    }

    #[test]
    fn a_wrong_entry_is_reported_with_file_line_and_expectation() {
        for (text, message) in [
            ("\n\n[outer.x]\nb = \"three\"\n", "my.toml:4: expected a whole number, found string \"three\""),
            ("[outer.x]\nc = 3\n", "my.toml:2: expected `a` or `b`, found the unknown entry `c`"),
            ("\n[inner]\n", "my.toml:2: expected `outer`, found the unknown entry `inner`"),
            ("[outer.x]\nb = -3\n", "my.toml:2: expected a whole number, found integer `-3`"),
        ] {
            let user = Source::new("my.toml", text);
            let error = read::<Sample>(&defaults(), Some(&user), Override::SingleKeys).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
        let user = Source::new("my.toml", "[outer.x]\nb 3\n");
        let error = read::<Sample>(&defaults(), Some(&user), Override::SingleKeys).unwrap_err();
        assert!(error.to_string().starts_with("my.toml:2: expected "), "{error}");
    }
}
