//! `repl_start`.

use pgrx::default;
use pgrx::pg_extern;
use pgrx::pg_sys::panic::ErrorReport;

use super::argument;
use crate::check::{self, Request, Severity};
use crate::event;
use crate::failure::Failure;
use crate::libpq::Conninfo;
use crate::pg::worker::{self, Kind};
use crate::pg::{server, spi};
use crate::quote::literal;
use crate::relation;
use crate::selection::Choice;
use crate::subscription::{self, New};
use crate::table::{self, Table};

#[allow(clippy::too_many_arguments, reason = "the SQL function's arguments")]
#[pg_extern(volatile, parallel_unsafe)]
fn repl_start(
    name: Option<&str>,
    source: Option<&str>,
    target: default!(Option<&str>, "NULL"),
    tables: default!(Option<Vec<Option<String>>>, "NULL"),
    exclude: default!(Option<Vec<Option<String>>>, "NULL"),
    workers: default!(Option<i32>, "4"),
    copy_schema: default!(Option<bool>, "true"),
    copy_data: default!(Option<bool>, "true"),
) -> Result<String, ErrorReport> {
    argument::conninfo_allowed("repl_start")?;
    server::refuse_read_only("repl_start")?;
    let order = Order {
        name: argument::required(name, "name")?,
        source: argument::required(source, "source")?,
        target,
        tables: argument::list(tables, "tables")?,
        exclude: argument::list(exclude, "exclude")?,
        workers: workers.unwrap_or(4),
        copy_schema: copy_schema.unwrap_or(true),
        copy_data: copy_data.unwrap_or(true),
    };
    Ok(start(&order)?)
}

struct Order<'a> {
    name: &'a str,
    source: &'a str,
    target: Option<&'a str>,
    tables: Option<Vec<String>>,
    exclude: Option<Vec<String>>,
    workers: i32,
    copy_schema: bool,
    copy_data: bool,
}

/// Checks, writes the subscription and its tables down, registers the worker, which waits for our commit.
fn start(order: &Order) -> Result<String, Failure> {
    argument::name(order.name)?;
    argument::workers(order.workers)?;
    let source = Conninfo::parse(order.source, "source")?;
    let choice = Choice::parse(order.tables.as_deref(), order.exclude.as_deref())?;
    let owner = spi::read("select current_user as name", &[])[0].string("name");
    let target = match order.target {
        Some(text) => Conninfo::parse(text, "target")?,
        None => subscription::local_target(&owner),
    };
    refuse_known(order.name)?;
    let report = check::run(&Request {
        source: &source,
        target: &target,
        helper: order.target.is_some(),
        encoding: server::encoding(),
        choice: &choice,
        copy_schema: order.copy_schema,
        copy_data: order.copy_data,
        workers: order.workers,
        name: Some(order.name),
    });
    refuse_errors(
        &format!("subscription {:?} cannot start", order.name),
        "Nothing has been changed. SELECT * FROM repl_check(...) with the same arguments shows warnings too.",
        &report.findings,
    )?;
    refuse_shared(order.target, &report.taken)?;
    let id = subscription::insert(&New {
        name: order.name,
        owner: &owner,
        source: order.source,
        source_shown: &source.shown(),
        target: order.target,
        target_shown: &target.shown(),
        tables: order.tables.as_deref(),
        exclude: order.exclude.as_deref(),
        workers: order.workers,
        copy_schema: order.copy_schema,
        copy_data: order.copy_data,
        counterpart: None,
    });
    for table in &report.taken {
        relation::insert(id, table);
    }
    worker::start(Kind::Apply, server::database_oid(), id, order.name)?;
    let bytes: i64 = report.taken.iter().map(|t| t.bytes).sum();
    let line = format!(
        "subscription \"{}\" started: {} tables, {}, {} copy workers; watch it with SELECT * FROM repl_status",
        order.name,
        report.taken.len(),
        pretty(bytes),
        order.workers
    );
    event::record(
        event::Severity::Info,
        order.name,
        "subscription",
        &line,
        None,
    );
    for warning in report
        .findings
        .iter()
        .filter(|f| f.severity == Severity::Warning)
    {
        let detail = warning.fix.as_deref();
        event::record(
            event::Severity::Warning,
            order.name,
            &warning.subject,
            &warning.message,
            detail,
        );
    }
    Ok(line)
}

fn refuse_known(name: &str) -> Result<(), Failure> {
    if spi::read(
        "select 1 from decamp.subscription where name = $1",
        &[Some(name)],
    )
    .is_empty()
    {
        return Ok(());
    }
    Err(Failure::new("42710", format!("subscription {name:?} already exists")).hint(format!(
        "SELECT * FROM repl_status tells where it stands; SELECT repl_resume('{name}') lets it go on; SELECT \
         repl_stop('{name}') ends it."
    )))
}

/// Two subscriptions must not write the same table of a target.
pub fn refuse_shared(target: Option<&str>, taken: &[Table]) -> Result<(), Failure> {
    let written = spi::read(
        "select s.name as subscription, r.schema, r.name from decamp.relation r \
         join decamp.subscription s on s.id = r.subscription_id where s.target is not distinct from $1",
        &[target],
    );
    let shared = written.iter().find(|row| {
        taken
            .iter()
            .any(|t| t.schema == row.text("schema") && t.name == row.text("name"))
    });
    let Some(row) = shared else { return Ok(()) };
    let table = table::shown(row.text("schema"), row.text("name"));
    let other = row.text("subscription");
    Err(Failure::new("55000", format!("table {table} of the target belongs to subscription {other:?}"))
        .detail("Two subscriptions that write the same table would undo each other's rows. Nothing has been changed.")
        .hint(format!("Leave it out with exclude => array[{}], or end the other one: SELECT repl_stop('{other}');", literal(&table).trim())))
}

/// One error for all that is wrong, with the SQLSTATE of the first. `what`: what is not to be.
pub fn refuse_errors(what: &str, hint: &str, findings: &[check::Finding]) -> Result<(), Failure> {
    let errors: Vec<_> = findings
        .iter()
        .filter(|f| f.severity == Severity::Error)
        .collect();
    let Some(first) = errors.first() else {
        return Ok(());
    };
    let remedy = |f: &check::Finding| {
        f.fix
            .as_ref()
            .map_or_else(String::new, |fix| format!("To mend it:\n{fix}"))
    };
    let (message, detail) = if errors.len() == 1 {
        let message = format!("{what}: {}: {}", first.subject, first.message);
        (message, remedy(first))
    } else {
        let lines: Vec<String> = errors
            .iter()
            .map(|f| format!("{}: {}. {}", f.subject, f.message, remedy(f)))
            .collect();
        (
            format!("{what}: {} errors", errors.len()),
            lines.join("\n\n"),
        )
    };
    Err(Failure::new(first.sqlstate, message)
        .detail(detail)
        .hint(hint))
}

fn pretty(bytes: i64) -> String {
    spi::read(
        "select pg_catalog.pg_size_pretty($1::int8) as size",
        &[Some(&bytes.to_string())],
    )[0]
    .string("size")
}
