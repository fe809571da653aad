//! A limit on bytes per second. Pure: whoever asks does the waiting.

use std::time::{Duration, Instant};

/// What may go through at once after a lull.
const BURST: f64 = 0.25;

#[derive(Debug)]
pub struct Throttle {
    /// bytes per second; `None`: no limit
    limit: Option<f64>,
    /// when all that went through so far is paid for
    paid_at: Instant,
}

impl Throttle {
    pub fn new(limit: Option<f64>, now: Instant) -> Self {
        Self {
            limit,
            paid_at: now,
        }
    }

    pub fn set(&mut self, limit: Option<f64>) {
        self.limit = limit;
    }

    /// `bytes` went through; how long to wait before the next.
    pub fn passed(&mut self, bytes: u64, now: Instant) -> Option<Duration> {
        let limit = self.limit?;
        let burst = Duration::from_secs_f64(BURST);
        let earliest = now.checked_sub(burst).unwrap_or(now);
        self.paid_at = self.paid_at.max(earliest) + Duration::from_secs_f64(bytes as f64 / limit);
        self.paid_at
            .checked_duration_since(now)
            .filter(|d| !d.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_limit_nothing_waits() {
        let now = Instant::now();
        assert_eq!(Throttle::new(None, now).passed(1 << 40, now), None);
    }

    #[test]
    fn a_second_of_bytes_costs_a_second() {
        let begin = Instant::now();
        let mut throttle = Throttle::new(Some(1000.0), begin);
        let mut now = begin;
        for _ in 0..100 {
            if let Some(wait) = throttle.passed(100, now) {
                now += wait;
            }
        }
        let took = (now - begin).as_secs_f64();
        assert!((9.5..=10.0).contains(&took), "{took}");
    }

    #[test]
    fn a_lull_is_not_saved_up() {
        let begin = Instant::now();
        let mut throttle = Throttle::new(Some(1000.0), begin);
        let later = begin + Duration::from_secs(3600);
        let wait = throttle.passed(2000, later).expect("two seconds' worth");
        assert!(wait >= Duration::from_millis(1700), "{wait:?}");
    }
}
