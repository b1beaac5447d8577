//! Ways that work, for changes that do not.

use serde_json::Value;

/// A field that takes the part of another one, over three releases.
pub(super) fn replacement(old: &str, new: &str, new_type: &str, has_old_default: bool) -> String {
    in_three_releases(old, [new, new], new_type, has_old_default)
}

/// A field of another type.
pub(super) fn another_field(old: &str, new_type: &str, has_old_default: bool) -> String {
    in_three_releases(old, ["a field with a new name", "the new field"], new_type, has_old_default)
}

/// `new` is how the new field is called when it comes, and later. What a released version reads without a default must
/// be written for good, so only an old field with a default can go.
fn in_three_releases(old: &str, new: [&str; 2], new_type: &str, has_old_default: bool) -> String {
    let [added, later] = new;
    let last = if has_old_default {
        format!("Release 3: remove `{old}`.")
    } else {
        format!("Keep `{old}` for good: a released version has no default for it.")
    };
    format!(
        "Release 1: keep `{old}`, add {added} of the type {new_type} with a default, and write both. Release 2: read \
         {later}, and `{old}` where {later} has its default. {last}"
    )
}

/// A default for a new field.
pub(super) fn default(field: &str, field_type: &Value) -> String {
    let branches = field_type.as_array().map_or_else(|| vec![field_type.clone()], Clone::clone);
    if branches.first().is_some_and(|first| first == "null") {
        return format!("Add \"default\": null to `{field}`. Readers take null as not known.");
    }
    // A union within a union is not Avro, so null joins the branches.
    let others = branches.into_iter().filter(|branch| branch != "null");
    let optional: Value = std::iter::once(Value::from("null")).chain(others).collect();
    format!(
        "Give `{field}` a default that stands for \"not known\": \"type\": {optional}, \"default\": null. Readers take \
         null as not known."
    )
}

/// A field that has to stay.
pub(super) fn keep_field(field: &str) -> String {
    format!(
        "Keep `{field}`, and write it: a released version has no default for it. If no reader needs it, write an empty \
         value. Only a field that had a default in every released version may go."
    )
}

/// A symbol that old readers cannot take.
pub(super) fn another_enum(symbol: &str, field: &str) -> String {
    let field = if field.is_empty() { "the field" } else { field };
    format!(
        "A released version of the enum has no default, so it can never have further symbols. Release 1: keep \
         `{field}`, add a field with a new enum that has a default and `{symbol}`, and write both. Release 2: read the \
         new field."
    )
}

/// A symbol that has to stay.
pub(super) fn keep_symbol(symbol: &str) -> String {
    format!(
        "Keep `{symbol}` and stop writing it. Or give the enum a \"default\": a harmless symbol, as which `{symbol}` \
         is then read."
    )
}

/// A type that has to keep its name.
pub(super) fn keep_name(old: &str, new: &str) -> String {
    format!(
        "Keep the name {old}. If it must change: release 1: add {new} beside {old}, and a field or topic entry for it, \
         and write both; release 2: read {new}; release 3: stop writing {old}, and keep its file for good."
    )
}
