//! `repl_switchover`.

use std::time::Duration;

use pgrx::datum::Interval;
use pgrx::iter::TableIterator;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{default, name, pg_extern, search_path};

use super::{argument, call};
use crate::failure::Failure;
use crate::pg::server;
use crate::step::Step;
use crate::subscription::{self, State};
use crate::switchover::{Task, Verify};

type Line = (String, String, Interval, String);

#[allow(
    clippy::type_complexity,
    reason = "pgrx reads the column names from it"
)]
#[pg_extern(volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn repl_switchover(
    name: Option<&str>,
    max_downtime: default!(Option<Interval>, "'10 seconds'"),
    verify: default!(Option<&str>, "'count'"),
    reverse: default!(Option<bool>, "true"),
    dry_run: default!(Option<bool>, "false"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(step, String),
            name!(outcome, String),
            name!(took, Interval),
            name!(message, String),
        ),
    >,
    ErrorReport,
> {
    server::refuse_read_only("repl_switchover")?;
    call::refuse_block("repl_switchover")?;
    // whether it can be armed is told by its step
    let _ = reverse;
    let max_downtime = match &max_downtime {
        Some(interval) => argument::duration(interval, "max_downtime")?,
        None => Duration::from_secs(10),
    };
    let steps = go(
        argument::required(name, "name")?,
        max_downtime,
        verify_of(verify.unwrap_or("count"))?,
        dry_run.unwrap_or(false),
    )?;
    Ok(TableIterator::new(steps.into_iter().map(line)))
}

fn line(step: Step) -> Line {
    (
        step.name,
        step.state,
        Interval::from_micros(step.micros),
        step.message,
    )
}

fn verify_of(text: &str) -> Result<Verify, Failure> {
    match text {
        "none" => Ok(Verify::None),
        "count" => Ok(Verify::Count),
        "checksum" => Ok(Verify::Checksum),
        _ => Err(Failure::new(
            "22023",
            format!("unknown value {text:?} of argument \"verify\""),
        )
        .hint("It is one of 'checksum', 'count' and 'none'.")),
    }
}

fn go(
    name: &str,
    max_downtime: Duration,
    verify: Verify,
    dry_run: bool,
) -> Result<Vec<Step>, Failure> {
    let subscription = subscription::by_name(name)?;
    if subscription.state == State::Finished {
        return Err(Failure::new(
            "55000",
            format!("subscription {name:?} has switched over already"),
        )
        .detail("Nothing has been changed by this call.")
        .hint(format!(
            "SELECT repl_stop('{name}'); ends it and lets the source take writes again."
        )));
    }
    argument::refuse_early(&subscription)?;
    if max_downtime.is_zero() {
        return Err(Failure::new(
            "22023",
            "argument \"max_downtime\" must be more than nothing",
        )
        .hint("Leave it out for 10 seconds. dry_run => true estimates how long it takes."));
    }
    call::run(
        &subscription,
        Task::Switchover {
            max_downtime,
            verify,
            dry_run,
        },
    )
}
