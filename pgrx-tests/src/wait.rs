//! Waiting for a condition, with a deadline: the only place that sleeps.

use std::thread;
use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_millis(20);

/// Calls `probe` until it returns something.
///
/// # Panics
/// When `deadline` has passed; the message says `what` was waited for.
pub fn until<T>(deadline: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    match within(deadline, &mut probe) {
        Some(found) => found,
        None => panic!("not within {deadline:?}: {what}"),
    }
}

/// Like [`until`], for a plain condition.
pub fn until_true(deadline: Duration, what: &str, mut probe: impl FnMut() -> bool) {
    until(deadline, what, || probe().then_some(()));
}

/// Calls `probe` until it returns something or `deadline` has passed. The last call is after the deadline.
pub fn within<T>(deadline: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline;
    loop {
        let last = Instant::now() >= end;
        let found = probe();
        if found.is_some() || last {
            return found;
        }
        pause(INTERVAL);
    }
}

/// Lets time pass where time itself is what a test is about ("a load runs for two seconds"), never to await a condition.
pub fn pause(time: Duration) {
    thread::sleep(time);
}
