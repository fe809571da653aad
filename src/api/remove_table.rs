//! `repl_remove_table`.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{pg_extern, search_path};

use super::argument;
use crate::event::{self, Severity};
use crate::failure::Failure;
use crate::offered;
use crate::pg::server;
use crate::pg::worker::{self, APPLY_CLASS};
use crate::relation;
use crate::subscription;

#[pg_extern(volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn repl_remove_table(name: Option<&str>, table: Option<&str>) -> Result<String, ErrorReport> {
    server::refuse_read_only("repl_remove_table")?;
    Ok(remove(
        argument::required(name, "name")?,
        argument::required(table, "table")?,
    )?)
}

/// Only notes it: the apply worker takes the table out when nobody has it at hand any more.
fn remove(name: &str, table: &str) -> Result<String, Failure> {
    let subscription = subscription::by_name_locked(name)?;
    argument::refuse_early(&subscription)?;
    argument::refuse_fenced(&subscription)?;
    let id = subscription.id;
    let relation = match argument::followed(&subscription, table) {
        Ok(relation) => relation,
        Err(unknown) => {
            let wanted = argument::table(table)?;
            return match offered::dismiss_named(id, &wanted) {
                0 => Err(unknown),
                _ => Ok(format!(
                    "table {table} is left out, and not told of any more"
                )),
            };
        }
    };
    if relation::of(id).len() == 1 {
        return Err(Failure::new(
            "55000",
            format!(
                "{} is the last table of subscription {name:?}",
                relation.shown()
            ),
        )
        .detail("Nothing has been changed.")
        .hint(format!(
            "SELECT repl_stop('{name}'); ends the subscription."
        )));
    }
    relation::leave(id, relation.oid);
    offered::dismiss(id, relation.oid, &relation.schema, &relation.name);
    let message = "is to be taken out, by repl_remove_table";
    event::record(Severity::Info, name, &relation.shown(), message, None);
    worker::pids(APPLY_CLASS, id)
        .into_iter()
        .for_each(worker::wake);
    let when = if subscription.enabled {
        ""
    } else {
        " when the subscription is resumed"
    };
    Ok(format!(
        "table {} is taken out{when}: its rows on the target stay as they are, its capture is removed from the source; see \
         repl_events",
        relation.shown()
    ))
}
