//! What a server shows: while its snapshots are the same, nobody has committed anything, and neither tables nor catalogs have
//! changed. Sequences may have.

use crate::failure::Failure;
use crate::libpq::{Connection, Question};

/// A moment cheap to ask for and to compare.
pub fn of(server: &mut Connection) -> Result<String, Failure> {
    Ok(server.ask(&question())?[0].string("snapshot"))
}

/// What [`of`] asks.
pub fn question() -> Question {
    Question::new("select txid_current_snapshot()::text as snapshot")
}
