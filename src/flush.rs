//! The source's log on its disk. What the target has been told to be applied by a snapshot of the source must survive a crash of
//! the source: else it might give the number of a transaction that was lost to another one, which then would pass for applied.

use std::time::Duration;

use crate::failure::Failure;
use crate::libpq::Connection;
use crate::pg::{latch, liveness};

const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Makes the source flush all that it has logged so far. Not within a transaction. The message it takes is read by nobody: it is
/// the one thing that is logged and leaves no row.
pub fn force(source: &mut Connection) -> Result<(), Failure> {
    source
        .query(
            "select pg_logical_emit_message(true, 'pg_decamp', '')::text as at",
            &[],
        )
        .map(drop)
}

/// Waits until the log is flushed up to a position, which the source does by itself; within a transaction.
pub fn wait(source: &mut Connection, position: &str) -> Result<(), Failure> {
    loop {
        let there = source.query(
            "select pg_current_wal_flush_lsn() >= $1::pg_lsn as there",
            &[Some(position)],
        )?[0]
            .flag("there");
        if there {
            return Ok(());
        }
        liveness::tick();
        latch::wait(LOOK_EVERY);
    }
}
