//! How fields get their values.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_graphql::dynamic::{Field, FieldFuture, FieldValue, InputValue, ObjectAccessor, ResolverContext, TypeRef};
use async_graphql::{Result, Value};
use tributary_registry::configuration::Kind;
use tributary_registry::number::Number;

use super::schema::INPUT;
use super::session::{Found, Session, global_id};

/// The mapped fields of an answer: those of itself, and those of the items of its lists.
struct Details {
    fields: Item,
    lists: BTreeMap<String, Vec<Arc<Item>>>,
}

/// Fields and their texts.
struct Item(BTreeMap<String, String>);

impl Item {
    fn new(fields: &[(&str, Option<&str>)]) -> Self {
        Self(fields.iter().filter_map(|(name, text)| Some(((*name).to_owned(), (*text)?.to_owned()))).collect())
    }

    fn value(&self, name: &str) -> Option<FieldValue<'static>> {
        self.0.get(name).map(|text| FieldValue::value(text.as_str()))
    }
}

fn session<'a>(context: &ResolverContext<'a>) -> Result<&'a Arc<Session>> {
    context.data::<Arc<Session>>()
}

/// The number among arguments. The document was checked, so it is there.
fn number(arguments: &ObjectAccessor<'_>, name: &str) -> Result<Number> {
    Ok(Number::new(arguments.try_get(name)?.string()?))
}

/// `QUERY(ARGUMENT: String!): TYPE`.
pub(super) fn query(kind: &Arc<Kind>) -> Field {
    let of = Arc::clone(kind);
    let names = &kind.graphql;
    let field = Field::new(&names.query, TypeRef::named(&names.object), move |context| {
        let kind = Arc::clone(&of);
        FieldFuture::new(async move {
            let session = session(&context)?;
            let found = session.find(&kind, number(&context.args, &kind.graphql.argument)?).await;
            Ok(session.settle(&context, found).flatten().map(FieldValue::owned_any))
        })
    });
    field.argument(InputValue::new(&names.argument, TypeRef::named_nn(TypeRef::STRING)))
}

/// `node(id: ID!): Node`.
pub(super) fn node(kinds: Vec<Arc<Kind>>) -> Field {
    let kinds: Arc<[Arc<Kind>]> = kinds.into();
    let field = Field::new("node", TypeRef::named("Node"), move |context| {
        let kinds = Arc::clone(&kinds);
        FieldFuture::new(async move {
            let session = session(&context)?;
            // A number is an id too, though not one of ours.
            let id = context.args.try_get("id")?;
            let found = session.node(&kinds, id.string().unwrap_or_default()).await;
            let found = session.settle(&context, found).flatten();
            Ok(found.map(|found| {
                let object = found.kind.graphql.object.clone();
                FieldValue::owned_any(found).with_type(object)
            }))
        })
    });
    field.argument(InputValue::new("id", TypeRef::named_nn(TypeRef::ID)))
}

/// `MUTATION(input: MUTATIONInput!): MUTATIONPayload`.
pub(super) fn mutation(kind: &Arc<Kind>, input: &str, payload: &str) -> Field {
    let of = Arc::clone(kind);
    let field = Field::new(&kind.graphql.mutation, TypeRef::named(payload), move |context| {
        let kind = Arc::clone(&of);
        FieldFuture::new(async move {
            let session = session(&context)?;
            let arguments = context.args.try_get(INPUT)?;
            let number = number(&arguments.object()?, &kind.graphql.argument)?;
            let found = session.sync(&kind, number).await;
            Ok(session.settle(&context, found).map(FieldValue::owned_any))
        })
    });
    field.argument(InputValue::new(INPUT, TypeRef::named_nn(input)))
}

/// The row in the payload of a mutation.
pub(super) fn payload(name: &str, object: &str) -> Field {
    Field::new(name, TypeRef::named(object), |context| {
        FieldFuture::new(async move {
            let found: &Found = context.parent_value.try_downcast_ref()?;
            Ok(Some(FieldValue::owned_any(found.clone())))
        })
    })
}

/// A field of a row that has one value.
pub(super) fn of_row(name: &str, ty: TypeRef, value: fn(&Session, &Found) -> Option<Value>) -> Field {
    Field::new(name, ty, move |context| {
        FieldFuture::new(async move {
            let found: &Found = context.parent_value.try_downcast_ref()?;
            Ok(value(session(&context)?, found).map(FieldValue::value))
        })
    })
}

/// `id: ID!`.
pub(super) fn id(found: &Found) -> Value {
    Value::from(global_id(&found.kind, found.row.id))
}

/// `jobStatus: String!`.
pub(super) fn job_status(session: &Session, found: &Found) -> Value {
    Value::from(session.shared.settings.statuses.name(found.row.status))
}

/// `DateTime`: RFC 3339 with Z and milliseconds.
pub(super) fn time(time: jiff::Timestamp) -> Value {
    Value::from(format!("{time:.3}"))
}

/// `info: TYPEDetails`.
pub(super) fn info(details: &str) -> Field {
    Field::new("info", TypeRef::named(details), |context| {
        FieldFuture::new(async move {
            let found: &Found = context.parent_value.try_downcast_ref()?;
            Ok(details_of(found).map(FieldValue::owned_any))
        })
    })
}

fn details_of(found: &Found) -> Option<Details> {
    let info = found.row.info.as_ref()?;
    let mapped = found.kind.answer.map(info);
    let lists = mapped.lists.iter().map(|list| {
        let items = list.items.iter().map(|item| Arc::new(Item::new(item))).collect();
        (list.name.to_owned(), items)
    });
    Some(Details { fields: Item::new(&mapped.fields), lists: lists.collect() })
}

/// A text of the details.
pub(super) fn of_details(name: &str) -> Field {
    let key = name.to_owned();
    Field::new(name, TypeRef::named(TypeRef::STRING), move |context| {
        let value = context.parent_value.downcast_ref::<Details>().and_then(|details| details.fields.value(&key));
        FieldFuture::Value(value)
    })
}

/// The first item of a list.
pub(super) fn first(name: &str, object: &str) -> Field {
    let key = name.to_owned();
    Field::new(name, TypeRef::named(object), move |context| {
        let details = context.parent_value.downcast_ref::<Details>();
        let item = details.and_then(|details| details.lists.get(&key)?.first().cloned());
        FieldFuture::Value(item.map(FieldValue::owned_any))
    })
}

/// All items of a list. `None` without an answer.
pub(super) fn all(name: &str, list: &str, object: &str) -> Field {
    let key = list.to_owned();
    Field::new(name, TypeRef::named_nn_list(object), move |context| {
        let details = context.parent_value.downcast_ref::<Details>();
        let items = details.and_then(|details| details.lists.get(&key));
        let values = items.map(|items| FieldValue::list(items.iter().cloned().map(FieldValue::owned_any)));
        FieldFuture::Value(values)
    })
}

/// A text of an item of a list.
pub(super) fn of_item(name: &str) -> Field {
    let key = name.to_owned();
    Field::new(name, TypeRef::named(TypeRef::STRING), move |context| {
        let item = context.parent_value.downcast_ref::<Arc<Item>>();
        FieldFuture::Value(item.and_then(|item| item.value(&key)))
    })
}
