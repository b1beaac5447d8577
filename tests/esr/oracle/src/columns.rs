//! Reading one line of an ESR file: encoding and the comma-separated dialect (2.2, D3).

/// A decoded line.
pub(crate) struct Reading {
    pub(crate) text: String,
    /// False: it was read as Windows-1252.
    pub(crate) utf8: bool,
}

pub(crate) fn read_line(bytes: &[u8]) -> Reading {
    match std::str::from_utf8(bytes) {
        Ok(text) => Reading { text: text.to_owned(), utf8: true },
        Err(_) => Reading { text: bytes.iter().map(|byte| windows_1252(*byte)).collect(), utf8: false },
    }
}

fn windows_1252(byte: u8) -> char {
    const HIGH: [u16; 32] = [
        0x20AC, 0x81, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0x8D,
        0x017D, 0x8F, 0x90, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A,
        0x0153, 0x9D, 0x017E, 0x0178,
    ];
    if (0x80..0xA0).contains(&byte) {
        return char::from_u32(u32::from(HIGH[usize::from(byte - 0x80)])).unwrap_or(char::REPLACEMENT_CHARACTER);
    }
    char::from(byte)
}

/// The fields of a line, or `None` when quotes do not add up. A backslash is an ordinary character; a quote inside
/// quotes is doubled.
pub(crate) fn split(line: &str) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, after) = if let Some(quoted) = rest.strip_prefix('"') {
            take_quoted(quoted)?
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            if rest[..end].contains('"') {
                return None;
            }
            (rest[..end].to_owned(), &rest[end..])
        };
        fields.push(field);
        if after.is_empty() {
            return Some(fields);
        }
        rest = after.strip_prefix(',')?;
    }
}

/// The text up to the closing quote, and what follows it.
fn take_quoted(text: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let quote = rest.find('"')?;
        field.push_str(&rest[..quote]);
        rest = &rest[quote + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                field.push('"');
                rest = after;
            }
            None => return Some((field, rest)),
        }
    }
}
