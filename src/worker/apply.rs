//! The apply worker: owns a subscription from its first step to `repl_stop`. This file is its life: connect, work until
//! something fails, decide what that means, back off, connect again. The work is in `setup.rs` (everything before
//! streaming can begin) and `cycle.rs` (the loop).

use std::time::{Duration, Instant};

use super::cycle::{self, End};
use super::{outset, setup, sides};
use crate::applied;
use crate::capture::{self, Names};
use crate::event::{self, Severity};
use crate::failure::{Failure, Origin};
use crate::history::Recorder;
use crate::libpq::Connection;
use crate::meter::Meter;
use crate::pg::worker::{self, APPLY_CLASS};
use crate::pg::{activity, latch, liveness, report, xact};
use crate::relation;
use crate::replay::{Ladder, Trouble};
use crate::retry::{Backoff, Verdict, advised, verdict};
use crate::subscription::{self, State, Subscription};

/// A connected apply worker.
pub struct Session {
    pub subscription: Subscription,
    pub names: Names,
    pub source: Connection,
    pub target: Connection,
}

/// What outlives a session.
#[derive(Default)]
pub struct Memory {
    pub backoff: Backoff,
    /// tables that a unique conflict has sent up the ladder
    pub ladder: Ladder,
    pub meter: Meter,
    pub recorder: Recorder,
    /// tables that somebody has locked on the source
    pub shunned: Vec<Shunned>,
    /// the failure last told about, so that it is told once
    told: Option<String>,
}

/// A table left out of replay for a while, so that the others go on.
pub struct Shunned {
    pub oid: u32,
    pub until: Instant,
}

const SHUN: Duration = Duration::from_secs(5);
/// After a table was found changed.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

impl Memory {
    /// Work goes on: forget the failure.
    pub fn recovered(&mut self, subscription: &Subscription) -> Result<(), Failure> {
        self.backoff.reset();
        if !self.shunned.is_empty() {
            return Ok(());
        }
        if self.told.take().is_some() {
            xact::run(|| {
                event::record(
                    Severity::Info,
                    &subscription.name,
                    "subscription",
                    "goes on",
                    None,
                );
                Ok(())
            })?;
        }
        xact::run(|| {
            subscription::clear_failure(subscription.id);
            Ok(())
        })
    }
}

/// Returns when there is nothing more to do: the subscription is gone, paused or waits for a person.
pub fn live(id: i32) -> Result<(), Failure> {
    let Some(extension) = xact::run(|| Ok(liveness::extension_oid()))? else {
        return Ok(());
    };
    liveness::watch(extension, move || heartbeat(id));
    if !worker::claim(APPLY_CLASS, id, Duration::from_secs(10)) {
        report::log(&format!("subscription {id} has its apply worker already"));
        return Ok(());
    }
    let mut memory = Memory::default();
    loop {
        let Some(subscription) = xact::run(|| Ok(subscription::by_id_settled(id)))? else {
            return Ok(());
        };
        if !subscription.enabled || subscription.state.is_at_rest() {
            return Ok(());
        }
        worker::set_title(&subscription.title("apply"));
        activity::report(Some("working"));
        match session(&subscription, &mut memory) {
            Ok(End::Gone) => return Ok(()),
            Ok(End::Changed) => {}
            Err(trouble) => match handle(&subscription, &mut memory, trouble)? {
                Next::Again => {}
                Next::Stop => return Ok(()),
                Next::After(wait) => rest(id, wait)?,
            },
        }
    }
}

fn session(subscription: &Subscription, memory: &mut Memory) -> Result<End, Trouble> {
    let names = Names::of(&subscription.name);
    let installed = !matches!(
        subscription.state,
        State::Starting | State::Importing | State::Installing
    );
    let questions = outset::questions(subscription, &names, installed)?;
    let (mut source, mut target) = sides::open_asking(subscription, sides::APPLY, questions)?;
    capture::lock_origin(&mut source, &subscription.uuid)?;
    applied::prepare(&mut target)?;
    // the import that may come now takes its time
    xact::run(|| {
        subscription::clear_outage(subscription.id);
        Ok(())
    })?;
    if installed && !capture::own(&mut source, &names, &subscription.uuid)? {
        return Err(capture::missed("capture is gone from the source", &subscription.name).into());
    }
    let mut session = Session {
        subscription: subscription.clone(),
        names,
        source,
        target,
    };
    cycle::lower_abandoned(&mut session)?;
    setup::run(&mut session)?;
    cycle::run(&mut session, memory)
}

enum Next {
    Again,
    After(Duration),
    Stop,
}

/// Decides what a failure means, and writes it down before anything else happens.
fn handle(
    subscription: &Subscription,
    memory: &mut Memory,
    trouble: Trouble,
) -> Result<Next, Failure> {
    let Trouble { mut failure, table } = trouble;
    if table.is_none() && is_missing_object(&failure) {
        let what = format!("capture is gone from the source ({})", failure.message);
        failure = capture::missed(&what, &subscription.name);
    }
    let id = subscription.id;
    if let (Some(oid), true) = (
        table,
        failure.sqlstate == "55P03" && failure.origin == Origin::Source,
    ) {
        memory.shunned.push(Shunned {
            oid,
            until: Instant::now() + SHUN,
        });
        if memory.told.as_deref() != Some(failure.sqlstate.as_str()) {
            memory.told = Some(failure.sqlstate.clone());
            xact::run(|| {
                let message = format!("waits for a lock, other tables go on: {}", failure.line());
                event::record(
                    Severity::Warning,
                    &subscription.name,
                    "subscription",
                    &message,
                    None,
                );
                Ok(())
            })?;
        }
        return Ok(Next::Again);
    }
    // what a trigger of the target raises may have any SQLSTATE
    let stops_a_table = match verdict(&failure) {
        Verdict::Quarantine => true,
        Verdict::Stop => failure.origin == Origin::Target && !failure.disconnected,
        Verdict::Retry => false,
    };
    if let (Some(oid), true) = (table, stops_a_table) {
        if is_conflict(&failure) && memory.ladder.climb(oid) {
            return Ok(Next::Again);
        }
        let failure = advised(failure, &subscription.name);
        xact::run(|| {
            relation::quarantine(id, oid, &failure);
            let subject = relation::by_oid(id, oid).map_or_else(|| oid.to_string(), |r| r.shown());
            event::record_failure(&subscription.name, &subject, &failure);
            Ok(())
        })?;
        return Ok(Next::Again);
    }
    if verdict(&failure) != Verdict::Retry {
        let stopped = xact::run(|| {
            // somebody may have mended it while we were failing
            let now = subscription::by_id_settled(id);
            if now
                .is_some_and(|s| s.source != subscription.source || s.target != subscription.target)
            {
                return Ok(false);
            }
            let mut subscription = subscription.clone();
            subscription.enter(State::Errored);
            subscription::note_failure(id, &failure, None);
            event::record_failure(&subscription.name, "subscription", &failure);
            Ok(true)
        })?;
        return Ok(if stopped { Next::Stop } else { Next::Again });
    }
    // that a table has changed is no outage: one change after the other must not make the waits longer
    let wait = if failure.sqlstate == "40001" && failure.origin == Origin::Here {
        LOOK_AGAIN
    } else {
        memory.backoff.next()
    };
    let news = memory.told.as_deref() != Some(failure.sqlstate.as_str());
    memory.told = Some(failure.sqlstate.clone());
    xact::run(|| {
        subscription::note_failure(id, &failure, Some(wait.as_millis()));
        if news {
            let detail = failure.hint.as_deref();
            let message = format!("interrupted, trying again: {}", failure.line());
            event::record(
                Severity::Warning,
                &subscription.name,
                "subscription",
                &message,
                detail,
            );
        }
        Ok(())
    })?;
    Ok(Next::After(wait))
}

/// 42P01, 3F000, 42883: a relation, schema or function of the source is not there. Where no user table is at hand, it is one
/// of ours.
pub fn is_missing_object(failure: &Failure) -> bool {
    failure.origin == Origin::Source
        && matches!(failure.sqlstate.as_str(), "42P01" | "3F000" | "42883")
}

/// Rows of one batch in each other's way: unique (23505), exclusion (23P01), a key twice in one upsert (21000).
fn is_conflict(failure: &Failure) -> bool {
    matches!(failure.sqlstate.as_str(), "23505" | "23P01" | "21000")
}

/// Waits out a back-off. Ends early when somebody pauses, resumes or alters the subscription; not for `repl_wait`, which
/// wakes us all the time: who waits for the end of an outage is not helped by tries that make the back-off grow.
fn rest(id: i32, wait: Duration) -> Result<(), Failure> {
    activity::report(Some("waiting before the next try"));
    let deadline = Instant::now() + wait;
    while let Some(left) = deadline.checked_duration_since(Instant::now()) {
        liveness::tick();
        latch::wait(left.min(Duration::from_secs(1)));
        if !xact::run(|| Ok(subscription::is_resting(id)))? {
            return Ok(());
        }
    }
    Ok(())
}

/// Told once a second, also in the middle of waits: we are alive.
fn heartbeat(id: i32) {
    xact::run(|| {
        subscription::heartbeat(id);
        Ok(())
    })
    .expect("an update never fails otherwise than by ERROR");
}
