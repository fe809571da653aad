//! `repl_verify`.

use pgrx::datum::Interval;
use pgrx::iter::TableIterator;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{JsonB, default, name, pg_extern, search_path};

use super::argument;
use crate::failure::Failure;
use crate::pattern::Pattern;
use crate::pg::server;
use crate::relation::{self, Relation};
use crate::subscription;
use crate::verify::{self, Line, Mode, Request};

#[pg_extern(volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
#[allow(clippy::type_complexity, reason = "the columns of the result")]
fn repl_verify(
    name: Option<&str>,
    tables: default!(Option<Vec<Option<String>>>, "NULL"),
    mode: default!(Option<&str>, "'checksum'"),
    repair: default!(Option<bool>, "false"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(table, String),
            name!(source_rows, Option<i64>),
            name!(target_rows, Option<i64>),
            name!(equal, Option<bool>),
            name!(differing, Option<JsonB>),
            name!(how, String),
            name!(duration, Interval),
            name!(note, Option<String>),
        ),
    >,
    ErrorReport,
> {
    server::refuse_read_only("repl_verify")?;
    let name = argument::required(name, "name")?;
    let mode = parse_mode(argument::required(mode, "mode")?)?;
    let tables = argument::list(tables, "tables")?;
    let repair = repair.unwrap_or(false);
    let lines = verify(name, tables.as_deref(), mode, repair)?;
    Ok(TableIterator::new(lines.into_iter().map(columns)))
}

#[allow(clippy::type_complexity, reason = "the columns of the result")]
fn columns(
    line: Line,
) -> (
    String,
    Option<i64>,
    Option<i64>,
    Option<bool>,
    Option<JsonB>,
    String,
    Interval,
    Option<String>,
) {
    let differing = line
        .differing
        .map(|json| JsonB(serde_json::from_str(&json).expect("written by ourselves")));
    (
        line.table,
        line.source_rows,
        line.target_rows,
        line.equal,
        differing,
        line.how,
        Interval::new(0, 0, line.took).expect("a duration is an interval"),
        line.note,
    )
}

fn parse_mode(text: &str) -> Result<Mode, Failure> {
    [Mode::Count, Mode::Checksum, Mode::Schema]
        .into_iter()
        .find(|mode| mode.as_str() == text)
        .ok_or_else(|| {
            Failure::new(
                "22023",
                format!("unknown mode {text:?} in argument \"mode\""),
            )
            .hint("It is one of 'checksum', 'count', 'schema'.")
        })
}

fn verify(
    name: &str,
    tables: Option<&[String]>,
    mode: Mode,
    repair: bool,
) -> Result<Vec<Line>, Failure> {
    if repair && mode == Mode::Schema {
        return Err(Failure::new("22023", "definitions cannot be repaired")
            .hint("Leave out repair => true; what differs is listed, to be made alike by hand."));
    }
    let subscription = subscription::by_name(name)?;
    let mut relations = relation::of(subscription.id);
    relations.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
    if let Some(wanted) = tables {
        relations = chosen(relations, name, wanted)?;
    }
    if relations.is_empty() {
        return Err(Failure::new(
            "55000",
            format!("subscription {name:?} has no tables yet, there is nothing to verify"),
        )
        .hint("SELECT * FROM repl_status tells what it waits for."));
    }
    let request = Request {
        subscription: &subscription,
        relations,
        tables,
        mode,
        repair,
    };
    verify::run(&request, |_| Ok(()))
}

/// Errors: 42P01 for a pattern that no table of the subscription matches, 22023 for a malformed one.
fn chosen(
    relations: Vec<Relation>,
    name: &str,
    wanted: &[String],
) -> Result<Vec<Relation>, Failure> {
    let patterns = Pattern::parse_all(wanted)?;
    let matches = |p: &Pattern, r: &Relation| p.matches(&r.schema, &r.name);
    if let Some(none) = patterns
        .iter()
        .find(|p| !relations.iter().any(|r| matches(p, r)))
    {
        let message = format!("subscription {name:?} has no table {}", none.text());
        return Err(Failure::new("42P01", message).hint(format!(
            "SELECT schema, \"table\" FROM repl_tables WHERE subscription = '{name}'; partitions go with their root."
        )));
    }
    Ok(relations
        .into_iter()
        .filter(|r| patterns.iter().any(|p| matches(p, r)))
        .collect())
}
