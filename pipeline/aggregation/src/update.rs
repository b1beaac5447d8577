//! `Update`: a source system tells the index what has changed.

use tributary_schemas::records::aggregation::EngagementTransaction;

use crate::ei_settings::IndexSettings;
use crate::refusal::Refusal;
use crate::transaction::SentTransaction;
use crate::validation::{self, Owner};

/// The longest part of a wrong address that is shown.
const SHOWN: usize = 64;

/// The transactions of a request to `logical_address`, as the log takes them. All are owned by this index.
///
/// # Errors
/// The first [`Refusal`] in the order of A 6.3. Then nothing of the request is taken.
pub fn accept(
    logical_address: &str,
    sent: &[SentTransaction],
    settings: &IndexSettings,
) -> Result<Vec<EngagementTransaction>, Refusal> {
    let owner = settings.hsa_id.as_str();
    let is_own = logical_address == owner || settings.alternative_hsa_id.as_deref() == Some(logical_address);
    if !is_own || logical_address.is_empty() {
        let shown: String = logical_address.chars().take(SHOWN).collect();
        let address = if shown.is_empty() { "missing".to_owned() } else { shown };
        return Err(Refusal::WrongAddress { address, owner: owner.to_owned() });
    }
    validation::check(sent, Owner::Own(owner), &settings.reserved)
}
