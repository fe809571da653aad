//! Capture taken off again.

use super::{LOCK_TIMEOUT, Names};
use crate::failure::Failure;
use crate::libpq::Connection;
use crate::quote::{ident, qualified};

/// Tables that carry our triggers: oid, schema, name and trigger names, partitions' clones left out.
pub fn triggers_by_table(
    source: &mut Connection,
    names: &Names,
) -> Result<Vec<(u32, String, Vec<String>)>, Failure> {
    let rows = source.query(
        include_str!("../../sql/source/triggers.sql"),
        &[Some(&names.schema())],
    )?;
    let mut tables: Vec<(u32, String, Vec<String>)> = Vec::new();
    for row in rows.iter().filter(|row| !row.flag("inherited")) {
        let oid = row.oid("oid");
        match tables.last_mut() {
            Some((last, _, triggers)) if *last == oid => triggers.push(row.string("trigger")),
            _ => tables.push((
                oid,
                qualified(row.text("schema"), row.text("name")),
                vec![row.string("trigger")],
            )),
        }
    }
    Ok(tables)
}

/// Removes our triggers from one table. Errors: 55P03 when the lock was not to be had in time; nothing is changed then.
pub fn remove(source: &mut Connection, table: &str, triggers: &[String]) -> Result<(), Failure> {
    let seconds = LOCK_TIMEOUT.as_secs();
    let drops: String = triggers
        .iter()
        .map(|t| format!("drop trigger if exists {} on {table}; ", ident(t)))
        .collect();
    let result = source.batch(&format!(
        "begin; set local lock_timeout = '{seconds}s'; set local statement_timeout = '{seconds}s'; {drops} commit"
    ));
    if result.is_err() {
        source.rollback();
    }
    result
}

/// Takes capture off one table and the partitions it covers, wherever it still is. Errors: 55P03, 57014 when a lock was not to
/// be had in time; what is done stays done, and the rest can be tried again.
pub fn take_off(source: &mut Connection, names: &Names, oid: u32) -> Result<(), Failure> {
    let carriers = source.query(
        "select distinct t.tgrelid::int8 as oid \
         from pg_trigger t join pg_proc p on p.oid = t.tgfoid join pg_namespace n on n.oid = p.pronamespace \
         where n.nspname = $1 and p.proname ~ ('^capture_' || $2 || '(_|$)')",
        &[Some(&names.schema()), Some(&oid.to_string())],
    )?;
    for (table, name, triggers) in triggers_by_table(source, names)? {
        if carriers.iter().any(|row| row.oid("oid") == table) {
            remove(source, &name, &triggers)?;
        }
    }
    drop_segments(source, names, oid)?;
    let functions = source.query(
        "select p.oid::regprocedure::text as name \
         from pg_proc p join pg_namespace n on n.oid = p.pronamespace \
         where n.nspname = $1 and p.proname ~ ('^capture_' || $2 || '(_|$)')",
        &[Some(&names.schema()), Some(&oid.to_string())],
    )?;
    let drops: String = functions
        .iter()
        .map(|row| format!("drop function {};", row.text("name")))
        .collect();
    source.batch(&format!(
        "{drops} drop sequence if exists {}; delete from {} where relation = {oid}",
        names.positions(oid),
        names.truncation()
    ))
}

/// Drops a table's segments; nothing of ours must write to them any more. Errors: 55P03 when somebody's transaction has.
pub fn drop_segments(source: &mut Connection, names: &Names, oid: u32) -> Result<(), Failure> {
    let rows = source.query(
        "select c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace \
         where n.nspname = $1 and c.relkind = 'r' and c.relname ~ ('^delta_' || $2 || '_[0-9]+$')",
        &[Some(&names.schema()), Some(&oid.to_string())],
    )?;
    if rows.is_empty() {
        return Ok(());
    }
    let segments: Vec<String> = rows
        .iter()
        .map(|row| qualified(&names.schema(), row.text("name")))
        .collect();
    let seconds = LOCK_TIMEOUT.as_secs();
    let result = source.batch(&format!(
        "begin; set local lock_timeout = '{seconds}s'; drop table {}; commit",
        segments.join(", ")
    ));
    if result.is_err() {
        source.rollback();
    }
    result
}

/// Drops our schema on the source; no user table is locked by it, its triggers are gone already.
pub fn drop_schema(source: &mut Connection, names: &Names) -> Result<(), Failure> {
    source.batch(&format!(
        "drop schema if exists {} cascade",
        ident(&names.schema())
    ))
}
