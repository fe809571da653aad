//! What random tests have in common.

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

/// `DECAMP_SEED=<number>` repeats a run, as far as a run can be repeated; it is printed.
pub fn seed() -> u64 {
    let given = env::var("DECAMP_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        u64::from(now.expect("the clock is past 1970").subsec_nanos())
    });
    eprintln!("DECAMP_SEED={seed}");
    seed
}
