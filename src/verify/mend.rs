//! Brings rows that differ to the target: their keys go into the deltas on the source, and replay does the rest.

use super::shape::Key;
use super::sides::{Sides, array};
use crate::capture::segment;
use crate::failure::Failure;
use crate::quote::ident;
use crate::table::Table;

/// Puts keys into the segment that capture writes to; the moment from which on they are there.
///
/// In a transaction that has the lock a writer of the table has: so the segment it finds to be the newest stays one that
/// is not sealed before this is committed.
pub fn deliver(sides: &mut Sides, table: &Table, keys: &[Key]) -> Result<i64, Failure> {
    let done = insert(sides, table, keys);
    if done.as_ref().is_err_and(|failure| !failure.disconnected) {
        sides.source.rollback();
    }
    done.map_err(|failure| {
        failure.during(format_args!("delivering rows of {} anew", table.shown()))
    })?;
    super::passage::moment(&mut sides.source)
}

fn insert(sides: &mut Sides, table: &Table, keys: &[Key]) -> Result<(), Failure> {
    sides.source.batch(&format!(
        "begin read write; set local lock_timeout = '2s'; lock table {} in row exclusive mode",
        table.only()
    ))?;
    let segments = segment::read(&mut sides.source, &sides.names)?;
    let newest = sides
        .names
        .segment(table.oid, segment::newest(&segments, table.oid));
    let names: Vec<String> = (1..=table.key.len()).map(|at| format!("k{at}")).collect();
    let values: Vec<String> = table
        .key
        .iter()
        .zip(&names)
        .map(|(key, alias)| {
            let kind = table
                .column(&key.name)
                .map_or("text", |c| c.base_type.as_str());
            format!("v.{}::{kind}", ident(alias))
        })
        .collect();
    let arrays: Vec<String> = (1..=names.len())
        .map(|at| format!("${at}::text[]"))
        .collect();
    let sql = format!(
        "insert into {newest} select {} from unnest({}) v({})",
        values.join(", "),
        arrays.join(", "),
        names.join(", ")
    );
    let columns: Vec<String> = (0..names.len())
        .map(|at| array(keys.iter().map(|key| key[at].clone())))
        .collect();
    let parameters: Vec<Option<&str>> = columns.iter().map(|c| Some(c.as_str())).collect();
    sides.source.execute(&sql, &parameters)?;
    sides.source.batch("commit")
}
