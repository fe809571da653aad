//! `repl_forward_sequences` and `repl_settle_sequences`.

use pgrx::datum::Interval;
use pgrx::iter::TableIterator;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{default, name, pg_extern, search_path};

use super::argument;
use crate::event::{self, Severity};
use crate::failure::Failure;
use crate::libpq::{Connection, Role};
use crate::pg::server;
use crate::relation;
use crate::selection::Choice;
use crate::sequence::{self, Forwarded, Horizon, Settled};
use crate::session;
use crate::subscription::{self, Subscription};

type ForwardedLine = (
    String,
    Option<i64>,
    Option<f64>,
    Option<i64>,
    Option<i64>,
    Option<String>,
    Option<String>,
    Option<String>,
);

type SettledLine = (
    String,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<String>,
    Option<String>,
    Option<String>,
);

#[allow(
    clippy::type_complexity,
    reason = "pgrx reads the column names from it"
)]
#[pg_extern(volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn repl_forward_sequences(
    name: Option<&str>,
    skip: default!(Option<Interval>, "'1 hour'"),
    sample: default!(Option<Interval>, "'10 seconds'"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(sequence, String),
            name!(source_value, Option<i64>),
            name!(rate, Option<f64>),
            name!(target_before, Option<i64>),
            name!(target_after, Option<i64>),
            name!(problem, Option<String>),
            name!(sqlstate, Option<String>),
            name!(hint, Option<String>),
        ),
    >,
    ErrorReport,
> {
    server::refuse_read_only("repl_forward_sequences")?;
    let name = argument::required(name, "name")?;
    let horizon = Horizon {
        skip: argument::duration(&argument::required(skip, "skip")?, "skip")?,
        sample: argument::duration(&argument::required(sample, "sample")?, "sample")?,
    };
    let lines = forward(name, &horizon)?;
    Ok(TableIterator::new(lines.into_iter().map(forwarded)))
}

#[allow(
    clippy::type_complexity,
    reason = "pgrx reads the column names from it"
)]
#[pg_extern(volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn repl_settle_sequences(
    name: Option<&str>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(sequence, String),
            name!(source_value, Option<i64>),
            name!(target_before, Option<i64>),
            name!(target_after, Option<i64>),
            name!(problem, Option<String>),
            name!(sqlstate, Option<String>),
            name!(hint, Option<String>),
        ),
    >,
    ErrorReport,
> {
    server::refuse_read_only("repl_settle_sequences")?;
    let lines = settle(argument::required(name, "name")?)?;
    Ok(TableIterator::new(lines.into_iter().map(settled)))
}

fn forward(name: &str, horizon: &Horizon) -> Result<Vec<Forwarded>, Failure> {
    if horizon.sample.is_zero() {
        return Err(
            Failure::new("22023", "argument \"sample\" must not be zero")
                .detail("It is how long the source's sequences are watched to learn their rates.")
                .hint("Leave it out for ten seconds."),
        );
    }
    let mut sides = Sides::open(name)?;
    let lines = sequence::forward(
        &mut sides.source,
        &mut sides.target,
        &sides.choice,
        &sides.taken,
        horizon,
    )?;
    let moved = lines.iter().filter(|l| l.before != l.after).count();
    let problems = lines.iter().filter(|l| l.problem.is_some()).count();
    record(name, "set forward", moved, lines.len(), problems);
    Ok(lines)
}

fn settle(name: &str) -> Result<Vec<Settled>, Failure> {
    let mut sides = Sides::open(name)?;
    let lines = sequence::settle(
        &mut sides.source,
        &mut sides.target,
        &sides.choice,
        &sides.taken,
    )?;
    let moved = lines.iter().filter(|l| l.before != l.after).count();
    let problems = lines.iter().filter(|l| l.has_failed()).count();
    record(
        name,
        "set to where the source's are",
        moved,
        lines.len(),
        problems,
    );
    Ok(lines)
}

fn record(name: &str, what: &str, moved: usize, all: usize, problems: usize) {
    let severity = if problems == 0 {
        Severity::Info
    } else {
        Severity::Warning
    };
    let message = format!("{moved} of {all} {what}, {problems} with a problem");
    event::record(severity, name, "sequences", &message, None);
}

/// The two connections, and which sequences it is about.
struct Sides {
    source: Connection,
    target: Connection,
    choice: Choice,
    taken: Vec<u32>,
}

impl Sides {
    fn open(name: &str) -> Result<Self, Failure> {
        let subscription = subscription::by_name(name)?;
        argument::refuse_early(&subscription)?;
        let Subscription {
            tables, exclude, ..
        } = &subscription;
        Ok(Self {
            choice: Choice::parse(tables.as_deref(), exclude.as_deref())?,
            taken: relation::of(subscription.id)
                .iter()
                .map(|r| r.oid)
                .collect(),
            target: session::open(&subscription, Role::Target, "sequences")?,
            source: session::open(&subscription, Role::Source, "sequences")?,
        })
    }
}

fn forwarded(line: Forwarded) -> ForwardedLine {
    let (problem, sqlstate, hint) = told(line.problem);
    (
        line.sequence,
        line.source.map(|p| p.last),
        line.per_second,
        line.before.map(|p| p.last),
        line.after.map(|p| p.last),
        problem,
        sqlstate,
        hint,
    )
}

fn settled(line: Settled) -> SettledLine {
    let (problem, sqlstate, hint) = told(line.problem);
    (
        line.sequence,
        line.source.map(|p| p.last),
        line.before.map(|p| p.last),
        line.after.map(|p| p.last),
        problem,
        sqlstate,
        hint,
    )
}

fn told(problem: Option<Failure>) -> (Option<String>, Option<String>, Option<String>) {
    match problem {
        None => (None, None, None),
        Some(failure) => (Some(failure.line()), Some(failure.sqlstate), failure.hint),
    }
}
