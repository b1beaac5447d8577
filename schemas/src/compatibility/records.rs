//! Fields that came, went, changed, or have another name.

use super::instead;
use super::named::{Definition, Field};
use super::problem::{Place, Reader, Rule};
use super::walk::{At, Walk};

/// Compares the fields of two versions of a record.
pub(super) fn compare<'a>(walk: &mut Walk<'a>, old: &Definition<'a>, new: &Definition<'a>, at: &At) {
    let (was, is) = (old.fields(), new.fields());
    let mut removed: Vec<&Field<'a>> = was.iter().filter(|field| !has(&is, field.name)).collect();
    let mut added: Vec<&Field<'a>> = is.iter().filter(|field| !has(&was, field.name)).collect();
    for field in &is {
        if let Some(before) = was.iter().find(|before| before.name == field.name) {
            let inner = at_field(at, new, field.name, Some(before), walk.new.in_words(&field.schema));
            walk.schemas(&before.schema, &field.schema, &inner);
        }
    }
    for (before, field) in renamed(walk, &removed, &added) {
        let inner = at_field(at, new, field.name, Some(before), walk.new.in_words(&field.schema));
        rename(walk, before, field, &inner);
        removed.retain(|other| other.name != before.name);
        added.retain(|other| other.name != field.name);
    }
    for field in added.into_iter().filter(|field| field.default.is_none()) {
        let why = "has no default for it, and old records do not hold it".to_owned();
        let way = instead::default(field.name, &walk.new.in_json(&field.schema));
        let inner = at_field(at, new, field.name, None, walk.new.in_words(&field.schema));
        walk.add(&inner, Rule::FieldAddedWithoutDefault, Reader::New, why, way);
    }
    for field in removed.into_iter().filter(|field| field.default.is_none()) {
        let why = "has no default for it, and new records do not hold it".to_owned();
        let type_in_words = walk.old.in_words(&field.schema);
        let inner = At { place: place(new, ""), ..at_field(at, new, field.name, Some(field), type_in_words) };
        let way = instead::keep_field(field.name);
        walk.add(&inner, Rule::FieldRemovedWithoutDefault, Reader::Old, why, way);
    }
}

/// The fields that have another name: the new one has the old one as its alias, or a field has gone, one of the same
/// type has come, and one of the two has no default.
fn renamed<'f, 'a>(
    walk: &Walk<'a>,
    removed: &[&'f Field<'a>],
    added: &[&'f Field<'a>],
) -> Vec<(&'f Field<'a>, &'f Field<'a>)> {
    let mut pairs: Vec<(&Field<'a>, &Field<'a>)> = Vec::new();
    for field in added {
        let aliases = field.aliases();
        let of_alias = removed.iter().find(|before| aliases.contains(&before.name));
        let of_type = || {
            let lacks_default = |before: &Field<'a>| before.default.is_none() || field.default.is_none();
            let type_of = walk.new.in_words(&field.schema);
            removed.iter().find(|before| lacks_default(before) && walk.old.in_words(&before.schema) == type_of)
        };
        let before = of_alias.or_else(of_type);
        if let Some(before) = before.filter(|before| pairs.iter().all(|(other, _)| other.name != before.name)) {
            pairs.push((before, field));
        }
    }
    pairs
}

fn rename<'a>(walk: &mut Walk<'a>, before: &Field<'a>, field: &Field<'a>, at: &At) {
    let (was, is) = (before.name, field.name);
    let way = instead::replacement(was, &format!("`{is}`"), &at.type_in_words, before.default.is_some());
    let has_alias = field.aliases().contains(&was);
    if has_alias {
        walk.schemas(&before.schema, &field.schema, at);
    } else if field.default.is_none() {
        let why = format!("has no default for {is}, and old records hold {was}: a rename");
        walk.add(at, Rule::FieldRenamed, Reader::New, why, way.clone());
    }
    match (before.default, has_alias) {
        (None, false) => {
            let why = format!("has no default for {was}, and new records hold {is}: a rename");
            walk.add(at, Rule::FieldRenamed, Reader::Old, why, way);
        }
        (None, true) => {
            let why = format!("knows no {is} and has no default for {was}: an alias serves the new reader only");
            walk.add(at, Rule::FieldRenamed, Reader::Old, why, way);
        }
        (Some(default), true) => {
            let why = format!(
                "silently reads its default {default} for {was} from every new record: an alias serves the new reader \
                 only"
            );
            walk.add(at, Rule::FieldRenamedUnderDefaults, Reader::Old, why, way);
        }
        (Some(_), false) => {}
    }
}

fn has(fields: &[Field<'_>], name: &str) -> bool {
    fields.iter().any(|field| field.name == name)
}

fn place(record: &Definition<'_>, field: &str) -> Place {
    Place { named: record.full_name.clone(), part: field.to_owned() }
}

fn at_field(at: &At, record: &Definition<'_>, name: &str, before: Option<&Field<'_>>, type_in_words: String) -> At {
    At {
        path: super::inner_path(&at.path, name),
        place: place(record, name),
        field: name.to_owned(),
        has_old_default: before.is_some_and(|before| before.default.is_some()),
        type_in_words,
    }
}
