//! How long a run waits after a call that has failed (R 7). Stages have no randomness, so the run and the number of the
//! call decide how much longer than the rule a wait is.

use sha2::{Digest as _, Sha256};
use tributary_schemas::types::registry::RunId;

use crate::configuration::CallSettings;

/// Bits of the part of one that a run draws.
const BITS: u32 = 53;

/// The wait after the `failed`th call that has failed, in milliseconds:
/// min(`wait_cap`, `wait_base` + `wait_factor` * 2^n), times 1 to 1 + `jitter`.
pub fn wait(calls: &CallSettings, run: RunId, failed: i32) -> i64 {
    let doubled = u32::try_from(failed).ok().and_then(|count| 1_i64.checked_shl(count)).filter(|power| *power > 0);
    let grown = calls.wait_factor.saturating_mul(doubled.unwrap_or(i64::MAX));
    let wait = calls.wait_base.saturating_add(grown).min(calls.wait_cap);
    wait.saturating_add((wait as f64 * calls.jitter * part(run, failed)) as i64)
}

/// A number from 0 to 1, without 1, that differs from run to run and from call to call.
fn part(run: RunId, failed: i32) -> f64 {
    let hash = Sha256::new().chain_update(run.as_bytes()).chain_update(failed.to_be_bytes()).finalize();
    let drawn = hash.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte)) >> (64 - BITS);
    drawn as f64 / (1_u64 << BITS) as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::harness;

    #[test]
    fn waits_double_up_to_their_cap() {
        let calls = CallSettings { jitter: 0.0, ..harness::kind().calls };
        let waits: Vec<i64> = (1..=10).map(|failed| wait(&calls, harness::run(1), failed)).collect();
        let seconds = [17, 19, 23, 31, 47, 79, 143, 271, 300, 300];
        assert_eq!(waits, seconds.map(|second| second * 1000));
    }

    #[test]
    fn a_wait_is_up_to_a_tenth_longer_and_the_same_each_time() {
        let calls = harness::kind().calls;
        let waits: Vec<i64> = (1..200).map(|number| wait(&calls, harness::run(number), 1)).collect();
        assert!(waits.iter().all(|wait| (17_000..=18_700).contains(wait)));
        assert!(waits.iter().any(|wait| *wait < 17_200) && waits.iter().any(|wait| *wait > 18_500));
        assert_eq!(wait(&calls, harness::run(1), 1), waits[0]);
        assert_ne!(wait(&calls, harness::run(1), 2) - 19_000, waits[0] - 17_000);
    }

    proptest! {
        #[test]
        fn no_number_of_failures_overflows(failed in any::<i32>(), number in any::<u32>()) {
            let calls = harness::kind().calls;
            let wait = wait(&calls, harness::run(number), failed);
            prop_assert!((15_000..=330_000).contains(&wait));
        }
    }
}
