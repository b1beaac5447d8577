//! The number of a person, as it was entered, and what is checked of it (R 8).

use std::fmt;

use tributary_soap::is_character;

use crate::configuration::{NumberCheck, NumberRule};

/// The most characters of a number.
pub const LONGEST: usize = 64;

/// A number as it was entered, byte for byte (R 1.3). Two spellings are two numbers. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Number(String);

impl Number {
    /// The number with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for a request and for the one who asks.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The number for people who must not know it: its last four characters at most, and never more than a third (R
    /// 11).
    pub fn masked(&self) -> String {
        let count = self.0.chars().count();
        let shown = (count / 3).min(4);
        let tail: String = self.0.chars().skip(count - shown).collect();
        "*".repeat(count.min(LONGEST) - shown) + &tail
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Number(***)")
    }
}

/// Why a number is not taken. No text repeats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// It is empty.
    #[error("it was not present")]
    Required,
    /// It is too long.
    #[error("it is longer than {LONGEST} characters")]
    Length,
    /// XML cannot carry it.
    #[error("it has characters that cannot be sent")]
    Characters,
    /// It has another form.
    #[error("it does not have the expected form")]
    Format,
    /// Its date is not in the calendar.
    #[error("its date does not exist")]
    Date,
    /// Its control digit is another one.
    #[error("its control digit is wrong")]
    CheckDigit,
}

impl NumberError {
    /// The name of the rule, for whoever asked.
    pub fn rule(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Length => "length",
            Self::Characters => "characters",
            Self::Format => "format",
            Self::Date => "date",
            Self::CheckDigit => "check_digit",
        }
    }

    /// The sentence for whoever asked, with the name of the argument (R 5.4).
    pub fn message(self, argument: &str) -> String {
        match self {
            Self::Required => format!("required property {argument} was not present"),
            other => format!("property {argument} is not valid: {other}"),
        }
    }
}

impl NumberRule {
    /// Checks a number before it is looked for.
    ///
    /// # Errors
    /// [`NumberError::Required`] and [`NumberError::Length`].
    pub fn check_query(&self, number: &Number) -> Result<(), NumberError> {
        if number.0.is_empty() {
            return Err(NumberError::Required);
        }
        // A character has at most four bytes.
        if number.0.len() > LONGEST && number.0.chars().count() > LONGEST {
            return Err(NumberError::Length);
        }
        Ok(())
    }

    /// Checks a number before it is sent. Nothing of it is changed.
    ///
    /// # Errors
    /// The first [`NumberError`], in the order of the variants.
    pub fn check_request(&self, number: &Number) -> Result<(), NumberError> {
        self.check_query(number)?;
        if !number.0.chars().all(is_character) {
            return Err(NumberError::Characters);
        }
        match &self.check {
            NumberCheck::Off => Ok(()),
            NumberCheck::Format(pattern) if pattern.is_match(&number.0) => Ok(()),
            NumberCheck::Strict(pattern) if pattern.is_match(&number.0) => check_unzr(&number.0),
            NumberCheck::Format(_) | NumberCheck::Strict(_) => Err(NumberError::Format),
        }
    }
}

/// The digits of a UNZR: date, serial and control digit.
const DIGITS: usize = 13;

/// The weights of the digits before the control digit, as in the machine-readable zones of travel documents.
const WEIGHTS: [u32; 3] = [7, 3, 1];

/// Checks the date and the control digit of a UNZR: YYYYMMDD, a serial of four digits, and the control digit.
fn check_unzr(text: &str) -> Result<(), NumberError> {
    let digits: Vec<u32> =
        text.chars().filter(|letter| *letter != '-').filter_map(|letter| letter.to_digit(10)).collect();
    let [head @ .., control] = digits.as_slice() else { return Err(NumberError::Format) };
    if digits.len() != DIGITS {
        return Err(NumberError::Format);
    }
    let part = |range: std::ops::Range<usize>| {
        head.get(range).unwrap_or_default().iter().fold(0_u32, |number, digit| number * 10 + digit)
    };
    let date = jiff::civil::Date::new(part(0..4) as i16, part(4..6) as i8, part(6..8) as i8);
    // The calendar of the library has a year 0, and a register of people has none.
    if date.is_err() || part(0..4) == 0 {
        return Err(NumberError::Date);
    }
    let sum: u32 = head.iter().zip(WEIGHTS.iter().cycle()).map(|(digit, weight)| digit * weight).sum();
    if sum % 10 == *control { Ok(()) } else { Err(NumberError::CheckDigit) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::harness;

    fn strict() -> NumberRule {
        harness::kind_with("[registry.job.unzr]\nnumber = { check = \"strict\" }\n").number
    }

    /// Date, serial and digit of R 8.
    const VECTORS: [&str; 7] = [
        "19910824-00026",
        "19910819-01238",
        "20160828-12341",
        "19961212-00003",
        "20000101-00019",
        "19850305-04173",
        "20120229-00013",
    ];

    #[test]
    fn the_vectors_of_the_control_digit_hold() {
        for vector in VECTORS {
            assert_eq!(strict().check_request(&Number::new(vector)), Ok(()), "{vector}");
        }
        for wrong in ["19910819-01234", "20160828-12345", "19961212-00000"] {
            assert_eq!(strict().check_request(&Number::new(wrong)), Err(NumberError::CheckDigit), "{wrong}");
        }
    }

    #[test]
    fn any_other_control_digit_is_wrong() {
        for vector in VECTORS {
            let (head, right) = vector.split_at(vector.len() - 1);
            for digit in (0..=9).filter(|digit| digit.to_string() != right) {
                let wrong = Number::new(format!("{head}{digit}"));
                assert_eq!(strict().check_request(&wrong), Err(NumberError::CheckDigit));
            }
        }
    }

    #[test]
    fn a_date_that_does_not_exist_is_refused_before_the_control_digit() {
        for wrong in ["20120230-00013", "20130229-00010", "00000101-00010", "19911301-00010", "19910800-00010"] {
            assert_eq!(strict().check_request(&Number::new(wrong)), Err(NumberError::Date), "{wrong}");
        }
    }

    #[test]
    fn by_default_only_the_form_is_checked() {
        let rule = harness::kind().number;
        assert_eq!(rule.check_request(&Number::new("19910819-01234")), Ok(()));
        for wrong in ["19910819-0123", "19910819-012345", " 19910819-01234", "19910819-01234\n", "19910819–01234", "x"]
        {
            assert_eq!(rule.check_request(&Number::new(wrong)), Err(NumberError::Format), "{wrong:?}");
        }
    }

    #[test]
    fn length_and_characters_are_always_checked_and_nothing_else_if_checks_are_off() {
        let rule = harness::kind_with("[registry.job.unzr]\nnumber = { check = \"off\" }\n").number;
        let longest = "Є".repeat(LONGEST);
        for taken in ["x", " 19910819-01234\r\n", "\u{10FFFF}", &longest] {
            assert_eq!(rule.check_request(&Number::new(taken)), Ok(()), "{taken:?}");
        }
        let too_long = "Є".repeat(LONGEST + 1);
        for (refused, error) in [
            ("", NumberError::Required),
            (too_long.as_str(), NumberError::Length),
            ("1\u{0}", NumberError::Characters),
            ("\u{FFFE}", NumberError::Characters),
        ] {
            assert_eq!(rule.check_request(&Number::new(refused)), Err(error));
        }
    }

    #[test]
    fn queries_check_presence_and_length_alone() {
        let rule = harness::kind().number;
        assert_eq!(rule.check_query(&Number::new("")), Err(NumberError::Required));
        assert_eq!(rule.check_query(&Number::new("1".repeat(65))), Err(NumberError::Length));
        assert_eq!(rule.check_query(&Number::new("\u{0}")), Ok(()));
    }

    #[test]
    fn errors_name_the_rule_and_the_argument_and_never_the_number() {
        let missing = NumberError::Required;
        assert_eq!(
            (missing.rule(), missing.message("unzr").as_str()),
            ("required", "required property unzr was not present")
        );
        let rules = [
            NumberError::Length,
            NumberError::Characters,
            NumberError::Format,
            NumberError::Date,
            NumberError::CheckDigit,
        ]
        .map(NumberError::rule);
        assert_eq!(rules, ["length", "characters", "format", "date", "check_digit"]);
    }

    #[test]
    fn a_number_is_masked_to_its_last_four() {
        assert_eq!(Number::new("19910824-00026").masked(), "**********0026");
        assert_eq!(Number::new("12345").masked(), "****5");
        assert_eq!(Number::new("1").masked(), "*");
        assert_eq!(format!("{:?}", Number::new("19910824-00026")), "Number(***)");
    }

    proptest! {
        #[test]
        fn nothing_is_corrected(text in any::<String>()) {
            let number = Number::new(text.clone());
            let _ = strict().check_request(&number);
            prop_assert_eq!(number.expose(), text);
        }
    }
}
