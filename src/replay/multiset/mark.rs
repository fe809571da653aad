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
    let segments: String = segments
        .iter()
        .map(|name| delete(name, &snapshot) + "; ")
        .collect();
    Ok(Some(Question::new(format!(
        "begin; {segments} delete from {} where relation = {} and {}; commit; select 1 as settled",
        names.truncation(),
        table.oid,
        visible_in(&snapshot),
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
    /// how far the source's log was written then
    written: i64,
}

impl Mark {
    /// What reads it, in the source's transaction before anything is deleted there: our own log need not be waited for.
    pub const READ: &str = "select txid_current_snapshot()::text as snapshot, \
         (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::int8 as written";

    pub fn of(row: &Row) -> Self {
        Self {
            snapshot: row.string("snapshot"),
            written: row.int("written"),
        }
    }

    /// Notes it on the target for these tables, in the transaction that has what it saw. `flushed`: how far the source's log is on
    /// its disk, as it said last; if need be it is asked again.
    pub fn note(
        &self,
        source: &mut Connection,
        target: &mut Connection,
        uuid: &str,
        tables: &[u32],
        flushed: i64,
    ) -> Result<(), Failure> {
        if flushed < self.written {
            flush::wait(source, self.written)?;
        }
        applied::note_replayed(target, uuid, tables, &self.snapshot)
    }

    /// The statement that deletes what it saw of a segment.
    pub fn delete(&self, segment: &str) -> String {
        delete(segment, &self.snapshot)
    }
}

fn delete(segment: &str, snapshot: &str) -> String {
    format!("delete from {segment} where {}", visible_in(snapshot))
}

fn visible_in(snapshot: &str) -> String {
    format!("txid_visible_in_snapshot(txid, {})", literal(snapshot))
}
