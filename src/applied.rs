//! What has been applied, kept on the target, where it commits together with the data: tables `decamp.applied` (tasks of the copy)
//! and `decamp.applied_snapshot` (of tables without a key, whose deltas must not be applied twice).

use crate::failure::Failure;
use crate::libpq::Connection;
use crate::quote::{self, literal};
use crate::task::Task;

/// Makes the table where the extension has not (the target is another server). Idempotent.
pub fn prepare(target: &mut Connection) -> Result<(), Failure> {
    let present = target.query(
        "select to_regclass('decamp.applied') is not null and to_regclass('decamp.applied_snapshot') is not null as present",
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

/// What of a table without a key is on the target.
pub struct Applied {
    /// deltas of transactions that this `txid_snapshot` of the source sees; `None`: no delta
    pub snapshot: Option<String>,
    /// what the source's table looked like
    pub layout: String,
}

/// Notes that the target's table is the source's as of a snapshot, in the target's open transaction.
pub fn note_copied(
    target: &mut Connection,
    uuid: &str,
    relation: u32,
    applied: &Applied,
) -> Result<(), Failure> {
    target
        .execute(
            "insert into decamp.applied_snapshot as a (subscription, relation, snapshot, layout) \
             values ($1::uuid, $2::oid, $3, $4) \
             on conflict (subscription, relation) do update set snapshot = $3, layout = $4, at = now()",
            &[
                Some(uuid),
                Some(&relation.to_string()),
                applied.snapshot.as_deref(),
                Some(&applied.layout),
            ],
        )
        .map(drop)
}

/// Notes that deltas up to a snapshot have been applied, in the target's open transaction.
pub fn note_replayed(
    target: &mut Connection,
    uuid: &str,
    relations: &[u32],
    snapshot: &str,
) -> Result<(), Failure> {
    let oids: Vec<String> = relations.iter().map(u32::to_string).collect();
    let noted = target.execute(
        "update decamp.applied_snapshot set snapshot = $3, at = now() where subscription = $1::uuid and relation = any ($2::oid[])",
        &[Some(uuid), Some(&quote::array(&oids)), Some(snapshot)],
    )?;
    if noted == relations.len() as u64 {
        return Ok(());
    }
    Err(Failure::new(
        "55000",
        "rows of decamp.applied_snapshot on the target are gone",
    )
    .hint("It is not known any more which changes are there: SELECT repl_resync() for each table without a key."))
}

/// What is applied of a table, once nobody is about to change that: a dead worker's session may still be committing a batch.
/// A table of which nothing is known yet has it noted that its columns are as `layout` says.
pub fn settled(
    target: &mut Connection,
    uuid: &str,
    relation: u32,
    layout: &str,
) -> Result<Applied, Failure> {
    let oid = relation.to_string();
    target.batch("begin")?;
    target.execute(
        "insert into decamp.applied_snapshot (subscription, relation, layout) values ($1::uuid, $2::oid, $3) on conflict do nothing",
        &[Some(uuid), Some(&oid), Some(layout)],
    )?;
    let rows = target.query(
        "select snapshot, layout from decamp.applied_snapshot where subscription = $1::uuid and relation = $2::oid for update",
        &[Some(uuid), Some(&oid)],
    )?;
    target.batch("commit")?;
    Ok(Applied {
        snapshot: rows[0].opt("snapshot").map(str::to_owned),
        layout: rows[0].string("layout"),
    })
}

/// Forgets what is applied of a table that is being emptied, in the target's open transaction.
pub fn forget_snapshot(target: &mut Connection, uuid: &str, relation: u32) -> Result<(), Failure> {
    target
        .execute(
            "delete from decamp.applied_snapshot where subscription = $1::uuid and relation = $2::oid",
            &[Some(uuid), Some(&relation.to_string())],
        )
        .map(drop)
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
    target.execute(
        "delete from decamp.applied_snapshot where subscription = $1::uuid",
        &[Some(uuid)],
    )?;
    let empty =
        !target.query("select exists (select 1 from decamp.applied) or exists (select 1 from decamp.applied_snapshot) as rest", &[])?[0].flag("rest");
    let extension = target.query(
        "select exists (select 1 from pg_extension where extname = 'pg_decamp') as here",
        &[],
    )?[0]
        .flag("here");
    if other_server && empty && !extension {
        target.batch("drop table decamp.applied, decamp.applied_snapshot; drop schema decamp")?;
    }
    Ok(())
}
