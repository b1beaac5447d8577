//! Compares files of the product with those of the oracle.

use std::collections::BTreeMap;

/// Files as they are compared: the wording of RTC texts is the product's own.
pub fn comparable(files: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    files
        .iter()
        .map(|(name, content)| {
            (name.clone(), if name.contains("_RTC_") { without_text(content) } else { content.clone() })
        })
        .collect()
}

/// The rows of a confirmation without their texts, except which file has overtaken a line (D93).
pub fn without_text(content: &str) -> String {
    let mut lines = String::new();
    for line in content.lines() {
        let fields: Vec<&str> = split(line);
        match fields.get(8) {
            Some(text) if line.starts_with("RTC,RECORD") => {
                let overtaken = text.find("overtaken by ").map_or("", |start| &text[start..]);
                lines.push_str(&[&fields[..8], &[overtaken], &fields[9..]].concat().join(","));
            }
            _ => lines.push_str(line),
        }
        lines.push('\n');
    }
    lines
}

/// Splits at commas outside quotes.
pub fn split(line: &str) -> Vec<&str> {
    let (mut fields, mut start, mut quoted) = (Vec::new(), 0, false);
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                fields.push(&line[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    fields.push(&line[start..]);
    fields
}

/// What differs, file by file and row by row; `None` when nothing does.
pub fn difference(expected: &BTreeMap<String, String>, found: &BTreeMap<String, String>) -> Option<String> {
    let mut text = String::new();
    for name in expected.keys().chain(found.keys().filter(|name| !expected.contains_key(*name))) {
        let (one, other) = (expected.get(name), found.get(name));
        if one != other {
            text.push_str(&format!("--- {name}\n"));
            let one: Vec<&str> = one.map_or(vec!["(no file)"], |content| content.lines().collect());
            let other: Vec<&str> = other.map_or(vec!["(no file)"], |content| content.lines().collect());
            if one.len() == other.len() && one.iter().all(|line| other.contains(line)) {
                text.push_str(&format!("  same rows in another order\n  expected {one:#?}\n  found {other:#?}\n"));
            }
            for line in one.iter().filter(|line| !other.contains(line)) {
                text.push_str(&format!("  expected {line}\n"));
            }
            for line in other.iter().filter(|line| !one.contains(line)) {
                text.push_str(&format!("  found    {line}\n"));
            }
        }
    }
    (!text.is_empty()).then_some(text)
}
