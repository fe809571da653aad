//! What of a table's deltas has been applied, by snapshots of the source, so that none is applied twice.

use crate::applied;
use crate::capture::{self, Names};
use crate::catalog;
use crate::failure::Failure;
use crate::flush;
use crate::libpq::{Connection, Question};
use crate::quote::literal;
use crate::row::Row;
use crate::table::Table;

/// What deletes on the source what of `table` is applied already, to be asked before anything of it is replayed; `None`: nothing is.
/// `layout`: how its rows are made as far as we know; `segments`: where its deltas are. Errors: DC001 when rows are made otherwise
/// than those that are applied, 40001 when that is because we do not know it yet.
pub fn settle(
    source: &mut Connection,
    target: &mut Connection,
    names: &Names,
    (uuid, subscription): (&str, &str),
    (table, layout): (&Table, &str),
    segments: &[String],
) -> Result<Option<Question>, Failure> {
    let applied = applied::settled(target, uuid, table.oid, layout)?;
    if applied.layout != layout {
        return Err(if self::layout(source, table.oid)? == layout {
            capture::missed_table(
                "columns have changed on the source of a table without a key",
                subscription,
                &table.shown(),
            )
        } else {
            catalog::changed(&table.shown())
        });
    }
    let Some(snapshot) = applied.snapshot else {
        return Ok(None);
    };
    let applied = format!("txid_visible_in_snapshot(txid, {})", literal(&snapshot));
    let segments: String = segments
        .iter()
        .map(|name| format!("delete from {name} where {applied}; "))
        .collect();
    Ok(Some(Question::new(format!(
        "begin; {segments} delete from {} where relation = {} and {applied}; commit; select 1 as settled",
        names.truncation(),
        table.oid,
    ))))
}

/// Whether the source's rows are still made like those that are applied.
pub fn is_laid_out_alike(
    source: &mut Connection,
    target: &mut Connection,
    uuid: &str,
    table: u32,
) -> Result<bool, Failure> {
    let layout = layout(source, table)?;
    Ok(applied::settled(target, uuid, table, &layout)?.layout == layout)
}

fn layout(source: &mut Connection, table: u32) -> Result<String, Failure> {
    let rows = source.query(
        include_str!("../../../sql/source/fingerprint.sql"),
        &[Some(&format!("{{{table}}}"))],
    )?;
    Ok(rows
        .first()
        .map_or_else(String::new, |row| row.string("layout")))
}

/// What a batch has to know before it may be noted as applied.
pub struct Mark {
    snapshot: String,
    written: String,
}

impl Mark {
    /// What reads it, as the first statement of the source's transaction: before anything is deleted there, for our own log
    /// need not be waited for.
    pub const READ: &str = "select txid_current_snapshot()::text as snapshot, pg_current_wal_insert_lsn()::text as written";

    pub fn of(row: &Row) -> Self {
        Self {
            snapshot: row.string("snapshot"),
            written: row.string("written"),
        }
    }

    /// Asks, in a list, whether the source has it on its disk.
    pub fn flushed(&self) -> String {
        flush::statement(&self.written)
    }

    /// Notes it on the target for these tables, in the transaction that has what it saw. `flushed`: the answer, as of now.
    pub fn note(
        &self,
        source: &mut Connection,
        target: &mut Connection,
        uuid: &str,
        tables: &[u32],
        flushed: &[Row],
    ) -> Result<(), Failure> {
        if !flush::is_there(flushed) {
            flush::wait(source, &self.written)?;
        }
        applied::note_replayed(target, uuid, tables, &self.snapshot)
    }
}
