//! An Avro schema as JSON, with its names resolved.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// The named types that a schema defines, by full name.
#[derive(Debug, Default)]
pub(super) struct Definitions<'a>(BTreeMap<String, Definition<'a>>);

/// A record, an enum or a fixed type.
#[derive(Debug, Clone)]
pub(super) struct Definition<'a> {
    /// Name with namespace.
    pub(super) full_name: String,
    /// The object that defines it.
    pub(super) json: &'a Map<String, Value>,
}

/// A schema within another, in the namespace of what encloses it.
#[derive(Debug, Clone)]
pub(super) struct Schema<'a> {
    pub(super) json: &'a Value,
    pub(super) namespace: String,
    /// The `tributary.type` of what encloses it.
    pub(super) value_type: Option<&'a str>,
}

/// What a schema is.
#[derive(Debug)]
pub(super) enum Kind<'a> {
    Primitive {
        name: &'a str,
        logical: Option<&'a str>,
        value_type: Option<&'a str>,
    },
    Array(Schema<'a>),
    Map(Schema<'a>),
    Union(Vec<Schema<'a>>),
    Enum(Definition<'a>),
    Fixed(Definition<'a>),
    Record(Definition<'a>),
    /// Not Avro.
    Unknown,
}

/// A field of a record.
#[derive(Debug, Clone)]
pub(super) struct Field<'a> {
    pub(super) name: &'a str,
    pub(super) json: &'a Map<String, Value>,
    pub(super) schema: Schema<'a>,
    pub(super) default: Option<&'a Value>,
}

impl<'a> Schema<'a> {
    /// A schema that nothing encloses.
    pub(super) fn root(json: &'a Value) -> Self {
        Self { json, namespace: String::new(), value_type: None }
    }

    fn within(&self, json: &'a Value, value_type: Option<&'a str>) -> Self {
        Self { json, namespace: self.namespace.clone(), value_type }
    }
}

impl<'a> Definitions<'a> {
    /// The named types in `root`.
    pub(super) fn of(root: &'a Value) -> Self {
        let mut definitions = Self::default();
        definitions.collect(root, "");
        definitions
    }

    /// All of them, by name.
    pub(super) fn all(&self) -> impl Iterator<Item = &Definition<'a>> {
        self.0.values()
    }

    fn collect(&mut self, json: &'a Value, namespace: &str) {
        match json {
            Value::Array(branches) => branches.iter().for_each(|branch| self.collect(branch, namespace)),
            Value::Object(object) => {
                let mut namespace = namespace.to_owned();
                if is_definition(object) {
                    let full_name = full_name(object, &namespace);
                    namespace_of(&full_name).clone_into(&mut namespace);
                    self.0.entry(full_name.clone()).or_insert(Definition { full_name, json: object });
                }
                for key in ["type", "items", "values"] {
                    if let Some(inner) = object.get(key) {
                        self.collect(inner, &namespace);
                    }
                }
                for field in object.get("fields").and_then(Value::as_array).into_iter().flatten() {
                    self.collect(field, &namespace);
                }
            }
            _ => {}
        }
    }

    /// What `schema` is.
    pub(super) fn kind(&self, schema: &Schema<'a>) -> Kind<'a> {
        match schema.json {
            Value::String(name) => self.named_or_primitive(name, schema, None, schema.value_type),
            Value::Array(branches) => {
                Kind::Union(branches.iter().map(|branch| schema.within(branch, schema.value_type)).collect())
            }
            Value::Object(object) => self.object(object, schema),
            _ => Kind::Unknown,
        }
    }

    fn object(&self, object: &'a Map<String, Value>, schema: &Schema<'a>) -> Kind<'a> {
        let value_type = text(object, "tributary.type").or(schema.value_type);
        if is_definition(object) {
            let definition = Definition { full_name: full_name(object, &schema.namespace), json: object };
            return definition.kind();
        }
        match object.get("type") {
            Some(Value::String(name)) if name == "array" || name == "map" => {
                let key = if name == "array" { "items" } else { "values" };
                let Some(inner) = object.get(key) else { return Kind::Unknown };
                let inner = schema.within(inner, value_type);
                if name == "array" { Kind::Array(inner) } else { Kind::Map(inner) }
            }
            Some(Value::String(name)) => self.named_or_primitive(name, schema, text(object, "logicalType"), value_type),
            Some(inner) => self.kind(&schema.within(inner, value_type)),
            None => Kind::Unknown,
        }
    }

    fn named_or_primitive(
        &self,
        name: &'a str,
        schema: &Schema<'a>,
        logical: Option<&'a str>,
        value_type: Option<&'a str>,
    ) -> Kind<'a> {
        const PRIMITIVES: [&str; 8] = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];
        if PRIMITIVES.contains(&name) {
            return Kind::Primitive { name, logical, value_type };
        }
        let full_name = if name.contains('.') || schema.namespace.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", schema.namespace)
        };
        self.0.get(&full_name).cloned().map_or(Kind::Unknown, Definition::kind)
    }
}

impl<'a> Definition<'a> {
    fn kind(self) -> Kind<'a> {
        match text(self.json, "type") {
            Some("record") => Kind::Record(self),
            Some("enum") => Kind::Enum(self),
            _ => Kind::Fixed(self),
        }
    }

    /// The name without its namespace.
    pub(super) fn short_name(&self) -> &str {
        self.full_name.rsplit_once('.').map_or(self.full_name.as_str(), |(_, name)| name)
    }

    /// The fields of a record.
    pub(super) fn fields(&self) -> Vec<Field<'a>> {
        let fields = self.json.get("fields").and_then(Value::as_array).into_iter().flatten();
        fields.filter_map(Value::as_object).filter_map(|json| self.field(json)).collect()
    }

    fn field(&self, json: &'a Map<String, Value>) -> Option<Field<'a>> {
        let namespace = namespace_of(&self.full_name).to_owned();
        let schema = Schema { json: json.get("type")?, namespace, value_type: text(json, "tributary.type") };
        Some(Field { name: text(json, "name")?, json, schema, default: json.get("default") })
    }

    /// The symbols of an enum.
    pub(super) fn symbols(&self) -> Vec<&'a str> {
        texts(self.json, "symbols")
    }

    /// The default of an enum.
    pub(super) fn default_symbol(&self) -> Option<&'a str> {
        text(self.json, "default")
    }
}

impl<'a> Field<'a> {
    /// Its former names.
    pub(super) fn aliases(&self) -> Vec<&'a str> {
        texts(self.json, "aliases")
    }
}

impl<'a> Definitions<'a> {
    /// The type in words: `long`, `array of esr.SentBefore`, `optional string`.
    pub(super) fn in_words(&self, schema: &Schema<'a>) -> String {
        match self.kind(schema) {
            Kind::Primitive { name, logical: None, .. } => name.to_owned(),
            Kind::Primitive { name, logical: Some(logical), .. } => format!("{logical} ({name})"),
            Kind::Array(items) => format!("array of {}", self.in_words(&items)),
            Kind::Map(values) => format!("map of {}", self.in_words(&values)),
            Kind::Enum(named) | Kind::Fixed(named) | Kind::Record(named) => named.full_name,
            Kind::Union(branches) => match branches.as_slice() {
                [null, inner] if null.json == "null" => format!("optional {}", self.in_words(inner)),
                _ => {
                    let words: Vec<String> = branches.iter().map(|branch| self.in_words(branch)).collect();
                    format!("one of {}", words.join(", "))
                }
            },
            Kind::Unknown => "something that is not Avro".to_owned(),
        }
    }

    /// The type as a schema file has it: other named types by their names.
    pub(super) fn in_json(&self, schema: &Schema<'a>) -> Value {
        match self.kind(schema) {
            Kind::Primitive { .. } | Kind::Unknown => schema.json.clone(),
            Kind::Array(items) => json!({ "type": "array", "items": self.in_json(&items) }),
            Kind::Map(values) => json!({ "type": "map", "values": self.in_json(&values) }),
            Kind::Union(branches) => branches.iter().map(|branch| self.in_json(branch)).collect(),
            Kind::Enum(named) | Kind::Fixed(named) | Kind::Record(named) => Value::String(named.full_name),
        }
    }
}

fn is_definition(object: &Map<String, Value>) -> bool {
    matches!(text(object, "type"), Some("record" | "enum" | "fixed"))
}

fn full_name(object: &Map<String, Value>, enclosing: &str) -> String {
    let name = text(object, "name").unwrap_or_default();
    let namespace = text(object, "namespace").unwrap_or(enclosing);
    if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

fn namespace_of(full_name: &str) -> &str {
    full_name.rsplit_once('.').map_or("", |(namespace, _)| namespace)
}

/// The text at `key`, if it is one.
pub(super) fn text<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    object.get(key).and_then(Value::as_str)
}

fn texts<'a>(object: &'a Map<String, Value>, key: &str) -> Vec<&'a str> {
    object.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}
