//! What is checked of a request before anything of it is executed.
//!
//! The library reads documents with recursive functions, and its own checks follow every spread of a fragment. So the
//! nesting of brackets is counted before the document is read, and fields, depth and spreads right after. All this
//! takes no memory beyond the document itself. The library does not check the values of variables: this is done here,
//! so that nothing is executed of a request that is wrong somewhere.

use std::collections::BTreeMap;

use async_graphql::parser::parse_query;
use async_graphql::parser::types::{
    BaseType, DocumentOperations, ExecutableDocument, Field, OperationDefinition, OperationType, Selection,
    SelectionSet, VariableDefinition,
};
use async_graphql::{Name, Pos, Positioned, Request, Value, Variables};
use serde::Deserialize;
use tributary_registry::configuration::RegistrySettings;

use super::failure::{Failed, Failure};
use super::schema::INPUT;
use crate::settings::GraphqlSettings;

/// The deepest brackets of any sort. Documents at the other limits stay below.
const MAX_BRACKETS: usize = 64;

/// The deepest selections, with fragments, which add no depth of fields.
const MAX_NESTING: usize = 48;

/// The most arguments and directives at one place.
const MAX_ADDITIONS: usize = 16;

/// The request is refused, and where in the document.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) Vec<Pos>);

impl Malformed {
    fn nowhere() -> Self {
        Self(Vec::new())
    }

    fn at(place: Pos) -> Self {
        Self(vec![place])
    }
}

impl From<Malformed> for Failed {
    fn from(malformed: Malformed) -> Self {
        Self { locations: malformed.0, ..Self::from(Failure::Malformed) }
    }
}

/// What the arguments of a field at the top must be.
enum Arguments {
    /// The text of this argument.
    Text(String),
    /// The id of a node.
    Id,
    /// An input with a text of this name.
    Input(String),
}

/// What a document may be.
pub(super) struct Rules {
    introspection: bool,
    max_depth: usize,
    max_fields: usize,
    tops: BTreeMap<String, Arguments>,
}

/// The body of a request. Other members are left alone.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    query: String,
    #[serde(default)]
    operation_name: Option<String>,
    #[serde(default)]
    variables: Option<serde_json::Map<String, serde_json::Value>>,
}

impl Rules {
    pub(super) fn new(settings: &RegistrySettings, limits: &GraphqlSettings) -> Self {
        let mut tops = BTreeMap::from([("node".to_owned(), Arguments::Id)]);
        for kind in settings.kinds.values() {
            let names = &kind.graphql;
            tops.insert(names.query.clone(), Arguments::Text(names.argument.clone()));
            tops.insert(names.mutation.clone(), Arguments::Input(names.argument.clone()));
        }
        let GraphqlSettings { introspection, max_depth, max_fields, .. } = *limits;
        Self { introspection, max_depth, max_fields, tops }
    }

    /// Reads a request.
    ///
    /// # Errors
    /// [`Malformed`], without what was sent.
    pub(super) fn read(&self, body: &[u8]) -> Result<Request, Malformed> {
        // A list would be read as the members in their order. It is a batch.
        if body.trim_ascii_start().first() != Some(&b'{') {
            return Err(Malformed::nowhere());
        }
        let body: Body = serde_json::from_slice(body).map_err(|_| Malformed::nowhere())?;
        check_brackets(&body.query)?;
        let document = parse_query(&body.query).map_err(|error| Malformed(error.positions().collect()))?;
        let variables = serde_json::Value::Object(body.variables.unwrap_or_default());
        let variables = Variables::from_json(variables);
        self.check_size(&document)?;
        let operation = chosen(&document, body.operation_name.as_deref())?;
        check_variables(operation, &variables)?;
        let values = Values { operation, variables: &variables };
        self.check_tops(&document, &operation.selection_set.node, &values)?;
        let mut request = Request::new(String::new()).variables(variables);
        request.operation_name = body.operation_name;
        request.set_parsed_query(document);
        Ok(request)
    }

    fn check_size(&self, document: &ExecutableDocument) -> Result<(), Malformed> {
        if document.operations.iter().count() + document.fragments.len() > self.max_fields {
            return Err(Malformed::nowhere());
        }
        // The operations share one budget. Each fragment alone has its own: it may be spread nowhere.
        let mut walk = Walk::new(self, document);
        for (_, operation) in document.operations.iter() {
            let too_many = operation.node.variable_definitions.len() > self.max_fields;
            if too_many || operation.node.directives.len() > MAX_ADDITIONS {
                return Err(Malformed::at(operation.pos));
            }
            walk.follow(&operation.node.selection_set, 0, 0)?;
        }
        for fragment in document.fragments.values() {
            Walk::new(self, document).follow(&fragment.node.selection_set, 0, 0)?;
        }
        Ok(())
    }

    /// Checks the arguments of fields at the top. The sizes were checked before, so this ends.
    fn check_tops(
        &self,
        document: &ExecutableDocument,
        set: &SelectionSet,
        values: &Values<'_>,
    ) -> Result<(), Malformed> {
        for item in &set.items {
            match &item.node {
                Selection::Field(field) => {
                    self.check_top(&field.node, values).map_err(|()| Malformed::at(field.pos))?;
                }
                Selection::InlineFragment(inline) => {
                    self.check_tops(document, &inline.node.selection_set.node, values)?;
                }
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = document.fragments.get(&spread.node.fragment_name.node) {
                        self.check_tops(document, &fragment.node.selection_set.node, values)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Checks the arguments of one field. What is not known at all is found by the library.
    fn check_top(&self, field: &Field, values: &Values<'_>) -> Result<(), ()> {
        let Some(arguments) = self.tops.get(field.name.node.as_str()) else { return Ok(()) };
        let name = match arguments {
            Arguments::Text(name) => name.as_str(),
            Arguments::Id => "id",
            Arguments::Input(_) => INPUT,
        };
        let value = values.argument(field, name).ok_or(())?;
        let fits = match (arguments, value) {
            (Arguments::Text(_) | Arguments::Id, Value::String(_)) | (Arguments::Id, Value::Number(_)) => true,
            (Arguments::Input(name), Value::Object(input)) => {
                input.len() == 1 && matches!(input.get(name.as_str()), Some(Value::String(_)))
            }
            _ => false,
        };
        if fits { Ok(()) } else { Err(()) }
    }
}

/// The values of variables.
struct Values<'d> {
    operation: &'d OperationDefinition,
    variables: &'d Variables,
}

impl Values<'_> {
    /// The value of an argument. `None` if it is not given, or one of its variables has none.
    fn argument(&self, field: &Field, name: &str) -> Option<Value> {
        let value = field.get_argument(name)?.node.clone();
        value.into_const_with(|name| self.variable(&name).ok_or(())).ok()
    }

    fn variable(&self, name: &Name) -> Option<Value> {
        let given = self.variables.get(name).cloned();
        let mut definitions = self.operation.variable_definitions.iter();
        given.or_else(|| {
            let definition = definitions.find(|definition| definition.node.name.node == *name)?;
            definition.node.default_value().cloned()
        })
    }
}

/// Goes through selections, with fragments spread.
struct Walk<'d> {
    rules: &'d Rules,
    document: &'d ExecutableDocument,
    fields: usize,
    steps: usize,
}

impl<'d> Walk<'d> {
    fn new(rules: &'d Rules, document: &'d ExecutableDocument) -> Self {
        Self { rules, document, fields: 0, steps: 0 }
    }

    fn follow(&mut self, set: &'d Positioned<SelectionSet>, depth: usize, nesting: usize) -> Result<(), Malformed> {
        if nesting > MAX_NESTING {
            return Err(Malformed::at(set.pos));
        }
        for item in &set.node.items {
            // A field is reached over at most so many fragments. So this ends even if no fragment has a field.
            self.steps += 1;
            let too_many = self.steps > self.rules.max_fields.saturating_mul(MAX_NESTING);
            if too_many || item.node.directives().len() > MAX_ADDITIONS {
                return Err(Malformed::at(item.pos));
            }
            match &item.node {
                Selection::Field(field) => self.field(field, depth + 1, nesting)?,
                Selection::InlineFragment(inline) => self.follow(&inline.node.selection_set, depth, nesting + 1)?,
                Selection::FragmentSpread(spread) => {
                    let fragment = self.document.fragments.get(&spread.node.fragment_name.node);
                    let fragment = fragment.ok_or_else(|| Malformed::at(spread.pos))?;
                    self.follow(&fragment.node.selection_set, depth, nesting + 1)?;
                }
            }
        }
        Ok(())
    }

    fn field(&mut self, field: &'d Positioned<Field>, depth: usize, nesting: usize) -> Result<(), Malformed> {
        self.fields += 1;
        let is_schema = matches!(field.node.name.node.as_str(), "__schema" | "__type");
        let is_refused = self.fields > self.rules.max_fields
            || depth > self.rules.max_depth
            || field.node.arguments.len() > MAX_ADDITIONS
            || (is_schema && !self.rules.introspection);
        if is_refused {
            return Err(Malformed::at(field.pos));
        }
        self.follow(&field.node.selection_set, depth, nesting + 1)
    }
}

/// The operation that is asked for.
fn chosen<'d>(document: &'d ExecutableDocument, name: Option<&str>) -> Result<&'d OperationDefinition, Malformed> {
    let operation = match (&document.operations, name) {
        (DocumentOperations::Single(operation), None) => Some(operation),
        (DocumentOperations::Multiple(operations), None) if operations.len() == 1 => operations.values().next(),
        (DocumentOperations::Multiple(operations), Some(name)) => operations.get(name),
        _ => None,
    };
    let operation = operation.ok_or_else(Malformed::nowhere)?;
    if operation.node.ty == OperationType::Subscription {
        return Err(Malformed::at(operation.pos));
    }
    Ok(&operation.node)
}

fn check_variables(operation: &OperationDefinition, variables: &Variables) -> Result<(), Malformed> {
    for definition in &operation.variable_definitions {
        // No place takes null, so a variable that may be null fits none, unless it has another value then. The library
        // lets it pass.
        let default = definition.node.default_value.as_ref();
        let has_default = default.is_some_and(|default| default.node != Value::Null);
        let may_be_null = definition.node.var_type.node.nullable && !has_default;
        let fits = !may_be_null
            && definition.node.directives.len() <= MAX_ADDITIONS
            && match variables.get(&definition.node.name.node) {
                None => has_default,
                Some(value) => fits(&definition.node, value),
            };
        if !fits {
            return Err(Malformed::at(definition.pos));
        }
    }
    Ok(())
}

/// Whether a value is of the type of its variable. No argument takes a list. What an input must have is checked where
/// it is used.
fn fits(definition: &VariableDefinition, value: &Value) -> bool {
    let ty = &definition.var_type.node;
    let BaseType::Named(name) = &ty.base else { return false };
    match (name.as_str(), value) {
        (_, Value::Null) => ty.nullable,
        ("String" | "ID", Value::String(_)) | ("ID" | "Float", Value::Number(_)) | ("Boolean", Value::Boolean(_)) => {
            true
        }
        ("Int", Value::Number(number)) => number.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        ("String" | "ID" | "Boolean" | "Float" | "Int", _) => false,
        (_, value) => matches!(value, Value::Object(_)),
    }
}

/// Counts the nesting of brackets outside of strings and comments.
fn check_brackets(text: &str) -> Result<(), Malformed> {
    let mut rest = text.as_bytes();
    let mut open = 0_usize;
    while let Some((byte, after)) = rest.split_first() {
        rest = match byte {
            b'"' => after_string(rest)?,
            b'#' => after_line(after),
            _ => after,
        };
        match byte {
            b'{' | b'[' | b'(' => open += 1,
            b'}' | b']' | b')' => open = open.saturating_sub(1),
            _ => {}
        }
        if open > MAX_BRACKETS {
            return Err(Malformed::nowhere());
        }
    }
    Ok(())
}

fn after_line(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(text.len());
    text.get(end..).unwrap_or_default()
}

/// What follows a string, which begins the text.
fn after_string(text: &[u8]) -> Result<&[u8], Malformed> {
    if let Some(block) = text.strip_prefix(br#"""""#) {
        return after_block(block);
    }
    let mut rest = text.get(1..).unwrap_or_default();
    loop {
        rest = match rest {
            [b'"', after @ ..] => return Ok(after),
            [b'\\', _, after @ ..] => after,
            [] | [b'\n' | b'\r' | b'\\', ..] => return Err(Malformed::nowhere()),
            [_, after @ ..] => after,
        };
    }
}

fn after_block(text: &[u8]) -> Result<&[u8], Malformed> {
    let mut rest = text;
    loop {
        rest = match rest {
            [b'"', b'"', b'"', after @ ..] => return Ok(after),
            [b'\\', b'"', b'"', b'"', after @ ..] | [_, after @ ..] => after,
            [] => return Err(Malformed::nowhere()),
        };
    }
}

#[cfg(test)]
mod tests;
