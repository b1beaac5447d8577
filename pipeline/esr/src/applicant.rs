//! Applicant records: the columns of an APP row, built from a placement, its person and a position (5.3, 5.4).

use std::fmt;
use std::str::FromStr;

use tributary_runtime::{ProcessError, state_key};
use tributary_schemas::records::esr::{Applicant, PositionPlacement};
use tributary_schemas::records::tis::Person;
use tributary_schemas::types::esr::{Office, PositionId};
use tributary_schemas::types::tis::{Dpn, PersonId, PlacementId};

use crate::context::Context;
use crate::format::maps::ValueMap;
use crate::format::{Mapped, Postcode, ValueMaps, postcode};
use crate::trainee::known_number;

/// What a position adds to its applicant records.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PositionFacts<'a> {
    pub(crate) position_id: PositionId,
    pub(crate) office: Office,
    pub(crate) dpn: &'a Dpn,
    pub(crate) position_number: &'a str,
}

/// Identity of an applicant record within an office (D27). Its text form is the key on the topic of exports.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApplicantKey {
    /// The office.
    pub office: Office,
    /// The placement.
    pub placement: PlacementId,
    /// The position.
    pub position: PositionId,
    /// The trainee.
    pub trainee: PersonId,
}

state_key!(ApplicantKey { office, placement, position, trainee });

impl ApplicantKey {
    /// The lowest key of an office.
    pub(crate) fn first_of(office: Office) -> Self {
        let (placement, position, trainee) = (PlacementId(i64::MIN), PositionId(i64::MIN), PersonId(i64::MIN));
        Self { office, placement, position, trainee }
    }
}

/// `<office>/applicant/<placement>/<position>/<trainee>`
impl fmt::Display for ApplicantKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{KEY_WORD}/{}/{}/{}", self.office, self.placement, self.position, self.trainee)
    }
}

const KEY_WORD: &str = "applicant";

/// The text is not the key of an applicant record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the key of an applicant record, <office>/applicant/<placement>/<position>/<trainee>")]
pub struct ApplicantKeyError(pub String);

impl FromStr for ApplicantKey {
    type Err = ApplicantKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ApplicantKeyError(text.to_owned());
        let parts: Vec<&str> = text.split('/').collect();
        let &[office, KEY_WORD, placement, position, trainee] = parts.as_slice() else { return Err(wrong()) };
        let id = |text: &str| text.parse::<i64>().map_err(|_| wrong());
        Ok(Self {
            office: office.parse().map_err(|_| wrong())?,
            placement: PlacementId(id(placement)?),
            position: PositionId(id(position)?),
            trainee: PersonId(id(trainee)?),
        })
    }
}

/// The end of a warning about a value map without entries. Runs raise one alert for all records with such a warning.
pub(crate) const EMPTY_MAP: &str = "is left blank: its value map is empty";

/// Builds the record of a placement for a position.
///
/// # Errors
/// If the person's bytes cannot be read.
pub(crate) fn build(
    placement: &PositionPlacement,
    position: PositionFacts<'_>,
    context: &Context,
) -> Result<Applicant, ProcessError> {
    let mut applicant = Applicant {
        placement_id: placement.placement_id,
        position_id: position.position_id,
        trainee_id: placement.trainee_id,
        dpn: position.dpn.clone(),
        position_number: position.position_number.to_owned(),
        projected_hire_date: placement.date_from,
        projected_end_date: placement.date_to,
        last_name: placement.last_name.clone(),
        first_name: placement.first_name.clone(),
        gmc_number: placement.gmc_number.clone(),
        country: "GB".to_owned(),
        sent_before: placement.sent_before.clone(),
        ..Applicant::of(position.office)
    };
    if let Some(body) = &placement.person {
        let person = context.codec.open(body)?.read::<Person>()?;
        fill_from_person(&mut applicant, &person, &context.settings.value_maps);
    }
    Ok(applicant)
}

fn fill_from_person(applicant: &mut Applicant, person: &Person, value_maps: &ValueMaps) {
    let mut mapper = Mapper { value_maps, warnings: Vec::new() };
    applicant.title = mapper.map("title", &value_maps.title, person.title.as_deref());
    applicant.gender = mapper.map("gender", &value_maps.gender, person.gender.as_deref());
    applicant.marital_status =
        mapper.map("marital status", &value_maps.marital_status, person.marital_status.as_deref());
    applicant.ethnic_origin = mapper.map("ethnic origin", &value_maps.ethnic_origin, person.ethnic_origin.as_deref());
    applicant.nationality = mapper.map("nationality", &value_maps.nationality, person.nationality.as_deref());
    applicant.religious_belief =
        mapper.map("religious belief", &value_maps.religious_belief, person.religious_belief.as_deref());
    applicant.sexual_orientation =
        mapper.map("sexual orientation", &value_maps.sexual_orientation, person.sexual_orientation.as_deref());
    applicant.disability = mapper.map("disability", &value_maps.disability, person.disability.as_deref());
    applicant.country = mapper.country(person.country.as_deref());
    applicant.postcode = mapper.postcode(&applicant.country, person.post_code.as_deref());
    applicant.warnings = mapper.warnings;
    applicant.previous_last_name = text(person.maiden_name.as_deref());
    applicant.date_of_birth = person.date_of_birth;
    applicant.email = text(person.email.as_deref());
    applicant.home_telephone = text(person.telephone_number.as_deref());
    applicant.mobile_telephone = text(person.mobile_number.as_deref());
    applicant.address1 = text(person.address1.as_deref());
    applicant.address2 = text(person.address2.as_deref());
    applicant.address3 = text(person.address3.as_deref());
    applicant.town = text(person.address4.as_deref());
    applicant.national_insurance_number = text(person.national_insurance_number.as_deref());
    applicant.gmc_expiry = person.gmc_end_date.filter(|_| !applicant.gmc_number.is_empty());
    applicant.gdc_number = known_number(person.gdc_number.as_deref());
    applicant.gdc_expiry = person.gdc_end_date.filter(|_| !applicant.gdc_number.is_empty());
}

fn text(value: Option<&str>) -> String {
    value.unwrap_or_default().trim().to_owned()
}

/// Looks values up and collects a warning for each value that it leaves blank. Warnings travel into alerts, so they
/// name the column and never the value.
struct Mapper<'a> {
    value_maps: &'a ValueMaps,
    warnings: Vec<String>,
}

impl Mapper<'_> {
    fn map(&mut self, name: &str, map: &ValueMap, value: Option<&str>) -> String {
        let mapped = map.get(value.unwrap_or_default());
        if mapped.is_unmapped() && map.is_empty() {
            self.warnings.push(format!("{name} {EMPTY_MAP}"));
            return String::new();
        }
        self.code(name, mapped)
    }

    fn code(&mut self, name: &str, mapped: Mapped<'_>) -> String {
        if mapped.is_unmapped() {
            self.warnings.push(format!("{name} is left blank: its value is not in the value map"));
        }
        mapped.code().to_owned()
    }

    /// A blank country counts as GB (D22).
    fn country(&mut self, value: Option<&str>) -> String {
        let value = value.unwrap_or_default();
        if value.trim().is_empty() {
            return "GB".to_owned();
        }
        self.code("country", self.value_maps.country(value))
    }

    fn postcode(&mut self, country: &str, value: Option<&str>) -> String {
        let value = value.unwrap_or_default();
        let checked = postcode(country, value);
        if checked == Postcode::Invalid {
            self.warnings.push("postcode is left blank: it is not a UK postcode".to_owned());
        }
        checked.text().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d27_the_key_of_an_applicant_record_reads_back_as_it_was_written() {
        let key = ApplicantKey {
            office: "EOE".parse().unwrap(),
            placement: PlacementId(1),
            position: PositionId(-2),
            trainee: PersonId(3),
        };
        assert_eq!(key.to_string(), "EOE/applicant/1/-2/3");
        assert_eq!(key.to_string().parse(), Ok(key));
        for wrong in [
            "",
            "EOE/applicant/1/2",
            "EOE/applicant/1/2/3/4",
            "EOE/run/1/2/3",
            "eoe/applicant/1/2/3",
            "EOE/applicant/1/2/x",
        ] {
            assert_eq!(wrong.parse::<ApplicantKey>(), Err(ApplicantKeyError(wrong.to_owned())));
        }
    }
}
