//! Waiting for something that another process does.

use std::time::{Duration, Instant};

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(2);

/// Waits until `is_so`; fails the test when that takes longer than `limit`. `what` says what is waited for.
pub fn wait_until(what: &str, limit: Duration, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !is_so() {
        assert!(Instant::now() < deadline, "after {} seconds still not so: {what}", limit.as_secs());
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_ends_when_it_is_so() {
        let mut looks = 0;
        wait_until("three looks", Duration::from_secs(10), || {
            looks += 1;
            looks == 3
        });
        assert_eq!(looks, 3);
    }

    #[test]
    #[should_panic(expected = "still not so: it never is")]
    fn waiting_fails_the_test_when_it_takes_too_long() {
        wait_until("it never is", Duration::ZERO, || false);
    }
}
