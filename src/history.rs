//! What `repl_report` draws: samples of what the apply worker measures, and what is kept of a subscription that has ended.
//! The time line of the states is written by a trigger (`sql/bootstrap.sql`), so that whoever moves a subscription is in it.
//!
//! Everything here needs an open transaction.

use std::time::{Duration, Instant};

use crate::meter::{Meter, Reading};
use crate::pg::spi;

const SAMPLE_EVERY: Duration = Duration::from_secs(5);
const THIN_EVERY: Duration = Duration::from_secs(600);

/// When the apply worker last wrote one.
#[derive(Debug, Default)]
pub struct Recorder {
    sampled: Option<Instant>,
    thinned: Option<Instant>,
}

impl Recorder {
    /// Notes what was measured, if it is time to: in the transaction that is about to publish it, for what was published last
    /// tells how large the lag had become while nobody measured.
    pub fn record(&mut self, id: i32, name: &str, reading: &Reading, meter: &mut Meter) {
        if !due(&mut self.sampled, SAMPLE_EVERY) {
            return;
        }
        spi::update(
            include_str!("../sql/state/sample.sql"),
            &[
                Some(&id.to_string()),
                meter.take_worst_lag().map(|lag| lag.to_string()).as_deref(),
                reading.backlog.map(|n| n.to_string()).as_deref(),
                Some(&reading.rate.to_string()),
            ],
        );
        if due(&mut self.thinned, THIN_EVERY) {
            thin(name);
        }
    }
}

fn due(last: &mut Option<Instant>, period: Duration) -> bool {
    let due = last.is_none_or(|at| at.elapsed() >= period);
    if due {
        *last = Some(Instant::now());
    }
    due
}

fn thin(name: &str) {
    spi::update(include_str!("../sql/state/thin.sql"), &[Some(name)]);
}

/// Keeps what goes with the subscription's row when `repl_stop` deletes it.
pub fn keep(id: i32) {
    spi::update(
        "insert into decamp.finished (subscription, started_at, source, target, copied) \
         select s.name, s.created_at, s.source_shown, s.target_shown, decamp.copy_report(s.name) \
         from decamp.subscription s where s.id = $1::int4",
        &[Some(&id.to_string())],
    );
}
