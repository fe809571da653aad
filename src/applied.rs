//! What has been applied, kept on the target, where it commits together with the data: table `decamp.applied`.

use crate::failure::Failure;
use crate::libpq::Connection;

/// Makes the table where the extension has not (the target is another server). Idempotent.
pub fn prepare(target: &mut Connection) -> Result<(), Failure> {
    let present = target.query(
        "select to_regclass('decamp.applied') is not null as present",
        &[],
    )?[0]
        .flag("present");
    if present {
        return Ok(());
    }
    target
        .batch(include_str!("../sql/target/applied.sql"))
        .map_err(|f| f.during("making schema decamp on the target"))
}

/// Takes a chunk on in the target's open transaction. False: it has been committed before. Waits for a transaction that
/// is just doing the same (a dead worker's, which the target has not yet noticed to be gone).
pub fn begin_chunk(target: &mut Connection, uuid: &str, chunk: i64) -> Result<bool, Failure> {
    let inserted = target.execute(
        "insert into decamp.applied (subscription, chunk) values ($1::uuid, $2::int8) on conflict do nothing",
        &[Some(uuid), Some(&chunk.to_string())],
    )?;
    Ok(inserted == 1)
}

/// Notes the chunk's rows in the same transaction.
pub fn finish_chunk(
    target: &mut Connection,
    uuid: &str,
    chunk: i64,
    rows: u64,
) -> Result<(), Failure> {
    target.execute(
        "update decamp.applied set rows = $3::int8 where subscription = $1::uuid and chunk = $2::int8",
        &[Some(uuid), Some(&chunk.to_string()), Some(&rows.to_string())],
    )?;
    Ok(())
}

/// Rows of a chunk that has been committed before.
pub fn rows_of(target: &mut Connection, uuid: &str, chunk: i64) -> Result<u64, Failure> {
    let rows = target.query(
        "select coalesce(rows, 0) as rows from decamp.applied where subscription = $1::uuid and chunk = $2::int8",
        &[Some(uuid), Some(&chunk.to_string())],
    )?;
    Ok(rows
        .first()
        .map_or(0, |row| u64::try_from(row.int("rows")).unwrap_or(0)))
}

/// Forgets a subscription; removes the schema from a target that is another server when nothing is left in it.
pub fn forget(target: &mut Connection, uuid: &str, other_server: bool) -> Result<(), Failure> {
    let present = target.query(
        "select to_regclass('decamp.applied') is not null as present",
        &[],
    )?[0]
        .flag("present");
    if !present {
        return Ok(());
    }
    target.execute(
        "delete from decamp.applied where subscription = $1::uuid",
        &[Some(uuid)],
    )?;
    let empty =
        !target.query("select exists (select 1 from decamp.applied) as rest", &[])?[0].flag("rest");
    let extension = target.query(
        "select exists (select 1 from pg_extension where extname = 'pg_decamp') as here",
        &[],
    )?[0]
        .flag("here");
    if other_server && empty && !extension {
        target.batch("drop table decamp.applied; drop schema decamp")?;
    }
    Ok(())
}
