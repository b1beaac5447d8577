//! `ProcessNotification`: another index tells this one what has changed there.

use tributary_schemas::records::aggregation::EngagementTransaction;

use crate::ei_settings::IndexSettings;
use crate::refusal::Refusal;
use crate::transaction::SentTransaction;
use crate::validation::{self, Owner};

/// The transactions of a request, as the log takes them: without those that this index owns, so that no transaction
/// goes in circles between indexes (ProcessNotification-R4). None may be left, which is no error.
///
/// # Errors
/// The first [`Refusal`] in the order of A 6.3. Then nothing of the request is taken.
pub fn accept(sent: &[SentTransaction], settings: &IndexSettings) -> Result<Vec<EngagementTransaction>, Refusal> {
    let mut transactions = check(sent, &settings.reserved)?;
    transactions.retain(|transaction| transaction.engagement.owner != settings.hsa_id.as_str());
    Ok(transactions)
}

/// The transactions of a request to a platform whose index is elsewhere: all of them mark the cache.
///
/// # Errors
/// As [`accept`].
pub fn check(sent: &[SentTransaction], reserved: &[String]) -> Result<Vec<EngagementTransaction>, Refusal> {
    validation::check(sent, Owner::AsSent, reserved)
}
