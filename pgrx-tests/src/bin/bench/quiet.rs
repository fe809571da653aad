//! Is the machine doing something else? Then figures say little: it is waited for, for a while, and told.

use std::fs;
use std::time::{Duration, Instant};

use decamp_tests::wait;

const SAMPLE: Duration = Duration::from_millis(500);
/// The share of all processors' time that others may use.
const TOLERATED: f64 = 0.1;

/// Waits until the machine is idle, at most so long. The share of its time that is used when it never was.
pub fn wait_for_idle(most: Duration) -> Option<f64> {
    let end = Instant::now() + most;
    loop {
        let used = used();
        if used <= TOLERATED {
            return None;
        }
        if Instant::now() >= end {
            return Some(used);
        }
    }
}

fn used() -> f64 {
    let (busy_before, all_before) = ticks();
    wait::pause(SAMPLE);
    let (busy, all) = ticks();
    (busy - busy_before) / (all - all_before).max(1.0)
}

/// Ticks that were used, and all; proc(5): user nice system idle iowait irq softirq steal ...
fn ticks() -> (f64, f64) {
    let text = fs::read_to_string("/proc/stat").expect("/proc is there");
    let line = text.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = line
        .split_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|word| word.parse().ok())
        .collect();
    let all: f64 = ticks.iter().sum();
    let idle: f64 = ticks.iter().skip(3).take(2).sum();
    (all - idle, all)
}
