//! Questions, by a look at every row.

use crate::{Oracle, Row};

/// A question about a patient and a domain. `None` for what every row fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Number of the patient.
    pub patient: usize,
    /// The service domain.
    pub domain: String,
    /// The category.
    pub category: Option<String>,
    /// Number of the business object.
    pub object: Option<u32>,
    /// The least time of the newest content.
    pub content: Option<u64>,
    /// The index that owns it.
    pub owner: Option<String>,
}

impl Oracle {
    /// The rows that fit, sorted.
    pub fn find(&self, question: &Question) -> Vec<Row> {
        let mut found = Vec::new();
        for row in &self.rows {
            let engagement = &row.engagement;
            if engagement.patient != question.patient || engagement.domain != question.domain {
                continue;
            }
            if question.category.as_ref().is_some_and(|category| *category != engagement.category) {
                continue;
            }
            if question.object.is_some_and(|object| object != engagement.object) {
                continue;
            }
            if question.owner.as_ref().is_some_and(|owner| *owner != engagement.owner) {
                continue;
            }
            if let Some(least) = question.content
                && row.content.is_none_or(|content| content < least)
            {
                continue;
            }
            found.push(row.clone());
        }
        found.sort();
        found
    }
}
