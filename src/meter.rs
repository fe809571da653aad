//! What the apply worker has measured and is to be shown: rate, completeness, backlog. Pure but for the clock.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const WINDOW: Duration = Duration::from_secs(10);
/// So that the lag shown is true to a quarter of a second; without batches there is less to tell.
const PUBLISH_BUSY: Duration = Duration::from_millis(250);
const PUBLISH_IDLE: Duration = Duration::from_secs(1);
const COUNT_EVERY: Duration = Duration::from_secs(2);
/// Counting a backlog takes at most this share of the time.
const COUNT_SHARE: u32 = 20;

#[derive(Debug, Default)]
pub struct Meter {
    batches: VecDeque<(Instant, u64)>,
    /// when the first batch was committed
    first_batch: Option<Instant>,
    last_batch: Option<i64>,
    complete: Option<i64>,
    /// the largest lag there was before `complete` moved on, since somebody asked
    worst: i64,
    looked: Option<i64>,
    /// when `complete` was last moved on without anything to replay since
    idle: bool,
    backlog: Option<i64>,
    counted: Option<(Instant, Duration)>,
    /// when, and whether it told that the target is complete
    published: Option<(Instant, bool)>,
}

/// Times in microseconds since 1970, this server's clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    pub complete_at: Option<i64>,
    pub looked_at: Option<i64>,
    pub backlog: Option<i64>,
    pub rate: f64,
    pub last_batch_at: Option<i64>,
}

/// This server's clock, in microseconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is past 1970");
    i64::try_from(since.as_micros()).expect("microseconds since 1970 fit 63 bits")
}

impl Meter {
    /// A batch was committed.
    pub fn batch(&mut self, rows: u64) {
        self.first_batch.get_or_insert_with(Instant::now);
        self.batches.push_back((Instant::now(), rows));
        self.last_batch = Some(now());
        self.idle = false;
    }

    /// The target equals the source as of `at`.
    pub fn complete(&mut self, at: i64) {
        if let Some(before) = self.complete {
            self.worst = self.worst.max(now() - before);
        }
        self.complete = Some(at);
        self.idle = true;
    }

    /// What is not replayed goes on to collect.
    pub fn incomplete(&mut self) {
        self.idle = false;
    }

    /// Sequences, triggers and partitions were looked at.
    pub fn looked(&mut self, at: i64) {
        self.looked = Some(at);
    }

    /// Whether it is time to publish: that the target has become complete is told at once.
    pub fn due(&mut self, at_once: bool) -> bool {
        let every = if self.batches.is_empty() {
            PUBLISH_IDLE
        } else {
            PUBLISH_BUSY
        };
        let due = at_once
            || self.published.is_none_or(|(at, was_complete)| {
                at.elapsed() >= every || (self.idle && !was_complete)
            });
        if due {
            self.published = Some((Instant::now(), self.idle));
        }
        due
    }

    /// Whether the backlog should be counted: not when it is known to be empty, not so often that it costs much. `stopped`: a
    /// table has stopped, whose deltas pile up while there is nothing to replay.
    pub fn count_due(&self, stopped: bool) -> bool {
        if self.idle && !stopped {
            // one last time, to bring the tables' own numbers down to zero
            if self.backlog == Some(0) {
                return false;
            }
            return true;
        }
        self.counted
            .is_none_or(|(at, took)| at.elapsed() >= COUNT_EVERY.max(took * COUNT_SHARE))
    }

    /// There was nothing to replay when the target was last complete, and nothing has been since.
    pub fn is_complete(&self) -> bool {
        self.idle
    }

    pub fn counted(&mut self, backlog: i64, took: Duration) {
        self.backlog = Some(backlog);
        self.counted = Some((Instant::now(), took));
    }

    /// The largest lag since the last call, in microseconds; `None` as long as nothing has been complete.
    pub fn take_worst_lag(&mut self) -> Option<i64> {
        let worst = std::mem::take(&mut self.worst);
        self.complete.map(|at| worst.max(now() - at))
    }

    pub fn read(&mut self) -> Reading {
        while self
            .batches
            .front()
            .is_some_and(|(at, _)| at.elapsed() > WINDOW)
        {
            self.batches.pop_front();
        }
        let rows: u64 = self.batches.iter().map(|(_, n)| n).sum();
        let running = self.first_batch.map_or(WINDOW, |at| at.elapsed());
        let over = running.clamp(Duration::from_secs(1), WINDOW);
        Reading {
            complete_at: self.complete,
            looked_at: self.looked,
            backlog: self.backlog,
            rate: rows as f64 / over.as_secs_f64(),
            last_batch_at: self.last_batch,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_is_counted_until_it_is_known_to_be_empty() {
        let mut meter = Meter::default();
        assert!(meter.count_due(false));
        meter.counted(7, Duration::from_millis(1));
        assert!(!meter.count_due(false), "not again at once");
        meter.complete(1);
        assert!(
            meter.count_due(false),
            "complete, but the last count says 7"
        );
        meter.counted(0, Duration::from_millis(1));
        assert!(!meter.count_due(false));
        meter.batch(3);
        assert!(!meter.idle);
    }

    #[test]
    fn becoming_complete_is_told_at_once() {
        let mut meter = Meter::default();
        meter.batch(3);
        assert!(meter.due(false));
        assert!(!meter.due(false));
        meter.complete(1);
        assert!(meter.due(false));
        meter.batch(3);
        meter.complete(2);
        assert!(!meter.due(false), "nothing new");
    }

    #[test]
    fn the_worst_lag_is_told_once() {
        let mut meter = Meter::default();
        assert_eq!(meter.take_worst_lag(), None);
        meter.complete(now() - 70_000_000);
        meter.complete(now());
        let worst = meter.take_worst_lag().expect("complete");
        assert!((70_000_000..80_000_000).contains(&worst), "{worst}");
        assert!(meter.take_worst_lag().expect("complete") < 10_000_000);
    }

    #[test]
    fn the_rate_is_an_average_of_what_has_been_measured() {
        let mut meter = Meter::default();
        meter.batch(50);
        meter.batch(150);
        // in the first second, of one second
        assert!((meter.read().rate - 200.0).abs() < f64::EPSILON);
    }
}
