//! What has been applied, kept on the target, where it commits together with the data: table `decamp.applied`.

use crate::failure::Failure;
use crate::libpq::Connection;
use crate::quote::{self, literal};
use crate::task::Task;

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

/// Opens a transaction on the target and takes tasks on in it; those that have not been committed before. Waits for a
/// transaction that is just doing the same (a dead worker's, which the target has not yet noticed to be gone).
pub fn begin(target: &mut Connection, uuid: &str, tasks: &[Task]) -> Result<Vec<i64>, Failure> {
    target.batch("begin")?;
    let ids: Vec<String> = tasks.iter().map(|task| task.id.to_string()).collect();
    let rows = target.query(
        "insert into decamp.applied (subscription, task) select $1::uuid, unnest($2::int8[]) \
         on conflict do nothing returning task",
        &[Some(uuid), Some(&quote::array(&ids))],
    )?;
    Ok(rows.iter().map(|row| row.int("task")).collect())
}

/// Commits it, with the rows of chunks.
pub fn commit(target: &mut Connection, uuid: &str, rows: &[(i64, u64)]) -> Result<(), Failure> {
    let values: Vec<String> = rows
        .iter()
        .map(|(task, rows)| format!("({task}::int8, {rows}::int8)"))
        .collect();
    let note = if values.is_empty() {
        String::new()
    } else {
        format!(
            "update decamp.applied a set rows = v.rows from (values {}) v(task, rows) \
             where a.subscription = {}::uuid and a.task = v.task;",
            values.join(", "),
            literal(uuid)
        )
    };
    target.batch(&format!("{note} commit"))
}

/// Rows of a chunk that has been committed before.
pub fn rows_of(target: &mut Connection, uuid: &str, task: i64) -> Result<u64, Failure> {
    let rows = target.query(
        "select coalesce(rows, 0) as rows from decamp.applied where subscription = $1::uuid and task = $2::int8",
        &[Some(uuid), Some(&task.to_string())],
    )?;
    Ok(rows
        .first()
        .map_or(0, |row| u64::try_from(row.int("rows")).unwrap_or(0)))
}

/// Forgets tasks, in the target's open transaction.
pub fn forget_tasks(target: &mut Connection, uuid: &str, tasks: &[i64]) -> Result<(), Failure> {
    let ids: Vec<String> = tasks.iter().map(i64::to_string).collect();
    target
        .execute(
            "delete from decamp.applied where subscription = $1::uuid and task = any ($2::int8[])",
            &[Some(uuid), Some(&quote::array(&ids))],
        )
        .map(drop)
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
