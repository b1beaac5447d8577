//! How ESR knows a person: by GMC number, else by GDC number, else by the id of TIS (D24, D116).

use tributary_schemas::records::esr::{Applicant, PlacementAtPost};
use tributary_schemas::types::tis::PersonId;

/// The numbers and the id of a person. An empty number is none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EsrPerson<'a> {
    gmc_number: &'a str,
    gdc_number: &'a str,
    id: PersonId,
}

impl<'a> EsrPerson<'a> {
    /// A person with these numbers.
    pub(crate) fn new(gmc_number: &'a str, gdc_number: &'a str, id: PersonId) -> Self {
        Self { gmc_number, gdc_number, id }
    }

    /// The trainee of an applicant record.
    pub(crate) fn of_applicant(applicant: &'a Applicant) -> Self {
        Self::new(&applicant.gmc_number, &applicant.gdc_number, applicant.trainee_id)
    }

    /// The trainee of a placement.
    pub(crate) fn of(placement: &'a PlacementAtPost) -> Self {
        let PlacementAtPost { gmc_number, gdc_number, trainee_id, .. } = placement;
        Self { gmc_number, gdc_number, id: *trainee_id }
    }

    /// Whether both are the same person to ESR. A number that only one of them has decides nothing: a person who
    /// receives her first number, or whose number is missing in TIS for a time, stays the same person.
    pub(crate) fn is(self, other: Self) -> bool {
        let numbers = [(self.gmc_number, other.gmc_number), (self.gdc_number, other.gdc_number)];
        let decisive = numbers.into_iter().find(|(one, other)| !one.is_empty() && !other.is_empty());
        decisive.map_or(self.id == other.id, |(one, other)| one == other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(gmc_number: &'static str, gdc_number: &'static str, id: i64) -> EsrPerson<'static> {
        EsrPerson { gmc_number, gdc_number, id: PersonId(id) }
    }

    #[test]
    fn d116_the_gmc_number_then_the_gdc_number_then_the_id_say_who_a_person_is() {
        assert!(person("7000001", "", 101).is(person("7000001", "", 55)), "two ids of one doctor");
        assert!(!person("7000001", "", 101).is(person("7000002", "", 101)), "a corrected number");
        assert!(person("", "D1", 101).is(person("", "D1", 55)));
        assert!(person("7000001", "D1", 101).is(person("", "D1", 55)), "the only number that both have");
        assert!(!person("7000001", "D1", 101).is(person("7000002", "D1", 55)), "the GMC number comes first");
        assert!(person("", "", 101).is(person("7000001", "", 101)), "the first number of a person");
        assert!(!person("", "", 101).is(person("", "", 55)));
        assert!(!person("7000001", "", 101).is(person("", "D1", 55)));
    }
}
