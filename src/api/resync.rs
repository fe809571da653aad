//! `repl_resync`.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{pg_extern, search_path};

use super::argument;
use crate::event::{self, Severity};
use crate::failure::Failure;
use crate::pg::worker::{self, APPLY_CLASS};
use crate::pg::{server, spi};
use crate::relation;
use crate::subscription::{self, State};
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
    if !matches!(
        subscription.state,
        State::Copying | State::Catchup | State::Streaming
    ) {
        return Err(Failure::new(
            "55000",
            format!("subscription {name:?} is {}", subscription.state.as_str()),
        )
        .detail("A table can be copied anew once its subscription has begun to copy.")
        .hint("SELECT * FROM repl_status tells what it waits for."));
    }
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
    const PART: &str = r#"("([^"]|"")+"|[[:alpha:]_][[:alnum:]_$]*)"#;
    let parts = spi::read(
        "select case when $1 operator(pg_catalog.~) $2 \
                     then pg_catalog.array_to_json(pg_catalog.parse_ident($1))::text end as parts",
        &[
            Some(table),
            Some(&format!(r"^\s*{PART}(\s*\.\s*{PART})*\s*$")),
        ],
    )[0]
    .opt("parts")
    .map(str::to_owned)
    .ok_or_else(|| {
        Failure::new("22023", format!("{table:?} is not the name of a table"))
            .hint("Write it as in SQL: 'public.orders' or '\"Mixed\".\"Case\"'.")
    })?;
    let parts: Vec<String> =
        serde_json::from_str(&parts).expect("array_to_json of text[] without NULLs");
    let rows = spi::read(
        "select source_oid::int8 as oid from decamp.relation \
         where subscription_id = $1::int4 and name = $2 and ($3::text is null or schema = $3)",
        &[
            Some(&subscription.to_string()),
            parts.last().map(String::as_str),
            (parts.len() > 1).then(|| parts[parts.len() - 2].as_str()),
        ],
    );
    match rows.as_slice() {
        [row] if parts.len() <= 2 => Ok(row.oid("oid")),
        [_, _, ..] => Err(
            Failure::new("42P09", format!("several schemas have a table {table}"))
                .hint("Write it with its schema: 'public.name'."),
        ),
        _ => Err(unknown(name, table)),
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
