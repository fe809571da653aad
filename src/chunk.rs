//! One piece of a table's initial copy: rows of the source at one snapshot, put on the target in one transaction together
//! with the note that they are there. Whatever dies in between, the chunk is there once or not at all.
//!
//! No long snapshot is needed: capture is installed before the first chunk, so every row that changes after the chunk's
//! snapshot leaves its key in a segment and is replayed later (design: convergence).

use crate::applied;
use crate::catalog::Snapshot;
use crate::failure::Failure;
use crate::libpq::{Connection, Flow, pump};
use crate::quote::ident;
use crate::table::Table;

/// Where a chunk comes from and goes to.
pub struct Chunk<'a> {
    /// id of its task
    pub id: i64,
    /// of the subscription
    pub uuid: &'a str,
    pub table: &'a Table,
    /// where `table` is from
    pub known: &'a Snapshot,
}

/// Copies it. `None`: an earlier try had already been committed. On `Err` drop both connections.
pub fn copy(
    chunk: &Chunk,
    source: &mut Connection,
    target: &mut Connection,
    progress: impl FnMut(Flow),
) -> Result<Option<Flow>, Failure> {
    let what = chunk.table.shown();
    let during = |failure: Failure| failure.during(format_args!("copying {what}"));
    target.batch("begin").map_err(during)?;
    if !applied::begin_chunk(target, chunk.uuid, chunk.id).map_err(during)? {
        target.rollback();
        return Ok(None);
    }
    source
        .batch("begin isolation level repeatable read, read only")
        .map_err(during)?;
    chunk.known.refuse_changed(source, &[chunk.table.oid])?;
    let (out_sql, in_sql) = statements(chunk.table);
    let flow = pump(source, &out_sql, target, &in_sql, progress).map_err(during)?;
    source.batch("commit").map_err(during)?;
    applied::finish_chunk(target, chunk.uuid, chunk.id, flow.rows).map_err(during)?;
    target.batch("commit").map_err(during)?;
    Ok(Some(flow))
}

/// Columns by name, in the source's order; text format, which every type has and every version agrees on.
fn statements(table: &Table) -> (String, String) {
    let columns: Vec<String> = table.stored().map(|c| ident(&c.name)).collect();
    let columns = columns.join(", ");
    (
        format!("copy (select {columns} from {}) to stdout", table.only()),
        format!("copy {} ({columns}) from stdin", table.qualified()),
    )
}

/// Statistics for the replay that follows. A failure only costs speed.
pub fn analyze(table: &Table, target: &mut Connection) -> Result<(), Failure> {
    target.batch(&format!("analyze {}", table.qualified()))
}
