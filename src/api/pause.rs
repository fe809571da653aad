//! `repl_pause` and `repl_resume`.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{default, pg_extern, search_path};

use super::argument;
use crate::event::{self, Severity};
use crate::failure::Failure;
use crate::pg::worker::{self, APPLY_CLASS, Kind};
use crate::pg::{server, spi};
use crate::relation;
use crate::subscription::{self, State, Subscription};
use crate::task;

#[pg_extern(volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn repl_pause(
    name: Option<&str>,
    now: default!(Option<bool>, "false"),
) -> Result<String, ErrorReport> {
    server::refuse_read_only("repl_pause")?;
    Ok(pause(
        argument::required(name, "name")?,
        now.unwrap_or(false),
    )?)
}

#[pg_extern(volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn repl_resume(name: default!(Option<&str>, "NULL")) -> Result<String, ErrorReport> {
    server::refuse_read_only("repl_resume")?;
    Ok(resume(name)?)
}

fn pause(name: &str, now: bool) -> Result<String, Failure> {
    let subscription = subscription::by_name_locked(name)?;
    if subscription.state == State::Finished {
        return Err(argument::switched_over(&subscription));
    }
    if subscription.state == State::Armed {
        return Err(super::fence::armed(&subscription));
    }
    spi::update(
        "update decamp.subscription set enabled = false, retry_at = null, cut = $2::bool where id = $1::int4",
        &[Some(&subscription.id.to_string()), Some(&now.to_string())],
    );
    if !subscription.enabled && !now {
        return Ok(format!("subscription \"{name}\" is paused already"));
    }
    event::record(Severity::Info, name, "subscription", "paused", None);
    let when = if now {
        "pauses within a second; chunks and index builds at hand are given up and will be repeated"
    } else {
        "pauses after the batch, chunks and index builds at hand"
    };
    Ok(format!(
        "subscription \"{name}\" {when}; changes keep being collected on the source; to go on: SELECT repl_resume('{name}')"
    ))
}

/// One subscription, or all.
fn resume(name: Option<&str>) -> Result<String, Failure> {
    let all = match name {
        Some(name) => vec![subscription::by_name_locked(name)?],
        None => subscription::all(),
    };
    if all.is_empty() {
        return Ok("there is no subscription in this database".to_owned());
    }
    let mut lines = Vec::new();
    for subscription in &all {
        lines.push(resume_one(subscription)?);
    }
    Ok(lines.join("; "))
}

fn resume_one(subscription: &Subscription) -> Result<String, Failure> {
    let Subscription { id, name, .. } = subscription;
    if subscription.state == State::Finished {
        return Ok(format!(
            "subscription \"{name}\" has switched over: nothing is to be done"
        ));
    }
    if subscription.state == State::Armed {
        return Ok(format!(
            "subscription \"{name}\" is armed: it begins when repl_switchover has finished"
        ));
    }
    let stopped = subscription.state == State::Errored;
    if stopped && subscription::has_missed_changes(*id) {
        return Ok(format!(
            "subscription \"{name}\" cannot go on: changes were missed, see repl_status"
        ));
    }
    let forgiven = relation::forgive(*id);
    if stopped {
        subscription::forgive(*id);
    }
    subscription::go_back_for_tables(*id);
    task::forgive(*id);
    if !subscription.enabled {
        spi::update(
            "update decamp.subscription set enabled = true, cut = false where id = $1::int4",
            &[Some(&id.to_string())],
        );
    }
    let running = worker::pids(APPLY_CLASS, *id);
    if subscription.enabled && !stopped && !running.is_empty() {
        subscription::end_rest(*id);
        if forgiven == 0 {
            return Ok(match relation::with_missed_changes(*id) {
                0 => format!("subscription \"{name}\" is running"),
                n => format!(
                    "subscription \"{name}\" is running, but {n} tables cannot go on: changes were missed, see repl_tables"
                ),
            });
        }
    } else {
        worker::start(Kind::Apply, server::database_oid(), *id, name)?;
    }
    event::record(Severity::Info, name, "subscription", "resumed", None);
    let lost = relation::with_missed_changes(*id);
    if lost > 0 {
        return Ok(format!(
            "subscription \"{name}\" resumed, but {lost} tables cannot go on: changes were missed, see repl_tables"
        ));
    }
    Ok(match forgiven {
        0 => format!("subscription \"{name}\" resumed"),
        n => format!("subscription \"{name}\" resumed, {n} stopped tables try again"),
    })
}
