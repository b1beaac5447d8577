//! The timed waits of librdkafka, by the monotonic clock.
//!
//! librdkafka waits until a time of the wall clock (its issue 2145). If the clock is set back meanwhile, the wait lasts
//! longer by that step: after an hour of a wrong year, for years, in all threads of the client. So this function takes
//! the place of the C library's in the program, and waits for as long by the monotonic clock.

use std::ffi::{c_int, c_long, c_void};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};

/// The answers of `threads.h`.
const SUCCESS: c_int = 0;
const ERROR: c_int = 2;
const TIMED_OUT: c_int = 4;

/// One wait lasts no longer. librdkafka then continues to wait until its own time is over, by the monotonic clock. It
/// bounds a wait if the clock is set back between librdkafka's look at it and ours.
const LONGEST: Duration = Duration::from_secs(10);

/// `struct timespec`.
#[repr(C)]
struct TimeSpec {
    seconds: i64,
    nanoseconds: c_long,
}

#[allow(unsafe_code, reason = "as `cnd_timedwait`")]
unsafe extern "C" {
    fn pthread_cond_clockwait(
        condition: *mut c_void,
        mutex: *mut c_void,
        clock: c_int,
        until: *const TimeSpec,
    ) -> c_int;
}

/// `cnd_timedwait` of `threads.h`, for the C code that is linked into the program.
///
/// # Safety
/// As the function of the C library: condition and mutex are initialised, the caller has locked the mutex, and `until`
/// can be read.
#[allow(unsafe_code, reason = "librdkafka calls it, and the C library has no safe form of it")]
#[unsafe(no_mangle)]
unsafe extern "C" fn cnd_timedwait(condition: *mut c_void, mutex: *mut c_void, until: *const TimeSpec) -> c_int {
    // SAFETY: the caller's pointer can be read.
    let until = monotonic(remaining(unsafe { &*until }, SystemTime::now()));
    // SAFETY: in glibc, `cnd_t` and `mtx_t` are `pthread_cond_t` and `pthread_mutex_t`, and its own `cnd_timedwait`
    // makes the same call with the wall clock. The caller keeps condition and mutex alive during the call.
    let answer = unsafe { pthread_cond_clockwait(condition, mutex, ClockId::Monotonic as c_int, &raw const until) };
    match answer {
        0 => SUCCESS,
        timed_out if timed_out == Errno::TIMEDOUT.raw_os_error() => TIMED_OUT,
        _ => ERROR,
    }
}

/// How long one wait until a time of the wall clock lasts.
fn remaining(until: &TimeSpec, wall: SystemTime) -> Duration {
    let seconds = u64::try_from(until.seconds).unwrap_or_default();
    let nanoseconds = u32::try_from(until.nanoseconds).unwrap_or_default().min(999_999_999);
    let now = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::new(seconds, nanoseconds).saturating_sub(now).min(LONGEST)
}

/// The time of the monotonic clock after this duration.
fn monotonic(after: Duration) -> TimeSpec {
    let now = clock_gettime(ClockId::Monotonic);
    let now =
        Duration::new(u64::try_from(now.tv_sec).unwrap_or_default(), u32::try_from(now.tv_nsec).unwrap_or_default());
    let until = now + after;
    TimeSpec {
        seconds: i64::try_from(until.as_secs()).unwrap_or(i64::MAX),
        nanoseconds: c_long::from(until.subsec_nanos() as i32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_lasts_until_its_time_and_no_longer_than_a_bound() {
        let wall = UNIX_EPOCH + Duration::from_millis(5_500);
        let of = |seconds, nanoseconds| remaining(&TimeSpec { seconds, nanoseconds }, wall);
        assert_eq!(of(5, 600_000_000), Duration::from_millis(100));
        assert_eq!((of(5, 0), of(-1, 0)), (Duration::ZERO, Duration::ZERO), "it has passed");
        assert_eq!(of(100_000_000, 0), LONGEST, "the clock was set back meanwhile");
    }
}
