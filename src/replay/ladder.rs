//! The ladder that unique conflicts climb. Pure but for the clock.
//!
//! A batch is not the source's order of changes: two rows may have swapped a unique value, within a batch or across two. A
//! table whose merge conflicted goes a rung higher and stays there for a while, for where values are swapped once they are
//! swapped again.

use std::time::{Duration, Instant};

/// How rows are merged into the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// INSERT .. ON CONFLICT (key) DO UPDATE, rows already equal skipped
    Upsert,
    /// all keys of the batch are deleted first, then inserted: values may have been swapped among them
    Replace,
    /// as `Replace`, with everything the snapshot shows of the table in one batch: always consistent
    ReplaceAll,
}

/// Without a conflict a table comes down again after this.
const STAY: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub struct Ladder {
    climbers: Vec<(u32, Mode, Instant)>,
}

impl Ladder {
    /// The rung a table is on.
    pub fn mode(&self, oid: u32) -> Mode {
        self.climbers
            .iter()
            .find(|(o, _, _)| *o == oid)
            .map_or(Mode::Upsert, |(_, mode, _)| *mode)
    }

    /// Sends a table a rung higher; false, and down to the ground, when it is on the highest.
    pub fn climb(&mut self, oid: u32) -> bool {
        let next = match self.mode(oid) {
            Mode::Upsert => Some(Mode::Replace),
            Mode::Replace => Some(Mode::ReplaceAll),
            Mode::ReplaceAll => None,
        };
        self.climbers.retain(|(o, _, _)| *o != oid);
        if let Some(mode) = next {
            self.climbers.push((oid, mode, Instant::now()));
        }
        next.is_some()
    }

    /// Those that have been up for a while come down.
    pub fn rest(&mut self) {
        self.climbers.retain(|(_, _, since)| since.elapsed() < STAY);
    }

    /// A batch worked: those that needed everything have had it.
    pub fn worked(&mut self) {
        for (_, mode, _) in &mut self.climbers {
            *mode = (*mode).min(Mode::Replace);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn climbs_rung_by_rung_and_gives_up_at_the_top() {
        let mut ladder = Ladder::default();
        assert_eq!(ladder.mode(1), Mode::Upsert);
        assert!(ladder.climb(1));
        assert_eq!(ladder.mode(1), Mode::Replace);
        assert!(ladder.climb(1));
        assert_eq!(ladder.mode(1), Mode::ReplaceAll);
        assert!(!ladder.climb(1));
        assert_eq!(ladder.mode(1), Mode::Upsert);
    }

    #[test]
    fn stays_a_rung_up_after_a_batch_that_worked() {
        let mut ladder = Ladder::default();
        ladder.climb(1);
        ladder.climb(1);
        ladder.worked();
        assert_eq!(ladder.mode(1), Mode::Replace);
    }
}
