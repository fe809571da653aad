//! `repl_resync`.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{pg_extern, search_path};

use super::argument;
use crate::event::{self, Severity};
use crate::failure::Failure;
use crate::pg::server;
use crate::pg::worker::{self, APPLY_CLASS};
use crate::relation;
use crate::skipped;
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
    argument::refuse_fenced(&subscription)?;
    if !subscription.copy_data {
        return Err(Failure::new("55000", format!("subscription {name:?} copies no rows"))
            .detail("It was started with copy_data => false: the rows it began with are not known to be those of the source.")
            .hint("repl_stop, empty the table, and start again."));
    }
    let known = argument::followed(&subscription, table)?;
    let oid = known.oid;
    if known.state == relation::State::Init {
        return Ok(format!("table {} has not been copied yet", known.shown()));
    }
    task::forget_built(subscription.id, oid);
    relation::copy_again(subscription.id, oid);
    let back = skipped::end(subscription.id, oid, None, "repl_resync", true);
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
    let rows = match back {
        0 => String::new(),
        n => format!(", with {n} rows that were left out"),
    };
    Ok(format!(
        "table {} is emptied on the target and copied anew{rows}; the others go on; see repl_tables",
        known.shown()
    ))
}
