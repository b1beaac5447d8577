//! The schema: what each kind adds to it.

use std::sync::Arc;

use async_graphql::Value;
use async_graphql::dynamic::{
    Field, InputObject, InputValue, Interface, InterfaceField, Object, Scalar, Schema, SchemaBuilder, TypeRef,
};
use tributary_registry::configuration::{Kind, RegistrySettings};

use super::resolving;

/// The argument of mutations.
pub(super) const INPUT: &str = "input";

/// How deep the library follows a document. What is deeper was refused before ([`super::document`]).
const RECURSION: usize = 64;

/// The fields of a row that every kind has.
const ROW_FIELDS: [&str; 9] =
    ["id", "databaseId", "jobStatus", "info", "syncedAt", "insertedAt", "insertedBy", "updatedAt", "updatedBy"];

/// Why the schema does not follow from the settings.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// A kind names its number as another field of its rows.
    #[error("expected another name at job.{kind}.graphql.argument: every row has a field {argument}")]
    Taken {
        /// The kind.
        kind: String,
        /// The name.
        argument: String,
    },
    /// Its types do not fit each other.
    #[error("the schema of GraphQL cannot be made: {0}")]
    Types(#[from] async_graphql::dynamic::SchemaError),
}

/// The schema as text. The order of its types does not depend on the order of the settings.
///
/// # Errors
/// Types that do not fit each other.
pub fn schema_text(settings: &RegistrySettings) -> Result<String, SchemaError> {
    let options = async_graphql::SDLExportOptions::new().prefer_single_line_descriptions();
    Ok(build(settings, true)?.sdl_with_options(options))
}

/// The schema with its resolvers.
pub(super) fn build(settings: &RegistrySettings, introspection: bool) -> Result<Schema, SchemaError> {
    let kinds: Vec<Arc<Kind>> = settings.kinds.values().cloned().map(Arc::new).collect();
    let node = Interface::new("Node").field(InterfaceField::new("id", TypeRef::named_nn(TypeRef::ID)));
    let mut query = Object::new("Query").field(resolving::node(kinds.clone()));
    let mut mutation = Object::new("Mutation");
    let mutations = (!kinds.is_empty()).then_some("Mutation");
    let mut builder = Schema::build("Query", mutations, None)
        .register(Scalar::new("DateTime").description("RFC 3339 with Z and milliseconds"))
        .register(Scalar::new("UUID"))
        .register(node);
    for kind in &kinds {
        if ROW_FIELDS.contains(&kind.graphql.argument.as_str()) {
            let argument = kind.graphql.argument.clone();
            return Err(SchemaError::Taken { kind: kind.name.as_str().to_owned(), argument });
        }
        let names = MutationNames::new(kind);
        query = query.field(resolving::query(kind));
        mutation = mutation.field(resolving::mutation(kind, &names.input, &names.payload));
        builder = with_kind(builder, kind, names);
    }
    if mutations.is_some() {
        builder = builder.register(mutation);
    }
    let builder = builder.register(query).disable_suggestions().limit_recursive_depth(RECURSION);
    let builder = if introspection { builder } else { builder.disable_introspection() };
    Ok(builder.finish()?)
}

/// Names that follow from that of the mutation.
struct MutationNames {
    input: String,
    payload: String,
}

impl MutationNames {
    fn new(kind: &Kind) -> Self {
        let mutation = first_letter(&kind.graphql.mutation, |letter| letter.to_ascii_uppercase());
        Self { input: format!("{mutation}Input"), payload: format!("{mutation}Payload") }
    }
}

/// The name with another first letter. Names are ASCII.
fn first_letter(name: &str, change: fn(char) -> char) -> String {
    let mut letters = name.chars();
    letters.next().map(change).into_iter().chain(letters).collect()
}

fn with_kind(builder: SchemaBuilder, kind: &Kind, names: MutationNames) -> SchemaBuilder {
    let (object, argument) = (&kind.graphql.object, &kind.graphql.argument);
    let details_name = format!("{object}Details");
    let in_payload = first_letter(object, |letter| letter.to_ascii_lowercase());
    let input = InputValue::new(argument, TypeRef::named_nn(TypeRef::STRING));
    let fields = kind.answer.fields.keys();
    let mut details =
        fields.fold(Object::new(&details_name), |details, name| details.field(resolving::of_details(name)));
    let mut builder = builder
        .register(InputObject::new(names.input).field(input))
        .register(Object::new(names.payload).field(resolving::payload(&in_payload, object)))
        .register(row(object, argument, &details_name));
    for (name, list) in &kind.answer.lists {
        details =
            details.field(resolving::first(name, &list.object)).field(resolving::all(&list.list, name, &list.object));
        let fields = list.fields.keys();
        let item = fields.fold(Object::new(&list.object), |item, name| item.field(resolving::of_item(name)));
        builder = builder.register(item);
    }
    builder.register(details)
}

fn row(object: &str, argument: &str, details: &str) -> Object {
    let text = || TypeRef::named_nn(TypeRef::STRING);
    let uuid = || TypeRef::named_nn("UUID");
    let time = || TypeRef::named_nn("DateTime");
    let fields: [Field; 10] = [
        resolving::of_row("id", TypeRef::named_nn(TypeRef::ID), |_, found| Some(resolving::id(found))),
        resolving::of_row("databaseId", uuid(), |_, found| Some(Value::from(found.row.id.to_string()))),
        resolving::of_row(argument, text(), |_, found| Some(Value::from(found.row.number.expose()))),
        resolving::of_row("jobStatus", text(), |session, found| Some(resolving::job_status(session, found))),
        resolving::info(details),
        resolving::of_row("syncedAt", TypeRef::named("DateTime"), |_, found| found.row.synced_at.map(resolving::time)),
        resolving::of_row("insertedAt", time(), |_, found| Some(resolving::time(found.row.inserted_at))),
        resolving::of_row("insertedBy", uuid(), |_, found| Some(Value::from(found.row.inserted_by.to_string()))),
        resolving::of_row("updatedAt", time(), |_, found| Some(resolving::time(found.row.updated_at))),
        resolving::of_row("updatedBy", uuid(), |_, found| Some(Value::from(found.row.updated_by.to_string()))),
    ];
    fields.into_iter().fold(Object::new(object).implement("Node"), Object::field)
}
