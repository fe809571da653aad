//! The source's log on its disk. What the target has been told to be applied by a snapshot of the source must survive a crash of
//! the source: else it might give the number of a transaction that was lost to another one, which then would pass for applied.

use std::time::Duration;

use crate::failure::Failure;
use crate::libpq::Connection;
use crate::pg::{latch, liveness};
use crate::quote::literal;
use crate::row::Row;

const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Makes the source flush all that it has logged so far: a transaction of its own, with one answer. The message it takes is read
/// by nobody: it is the one thing that is logged and leaves no row.
pub const FORCE: &str =
    "begin; select pg_logical_emit_message(true, 'pg_decamp', '')::text as at; commit";

/// Runs it.
pub fn force(source: &mut Connection) -> Result<(), Failure> {
    source.batch(FORCE)
}

/// Waits until the log is flushed up to a position, which the source does by itself; within a transaction.
pub fn wait(source: &mut Connection, position: &str) -> Result<(), Failure> {
    loop {
        if is_there(&source.query(&statement(position), &[])?) {
            return Ok(());
        }
        liveness::tick();
        latch::wait(LOOK_EVERY);
    }
}

/// Asks whether it is flushed up to there.
pub fn statement(position: &str) -> String {
    format!(
        "select pg_current_wal_flush_lsn() >= {}::pg_lsn as there",
        literal(position)
    )
}

/// The answer.
pub fn is_there(rows: &[Row]) -> bool {
    rows.first().is_some_and(|row| row.flag("there"))
}
