//! `repl_resync`.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{pg_extern, search_path};

use super::argument;
use crate::event::{self, Severity};
use crate::failure::Failure;
use crate::pg::server;
use crate::pg::worker::{self, APPLY_CLASS};
use crate::relation;
use crate::subscription;
use crate::task;

#[pg_extern(volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn repl_resync(name: Option<&str>, table: Option<&str>) -> Result<String, ErrorReport> {
    server::refuse_read_only("repl_resync")?;
    Ok(resync(
        argument::required(name, "name")?,
        argument::required(table, "table")?,
    )?)
}

/// Only notes it: the apply worker takes the table out of replay, empties it and plans its copy.
fn resync(name: &str, table: &str) -> Result<String, Failure> {
    let subscription = subscription::by_name_locked(name)?;
    argument::refuse_early(&subscription)?;
    if !subscription.copy_data {
        return Err(Failure::new("55000", format!("subscription {name:?} copies no rows"))
            .detail("It was started with copy_data => false: the rows it began with are not known to be those of the source.")
            .hint("repl_stop, empty the table, and start again."));
    }
    let oid = find(subscription.id, name, table)?;
    let known = relation::by_oid(subscription.id, oid).ok_or_else(|| unknown(name, table))?;
    if known.state == relation::State::Init {
        return Ok(format!("table {} has not been copied yet", known.shown()));
    }
    task::forget_built(subscription.id, oid);
    relation::copy_again(subscription.id, oid);
    subscription::go_back_for_tables(subscription.id);
    event::record(
        Severity::Info,
        name,
        &known.shown(),
        "is to be copied anew, by repl_resync",
        None,
    );
    worker::pids(APPLY_CLASS, subscription.id)
        .into_iter()
        .for_each(worker::wake);
    Ok(format!(
        "table {} is emptied on the target and copied anew; the others go on; see repl_tables",
        known.shown()
    ))
}

/// By `schema.name` or, if only one schema has it, by name; quoted as in SQL. Errors: 42P01, 22023.
fn find(subscription: i32, name: &str, table: &str) -> Result<u32, Failure> {
    match relation::named(subscription, &argument::table(table)?).as_slice() {
        [oid] => Ok(*oid),
        [] => Err(unknown(name, table)),
        _ => Err(argument::ambiguous(table)),
    }
}

fn unknown(name: &str, table: &str) -> Failure {
    Failure::new(
        "42P01",
        format!("subscription {name:?} has no table {table}"),
    )
    .hint(format!(
        "SELECT schema, \"table\" FROM repl_tables WHERE subscription = '{name}'; partitions go with their root."
    ))
}
