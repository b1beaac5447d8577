//! Any encoding that a message may have becomes UTF-8.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::SoapError;

/// How far into a message its declaration may reach.
const DECLARATION: usize = 256;

/// The text of a message. `charset` is that of the content type. A byte-order mark goes before the charset, and the
/// charset before the XML declaration.
///
/// # Errors
/// [`SoapError`] if the encoding is not known, or the bytes do not have it.
pub fn decode(bytes: Vec<u8>, charset: Option<&str>) -> Result<String, SoapError> {
    if bytes.is_empty() {
        return Err(SoapError::Empty);
    }
    let (encoding, mark) = match Encoding::for_bom(&bytes) {
        Some(found) => found,
        None => (without_mark(&bytes, charset)?, 0),
    };
    if encoding == UTF_8 && mark == 0 {
        return String::from_utf8(bytes).map_err(|_| SoapError::BadEncoding(UTF_8.name()));
    }
    let text = bytes.get(mark..).unwrap_or_default();
    let decoded = encoding.decode_without_bom_handling_and_without_replacement(text);
    decoded.map(std::borrow::Cow::into_owned).ok_or(SoapError::BadEncoding(encoding.name()))
}

fn without_mark(bytes: &[u8], charset: Option<&str>) -> Result<&'static Encoding, SoapError> {
    // XML begins with "<": as two bytes it is UTF-16.
    match bytes {
        [b'<', 0, ..] => return Ok(UTF_16LE),
        [0, b'<', ..] => return Ok(UTF_16BE),
        _ => {}
    }
    let declared = charset.map(str::as_bytes).or_else(|| declared_encoding(bytes));
    let Some(label) = declared else { return Ok(UTF_8) };
    match Encoding::for_label_no_replacement(label) {
        // ASCII-compatible bytes cannot be UTF-16, whatever their declaration says.
        Some(encoding) if encoding == UTF_16LE || encoding == UTF_16BE => Err(SoapError::BadEncoding("UTF-16")),
        Some(encoding) => Ok(encoding),
        None => Err(SoapError::UnknownEncoding),
    }
}

/// The value of `encoding` in `<?xml ...?>`.
fn declared_encoding(bytes: &[u8]) -> Option<&[u8]> {
    let head = bytes.get(..DECLARATION).unwrap_or(bytes);
    let declaration = head.strip_prefix(b"<?xml")?;
    let end = declaration.windows(2).position(|pair| pair == b"?>")?;
    let declaration = declaration.get(..end)?;
    let start = declaration.windows(8).position(|word| word == b"encoding")? + 8;
    let rest = declaration.get(start..)?.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let (quote, rest) = rest.split_first()?;
    rest.split(|byte| byte == quote).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, mark: bool, swap: bool) -> Vec<u8> {
        let units = mark.then_some(0xFEFF).into_iter().chain(text.encode_utf16());
        units.flat_map(|unit| if swap { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    }

    const TEXT: &str = "<?xml version=\"1.0\" encoding=\"UTF-16\"?><a>åäö€</a>";

    #[test]
    fn utf_16_and_byte_order_marks_become_utf_8() {
        for (mark, swap) in [(true, true), (true, false), (false, true), (false, false)] {
            assert_eq!(decode(utf16(TEXT, mark, swap), Some("utf-16")).as_deref(), Ok(TEXT));
            assert_eq!(decode(utf16(TEXT, mark, swap), None).as_deref(), Ok(TEXT));
        }
        assert_eq!(decode(b"\xEF\xBB\xBF<a/>".to_vec(), None).as_deref(), Ok("<a/>"));
    }

    #[test]
    fn the_charset_goes_before_the_declaration() {
        let text = b"<?xml version='1.0' encoding = 'ISO-8859-1'?><a>\xE5</a>".to_vec();
        assert!(decode(text.clone(), None).unwrap().ends_with("<a>å</a>"));
        assert_eq!(decode(text, Some("utf-8")), Err(SoapError::BadEncoding("UTF-8")));
        assert!(decode(b"<a>\xE5</a>".to_vec(), Some("iso-8859-1")).unwrap().contains('å'));
    }

    #[test]
    fn what_is_unknown_or_not_of_its_encoding_is_refused() {
        assert_eq!(decode(Vec::new(), None), Err(SoapError::Empty));
        assert_eq!(decode(b"<a/>".to_vec(), Some("no-such")), Err(SoapError::UnknownEncoding));
        assert_eq!(decode(b"<a/>".to_vec(), Some("utf-16")), Err(SoapError::BadEncoding("UTF-16")));
        assert_eq!(decode(b"<a>\xFF</a>".to_vec(), None), Err(SoapError::BadEncoding("UTF-8")));
        let mut odd = utf16(TEXT, true, true);
        odd.pop();
        assert_eq!(decode(odd, None), Err(SoapError::BadEncoding("UTF-16BE")));
    }
}
