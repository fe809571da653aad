//! What a server shows: while its snapshots are the same, nobody has committed anything, and neither tables nor catalogs have
//! changed. Sequences may have.

use crate::failure::Failure;
use crate::libpq::Connection;

/// A moment cheap to ask for and to compare.
pub fn of(server: &mut Connection) -> Result<String, Failure> {
    let rows = server.query("select txid_current_snapshot()::text as snapshot", &[])?;
    Ok(rows[0].string("snapshot"))
}
