//! The source's log on its disk. What the target has been told to be applied by a snapshot of the source must survive a crash of
//! the source: else it might give the number of a transaction that was lost to another one, which then would pass for applied.

use std::time::Duration;

use crate::failure::Failure;
use crate::libpq::Connection;
use crate::pg::{latch, liveness};
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

/// Asks up to where it is flushed.
pub const REACHED: &str = "select (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::int8 as flushed";

/// The answer.
pub fn reached(rows: &[Row]) -> i64 {
    rows.first().map_or(0, |row| row.int("flushed"))
}

/// Waits until the log is flushed up to a position, which the source does by itself.
pub fn wait(source: &mut Connection, position: i64) -> Result<(), Failure> {
    while reached(&source.query(REACHED, &[])?) < position {
        liveness::tick();
        latch::wait(LOOK_EVERY);
    }
    Ok(())
}
