//! `repl_ddl`.

use std::time::{Duration, Instant};

use pgrx::datum::Interval;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{default, pg_extern, search_path};

use super::{argument, call};
use crate::ddl::{self, Became, Ddl, Done, trace};
use crate::event::{self, Severity};
use crate::failure::Failure;
use crate::pg::server;
use crate::pg::worker::{self, APPLY_CLASS};
use crate::relation::{self, Relation};
use crate::subscription;

/// For a NULL.
const TIMEOUT: Duration = Duration::from_secs(30);

#[pg_extern(volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn repl_ddl(
    name: Option<&str>,
    sql: Option<&str>,
    timeout: default!(Option<Interval>, "'30 seconds'"),
) -> Result<String, ErrorReport> {
    server::refuse_read_only("repl_ddl")?;
    call::refuse_block("repl_ddl")?;
    let name = argument::required(name, "name")?;
    let sql = argument::required(sql, "sql")?;
    let timeout = timeout
        .as_ref()
        .map(|t| argument::duration(t, "timeout"))
        .transpose()?;
    let deadline = Instant::now() + timeout.unwrap_or(TIMEOUT);
    Ok(both(name, sql, deadline)?)
}

fn both(name: &str, sql: &str, deadline: Instant) -> Result<String, Failure> {
    if !server::is_superuser() {
        return Err(
            Failure::new("42501", "only superusers may call repl_ddl").detail(
                "What it runs, it runs with the rights of the subscription's roles on both sides.",
            ),
        );
    }
    let subscription = subscription::by_name_locked(name)?;
    argument::refuse_early(&subscription)?;
    argument::refuse_fenced(&subscription)?;
    let id = subscription.id;
    let relations = relation::of(id);
    let partitions: Vec<(u32, String)> = relation::partitions(id)
        .iter()
        .map(|(root, partition)| (*root, partition.qualified()))
        .collect();
    ddl::unsettle(id);
    let Done { became, call } = ddl::run(
        &Ddl {
            subscription: &subscription,
            relations: &relations,
            partitions: &partitions,
            sql,
        },
        deadline,
    )?;
    if let Some(call) = call {
        trace::forget(call);
    }
    for (table, change) in &became {
        note(id, name, table, *change, relations.len());
    }
    if became.iter().any(|(_, change)| *change == Became::Another) {
        subscription::go_back_for_tables(id);
    }
    if became.is_empty() {
        let message = "a statement was run on both sides, by repl_ddl";
        event::record(Severity::Info, name, "subscription", message, None);
    }
    worker::pids(APPLY_CLASS, id)
        .into_iter()
        .for_each(worker::wake);
    Ok(told(&became))
}

fn note(id: i32, name: &str, table: &Relation, change: Became, tables: usize) {
    let message = match change {
        Became::Changed => "was changed on both sides, by repl_ddl",
        Became::Another => {
            relation::copy_again(id, table.oid);
            "was changed on both sides, by repl_ddl, so that its deltas are of no use any more: it is copied anew"
        }
        Became::Gone => {
            if tables > 1 {
                relation::leave(id, table.oid);
            }
            "was dropped on both sides, by repl_ddl"
        }
    };
    event::record(Severity::Info, name, &table.shown(), message, None);
}

fn told(became: &[(Relation, Became)]) -> String {
    let of = |wanted: Became| -> Vec<String> {
        let tables = became.iter().filter(|(_, change)| *change == wanted);
        tables.map(|(table, _)| table.shown()).collect()
    };
    let mut told = vec!["done on both sides".to_owned()];
    for (tables, what) in [
        (of(Became::Changed), "replay goes on with"),
        (of(Became::Another), "copied anew:"),
        (of(Became::Gone), "taken out:"),
    ] {
        if !tables.is_empty() {
            told.push(format!("{what} {}", tables.join(", ")));
        }
    }
    told.join("; ")
}
