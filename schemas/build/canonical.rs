//! The canonical form of a schema and its fingerprint, as the Avro specification defines them. Two schemas of the same
//! canonical form have the same encoding.

use serde_json::Value;

/// CRC-64-AVRO of the canonical form of a schema that needs no other.
pub(crate) fn fingerprint(schema: &str) -> Result<u64, String> {
    let json: Value = serde_json::from_str(schema).map_err(|e| e.to_string())?;
    let mut canonical = String::new();
    write(&json, "", &mut canonical)?;
    Ok(crc_64_avro(canonical.as_bytes()))
}

const EMPTY: u64 = 0xc15d_213a_a4d7_a795;

fn crc_64_avro(bytes: &[u8]) -> u64 {
    bytes.iter().fold(EMPTY, |crc, byte| {
        let last = (crc ^ u64::from(*byte)) & 0xff;
        (crc >> 8) ^ (0..8).fold(last, |rest, _| (rest >> 1) ^ if rest & 1 == 1 { EMPTY } else { 0 })
    })
}

fn write(schema: &Value, namespace: &str, out: &mut String) -> Result<(), String> {
    match schema {
        Value::String(name) => text(name, out),
        Value::Array(branches) => {
            return list(branches, out, |branch, out| write(branch, namespace, out));
        }
        Value::Object(object) => {
            let of = object.get("type").ok_or("a schema has no type")?;
            let attribute = |key: &str| object.get(key).and_then(Value::as_str);
            let namespace = attribute("namespace").unwrap_or(namespace);
            match of.as_str() {
                Some(kind @ ("record" | "enum")) => {
                    let name = attribute("name").ok_or("a named type has no name")?;
                    out.push_str("{\"name\":");
                    text(&format!("{namespace}.{name}"), out);
                    out.push_str(",\"type\":");
                    text(kind, out);
                    let key = if kind == "record" { "fields" } else { "symbols" };
                    out.push_str(&format!(",\"{key}\":"));
                    let members = object.get(key).and_then(Value::as_array).ok_or("a named type has no members")?;
                    list(members, out, |member, out| match kind {
                        "record" => field(member, namespace, out),
                        _ => write(member, namespace, out),
                    })?;
                    out.push('}');
                }
                Some("array") => {
                    out.push_str("{\"type\":\"array\",\"items\":");
                    write(object.get("items").ok_or("an array has no items")?, namespace, out)?;
                    out.push('}');
                }
                // What is left of any other type are attributes that the canonical form leaves out.
                _ => return write(of, namespace, out),
            }
        }
        other => return Err(format!("{other} is not a schema")),
    }
    Ok(())
}

fn field(field: &Value, namespace: &str, out: &mut String) -> Result<(), String> {
    out.push_str("{\"name\":");
    text(field.get("name").and_then(Value::as_str).ok_or("a field has no name")?, out);
    out.push_str(",\"type\":");
    write(field.get("type").ok_or("a field has no type")?, namespace, out)?;
    out.push('}');
    Ok(())
}

fn list(
    items: &[Value],
    out: &mut String,
    write: impl Fn(&Value, &mut String) -> Result<(), String>,
) -> Result<(), String> {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(item, out)?;
    }
    out.push(']');
    Ok(())
}

fn text(text: &str, out: &mut String) {
    out.push_str(&Value::from(text).to_string());
}
