//! The invented data of a person, derived from the person's key.

use crate::model::Person;
use crate::names::{FIRST_NAMES, SURNAME_ENDS, SURNAME_STARTS};
use crate::rng::Rng;

/// The letters in the second half of a postcode.
const LETTERS: &[u8] = b"ABDEFGHJLNPQRSTUWXYZ";

/// The texts and dates of a person in files.
#[derive(Debug)]
pub(crate) struct Particulars {
    pub(crate) first_name: &'static str,
    pub(crate) surname: String,
    /// The legal given name and surname, if they differ from the usual ones.
    pub(crate) legal_first_name: Option<&'static str>,
    pub(crate) legal_surname: Option<String>,
    pub(crate) birth_date: jiff::civil::Date,
    /// Seven digits or `UNKNOWN`. `None` for a dentist.
    pub(crate) gmc_number: Option<String>,
    pub(crate) gdc_number: Option<String>,
    pub(crate) email: String,
    pub(crate) mobile: String,
    pub(crate) postcode: String,
    /// Chooses entries of value lists.
    pub(crate) rng: Rng,
}

impl Particulars {
    /// The data of `person`, the person with the number `index` in the region.
    pub(crate) fn of(index: u32, person: &Person) -> Particulars {
        let mut rng = Rng::new(person.key);
        let first_name = rng.pick(&FIRST_NAMES);
        let surname = surname(&mut rng);
        let legal_first_name = rng.chance(40).then(|| rng.pick(&FIRST_NAMES));
        let legal_surname = rng.chance(60).then(|| surname_at_law(&mut rng, &surname));
        let (year, month, day) = (rng.day(1972, 1999), rng.day(1, 12), rng.day(1, 28));
        // Numbers of seven digits that start with 00 or 99 belong to no real doctor.
        let range = if index.is_multiple_of(2) { 0 } else { 9_900_000 };
        let gmc_number = match (person.dentist, person.unknown_gmc) {
            (_, true) => Some("UNKNOWN".to_owned()),
            (true, false) => None,
            (false, false) => Some(format!("{:07}", range + index % 100_000)),
        };
        let revision = match person.revision {
            0 => String::new(),
            revision => format!(".{revision}"),
        };
        Particulars {
            email: format!("{}.{}{revision}@example.org", first_name.to_lowercase(), 200_001 + index),
            mobile: format!("07700900{:03}", rng.below(1000)),
            postcode: postcode(&mut rng, person.bad_postcode),
            first_name,
            surname,
            legal_first_name,
            legal_surname,
            birth_date: jiff::civil::date(year as i16, month as i8, day as i8),
            gmc_number,
            gdc_number: person.dentist.then(|| format!("{:06}", 900_000 + index % 100_000)),
            rng,
        }
    }

    /// The legal surname.
    pub(crate) fn law_surname(&self) -> &str {
        self.legal_surname.as_deref().unwrap_or(&self.surname)
    }

    /// The legal given name.
    pub(crate) fn law_first_name(&self) -> &str {
        self.legal_first_name.unwrap_or(self.first_name)
    }
}

fn surname(rng: &mut Rng) -> String {
    [rng.pick(&SURNAME_STARTS), rng.pick(&SURNAME_ENDS)].concat()
}

fn surname_at_law(rng: &mut Rng, surname: &str) -> String {
    match rng.below(3) {
        0 => format!("{surname}-Sampleford"),
        1 => format!("O'{surname}"),
        _ => self::surname(rng),
    }
}

/// A well-formed postcode in an area that does not exist. With `bad`, a malformed one.
fn postcode(rng: &mut Rng, bad: bool) -> String {
    if bad {
        return rng.pick(&["Doha, Qatar", "ZY1", "12345", "ZY1 2AB,"]).to_owned();
    }
    let mut letter = || char::from(rng.pick(LETTERS));
    let (first, second) = (letter(), letter());
    format!("ZY{} {}{first}{second}", rng.day(1, 29), rng.below(10))
}
