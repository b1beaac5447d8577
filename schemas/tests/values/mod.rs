//! Values of any schema of the contract, made from the schema alone.

use apache_avro::Schema;
use apache_avro::types::Value;
use proptest::prelude::*;

/// Any value that `schema` allows, except numbers that JSON cannot show.
pub(crate) fn any_value(schema: &Schema) -> BoxedStrategy<Value> {
    match schema {
        Schema::Null => Just(Value::Null).boxed(),
        Schema::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        Schema::Int => any::<i32>().prop_map(Value::Int).boxed(),
        Schema::Long => any::<i64>().prop_map(Value::Long).boxed(),
        Schema::Double => (-1e300..1e300).prop_map(Value::Double).boxed(),
        Schema::Date => any::<i32>().prop_map(Value::Date).boxed(),
        Schema::String => ".{0,12}".prop_map(Value::String).boxed(),
        Schema::Bytes => proptest::collection::vec(any::<u8>(), 0..40).prop_map(Value::Bytes).boxed(),
        Schema::Array(array) => proptest::collection::vec(any_value(&array.items), 0..4).prop_map(Value::Array).boxed(),
        Schema::Union(union) => {
            let branches: Vec<BoxedStrategy<Value>> = (0u32..)
                .zip(union.variants())
                .map(|(index, branch)| {
                    any_value(branch).prop_map(move |value| Value::Union(index, Box::new(value))).boxed()
                })
                .collect();
            proptest::strategy::Union::new(branches).boxed()
        }
        Schema::Enum(symbols) => {
            let first = usize::from(symbols.attributes.contains_key("tributary.unknown"));
            let symbols = symbols.symbols.clone();
            (first..symbols.len()).prop_map(move |i| Value::Enum(i as u32, symbols[i].clone())).boxed()
        }
        Schema::Record(record) => {
            let names: Vec<String> = record.fields.iter().map(|field| field.name.clone()).collect();
            let values: Vec<BoxedStrategy<Value>> = record.fields.iter().map(any_field).collect();
            values.prop_map(move |values| Value::Record(names.iter().cloned().zip(values).collect())).boxed()
        }
        other => panic!("no record of the contract may use {other:?}"),
    }
}

/// Some types of `src/types` allow only some values of their Avro type.
fn any_field(field: &apache_avro::schema::RecordField) -> BoxedStrategy<Value> {
    let one = match field.custom_attributes.get("tributary.type").and_then(|name| name.as_str()) {
        Some("esr.NotificationType") => proptest::sample::select(vec![1, 2, 4, 5]).prop_map(Value::Int).boxed(),
        Some("esr.Office") => "[A-Z]{3}".prop_map(Value::String).boxed(),
        Some("esr.FileName") => {
            "DE_[A-Z]{3}_(RM[FC]|RTC|AP[PC]|DN[FC]|DCC)_[0-9]{4}(0[1-9]|1[0-2])(0[1-9]|1[0-9]|2[0-8])_[0-9]{7,8}[.]DAT"
                .prop_map(Value::String)
                .boxed()
        }
        Some(
            "cases.CaseId" | "cases.CommandId" | "cases.MessageId" | "registry.CallId" | "registry.RowId"
            | "registry.RunId" | "registry.UserId",
        ) => "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}".prop_map(Value::String).boxed(),
        Some("cases.OriginName" | "cases.ClientName" | "registry.KindName" | "registry.ErrorCode") => {
            "[A-Za-z0-9._-]{1,64}".prop_map(Value::String).boxed()
        }
        Some("aggregation.Address") => ".{1,64}".prop_map(Value::String).boxed(),
        Some("aggregation.InstanceId") => ".{1,128}".prop_map(Value::String).boxed(),
        Some("aggregation.PatientId") => ".{1,32}".prop_map(Value::String).boxed(),
        Some("aggregation.Stamp") => {
            "[0-9]{4}(0[1-9]|1[0-2])(0[1-9]|1[0-9]|2[0-8])([01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]"
                .prop_map(Value::String)
                .boxed()
        }
        Some("tributary.Digest") => proptest::collection::vec(any::<u8>(), 17).prop_map(Value::Bytes).boxed(),
        _ => return any_value(&field.schema),
    };
    shaped(&field.schema, one)
}

/// `one` as a field of `schema` holds it.
fn shaped(schema: &Schema, one: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    match schema {
        Schema::Array(array) => {
            proptest::collection::vec(shaped(&array.items, one), 0..4).prop_map(Value::Array).boxed()
        }
        Schema::Union(union) => proptest::option::of(shaped(&union.variants()[1], one))
            .prop_map(|value| match value {
                Some(value) => Value::Union(1, Box::new(value)),
                None => Value::Union(0, Box::new(Value::Null)),
            })
            .boxed(),
        _ => one,
    }
}

/// The schema with every reference replaced by what it refers to.
pub(crate) fn expanded(schema: &Schema) -> Schema {
    let mut named = Vec::new();
    collect(schema, &mut named);
    expand(schema, &named)
}

fn collect(schema: &Schema, named: &mut Vec<Schema>) {
    match schema {
        Schema::Record(record) => {
            named.push(schema.clone());
            record.fields.iter().for_each(|field| collect(&field.schema, named));
        }
        Schema::Enum(_) => named.push(schema.clone()),
        Schema::Array(array) => collect(&array.items, named),
        Schema::Union(union) => union.variants().iter().for_each(|branch| collect(branch, named)),
        _ => {}
    }
}

fn expand(schema: &Schema, named: &[Schema]) -> Schema {
    match schema {
        Schema::Ref { name } => {
            let found = named.iter().find(|candidate| candidate.name() == Some(name));
            expand(found.unwrap_or_else(|| panic!("{name:?} is not in the schema")), named)
        }
        Schema::Record(record) => {
            let mut record = record.clone();
            for field in &mut record.fields {
                field.schema = expand(&field.schema, named);
            }
            Schema::Record(record)
        }
        Schema::Array(array) => {
            let mut array = array.clone();
            array.items = Box::new(expand(&array.items, named));
            Schema::Array(array)
        }
        Schema::Union(union) => {
            let branches = union.variants().iter().map(|branch| expand(branch, named)).collect();
            Schema::Union(apache_avro::schema::UnionSchema::new(branches).unwrap())
        }
        other => other.clone(),
    }
}
