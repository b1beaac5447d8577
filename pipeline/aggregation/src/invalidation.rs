//! What marks addresses in caches: every changed engagement, and every one that a `ProcessNotification` names.

use tributary_schemas::records::aggregation::{Engagement, EngagementTransaction, Invalidation, Mark};
use tributary_schemas::types::aggregation::PatientId;

/// The mark of an engagement.
pub fn mark(engagement: &Engagement) -> Mark {
    Mark {
        patient: engagement.registered_resident_identification.clone(),
        service_domain: engagement.service_domain.clone(),
        categorization: engagement.categorization.clone(),
        logical_address: engagement.logical_address.clone(),
        source_system: engagement.source_system.clone(),
    }
}

/// What a `ProcessNotification` of an external index marks.
pub fn of_transactions(transactions: &[EngagementTransaction]) -> Invalidation {
    Invalidation { marks: transactions.iter().map(|transaction| mark(&transaction.engagement)).collect() }
}

/// Whether a mark concerns the answers of a service about a patient: it is of the domain and, if the service has
/// categories, of one of them. Upper and lower case of categories count as in the filter of the index's answer (A 2.5):
/// one category is exact, of several the lower case of the mark's is looked for.
pub fn concerns(mark: &Mark, patient: &PatientId, domain: &str, categories: &[String]) -> bool {
    let is_of_category = match categories {
        [] => true,
        [one] => *one == mark.categorization,
        several => several.contains(&mark.categorization.to_lowercase()),
    };
    mark.patient == *patient && mark.service_domain == domain && is_of_category
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness;

    fn is_concerned(category: &str, categories: &[&str]) -> bool {
        let mark = mark(&harness::engagement("191212121212", "riv:a", category));
        let categories: Vec<String> = categories.iter().map(ToString::to_string).collect();
        concerns(&mark, &"191212121212".parse().unwrap(), "riv:a", &categories)
    }

    #[test]
    fn a_mark_concerns_the_services_of_its_domain_and_category() {
        assert!(is_concerned("Booking", &[]));
        assert!(is_concerned("Booking", &["Booking"]) && !is_concerned("Booking", &["booking"]));
        assert!(is_concerned("VOO", &["voo", "vko"]) && !is_concerned("und", &["voo", "vko"]));
    }

    #[test]
    fn a_mark_concerns_no_other_patient_and_no_other_domain() {
        let mark = mark(&harness::engagement("191212121212", "riv:a", "x"));
        assert!(!concerns(&mark, &"201212121212".parse().unwrap(), "riv:a", &[]));
        assert!(!concerns(&mark, &"191212121212".parse().unwrap(), "riv:b", &[]));
    }
}
