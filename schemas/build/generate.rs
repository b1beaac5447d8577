//! Rust text for the contract: a struct per record with its binary encoding, an enum per enum, and `RecordType`.

use std::fmt::Write as _;

use crate::model::{Contract, Field, Kind, NamedType, Shape};
use crate::{canonical, self_contained};

const KEYWORDS: [&str; 35] = [
    "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn", "else", "enum", "extern", "fn",
    "for", "gen", "if", "impl", "in", "let", "loop", "match", "mod", "move", "mut", "pub", "ref", "return", "static",
    "struct", "trait", "type", "use", "where", "while",
];

/// Where a value is found in the generated code.
#[derive(Clone, Copy)]
enum Place<'a> {
    /// A field: `self.name`.
    Field(&'a str),
    /// A variable that holds a reference.
    Reference(&'a str),
}

impl Place<'_> {
    fn value(self) -> String {
        match self {
            Self::Field(name) => format!("self.{name}"),
            Self::Reference(name) => format!("*{name}"),
        }
    }

    fn reference(self) -> String {
        match self {
            Self::Field(name) => format!("&self.{name}"),
            Self::Reference(name) => name.to_owned(),
        }
    }

    fn member(self) -> String {
        match self {
            Self::Field(name) => format!("self.{name}"),
            Self::Reference(name) => name.to_owned(),
        }
    }
}

/// All of the generated code.
pub(crate) fn records(contract: &Contract) -> Result<String, String> {
    let mut code = String::from("// Generated from avro/*/*.avsc by build/main.rs.\n\n");
    for name in contract.namespaces() {
        namespace(&mut code, contract, name)?;
    }
    record_type(&mut code, contract)?;
    Ok(code)
}

/// A module with the types of one namespace.
fn namespace(code: &mut String, contract: &Contract, name: &str) -> Result<(), String> {
    let module = module(name)?;
    doc(code, "", &format!("The types of the namespace `{name}`."));
    line(code, &format!("pub mod {module} {{"));
    line(code, "use super::{AvroRecord, Malformed, RecordType, binary};\n");
    for named in contract.types.values().filter(|named| named.namespace == name) {
        match &named.shape {
            Shape::Record(fields) => {
                record(code, contract, named, fields).map_err(|e| format!("{}: {e}", named.path))?;
            }
            Shape::Enum { symbols, default, first_is_unknown } => {
                enumeration(code, named, symbols, *default, *first_is_unknown);
            }
        }
    }
    line(code, "}\n");
    Ok(())
}

fn record(code: &mut String, contract: &Contract, named: &NamedType, fields: &[Field]) -> Result<(), String> {
    let name = &named.name;
    let mut members = String::new();
    let mut encoding = String::new();
    let mut decoding = String::new();
    for field in fields {
        let member = member(field)?;
        let kind = &field.kind;
        doc(&mut members, "    ", &field.doc);
        if member != field.name {
            line(&mut members, &format!("    #[serde(rename = \"{}\")]", field.name));
        }
        line(&mut members, &format!("    pub {member}: {},", rust_type(kind)?));
        line(&mut encoding, &format!("        {}", encode_text(kind, Place::Field(&member))));
        line(&mut decoding, &format!("            {member}: {},", decode_text(contract, kind, &field.name)?));
    }
    let unused = if fields.is_empty() { "_" } else { "" };
    let total = fields.iter().all(|field| contract.has_total_equality(&field.kind));
    let fewest: usize = fields.iter().map(|field| contract.fewest_bytes(&field.kind)).sum();
    doc(code, "", &named.doc);
    let (given, left_out): (Vec<&Field>, Vec<&Field>) =
        fields.iter().partition(|field| !contract.has_default(&field.kind));
    let eq = if total { "Eq, " } else { "" };
    let default = if given.is_empty() { "Default, " } else { "" };
    line(code, &format!("#[derive(Debug, Clone, PartialEq, {eq}{default}serde::Serialize)]"));
    line(code, &format!("pub struct {name} {{\n{members}}}\n"));
    if !given.is_empty() && !left_out.is_empty() {
        constructor(code, name, &given, &left_out)?;
    }
    line(code, &format!("impl AvroRecord for {name} {{"));
    line(code, &format!("    const TYPE: RecordType = RecordType::{};", variant(named)));
    let full_name = format!("{}.{name}", named.namespace);
    let fingerprint = canonical::fingerprint(&self_contained::schema(contract, &full_name)?)?;
    line(code, &format!("    const FINGERPRINT: u64 = {fingerprint:#x};"));
    line(code, &format!("    const FEWEST_BYTES: usize = {fewest};\n"));
    line(code, &format!("    fn encode(&self, {unused}out: &mut Vec<u8>) {{\n{encoding}    }}\n"));
    line(code, &format!("    fn decode({unused}input: &mut &[u8]) -> Result<Self, Malformed> {{"));
    line(code, &format!("        Ok(Self {{\n{decoding}        }})\n    }}\n}}\n"));
    line(code, &format!("crate::state::state_value!({name});\n"));
    Ok(())
}

/// `of`: in place of `Default`, for a record that needs the fields `given`.
fn constructor(code: &mut String, name: &str, given: &[&Field], left_out: &[&Field]) -> Result<(), String> {
    let (mut parameters, mut members) = (String::new(), String::new());
    for field in given {
        let _ = write!(parameters, "{}: {}, ", member(field)?, rust_type(&field.kind)?);
        let _ = write!(members, "{}, ", member(field)?);
    }
    for field in left_out {
        let _ = write!(members, "{}: <{}>::default(), ", member(field)?, rust_type(&field.kind)?);
    }
    line(code, &format!("impl {name} {{"));
    line(code, "    /// The record with these values, and the default of every other field.");
    line(code, &format!("    pub fn of({}) -> Self {{", parameters.trim_end_matches(", ")));
    line(code, &format!("        Self {{ {} }}\n    }}\n}}\n", members.trim_end_matches(", ")));
    Ok(())
}

fn enumeration(code: &mut String, named: &NamedType, symbols: &[String], default: usize, first_is_unknown: bool) {
    let name = &named.name;
    let (symbols, first, default) = if first_is_unknown { (&symbols[1..], 1, 0) } else { (symbols, 0, default) };
    let mut variants = String::new();
    let mut spellings = String::new();
    let mut all = String::new();
    for (index, symbol) in symbols.iter().enumerate() {
        let variant = pascal_case(symbol);
        line(&mut variants, &format!("    /// `{symbol}`."));
        line(&mut variants, &format!("    #[serde(rename = \"{symbol}\")]"));
        if index == default {
            line(&mut variants, "    #[default]");
        }
        line(&mut variants, &format!("    {variant} = {},", index + first));
        line(&mut spellings, &format!("            Self::{variant} => \"{symbol}\","));
        let _ = write!(all, "Self::{variant}, ");
    }
    let derives = "Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, serde::Serialize";
    doc(code, "", &named.doc);
    line(code, &format!("#[derive({derives})]\npub enum {name} {{\n{variants}}}\n"));
    line(code, &format!("impl {name} {{"));
    line(
        code,
        &format!("    /// All symbols in the order of the schema.\n    pub const ALL: &'static [Self] = &[{all}];\n"),
    );
    line(code, "    /// The symbol as the schema spells it.");
    line(
        code,
        &format!("    pub fn symbol(self) -> &'static str {{\n        match self {{\n{spellings}        }}\n    }}\n"),
    );
    line(code, "    /// The value that the schema spells `symbol`.");
    line(code, "    pub fn from_symbol(symbol: &str) -> Option<Self> {");
    line(code, "        Self::ALL.iter().copied().find(|value| value.symbol() == symbol)\n    }\n");
    line(
        code,
        "    pub(crate) fn encode(self, out: &mut Vec<u8>) {\n        binary::write_int(out, self as i32);\n    }\n",
    );
    line(code, "    pub(crate) fn decode(input: &mut &[u8]) -> Result<Self, Malformed> {");
    line(code, &format!("        binary::read_symbol(input, {first}, Self::ALL)\n    }}\n}}\n"));
    line(code, &format!("impl std::fmt::Display for {name} {{"));
    line(code, "    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {");
    line(code, "        f.pad(self.symbol())\n    }\n}\n");
}

fn record_type(code: &mut String, contract: &Contract) -> Result<(), String> {
    let (mut variants, mut all, mut names, mut schemas, mut visits) =
        (String::new(), String::new(), String::new(), String::new(), String::new());
    let mut count = 0;
    for (full_name, named) in &contract.types {
        if !matches!(named.shape, Shape::Record(_)) {
            continue;
        }
        let name = variant(named);
        let path = path(full_name)?;
        count += 1;
        let schema = self_contained::schema(contract, full_name)?;
        doc(&mut variants, "    ", &format!("[`{path}`]: {}", named.doc));
        line(&mut variants, &format!("    {name},"));
        let _ = write!(all, "Self::{name}, ");
        line(&mut names, &format!("            Self::{name} => \"{full_name}\","));
        line(&mut schemas, &format!("            Self::{name} => {schema:?},"));
        line(&mut visits, &format!("            Self::{name} => visitor.visit::<{path}>(),"));
    }
    line(code, "/// The records of the contract.");
    line(code, "#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]");
    line(code, &format!("pub enum RecordType {{\n{variants}}}\n\nimpl RecordType {{"));
    line(code, &format!("    /// The number of record types.\n    pub const COUNT: usize = {count};\n"));
    line(code, &format!("    /// All, sorted by full name.\n    pub const ALL: [Self; {count}] = [{all}];\n"));
    line(code, "    /// Name with namespace, as schemas and registries spell it.");
    line(
        code,
        &format!(
            "    pub const fn full_name(self) -> &'static str {{\n        match self {{\n{names}        }}\n    }}\n"
        ),
    );
    line(code, "    /// The schema as JSON that needs no other schema.");
    line(
        code,
        &format!(
            "    pub const fn schema_json(self) -> &'static str {{\n        match self {{\n{schemas}        }}\n    }}\n"
        ),
    );
    line(code, "    /// Calls `visitor` with the Rust type of this record type.");
    line(code, "    pub fn visit<V: RecordVisitor>(self, visitor: V) -> V::Output {");
    line(code, &format!("        match self {{\n{visits}        }}\n    }}\n}}"));
    Ok(())
}

/// The variant of `RecordType`: namespace and name, so that each namespace may have a record of the same name.
fn variant(named: &NamedType) -> String {
    format!("{}{}", pascal_case(&named.namespace.replace('.', "_")), named.name)
}

/// The module of a namespace: `esr.state` -> `esr_state`.
fn module(namespace: &str) -> Result<String, String> {
    identifier(&namespace.replace('.', "_"))
}

/// The path of the Rust type with this full name: `esr.Position` -> `esr::Position`.
fn path(full_name: &str) -> Result<String, String> {
    let (namespace, name) = full_name.rsplit_once('.').ok_or_else(|| format!("{full_name} has no namespace"))?;
    Ok(format!("{}::{name}", module(namespace)?))
}

/// The path of a type of `src/types`: `esr.PositionId` -> `crate::types::esr::PositionId`.
fn newtype(name: &str) -> Result<String, String> {
    Ok(format!("crate::types::{}", path(name)?))
}

fn rust_type(kind: &Kind) -> Result<String, String> {
    Ok(match kind {
        Kind::Boolean => "bool".to_owned(),
        Kind::Int => "i32".to_owned(),
        Kind::Long => "i64".to_owned(),
        Kind::Double => "f64".to_owned(),
        Kind::String => "String".to_owned(),
        Kind::Bytes => "Vec<u8>".to_owned(),
        Kind::Date => "crate::types::Date".to_owned(),
        Kind::Id(id) | Kind::Code(id) | Kind::Text(id) | Kind::Binary(id) => newtype(id)?,
        Kind::Boxed(inner) => format!("Box<{}>", rust_type(inner)?),
        Kind::Array(inner) => format!("Vec<{}>", rust_type(inner)?),
        Kind::Optional(inner) => format!("Option<{}>", rust_type(inner)?),
        Kind::Named(full_name) => format!("super::{}", path(full_name)?),
    })
}

fn encode_text(kind: &Kind, place: Place<'_>) -> String {
    match kind {
        Kind::Boolean => format!("binary::write_boolean(out, {});", place.value()),
        Kind::Int => format!("binary::write_int(out, {});", place.value()),
        Kind::Long => format!("binary::write_long(out, {});", place.value()),
        Kind::Double => format!("binary::write_double(out, {});", place.value()),
        Kind::String => format!("binary::write_bytes(out, {}.as_bytes());", place.member()),
        Kind::Bytes => format!("binary::write_bytes(out, {});", place.reference()),
        Kind::Date => format!("binary::write_int(out, {}.0);", place.member()),
        Kind::Id(_) => format!("binary::write_long(out, {}.0);", place.member()),
        Kind::Code(_) => format!("binary::write_int(out, i32::from({}));", place.value()),
        Kind::Named(_) | Kind::Text(_) | Kind::Binary(_) => format!("{}.encode(out);", place.member()),
        Kind::Boxed(inner) => encode_text(inner, place),
        Kind::Array(inner) => format!(
            "binary::write_array(out, {}, |out, item| {{ {} }});",
            place.reference(),
            encode_text(inner, Place::Reference("item"))
        ),
        Kind::Optional(inner) => format!(
            "if let Some(value) = {} {{ out.push(binary::PRESENT); {} }} else {{ out.push(binary::ABSENT); }}",
            place.reference(),
            encode_text(inner, Place::Reference("value"))
        ),
    }
}

/// The expression that reads a value. `field` is the Avro name of the field that it belongs to, for errors.
fn decode_text(contract: &Contract, kind: &Kind, field: &str) -> Result<String, String> {
    Ok(match kind {
        Kind::Boolean => "binary::read_boolean(input)?".to_owned(),
        Kind::Int => "binary::read_int(input)?".to_owned(),
        Kind::Long => "binary::read_long(input)?".to_owned(),
        Kind::Double => "binary::read_double(input)?".to_owned(),
        Kind::String => "binary::read_string(input)?".to_owned(),
        Kind::Bytes => "binary::read_bytes(input)?.to_vec()".to_owned(),
        Kind::Date => "crate::types::Date(binary::read_int(input)?)".to_owned(),
        Kind::Id(id) => format!("{}(binary::read_long(input)?)", newtype(id)?),
        Kind::Code(id) => format!("binary::read_code::<{}>(input)?", newtype(id)?),
        Kind::Text(id) => format!("binary::read_text::<{}>(input, {field:?}, {id:?})?", newtype(id)?),
        Kind::Binary(id) => format!("binary::read_binary::<{}>(input, {field:?}, {id:?})?", newtype(id)?),
        Kind::Boxed(inner) => format!("Box::new({})", decode_text(contract, inner, field)?),
        Kind::Named(full_name) if contract.is_enum(full_name) => {
            format!("super::{}::decode(input)?", path(full_name)?)
        }
        Kind::Named(full_name) => format!("<super::{} as AvroRecord>::decode(input)?", path(full_name)?),
        Kind::Array(inner) => {
            let item = decode_text(contract, inner, field)?;
            let read_item = match item.strip_suffix("(input)?") {
                Some(function) if !function.contains('(') => function.to_owned(),
                _ => match item.strip_suffix('?') {
                    Some(read) => format!("|input| {read}"),
                    None => format!("|input| Ok({item})"),
                },
            };
            format!("binary::read_array(input, {}, {read_item})?", contract.fewest_bytes(inner))
        }
        Kind::Optional(inner) => {
            let value = decode_text(contract, inner, field)?;
            format!("if binary::read_presence(input)? {{ Some({value}) }} else {{ None }}")
        }
    })
}

/// The name of a field in Rust.
fn member(field: &Field) -> Result<String, String> {
    match &field.rust_name {
        Some(name) => identifier(name),
        None => identifier(&snake_case(&field.name)),
    }
}

fn identifier(name: &str) -> Result<String, String> {
    match name {
        "self" | "super" | "crate" | "Self" | "_" => Err(format!("a field cannot be called {name} in Rust")),
        name if KEYWORDS.contains(&name) => Ok(format!("r#{name}")),
        name => Ok(name.to_owned()),
    }
}

/// `fileName` -> `file_name`, `currentTraineeVpd` -> `current_trainee_vpd`, `vpdID` -> `vpd_id`.
fn snake_case(name: &str) -> String {
    let mut out = String::new();
    let mut after_lower = false;
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && after_lower {
            out.push('_');
        }
        after_lower = letter.is_ascii_lowercase() || letter.is_ascii_digit();
        out.push(letter.to_ascii_lowercase());
    }
    out
}

/// `TO_EXPORT` -> `ToExport`.
fn pascal_case(symbol: &str) -> String {
    symbol
        .split('_')
        .map(|word| {
            let (first, rest) = word.split_at(usize::from(!word.is_empty()));
            first.to_ascii_uppercase() + &rest.to_ascii_lowercase()
        })
        .collect()
}

fn doc(code: &mut String, indent: &str, text: &str) {
    for part in text.lines() {
        line(code, &format!("{indent}/// {}", part.trim_end()));
    }
}

fn line(code: &mut String, text: &str) {
    code.push_str(text);
    code.push('\n');
}
