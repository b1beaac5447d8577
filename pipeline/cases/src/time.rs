//! Times as others write them.

use jiff::Timestamp;

/// Microseconds since 1970 of a time in RFC 3339 with offset.
///
/// # Errors
/// What was expected, and what was found.
pub fn micros(text: &str) -> Result<i64, String> {
    let wrong = || format!("expected a time such as 2026-11-20T14:30:00+01:00, found `{}`", shortened(text));
    let is_form = is_rfc_3339(text.as_bytes());
    let time: Option<Timestamp> = is_form.then(|| text.parse().ok()).flatten();
    time.map(Timestamp::as_microsecond).ok_or_else(wrong)
}

/// The forms that the parser takes are more than those of RFC 3339.
fn is_rfc_3339(text: &[u8]) -> bool {
    let fits = |pattern: &[u8], part: &[u8]| {
        pattern.len() == part.len()
            && pattern.iter().zip(part).all(|(want, byte)| match want {
                b'0' => byte.is_ascii_digit(),
                want => want == &byte.to_ascii_uppercase(),
            })
    };
    let Some((head, rest)) = text.split_at_checked(19) else { return false };
    let fraction = rest
        .strip_prefix(b".")
        .map_or(0, |digits| 1 + digits.iter().take_while(|digit| digit.is_ascii_digit()).count());
    let offset = &rest[fraction..];
    let is_offset = [b"Z".as_slice(), b"+00:00", b"-00:00"].iter().any(|pattern| fits(pattern, offset));
    fits(b"0000-00-00T00:00:00", head) && is_offset && fraction != 1
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}
