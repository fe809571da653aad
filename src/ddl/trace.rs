//! What a call of repl_ddl leaves behind, should it not live to say what it has done: its statement in `decamp.ddl`, committed
//! before anything else; and on each side its number, in the transaction that makes the change. Who finds the statement there
//! after the call has ended asks both sides for the number.

use crate::capture::{Names, fence};
use crate::failure::Failure;
use crate::libpq::Connection;
use crate::pg::spi;
use crate::quote::qualified;
use crate::session;
use crate::subscription::Subscription;

/// `None`: it leaves none, for this server cannot be written to but by the caller's transaction.
pub fn begin(subscription: &Subscription, statement: &str) -> Result<Option<i64>, Failure> {
    let Some(mut own) = session::own(subscription, "ddl trace") else {
        return Ok(None);
    };
    let rows = own.query(
        "insert into decamp.ddl (subscription_id, statement) values ($1::int4, $2) returning id",
        &[Some(&subscription.id.to_string()), Some(statement)],
    )?;
    Ok(Some(rows[0].int("id")))
}

/// The call has said what it has done.
pub fn forget(call: i64) {
    spi::update(
        "delete from decamp.ddl where id = $1::int8",
        &[Some(&call.to_string())],
    );
}

/// It was done on the target alone: its statement will be looked up.
pub fn keep(call: i64) {
    spi::update(
        "update decamp.ddl set told = true where id = $1::int8",
        &[Some(&call.to_string())],
    );
}

/// Calls that have not said what they have done, as it is committed now. Those under way are among them.
pub fn untold(subscription: i32) -> Vec<i64> {
    spi::read_now(
        "select id from decamp.ddl where subscription_id = $1::int4 and not told order by id",
        &[Some(&subscription.to_string())],
    )
    .iter()
    .map(|row| row.int("id"))
    .collect()
}

const ON_TARGET: &str = "insert into decamp.applied (subscription, task) values ($1::uuid, - $2::int8) on conflict do nothing";

/// In the target's transaction. Tasks of the copy have positive numbers.
pub fn leave_on_target(target: &mut Connection, uuid: &str, call: i64) -> Result<(), Failure> {
    target
        .execute(ON_TARGET, &[Some(uuid), Some(&call.to_string())])
        .map(drop)
}

/// In the source's transaction, which has [`fence::alone`].
pub fn leave_on_source(source: &mut Connection, names: &Names, call: i64) -> Result<(), Failure> {
    let table = table(names);
    source.batch(&format!(
        "create table if not exists {table} (call bigint primary key); insert into {table} values ({call})"
    ))
}

/// Whether the target has committed it; waits for a transaction that may be about to.
pub fn is_on_target(target: &mut Connection, uuid: &str, call: i64) -> Result<bool, Failure> {
    target.batch("begin")?;
    let new = target.execute(ON_TARGET, &[Some(uuid), Some(&call.to_string())]);
    target.rollback();
    Ok(new? == 0)
}

/// Whether the source has committed it. Errors: 55P03 while a transaction may be about to.
pub fn is_on_source(source: &mut Connection, names: &Names, call: i64) -> Result<bool, Failure> {
    let found = source
        .batch(&format!(
            "begin; set local lock_timeout = '200ms'; {}",
            fence::alone(names)
        ))
        .and_then(|()| found_on_source(source, names, call));
    source.rollback();
    found
}

fn found_on_source(source: &mut Connection, names: &Names, call: i64) -> Result<bool, Failure> {
    let table = table(names);
    let there = source.query(
        "select to_regclass($1) is not null as there",
        &[Some(&table)],
    )?;
    if !there[0].flag("there") {
        return Ok(false);
    }
    let rows = source.query(
        &format!("select 1 from {table} where call = $1::int8"),
        &[Some(&call.to_string())],
    )?;
    Ok(!rows.is_empty())
}

fn table(names: &Names) -> String {
    qualified(&names.schema(), "ddl")
}
