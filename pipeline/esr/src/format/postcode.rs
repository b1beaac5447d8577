//! Postcodes. ESR returned a bad postcode as a broken line, so bad postcodes are not sent (5.3, D22).

/// A checked postcode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Postcode {
    /// The postcode as it is written.
    Valid(String),
    /// There is no postcode.
    Blank,
    /// Not a postcode of the United Kingdom. It is written blank, with a warning.
    Invalid,
}

impl Postcode {
    /// The text to write.
    pub fn text(&self) -> &str {
        match self {
            Self::Valid(text) => text,
            Self::Blank | Self::Invalid => "",
        }
    }
}

/// Checks a postcode. `country` is the ISO code in the file. A postcode of another country only loses its quotes and
/// commas.
pub fn postcode(country: &str, text: &str) -> Postcode {
    let text = text.trim();
    if text.is_empty() {
        return Postcode::Blank;
    }
    if country != "GB" {
        let cleaned: String = text.chars().filter(|character| !matches!(character, '"' | '\'' | ',')).collect();
        let cleaned = cleaned.trim();
        return if cleaned.is_empty() { Postcode::Blank } else { Postcode::Valid(cleaned.to_owned()) };
    }
    let upper = text.to_ascii_uppercase();
    if is_united_kingdom(upper.as_bytes()) { Postcode::Valid(upper) } else { Postcode::Invalid }
}

/// `^(GIR ?0AA|[A-Z]{1,2}[0-9][A-Z0-9]? ?[0-9][A-Z]{2})$`
fn is_united_kingdom(text: &[u8]) -> bool {
    let Some((outward, inward)) = text.split_last_chunk::<3>() else {
        return false;
    };
    let outward = outward.strip_suffix(b" ").unwrap_or(outward);
    if outward == b"GIR" {
        return inward == b"0AA";
    }
    let letters = outward.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    let district = match &outward[letters..] {
        [digit] => digit.is_ascii_digit(),
        [digit, last] => digit.is_ascii_digit() && (last.is_ascii_uppercase() || last.is_ascii_digit()),
        _ => false,
    };
    let [digit, first, second] = inward;
    (1..=2).contains(&letters)
        && district
        && digit.is_ascii_digit()
        && first.is_ascii_uppercase()
        && second.is_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d22_postcodes_of_the_united_kingdom_are_checked() {
        for good in ["M1 1AE", "B33 8TH", "CR2 6XH", "DN55 1PT", "W1A 0AX", "EC1A 1BB", "GIR 0AA", "GIR0AA", "EC1A1BB"]
        {
            assert_eq!(postcode("GB", good), Postcode::Valid(good.to_owned()));
        }
        assert_eq!(postcode("GB", " sw1a 1aa "), Postcode::Valid("SW1A 1AA".to_owned()));
        for bad in
            ["Doha, Qatar", "M1 1AE,", "M1  1AE", "1AA", "AAA1 1AA", "M 1AA", "M1 1A", "GIR 0AB", "M1-1AE", "é1 1AA"]
        {
            assert_eq!(postcode("GB", bad), Postcode::Invalid, "{bad}");
        }
        assert_eq!(postcode("GB", "  "), Postcode::Blank);
    }

    #[test]
    fn d22_other_postcodes_are_not_checked_but_lose_quotes_and_commas() {
        assert_eq!(postcode("QA", "Doha, \"Qatar\""), Postcode::Valid("Doha Qatar".to_owned()));
        assert_eq!(postcode("", "x,1"), Postcode::Valid("x1".to_owned()));
        assert_eq!(postcode("IE", ","), Postcode::Blank);
    }
}
