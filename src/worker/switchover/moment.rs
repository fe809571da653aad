//! One moment on both sides: a snapshot of the source and one of the target that show the same rows but for those whose keys are
//! in deltas that the source's snapshot shows, though the application writes and replay goes on.
//!
//! Why: a delta that the source's snapshot no longer has was acknowledged, so the target had committed it before. The target's
//! snapshot is taken first; if the target's transactions are the same ones after the source's snapshot as before it, nothing
//! was committed there in between, so what was committed is in it. And nothing is in it that is not in the source's: replay
//! takes rows from snapshots of the source that are older.

use std::time::Duration;

use super::Errand;
use crate::capture::segment;
use crate::failure::Failure;
use crate::libpq::{Connection, Role};
use crate::pg::latch;
use crate::session;

const TRIES: u32 = 500;
const BEGIN: &str = "begin isolation level repeatable read";
const TRANSACTIONS: &str = "select txid_current_snapshot()::text as transactions";

impl Errand {
    /// Opens both transactions; the segments that have deltas in them, as table and number. `None` when no such moment was found.
    /// `eye`: another connection to the target.
    pub(super) fn meet(
        &mut self,
        eye: &mut Connection,
    ) -> Result<Option<Vec<(u32, u32)>>, Failure> {
        for _ in 0..TRIES {
            let (source, target) = self.sides()?;
            target.batch(BEGIN)?;
            let before = target.query(TRANSACTIONS, &[])?[0].string("transactions");
            // the first statement takes the snapshot; nothing else is in between, so that little can happen
            source.batch(&format!("{BEGIN}; select 1"))?;
            let after = eye.query(TRANSACTIONS, &[])?[0].string("transactions");
            if before == after {
                match self.filled() {
                    Ok(Some(filled)) => return Ok(Some(filled)),
                    // a segment was dropped in between
                    Err(failure) if failure.sqlstate != "42P01" => return Err(failure),
                    _ => {}
                }
            }
            self.part()?;
            self.check_caller()?;
            latch::wait(Duration::from_millis(2));
        }
        Ok(None)
    }

    /// `None` while a truncation waits, of whatever table.
    fn filled(&mut self) -> Result<Option<Vec<(u32, u32)>>, Failure> {
        let (names, tables) = (self.names.clone(), self.captured());
        let (source, _) = self.sides()?;
        let segments: Vec<(u32, u32)> = segment::read(source, &names)?
            .iter()
            .filter(|s| tables.contains(&s.table))
            .map(|s| (s.table, s.number))
            .collect();
        let filled: Vec<(u32, u32)> = source
            .query(&segment::poll_statement(&names, &tables, &segments), &[])?
            .iter()
            .map(|row| (row.oid("oid"), row.oid("number")))
            .collect();
        let truncated = filled.contains(&(0, 0));
        Ok((!truncated).then_some(filled))
    }

    /// Ends both transactions.
    pub(super) fn part(&mut self) -> Result<(), Failure> {
        let (source, target) = self.sides()?;
        source.batch("rollback")?;
        target.batch("rollback")
    }

    pub(super) fn eye(&self) -> Result<Connection, Failure> {
        session::open(&self.subscription, Role::TargetLook, "switchover")
    }
}
