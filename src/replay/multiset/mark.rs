//! What of a table's deltas has been applied, by snapshots of the source, so that none is applied twice.

use crate::applied;
use crate::capture::{self, Names, segment};
use crate::failure::Failure;
use crate::flush;
use crate::libpq::Connection;
use crate::quote::literal;
use crate::row::Row;
use crate::table::Table;

/// Whether the source's rows as they are known to the target are still made like that, and deletes what is applied already.
/// Errors: DC001 when the columns have changed since.
pub fn settle(
    source: &mut Connection,
    target: &mut Connection,
    names: &Names,
    uuid: &str,
    subscription: &str,
    table: &Table,
) -> Result<(), Failure> {
    let layout = layout(source, table.oid)?;
    let applied = applied::settled(target, uuid, table.oid, &layout)?;
    if applied.layout != layout {
        return Err(capture::missed_table(
            "columns have changed on the source of a table without a key",
            subscription,
            &table.shown(),
        ));
    }
    let Some(snapshot) = applied.snapshot else {
        return Ok(());
    };
    let snapshot = literal(&snapshot);
    let segments: String = segment::named(source, names, table.oid)?
        .iter()
        .map(|name| {
            format!("delete from {name} where txid_visible_in_snapshot(txid, {snapshot}); ")
        })
        .collect();
    source.batch(&format!(
        "begin; {segments} \
         delete from {} where relation = {} and txid_visible_in_snapshot(txid, {snapshot}); commit",
        names.truncation(),
        table.oid,
    ))
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

    /// Notes it on the target for these tables, in the transaction that has what it saw.
    pub fn note(
        &self,
        source: &mut Connection,
        target: &mut Connection,
        uuid: &str,
        tables: &[u32],
    ) -> Result<(), Failure> {
        flush::wait(source, &self.written)?;
        applied::note_replayed(target, uuid, tables, &self.snapshot)
    }
}
