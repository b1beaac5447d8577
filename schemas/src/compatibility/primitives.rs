//! Numbers, texts and bytes: Avro's promotions, logical types, and the values that a `tributary.type` allows.

use super::instead;
use super::named::{Kind, Schema};
use super::problem::{Reader, Rule};
use super::walk::{At, Walk};
use crate::types;

/// Whether Avro reads `written` as `read`.
pub(super) fn can_read(written: &str, read: &str) -> bool {
    written == read
        || matches!(
            (written, read),
            ("int", "long" | "float" | "double")
                | ("long", "float" | "double")
                | ("float", "double")
                | ("bytes", "string")
                | ("string", "bytes")
        )
}

/// Compares two primitive types.
pub(super) fn compare<'a>(walk: &mut Walk<'a>, old: &Schema<'a>, new: &Schema<'a>, at: &At) {
    let (
        Kind::Primitive { name: was, logical: old_logical, value_type: old_type },
        Kind::Primitive { name: is, logical: new_logical, value_type: new_type },
    ) = (walk.old.kind(old), walk.new.kind(new))
    else {
        return;
    };
    if was != is {
        return names(walk, (was, old), (is, new), at);
    }
    if old_logical != new_logical {
        logical(walk, old, new, at);
    }
    values(walk, is, old_type, new_type, at);
}

fn names<'a>(walk: &mut Walk<'a>, (was, old): (&str, &Schema<'a>), (is, new): (&str, &Schema<'a>), at: &At) {
    let way = instead::another_field(at.name(), &at.type_in_words, at.has_old_default);
    match (can_read(was, is), can_read(is, was)) {
        (false, false) => walk.changed(old, new, at),
        (true, true) => {
            let reader = if is == "string" { Reader::New } else { Reader::Old };
            walk.add(at, Rule::TextAndBytes, reader, "reads text, and bytes need not be UTF-8".to_owned(), way);
        }
        (true, false) => {
            let why = format!("reads {was}, and new records hold {is}");
            walk.add(at, Rule::TypeWidened, Reader::Old, why, way);
        }
        (false, true) => {
            let why = format!("reads {is}, and old records hold {was}");
            walk.add(at, Rule::TypeNarrowed, Reader::New, why, way);
        }
    }
}

fn logical<'a>(walk: &mut Walk<'a>, old: &Schema<'a>, new: &Schema<'a>, at: &At) {
    let (was, is) = (walk.old.in_words(old), walk.new.in_words(new));
    let way = instead::another_field(at.name(), &at.type_in_words, at.has_old_default);
    let why = |read: &str, written: &str| format!("takes {written} for {read}: the same bytes, another meaning");
    walk.add(at, Rule::LogicalTypeChanged, Reader::New, why(&is, &was), way.clone());
    walk.add(at, Rule::LogicalTypeChanged, Reader::Old, why(&was, &is), way);
}

fn values(walk: &mut Walk<'_>, avro: &str, old: Option<&str>, new: Option<&str>, at: &At) {
    let restricted = |of: Option<&str>| of.filter(|of| types::is_restricted(of, avro)).map(str::to_owned);
    let (was, is) = (restricted(old), restricted(new));
    if was == is {
        return;
    }
    let any = format!("any {avro}");
    let way = |of: &Option<String>| {
        let with_values = of.as_ref().map(|of| format!(" with \"tributary.type\": {of:?}")).unwrap_or_default();
        let of_type = format!("{}{with_values}", at.type_in_words);
        instead::another_field(at.name(), &of_type, at.has_old_default)
    };
    if let Some(of) = &is {
        let held = was.as_ref().unwrap_or(&any);
        let why = format!("takes only values of {of}, and old records hold {held}: others become dead letters");
        walk.add(at, Rule::ValuesNarrowed, Reader::New, why, way(&is));
    }
    if let Some(of) = &was {
        let held = is.as_ref().unwrap_or(&any);
        let why = format!("takes only values of {of}, and new records hold {held}: others become dead letters");
        walk.add(at, Rule::ValuesWidened, Reader::Old, why, way(&is));
    }
}
