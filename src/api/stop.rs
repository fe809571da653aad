//! `repl_stop`.

mod rebuild;
mod source;

use std::time::{Duration, Instant};

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{default, pg_extern, search_path};

use super::argument;
use crate::applied;
use crate::event::{self, Severity};
use crate::failure::Failure;
use crate::history;
use crate::libpq::Role;
use crate::pg::worker::{self, APPLY_CLASS, COPY_CLASS};
use crate::pg::{latch, report, server, spi, xact};
use crate::session;
use crate::subscription::{self, State, Subscription};

#[pg_extern(volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn repl_stop(
    name: Option<&str>,
    drop_source_objects: default!(Option<bool>, "true"),
    rebuild: default!(Option<bool>, "true"),
) -> Result<String, ErrorReport> {
    server::refuse_read_only("repl_stop")?;
    if xact::in_block() {
        return Err(Failure::new("25001", "repl_stop cannot run inside a transaction block")
            .detail("What it removes from the source would stay removed if the transaction were rolled back.")
            .hint("Call it by itself, outside BEGIN and COMMIT.")
            .into());
    }
    Ok(stop(
        argument::required(name, "name")?,
        drop_source_objects.unwrap_or(true),
        rebuild.unwrap_or(true),
    )?)
}

/// The order matters: nothing of ours may write any more when the source's objects go; should anything fail, the
/// subscription is still there and its worker, restarted by the postmaster, goes on.
fn stop(name: &str, drop_source_objects: bool, rebuild: bool) -> Result<String, Failure> {
    let subscription = subscription::by_name_to_end(name)?;
    super::fence::refuse_under_way(&subscription)?;
    refuse_needed(&subscription)?;
    end_workers(subscription.id)?;
    let removed = if drop_source_objects {
        Some(source::clean(&subscription)?)
    } else {
        None
    };
    let missing = rebuild::finish(&subscription, rebuild)?;
    if let Err(failure) = clean_target(&subscription) {
        report::notice(&format!(
            "decamp.applied on the target still names this subscription, which does no harm: {}",
            failure.line()
        ));
    }
    history::keep(subscription.id);
    spi::update(
        "delete from decamp.subscription where id = $1::int4",
        &[Some(&subscription.id.to_string())],
    );
    let line = match removed {
        Some(tables) => format!(
            "subscription \"{name}\" stopped: capture removed from {tables} tables of the source, the target's data stays"
        ),
        None => format!(
            "subscription \"{name}\" stopped: the target's data stays; the source still has schema {} and the capture \
             triggers (there: DROP SCHEMA {} CASCADE)",
            subscription.schema(),
            subscription.schema()
        ),
    };
    let line = match missing {
        0 => line,
        n => format!(
            "{line}; {n} indexes, constraints and triggers of the target are missing or off, see repl_events for the SQL"
        ),
    };
    let line = match (subscription.fence, drop_source_objects) {
        (None, _) => line,
        (Some(_), true) => format!(
            "{line}; the fence is gone with it: the source takes writes again, which nobody carries over"
        ),
        (Some(_), false) => format!(
            "{line}; until then the source refuses writes, and rights that repl_fence has revoked stay so until the statements in \
             {}.revoked are run, before that",
            subscription.schema()
        ),
    };
    event::record(Severity::Info, name, "subscription", &line, None);
    Ok(line)
}

/// What keeps other writes from a database that another subscription writes to goes after that one. Errors: 55000.
fn refuse_needed(subscription: &Subscription) -> Result<(), Failure> {
    let Some(other) = subscription::counterpart(subscription.id) else {
        return Ok(());
    };
    let name = &subscription.name;
    let back = &other.name;
    let (message, detail) = if other.state == State::Armed {
        super::fence::refuse_under_way(&other)?;
        (
            format!("subscription {back:?} is armed to lead back"),
            "A call of repl_switchover that was interrupted has left it; it is of no use any more.",
        )
    } else if subscription.state == State::Finished {
        if source::has_lost_fence(subscription) {
            return Ok(());
        }
        (
            format!(
                "subscription {back:?} brings back what is written since {name:?} has switched over"
            ),
            "Without the fence on its source writes there would be undone by those that come back.",
        )
    } else if subscription.state == State::Armed {
        super::fence::refuse_under_way(&other)?;
        return Ok(());
    } else {
        return Ok(());
    };
    Err(Failure::new("55000", message)
        .detail(format!("{detail} Nothing has been changed."))
        .hint(format!(
            "SELECT repl_stop('{back}'); first, then SELECT repl_stop('{name}');"
        )))
}

/// Ends the workers and waits until they are gone. The apply worker that the postmaster starts anew waits for the row
/// we have locked.
fn end_workers(subscription: i32) -> Result<(), Failure> {
    let deadline = Instant::now() + Duration::from_secs(30);
    let running = || {
        let mut pids = worker::pids(APPLY_CLASS, subscription);
        pids.extend(worker::pids(COPY_CLASS, subscription));
        pids
    };
    let mut asked: Vec<i64> = Vec::new();
    loop {
        let pids = running();
        for pid in pids.iter().filter(|pid| !asked.contains(pid)) {
            spi::read(
                "select pg_catalog.pg_terminate_backend($1::int4)",
                &[Some(&pid.to_string())],
            );
        }
        // a worker that came after is a restarted one: it waits for our lock on the row, and does nothing before
        let first = asked.is_empty();
        if first {
            asked = pids.clone();
        }
        if !pids.iter().any(|pid| asked.contains(pid)) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(
                Failure::new("57P03", "the subscription's workers do not end")
                    .detail(format!("Process ids: {pids:?}."))
                    .hint("Look at them in pg_stat_activity; then call repl_stop again."),
            );
        }
        latch::wait(Duration::from_millis(50));
    }
}

fn clean_target(subscription: &Subscription) -> Result<(), Failure> {
    let mut target = session::open(subscription, Role::TargetLook, "stop")?;
    applied::forget(
        &mut target,
        &subscription.uuid,
        subscription.target.is_some(),
    )
}
