//! Who is notified of a change of the index (A 6.6).

use tributary_schemas::records::aggregation::{Engagement, Subscriber, SubscriberFilter};

/// Whether a subscriber wants to know of changes of an engagement: without filters of all, otherwise of those that one
/// of the filters matches.
pub fn wants(subscriber: &Subscriber, engagement: &Engagement) -> bool {
    subscriber.filters.is_empty() || subscriber.filters.iter().any(|filter| matches(filter, engagement))
}

/// A filter without categories matches the whole domain. Upper and lower case are the same.
fn matches(filter: &SubscriberFilter, engagement: &Engagement) -> bool {
    is_same(&filter.service_domain, &engagement.service_domain)
        && (filter.categories.is_empty()
            || filter.categories.iter().any(|category| is_same(category, &engagement.categorization)))
}

fn is_same(one: &str, other: &str) -> bool {
    let folded = |text: &str| text.chars().flat_map(char::to_lowercase).collect::<String>();
    one.eq_ignore_ascii_case(other) || (!(one.is_ascii() && other.is_ascii()) && folded(one) == folded(other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness;

    fn subscriber(filters: &[(&str, &[&str])]) -> Subscriber {
        harness::subscriber("SE-SUB", filters)
    }

    #[test]
    fn without_a_filter_a_subscriber_wants_everything() {
        assert!(wants(&subscriber(&[]), &harness::engagement("patient", "any", "any")));
    }

    #[test]
    fn a_filter_names_a_whole_domain_or_categories_of_it() {
        let subscriber = subscriber(&[("riv:a", &[]), ("riv:b", &["x", "y"])]);
        for (domain, category, expected) in [
            ("riv:a", "anything", true),
            ("riv:b", "x", true),
            ("riv:b", "y", true),
            ("riv:b", "z", false),
            ("riv:c", "x", false),
            ("riv:a:b", "x", false),
        ] {
            assert_eq!(wants(&subscriber, &harness::engagement("patient", domain, category)), expected, "{domain}");
        }
    }

    #[test]
    fn upper_and_lower_case_are_the_same_beyond_ascii_too() {
        let subscriber = subscriber(&[("RIV:A", &["Åtgärd"])]);
        assert!(wants(&subscriber, &harness::engagement("patient", "riv:a", "åTGÄRD")));
        assert!(!wants(&subscriber, &harness::engagement("patient", "riv:a", "atgard")));
    }
}
