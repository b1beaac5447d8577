//! The contract as read from the `.avsc` files: named types, their fields and the subset of Avro that is allowed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

const PRIMITIVES: [&str; 8] = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];

/// Types of fields that have no `Default`.
const WITHOUT_DEFAULT: [&str; 18] = [
    "aggregation.Address",
    "aggregation.InstanceId",
    "aggregation.PatientId",
    "aggregation.Stamp",
    "cases.CaseId",
    "cases.ClientName",
    "cases.CommandId",
    "cases.MessageId",
    "cases.OriginName",
    "esr.FileName",
    "esr.Office",
    "registry.CallId",
    "registry.ErrorCode",
    "registry.KindName",
    "registry.RowId",
    "registry.RunId",
    "registry.UserId",
    "tributary.Digest",
];

/// `<namespace>/<name>.avsc` in a folder of the contract.
#[derive(Debug, Clone)]
pub(crate) struct SchemaFile {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// Its path, for messages.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// All named types by full name.
pub(crate) struct Contract {
    pub(crate) types: BTreeMap<String, NamedType>,
}

/// A record or an enum, as one file holds it.
pub(crate) struct NamedType {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) doc: String,
    pub(crate) shape: Shape,
    pub(crate) json: Value,
    /// The path of its file, for messages.
    pub(crate) path: String,
}

pub(crate) enum Shape {
    Record(Vec<Field>),
    /// The first symbol has no value in Rust if it stands for those of a newer release.
    Enum {
        symbols: Vec<String>,
        default: usize,
        first_is_unknown: bool,
    },
}

pub(crate) struct Field {
    pub(crate) name: String,
    /// The name in Rust, where it is not that of the schema: `tributary.name`.
    pub(crate) rust_name: Option<String>,
    pub(crate) doc: String,
    pub(crate) kind: Kind,
}

pub(crate) enum Kind {
    Boolean,
    Int,
    Long,
    Double,
    String,
    Bytes,
    Date,
    /// A long with a newtype of `src/types`, by namespace and name: `tis.PersonId`.
    Id(String),
    /// An int with a type of `src/types` that takes only some numbers: `esr.NotificationType`.
    Code(String),
    /// A string with a type of `src/types` that takes only some texts: `esr.Office`.
    Text(String),
    /// Bytes with a type of `src/types` that takes only some: `tributary.Digest`.
    Binary(String),
    Array(Box<Kind>),
    Optional(Box<Kind>),
    /// A record that is large and mostly absent, behind a pointer.
    Boxed(Box<Kind>),
    /// Full name of a record or an enum.
    Named(String),
}

impl Contract {
    pub(crate) fn read(files: &[SchemaFile]) -> Result<Self, String> {
        let mut types = BTreeMap::new();
        for file in files {
            let named = NamedType::read(file).map_err(|e| format!("{}: {e}", file.path))?;
            types.insert(full_name(&named.namespace, &named.name), named);
        }
        let contract = Self { types };
        for (name, named) in &contract.types {
            contract.check(name, named)?;
        }
        Ok(contract)
    }

    /// All namespaces, each once.
    pub(crate) fn namespaces(&self) -> BTreeSet<&str> {
        self.types.values().map(|named| named.namespace.as_str()).collect()
    }

    /// The named type `full_name`. After `check`, every name in the contract has a type.
    pub(crate) fn get(&self, full_name: &str) -> Result<&NamedType, String> {
        self.types.get(full_name).ok_or_else(|| format!("there is no type {full_name}"))
    }

    pub(crate) fn is_enum(&self, full_name: &str) -> bool {
        self.types.get(full_name).is_some_and(|named| matches!(named.shape, Shape::Enum { .. }))
    }

    /// The fewest bytes that a value of `kind` takes. Reading checks array lengths against it before it allocates.
    pub(crate) fn fewest_bytes(&self, kind: &Kind) -> usize {
        match kind {
            Kind::Double => 8,
            Kind::Named(name) => match self.types.get(name).map(|named| &named.shape) {
                Some(Shape::Record(fields)) => fields.iter().map(|field| self.fewest_bytes(&field.kind)).sum(),
                _ => 1,
            },
            _ => 1,
        }
    }

    /// Whether a value can be left out in Rust. A type in [`WITHOUT_DEFAULT`] cannot: nothing stands for none.
    pub(crate) fn has_default(&self, kind: &Kind) -> bool {
        match kind {
            Kind::Text(id) | Kind::Binary(id) => !WITHOUT_DEFAULT.contains(&id.as_str()),
            Kind::Named(name) => match self.types.get(name).map(|named| &named.shape) {
                Some(Shape::Record(fields)) => fields.iter().all(|field| self.has_default(&field.kind)),
                _ => true,
            },
            _ => true,
        }
    }

    /// Whether equality of a value is total, so that its type can be `Eq`.
    pub(crate) fn has_total_equality(&self, kind: &Kind) -> bool {
        match kind {
            Kind::Double => false,
            Kind::Array(inner) | Kind::Optional(inner) | Kind::Boxed(inner) => self.has_total_equality(inner),
            Kind::Named(name) => match self.types.get(name).map(|named| &named.shape) {
                Some(Shape::Record(fields)) => fields.iter().all(|field| self.has_total_equality(&field.kind)),
                _ => true,
            },
            _ => true,
        }
    }

    fn check(&self, full_name: &str, named: &NamedType) -> Result<(), String> {
        let Shape::Record(fields) = &named.shape else { return Ok(()) };
        for field in fields {
            self.check_kind(&field.kind, &mut vec![full_name.to_owned()])
                .map_err(|e| format!("{}: field {}: {e}", named.path, field.name))?;
        }
        Ok(())
    }

    fn check_kind(&self, kind: &Kind, path: &mut Vec<String>) -> Result<(), String> {
        match kind {
            Kind::Array(inner) => {
                self.check_kind(inner, path)?;
                if self.fewest_bytes(inner) == 0 {
                    return Err("items of an array must take at least one byte".to_owned());
                }
                Ok(())
            }
            Kind::Optional(inner) | Kind::Boxed(inner) => self.check_kind(inner, path),
            Kind::Named(name) => {
                if path.contains(name) {
                    return Err(format!("{name} contains itself, which is not supported"));
                }
                let named = self.get(name)?;
                let Shape::Record(fields) = &named.shape else { return Ok(()) };
                path.push(name.clone());
                fields.iter().try_for_each(|field| self.check_kind(&field.kind, path))?;
                path.pop();
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl NamedType {
    fn read(file: &SchemaFile) -> Result<Self, String> {
        let json: Value = serde_json::from_str(&file.text).map_err(|e| format!("is not JSON: {e}"))?;
        let name = text_of(&json, "name")?;
        if name != file.name {
            return Err(format!("the type is called {name}: file and type must have the same name"));
        }
        let namespace = text_of(&json, "namespace")?;
        if namespace != file.namespace {
            return Err(format!("its namespace is {namespace}: folder and namespace must have the same name"));
        }
        let shape = match text_of(&json, "type")?.as_str() {
            "record" => Shape::Record(fields(&json, &namespace)?),
            "enum" => enumeration(&json)?,
            other => return Err(format!("holds a {other}; only records and enums are supported")),
        };
        let doc = text_of(&json, "doc").map_err(|_| "has no doc".to_owned())?;
        Ok(Self { namespace, name, doc, shape, json, path: file.path.clone() })
    }
}

fn fields(record: &Value, namespace: &str) -> Result<Vec<Field>, String> {
    let list = record.get("fields").and_then(Value::as_array).ok_or("has no fields")?;
    list.iter()
        .map(|field| {
            let name = text_of(field, "name")?;
            let rust_name = field.get("tributary.name").and_then(Value::as_str).map(str::to_owned);
            let id = field.get("tributary.type").and_then(Value::as_str);
            let schema = field.get("type").ok_or_else(|| format!("field {name} has no type"))?;
            let kind = kind(schema, namespace, id).map_err(|e| format!("field {name}: {e}"))?;
            let boxed = field.get("tributary.boxed").and_then(Value::as_bool).unwrap_or_default();
            let kind = match kind {
                Kind::Optional(inner) if boxed => Kind::Optional(Box::new(Kind::Boxed(inner))),
                _ if boxed => return Err(format!("field {name}: only a value that may be null can be boxed")),
                kind => kind,
            };
            let doc = text_of(field, "doc").unwrap_or_else(|_| format!("Avro field `{name}`."));
            Ok(Field { name, rust_name, doc, kind })
        })
        .collect()
}

fn enumeration(json: &Value) -> Result<Shape, String> {
    let list = json.get("symbols").and_then(Value::as_array).ok_or("has no symbols")?;
    let symbols: Vec<String> = list.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    if symbols.is_empty() {
        return Err("has no symbols".to_owned());
    }
    let default = match json.get("default").and_then(Value::as_str) {
        None => 0,
        Some(default) => {
            let position = symbols.iter().position(|symbol| symbol == default);
            position.ok_or_else(|| format!("the default {default} is not one of its symbols"))?
        }
    };
    let first_is_unknown = json.get("tributary.unknown").and_then(Value::as_bool).unwrap_or_default();
    if first_is_unknown && (json.get("default").is_none() || default != 0 || symbols.len() == 1) {
        return Err("the symbol for those of a newer release must be the first of several, and the default".to_owned());
    }
    Ok(Shape::Enum { symbols, default, first_is_unknown })
}

/// Reads the type of a field. `id` is the `tributary.type` of what encloses it.
fn kind(schema: &Value, namespace: &str, id: Option<&str>) -> Result<Kind, String> {
    match schema {
        Value::String(name) => plain(name, namespace, id),
        Value::Array(branches) => match branches.as_slice() {
            [Value::String(null), inner] if null == "null" => Ok(Kind::Optional(Box::new(kind(inner, namespace, id)?))),
            _ => Err("only unions of null and one other type, null first, are supported".to_owned()),
        },
        Value::Object(object) => {
            let id = object.get("tributary.type").and_then(Value::as_str).or(id);
            let inner = object.get("type").ok_or("has a type without a type")?;
            match (inner.as_str(), object.get("logicalType").and_then(Value::as_str)) {
                (Some("array"), None) => {
                    let items = object.get("items").ok_or("is an array without items")?;
                    Ok(Kind::Array(Box::new(kind(items, namespace, id)?)))
                }
                (Some("int"), Some("date")) => Ok(Kind::Date),
                (Some("record" | "enum"), _) => Err("defines a named type: give it a file of its own".to_owned()),
                (_, None) => kind(inner, namespace, id),
                (_, Some(logical)) => Err(format!("the logical type {logical} is not supported")),
            }
        }
        _ => Err("has a type that is not valid Avro".to_owned()),
    }
}

fn plain(name: &str, namespace: &str, id: Option<&str>) -> Result<Kind, String> {
    match (name, id) {
        ("long" | "int" | "string" | "bytes", Some(id)) if !id.contains('.') => {
            Err(format!("tributary.type {id} has no namespace"))
        }
        ("long", Some(id)) => Ok(Kind::Id(id.to_owned())),
        ("int", Some(id)) => Ok(Kind::Code(id.to_owned())),
        ("string", Some(id)) => Ok(Kind::Text(id.to_owned())),
        ("bytes", Some(id)) => Ok(Kind::Binary(id.to_owned())),
        (_, Some(id)) => Err(format!("tributary.type {id} is for longs, ints, strings and bytes only")),
        ("boolean", None) => Ok(Kind::Boolean),
        ("int", None) => Ok(Kind::Int),
        ("long", None) => Ok(Kind::Long),
        ("double", None) => Ok(Kind::Double),
        ("string", None) => Ok(Kind::String),
        ("bytes", None) => Ok(Kind::Bytes),
        (name, None) if PRIMITIVES.contains(&name) => Err(format!("the type {name} is not supported")),
        (name, None) => Ok(Kind::Named(resolve(name, namespace))),
    }
}

/// The full name that `name` means within `namespace`, or the primitive itself.
pub(crate) fn resolve(name: &str, namespace: &str) -> String {
    if name.contains('.') || PRIMITIVES.contains(&name) { name.to_owned() } else { full_name(namespace, name) }
}

fn full_name(namespace: &str, name: &str) -> String {
    format!("{namespace}.{name}")
}

fn text_of(json: &Value, key: &str) -> Result<String, String> {
    json.get(key).and_then(Value::as_str).map(str::to_owned).ok_or_else(|| format!("has no {key}"))
}
