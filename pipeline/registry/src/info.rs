//! What a register has answered: the whole answer as a value, and the fields that are mapped from it.
//!
//! The whole answer is kept, so that a field that is mapped later shows without another call (R 5.3). Only local names
//! count. Attributes are left out.

use serde_json::{Map, Value};
use tributary_soap::Element;

use crate::configuration::{AnswerRule, ListRule};

/// The name under which text stands that has elements beside it.
const TEXT: &str = "#text";

/// The contents of an element. Blank and `nil` elements are null. Elements of the same name are a list.
pub fn contents(element: &Element) -> Value {
    if element.is_nil {
        return Value::Null;
    }
    let is_blank = element.text.trim().is_empty();
    if element.children.is_empty() {
        return if is_blank { Value::Null } else { Value::String(element.text.clone()) };
    }
    let mut object = Map::new();
    if !is_blank {
        object.insert(TEXT.to_owned(), Value::String(element.text.clone()));
    }
    for child in &element.children {
        add(&mut object, &child.local, contents(child));
    }
    Value::Object(object)
}

fn add(object: &mut Map<String, Value>, name: &str, value: Value) {
    match object.get_mut(name) {
        None => drop(object.insert(name.to_owned(), value)),
        Some(Value::Array(list)) => list.push(value),
        Some(first) => {
            let first_value = first.take();
            *first = Value::Array(vec![first_value, value]);
        }
    }
}

/// Whether a value holds nothing but null.
pub fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.iter().all(is_empty),
        Value::Object(object) => object.values().all(is_empty),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// The value at a path of names. Of a list it is the first that holds something, or the first.
pub fn at<'v>(value: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, name| first(value)?.as_object()?.get(name.as_str()))
}

fn first(value: &Value) -> Option<&Value> {
    match value {
        Value::Array(list) => list.iter().find(|item| !is_empty(item)).or_else(|| list.first()),
        one => Some(one),
    }
}

/// The text of a field: that of the element itself.
fn text(value: &Value) -> Option<&str> {
    match first(value)? {
        Value::String(text) => Some(text),
        Value::Object(object) => object.get(TEXT)?.as_str(),
        _ => None,
    }
}

/// The fields of an answer, as its kind maps them. All the rest of the answer is left out.
#[derive(Clone, PartialEq, Eq)]
pub struct Mapped<'v> {
    /// Fields with their texts, in the order of their names.
    pub fields: Vec<(&'v str, Option<&'v str>)>,
    /// Lists with their items, in the order of their names.
    pub lists: Vec<MappedList<'v>>,
}

/// A list of an answer.
#[derive(Clone, PartialEq, Eq)]
pub struct MappedList<'v> {
    /// The field with the first item.
    pub name: &'v str,
    /// How it is mapped.
    pub rule: &'v ListRule,
    /// The fields of each item.
    pub items: Vec<Vec<(&'v str, Option<&'v str>)>>,
}

impl Mapped<'_> {
    /// Whether no field and no item has a text.
    pub fn is_empty(&self) -> bool {
        self.fields.iter().all(|(_, text)| text.is_none()) && self.lists.iter().all(|list| list.items.is_empty())
    }
}

impl AnswerRule {
    /// Maps the fields of an answer.
    pub fn map<'v>(&'v self, info: &'v Value) -> Mapped<'v> {
        let data = at(info, &self.at).and_then(first).unwrap_or(&Value::Null);
        let lists = self.lists.iter().map(|(name, rule)| MappedList { name, rule, items: items(data, rule) });
        Mapped { fields: fields(data, &self.fields), lists: lists.collect() }
    }
}

fn fields<'v>(
    data: &'v Value,
    rule: &'v std::collections::BTreeMap<String, String>,
) -> Vec<(&'v str, Option<&'v str>)> {
    let found = |element: &str| data.as_object().and_then(|data| data.get(element)).and_then(text);
    rule.iter().map(|(field, element)| (field.as_str(), found(element))).collect()
}

/// The items of a list that hold a mapped text.
fn items<'v>(data: &'v Value, rule: &'v ListRule) -> Vec<Vec<(&'v str, Option<&'v str>)>> {
    let items: &[Value] = match data.as_object().and_then(|data| data.get(&rule.element)) {
        Some(Value::Array(list)) => list,
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    let mapped = items.iter().map(|item| fields(item, &rule.fields));
    mapped.filter(|item| item.iter().any(|(_, text)| text.is_some())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::harness;

    fn rule(text: &str) -> AnswerRule {
        harness::kind_with(text).answer
    }

    #[test]
    fn fields_and_lists_are_mapped_by_local_names() {
        let rule = harness::kind().answer;
        let info = json!({
            "firstName": "Тест", "lastName": null, "unknown": "kept",
            "documents": [{"type": "NATIONAL_ID", "number": "000000001"}, null, {"type": "PASSPORT"}],
        });
        let mapped = rule.map(&info);
        assert_eq!(mapped.fields.iter().find(|(name, _)| *name == "firstName"), Some(&("firstName", Some("Тест"))));
        assert_eq!(mapped.fields.iter().find(|(name, _)| *name == "lastName"), Some(&("lastName", None)));
        assert_eq!(mapped.fields.len(), 6);
        let documents = &mapped.lists[0];
        assert_eq!((documents.name, documents.rule.list.as_str()), ("documents", "documentList"));
        let types: Vec<_> = documents.items.iter().map(|item| item.iter().find(|(name, _)| *name == "type")).collect();
        assert_eq!(types, [Some(&("type", Some("NATIONAL_ID"))), Some(&("type", Some("PASSPORT")))]);
    }

    #[test]
    fn one_item_is_a_list_of_one() {
        let rule = harness::kind().answer;
        let info = json!({"documents": {"number": "1"}});
        assert_eq!(rule.map(&info).lists[0].items.len(), 1);
        assert!(rule.map(&json!({"documents": {"other": "1"}})).is_empty());
        assert!(rule.map(&json!("text alone")).is_empty());
    }

    #[test]
    fn a_field_that_is_mapped_later_shows_without_another_call() {
        let info = json!({"person": {"name": "Тест"}});
        assert!(harness::kind().answer.map(&info).is_empty());
        let later = rule("[registry.job.unzr.answer]\nat = \"person\"\nfields = { firstName = \"name\" }\n");
        assert_eq!(later.map(&info).fields, [("firstName", Some("Тест"))]);
    }

    #[test]
    fn nothing_but_null_is_empty() {
        for empty in [json!(null), json!({}), json!({"a": null, "b": [null, {"c": null}]})] {
            assert!(is_empty(&empty), "{empty}");
        }
        for full in [json!(" x"), json!({"a": [null, "1"]})] {
            assert!(!is_empty(&full), "{full}");
        }
    }

    #[test]
    fn text_beside_elements_is_kept() {
        let child = Element {
            namespace: String::new(),
            local: "b".to_owned(),
            is_nil: false,
            text: " 1 ".to_owned(),
            children: Vec::new(),
        };
        let element = Element {
            local: "a".to_owned(),
            text: "x".to_owned(),
            children: vec![child.clone(), Element { is_nil: true, ..child.clone() }, child.clone()],
            ..child
        };
        assert_eq!(contents(&element), json!({"#text": "x", "b": [" 1 ", null, " 1 "]}));
    }
}
