//! A copy worker: claims tasks until none is left, each with its own transactions on source and target.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::sides;
use crate::catalog::Snapshot;
use crate::chunk::{self, Chunk};
use crate::event::{self, Severity};
use crate::failure::Failure;
use crate::libpq::{Connection, Flow};
use crate::pg::{activity, liveness, worker, xact};
use crate::relation;
use crate::retry::{Verdict, advised, verdict};
use crate::subscription::{self, State, Subscription};
use crate::task::{self, Task};

/// Returns when no task is left, or the subscription is paused or gone.
pub fn live(id: i32) -> Result<(), Failure> {
    let Some(extension) = xact::run(|| Ok(liveness::extension_oid()))? else {
        return Ok(());
    };
    liveness::watch(extension, || ());
    if !worker::join(id) {
        return Ok(());
    }
    let mut sides: Option<Sides> = None;
    loop {
        let claimed = xact::run(|| {
            let Some(subscription) = subscription::by_id_settled(id) else {
                return Ok(None);
            };
            if !subscription.enabled || subscription.state == State::Errored {
                return Ok(None);
            }
            Ok(task::claim(id).map(|task| (subscription, task)))
        })?;
        let Some((subscription, task)) = claimed else {
            return Ok(());
        };
        worker::set_title(&subscription.title("copy"));
        activity::report(Some(&format!("copying table {}", task.source_oid)));
        if let Err(failure) = run(&subscription, &task, &mut sides) {
            // a failed COPY leaves connections in the middle of it
            sides = None;
            give_back(&subscription, &task, &failure)?;
        }
    }
}

/// What a worker keeps from task to task, until something fails.
struct Sides {
    source: Connection,
    target: Connection,
    known: Snapshot,
}

fn run(subscription: &Subscription, task: &Task, sides: &mut Option<Sides>) -> Result<(), Failure> {
    if sides.is_none() {
        *sides = Some(connect(subscription)?);
    }
    let Sides {
        source,
        target,
        known,
    } = sides.as_mut().expect("connected just now");
    let table = known.table(task.source_oid)?;
    let began = Instant::now();
    let chunk = Chunk {
        id: task.id,
        uuid: &subscription.uuid,
        table,
        known,
    };
    let flow = chunk::copy(&chunk, source, target, publisher(task.id))?;
    if let Err(failure) = chunk::analyze(table, target) {
        if failure.disconnected {
            return Err(failure);
        }
        xact::run(|| {
            event::record_failure(&subscription.name, &table.shown(), &failure);
            Ok(())
        })?;
    }
    let rows = match flow {
        Some(flow) => flow.rows,
        None => crate::applied::rows_of(target, &subscription.uuid, task.id)?,
    };
    xact::run(|| {
        task::finish(task.id, flow.or(Some(Flow { rows, bytes: 0 })));
        let message = format!(
            "copied {rows} rows in {:.1} s",
            began.elapsed().as_secs_f64()
        );
        event::record(
            Severity::Info,
            &subscription.name,
            &table.shown(),
            &message,
            None,
        );
        Ok(())
    })
}

fn connect(subscription: &Subscription) -> Result<Sides, Failure> {
    let (mut source, target) = sides::open(subscription, "copy")?;
    let oids: Vec<u32> = xact::run(|| Ok(relation::of(subscription.id)))?
        .iter()
        .map(|r| r.oid)
        .collect();
    let known = Snapshot::read(&mut source, &oids)?;
    Ok(Sides {
        source,
        target,
        known,
    })
}

/// Writes the progress of a task about once a second.
fn publisher(task: i64) -> impl FnMut(Flow) {
    let last = Cell::new(Instant::now());
    move |flow: Flow| {
        if last.get().elapsed() < Duration::from_secs(1) {
            return;
        }
        last.set(Instant::now());
        liveness::tick();
        xact::run(|| {
            task::progress(task, flow);
            Ok(())
        })
        .expect("an update never fails otherwise than by ERROR");
    }
}

/// A task that failed: again later, or its table stops.
fn give_back(subscription: &Subscription, task: &Task, failure: &Failure) -> Result<(), Failure> {
    let wait = 500u128 << task.attempts.clamp(1, 6);
    xact::run(|| {
        task::put_back(task.id, failure, wait);
        let shown = relation::by_oid(subscription.id, task.source_oid)
            .map_or_else(String::new, |r| r.shown());
        // a connection that does not come up is no fault of the table; whether it is one to stop for the apply worker sees
        if failure.disconnected || verdict(failure) == Verdict::Retry {
            let message = format!("copy interrupted, trying again: {}", failure.line());
            event::record(
                Severity::Warning,
                &subscription.name,
                &shown,
                &message,
                failure.hint.as_deref(),
            );
        } else {
            let failure = advised(failure.clone(), &subscription.name);
            relation::quarantine(subscription.id, task.source_oid, &failure);
            event::record_failure(&subscription.name, &shown, &failure);
        }
        Ok(())
    })
}
