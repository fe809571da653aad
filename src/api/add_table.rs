//! `repl_add_table`.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{pg_extern, search_path};

use super::{argument, start};
use crate::check::{self, Request};
use crate::event::{self, Severity};
use crate::failure::Failure;
use crate::pg::server;
use crate::pg::worker::{self, APPLY_CLASS};
use crate::quote;
use crate::relation;
use crate::selection::Choice;
use crate::subscription::{self, Subscription};
use crate::table::Table;

#[pg_extern(volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn repl_add_table(name: Option<&str>, table: Option<&str>) -> Result<String, ErrorReport> {
    server::refuse_read_only("repl_add_table")?;
    Ok(add(
        argument::required(name, "name")?,
        argument::required(table, "table")?,
    )?)
}

/// Checks it as repl_start does and notes it: the apply worker imports, captures and copies it like those there from the
/// beginning.
fn add(name: &str, table: &str) -> Result<String, Failure> {
    let subscription = subscription::by_name_locked(name)?;
    argument::refuse_early(&subscription)?;
    argument::refuse_fenced(&subscription)?;
    if !subscription.copy_data {
        return Err(
            Failure::new("55000", format!("subscription {name:?} copies no rows"))
                .detail("It was started with copy_data => false: nothing has been changed.")
                .hint("Start another subscription for the table: repl_start(..., tables => array['schema.name'])."),
        );
    }
    let wanted = argument::table(table)?;
    if !relation::named(subscription.id, &wanted).is_empty() {
        return Err(Failure::new(
            "42710",
            format!("subscription {name:?} has table {table} already"),
        )
        .hint(format!(
            "Nothing has been changed. SELECT repl_resync('{name}', {}); copies it anew.",
            quote::literal(table).trim()
        )));
    }
    if relation::leaving(subscription.id)
        .iter()
        .any(|r| wanted.last() == Some(&r.name))
    {
        return Err(
            Failure::new("55000", format!("table {table} is being taken out"))
                .detail("Nothing has been changed.")
                .hint(
                    "Call it again when repl_tables does not show the table any more; see repl_events if that takes long.",
                ),
        );
    }
    let found = check_on_both(&subscription, table, &wanted)?;
    relation::insert(subscription.id, &found);
    subscription::go_back_for_tables(subscription.id);
    event::record(
        Severity::Info,
        name,
        &found.shown(),
        "is taken in, by repl_add_table",
        None,
    );
    worker::pids(APPLY_CLASS, subscription.id)
        .into_iter()
        .for_each(worker::wake);
    Ok(format!(
        "table {} is captured and copied, the others go on; see repl_tables",
        found.shown()
    ))
}

/// The source's table, if nothing is in its way. Errors: 42P01, 42P09, 55000, and what repl_check calls an error.
fn check_on_both(
    subscription: &Subscription,
    table: &str,
    wanted: &[String],
) -> Result<Table, Failure> {
    let pattern: Vec<String> = wanted.iter().map(|part| quote_all(part)).collect();
    let choice = Choice::parse(Some(&[pattern.join(".")]), None)?;
    let report = check::run(&Request {
        source: &subscription.source_info()?,
        target: &subscription.target_info()?,
        helper: subscription.target.is_some(),
        encoding: server::encoding(),
        choice: &choice,
        copy_schema: subscription.copy_schema,
        copy_data: true,
        workers: subscription.workers,
        name: None,
    });
    start::refuse_errors(
        &format!(
            "table {table} cannot be added to subscription {:?}",
            subscription.name
        ),
        "Nothing has been changed. Mend it and call repl_add_table again.",
        &report.findings,
    )?;
    start::refuse_shared(subscription.target.as_deref(), &report.taken)?;
    let mut taken = report.taken.into_iter();
    match (taken.next(), taken.next()) {
        (Some(found), None) => Ok(found),
        (Some(_), Some(_)) => Err(argument::ambiguous(table)),
        (None, _) => Err(
            Failure::new("42P01", format!("the source has no table {table} to be taken")).hint(format!(
                "Nothing has been changed. What it has: \\dt *.* in psql there; partitions go with their root. What {} takes: \
                 SELECT schema, \"table\" FROM repl_tables;",
                quote::literal(&subscription.name).trim()
            )),
        ),
    }
}

/// A pattern that matches nothing but this.
fn quote_all(part: &str) -> String {
    format!("\"{}\"", part.replace('"', "\"\""))
}
