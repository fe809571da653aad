//! pgbench's log of transactions: what of it happened in a window of time.
//!
//! A line, as pgbench's documentation has it: client, number, time in microseconds (with --rate from when it was due), script,
//! and when it ended: seconds and microseconds of the epoch; more columns are not ours.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// What the application had in one window.
pub struct Window {
    pub tps: f64,
    /// Milliseconds.
    pub average: f64,
    /// Milliseconds.
    pub p99: f64,
}

/// Reads all logs in a directory.
pub fn read(directory: &Path, began: SystemTime, ended: SystemTime) -> Result<Window, String> {
    let entries =
        fs::read_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let mut times = Vec::new();
    for entry in entries.flatten() {
        let text = fs::read_to_string(entry.path()).map_err(|error| error.to_string())?;
        times.extend(
            text.lines()
                .filter_map(transaction)
                .filter(|&(at, _)| at >= began && at < ended)
                .map(|(_, time)| time),
        );
    }
    times.sort_by(f64::total_cmp);
    let (Some(_), Ok(length)) = (times.first(), ended.duration_since(began)) else {
        return Err("the application has committed nothing meanwhile".into());
    };
    let count = times.len();
    Ok(Window {
        tps: count as f64 / length.as_secs_f64(),
        average: times.iter().sum::<f64>() / count as f64,
        p99: times[(count * 99).div_ceil(100) - 1],
    })
}

/// When it ended and how many milliseconds it took. `None`: it was skipped or has failed, or the line is not whole.
fn transaction(line: &str) -> Option<(SystemTime, f64)> {
    let mut words = line.split(' ').skip(2);
    let time: f64 = words.next()?.parse().ok()?;
    let seconds: u64 = words.nth(1)?.parse().ok()?;
    let micros: u64 = words.next()?.parse().ok()?;
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_micros(micros);
    Some((at, time / 1000.0))
}
