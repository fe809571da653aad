//! `repl_switchover`.

use std::time::Duration;

use pgrx::datum::Interval;
use pgrx::iter::TableIterator;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{default, name, pg_extern, search_path};

use super::{argument, call};
use crate::check::{self, Request};
use crate::failure::Failure;
use crate::pg::server;
use crate::selection::Choice;
use crate::step::Step;
use crate::subscription::{self, State, Subscription};
use crate::switchover::{Task, Verify, way_back};

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
    let max_downtime = match &max_downtime {
        Some(interval) => argument::duration(interval, "max_downtime")?,
        None => Duration::from_secs(10),
    };
    let steps = go(
        argument::required(name, "name")?,
        max_downtime,
        verify_of(verify.unwrap_or("count"))?,
        reverse.unwrap_or(true),
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
    reverse: bool,
    dry_run: bool,
) -> Result<Vec<Step>, Failure> {
    let subscription = subscription::by_name(name)?;
    argument::refuse_early(&subscription)?;
    if max_downtime.is_zero() {
        return Err(Failure::new(
            "22023",
            "argument \"max_downtime\" must be more than nothing",
        )
        .hint("Leave it out for 10 seconds. dry_run => true estimates how long it takes."));
    }
    match &subscription::counterpart(subscription.id) {
        Some(back) if back.state == State::Finished && reverse => {}
        Some(back) if back.state == State::Finished => {
            return Err(Failure::new(
                    "22023",
                    format!("subscription {:?} leads back already, and its fence keeps writes from where they are to go", back.name),
                )
                .detail("Nothing has been changed.")
                .hint(format!(
                    "Leave out reverse => false. Afterwards, to stay there for good: SELECT repl_stop('{}'); then SELECT repl_stop('{name}');",
                    back.name
                )));
        }
        _ if reverse => refuse_one_way(&subscription)?,
        _ => {}
    }
    call::run(
        &subscription,
        Task::Switchover {
            max_downtime,
            verify,
            reverse,
            dry_run,
        },
    )
}

/// Looks at everything that a subscription in the other direction needs. Errors: those of `repl_check`.
fn refuse_one_way(subscription: &Subscription) -> Result<(), Failure> {
    let back = way_back(&subscription.name);
    let choice = Choice::parse(
        subscription.tables.as_deref(),
        subscription.exclude.as_deref(),
    )?;
    let report = check::run(&Request {
        source: &subscription.target_info()?,
        target: &subscription.source_info()?,
        helper: true,
        encoding: server::encoding(),
        choice: &choice,
        copy_schema: false,
        copy_data: false,
        workers: subscription.workers,
        name: Some(&back),
    });
    super::start::refuse_errors(
        &format!("subscription {back:?} cannot lead back"),
        &format!(
            "Nothing has been changed. Once mended, call it again; or go over without a way back: repl_switchover('{}', reverse => \
             false).",
            subscription.name
        ),
        &report.findings,
    )
}
