//! `repl_fence` and `repl_unfence`.

use std::time::Duration;

use pgrx::datum::Interval;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{default, pg_extern, search_path};

use super::{argument, call};
use crate::capture::{self, Names, fence};
use crate::event::{self, Severity};
use crate::failure::Failure;
use crate::libpq::Role;
use crate::pg::worker::{self, APPLY_CLASS, CALLER_CLASS, Kind, SWITCHOVER_CLASS};
use crate::pg::{note, server};
use crate::session;
use crate::subscription::{self, State, Subscription};
use crate::switchover::Task;

#[pg_extern(volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn repl_fence(
    name: Option<&str>,
    timeout: default!(Option<Interval>, "'30 seconds'"),
    terminate: default!(Option<bool>, "false"),
    via: default!(Option<&str>, "'capture'"),
    schemas: default!(Option<Vec<Option<String>>>, "NULL"),
) -> Result<Interval, ErrorReport> {
    server::refuse_read_only("repl_fence")?;
    call::refuse_block("repl_fence")?;
    let timeout = match &timeout {
        Some(interval) => argument::duration(interval, "timeout")?,
        None => Duration::from_secs(30),
    };
    Ok(raise(
        argument::required(name, "name")?,
        timeout,
        terminate.unwrap_or(false),
        via_of(
            via.unwrap_or("capture"),
            argument::list(schemas, "schemas")?,
        )?
        .as_deref(),
    )?)
}

/// `Some`: rights are revoked, in these schemas; empty: in those of the subscription's tables.
fn via_of(via: &str, schemas: Option<Vec<String>>) -> Result<Option<Vec<String>>, Failure> {
    match (via, schemas) {
        ("capture", None) => Ok(None),
        ("capture", Some(_)) => Err(Failure::new(
            "22023",
            "argument \"schemas\" is for via => 'revoke'",
        )
        .hint("Without it every captured table is fenced, whatever its schema.")),
        ("revoke", schemas) => Ok(Some(schemas.unwrap_or_default())),
        _ => Err(Failure::new(
            "22023",
            format!("unknown value {via:?} of argument \"via\""),
        )
        .hint("It is one of 'capture' and 'revoke'.")),
    }
}

fn raise(
    name: &str,
    timeout: Duration,
    terminate: bool,
    revoke: Option<&[String]>,
) -> Result<Interval, Failure> {
    let subscription = subscription::by_name(name)?;
    argument::refuse_early(&subscription)?;
    let task = Task::Fence {
        timeout,
        terminate,
        revoke: revoke.is_some(),
    };
    if let Some(schemas) = revoke {
        note::leave(schemas)?;
    }
    let steps = call::run(&subscription, task)?;
    let barrier = steps.last().map_or(0, |step| step.micros);
    Ok(Interval::from_micros(barrier))
}

#[pg_extern(volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn repl_unfence(
    name: Option<&str>,
    force: default!(Option<bool>, "false"),
) -> Result<String, ErrorReport> {
    server::refuse_read_only("repl_unfence")?;
    call::refuse_block("repl_unfence")?;
    Ok(lower(
        argument::required(name, "name")?,
        force.unwrap_or(false),
    )?)
}

/// Works also where the row here knows of no fence: what counts is the source.
fn lower(name: &str, force: bool) -> Result<String, Failure> {
    let subscription = subscription::by_name_locked(name)?;
    refuse_under_way(&subscription)?;
    let finished = subscription.state == State::Finished;
    let counterpart = subscription::counterpart(subscription.id);
    match &counterpart {
        Some(back) if finished => {
            return Err(Failure::new(
                "55000",
                format!("subscription {:?} brings back what is written since {name:?} has switched over", back.name),
            )
            .detail("Writes to the source would be undone by those that come back. Nothing has been changed.")
            .hint(format!(
                "SELECT repl_switchover('{0}'); goes back, and loses nothing. Or give up what is written to the target: SELECT \
                 repl_stop('{0}'); then SELECT repl_unfence('{name}', force => true);",
                back.name
            )));
        }
        _ if subscription.state == State::Armed => {
            return Err(armed(&subscription));
        }
        _ => {}
    }
    if finished && !force {
        return Err(Failure::new("55000", format!("subscription {name:?} has switched over: the target takes the writes now"))
            .detail("With the fence lowered, both databases would take writes, and neither would get the other's.")
            .hint(format!(
                "If the application has written nothing to the target yet, SELECT repl_unfence('{name}', force => true); goes back: \
                 the source takes writes and replay goes on. To end it for good: SELECT repl_stop('{name}');"
            )));
    }
    let stood = lower_on_source(&subscription)?;
    subscription::set_fence(subscription.id, None);
    if finished {
        subscription::go_back(subscription.id);
    }
    let running = worker::pids(APPLY_CLASS, subscription.id);
    let wanted = subscription.enabled && subscription.state != State::Errored;
    // one that has seen the end may be on its way out
    if wanted && (finished || running.is_empty()) {
        worker::start(
            Kind::Apply,
            server::database_oid(),
            subscription.id,
            &subscription.name,
        )?;
    }
    running.into_iter().for_each(worker::wake);
    let line = match (stood, finished) {
        (_, true) => {
            "unfenced after the switchover: the source takes writes again and they are replayed; what the application wrote to the \
             target meanwhile stays only there"
        }
        (true, false) => "unfenced: the source takes writes again",
        (false, false) => "the source was not fenced",
    };
    if stood || finished {
        let severity = if finished {
            Severity::Warning
        } else {
            Severity::Info
        };
        event::record(severity, name, "fence", line, None);
    }
    Ok(format!("subscription \"{name}\": {line}"))
}

/// The error for what cannot be done with one that has not begun. SQLSTATE 55000.
pub(super) fn armed(subscription: &Subscription) -> Failure {
    Failure::new("55000", format!("subscription {:?} is armed: it begins when repl_switchover has finished", subscription.name))
        .detail("Nothing has been changed.")
        .hint("SELECT * FROM repl_events ORDER BY at DESC; tells how far that is. If it was interrupted, this one goes away by itself.")
}

/// Errors: 55006.
pub(super) fn refuse_under_way(subscription: &Subscription) -> Result<(), Failure> {
    if worker::pids(SWITCHOVER_CLASS, subscription.id).is_empty() {
        return Ok(());
    }
    let name = &subscription.name;
    let other = subscription::counterpart(subscription.id).map(|other| other.id);
    let is_called = [Some(subscription.id), other]
        .into_iter()
        .flatten()
        .any(|id| !worker::pids(CALLER_CLASS, id).is_empty());
    let hint = if is_called {
        "Cancel the call (Ctrl-C, or pg_cancel_backend): what it has done is taken back, and the source takes writes again."
    } else {
        "The call has ended, and what it has done is being taken back. Call this again in a moment."
    };
    Err(Failure::new(
        "55006",
        format!("repl_fence or repl_switchover is under way for subscription {name:?}"),
    )
    .detail("Nothing has been changed by this call.")
    .hint(hint))
}

/// Whether there was a fence, or a part of one.
fn lower_on_source(subscription: &Subscription) -> Result<bool, Failure> {
    let advice = |failure: Failure| {
        let still = "If the source is fenced, it still is.";
        let hint = failure.hint.clone().unwrap_or_default();
        let failure = failure.during("lowering the fence").hint(
            format!("{hint} Call repl_unfence again when the source can be reached.")
                .trim()
                .to_owned(),
        );
        match &failure.detail {
            Some(detail) => {
                let detail = format!("{detail} {still}");
                failure.detail(detail)
            }
            None => failure.detail(still),
        }
    };
    let mut source = session::open(subscription, Role::Source, "fence").map_err(advice)?;
    let names = Names::of(&subscription.name);
    if !capture::own(&mut source, &names, &subscription.uuid)? {
        return Ok(false);
    }
    fence::lock(&mut source, &subscription.uuid, Duration::from_secs(15)).map_err(advice)?;
    let stood = fence::standing(&mut source, &names)
        .map_err(advice)?
        .is_felt();
    fence::lower(&mut source, &names).map_err(advice)?;
    Ok(stood)
}
