//! Value maps (7.2) and postcodes (5.3, D22).

fn look_up(table: &[(&str, &str)], text: &str) -> String {
    let wanted = text.trim().to_uppercase();
    table.iter().find(|(from, _)| from.to_uppercase() == wanted).map(|(_, to)| (*to).to_owned()).unwrap_or_default()
}

pub(crate) fn title(text: &str) -> String {
    let table = [("Dr", "DR."), ("Miss", "MISS"), ("Mr", "MR."), ("Mrs", "MRS."), ("Ms", "MS."), ("Professor", "PROF")];
    look_up(&table, text.trim().trim_end_matches('.'))
}

pub(crate) fn gender(text: &str) -> String {
    look_up(&[("Male", "M"), ("Female", "F")], text)
}

/// NHS Data Dictionary letters; the text may carry its letter in front and may lack its hyphen.
pub(crate) fn ethnic_origin(text: &str) -> String {
    let table = [
        ("White British", "A"),
        ("White Irish", "B"),
        ("White Any other White background", "C"),
        ("Mixed White and Black Caribbean", "D"),
        ("Mixed White and Black African", "E"),
        ("Mixed White and Asian", "F"),
        ("Mixed Any other mixed background", "G"),
        ("Asian or Asian British Indian", "H"),
        ("Asian or Asian British Pakistani", "J"),
        ("Asian or Asian British Bangladeshi", "K"),
        ("Asian or Asian British Any other Asian background", "L"),
        ("Black or Black British Caribbean", "M"),
        ("Black or Black British African", "N"),
        ("Black or Black British Any other Black background", "P"),
        ("Chinese", "R"),
        ("Other Ethnic Groups Chinese", "R"),
        ("Any other ethnic group", "S"),
        ("Other Ethnic Groups Any other ethnic group", "S"),
        ("Not stated", "Z"),
    ];
    let text = text.trim();
    let without_letter = match text.split_once(" - ") {
        Some((letter, rest)) if letter.len() == 1 => rest,
        _ => text,
    };
    look_up(&table, &without_letter.replace(" - ", " "))
}

pub(crate) fn religion(text: &str) -> String {
    let list = [
        "Atheism",
        "Buddhism",
        "Christianity",
        "Hinduism",
        "Islam",
        "Jainism",
        "Judaism",
        "Sikhism",
        "Other",
        "not disclosed",
    ];
    look_up(&list.map(|value| (value, value)), text)
}

pub(crate) fn orientation(text: &str) -> String {
    let list = ["Lesbian", "Gay", "Bisexual", "Heterosexual", "not disclosed"];
    look_up(&list.map(|value| (value, value)), text)
}

/// The codes are not public, so the map is empty (5.3).
pub(crate) fn disability(text: &str) -> String {
    look_up(&[], text)
}

pub(crate) fn marital_status(text: &str) -> String {
    let table = [
        ("Single", "S"),
        ("Married", "M"),
        ("Divorced", "D"),
        ("Widowed", "W"),
        ("Separated", "P"),
        ("Civil partnership", "C"),
    ];
    look_up(&table, text)
}

pub(crate) fn nationality(text: &str) -> String {
    let table = [
        ("British", "GB"),
        ("Irish", "IE"),
        ("Indian", "IN"),
        ("Pakistani", "PK"),
        ("Nigerian", "NG"),
        ("Egyptian", "EG"),
        ("Greek", "GR"),
        ("Italian", "IT"),
        ("German", "DE"),
        ("Polish", "PL"),
        ("Spanish", "ES"),
        ("Sri Lankan", "LK"),
    ];
    look_up(&table, text)
}

/// ISO code; blank counts as GB (D22), an unknown country is blank.
pub(crate) fn country(text: &str) -> String {
    if text.trim().is_empty() {
        return "GB".to_owned();
    }
    let table = [
        ("United Kingdom", "GB"),
        ("England", "GB"),
        ("GB", "GB"),
        ("Ireland", "IE"),
        ("Qatar", "QA"),
        ("India", "IN"),
    ];
    look_up(&table, text)
}

/// The postcode as written for a country code of [`country`].
pub(crate) fn postcode(text: &str, country: &str) -> String {
    if country != "GB" {
        return text.trim().replace(['"', ','], "");
    }
    let postcode = text.trim().to_uppercase();
    if is_uk_postcode(&postcode) { postcode } else { String::new() }
}

/// `^(GIR ?0AA|[A-Z]{1,2}[0-9][A-Z0-9]? ?[0-9][A-Z]{2})$`
fn is_uk_postcode(text: &str) -> bool {
    if text == "GIR 0AA" || text == "GIR0AA" {
        return true;
    }
    let bytes = text.as_bytes();
    let Some((outward, [digit, first, second])) = bytes.split_last_chunk::<3>() else {
        return false;
    };
    if !(digit.is_ascii_digit() && first.is_ascii_uppercase() && second.is_ascii_uppercase()) {
        return false;
    }
    let outward = outward.strip_suffix(b" ").unwrap_or(outward);
    let letters = outward.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    let rest = &outward[letters..];
    if !(1..=2).contains(&letters) {
        return false;
    }
    match rest {
        [digit] => digit.is_ascii_digit(),
        [digit, last] => digit.is_ascii_digit() && (last.is_ascii_digit() || last.is_ascii_uppercase()),
        _ => false,
    }
}

/// A regulator's number; `UNKNOWN` is none (D23).
pub(crate) fn regulator_number(text: &str) -> String {
    if text.trim().eq_ignore_ascii_case("UNKNOWN") {
        return String::new();
    }
    text.trim().to_owned()
}

/// One decimal, rounded half up, without a trailing `.0` (#12b, #32).
pub(crate) fn whole_time(value: Option<f64>) -> String {
    let Some(value) = value else {
        return String::new();
    };
    let tenths = (value * 10.0).round() as i64;
    if tenths % 10 == 0 { (tenths / 10).to_string() } else { format!("{}.{}", tenths / 10, tenths % 10) }
}
