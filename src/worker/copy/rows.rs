//! Tasks that move rows: chunks, and the removal of what was copied twice.

use std::time::{Duration, Instant};

use super::Sides;
use crate::applied;
use crate::chunk::{self, Copy, Outcome};
use crate::duplicate;
use crate::event::{self, Severity};
use crate::failure::Failure;
use crate::libpq::Flow;
use crate::pg::{activity, latch, liveness, settings, xact};
use crate::relation;
use crate::subscription::Subscription;
use crate::task::{self, Task};
use crate::throttle::Throttle;

/// Copies chunks. False: the connections are in the middle of something, drop them.
pub fn copy(
    subscription: &Subscription,
    chunks: &[Task],
    sides: &mut Sides,
) -> Result<bool, Failure> {
    let first = sides.source_tables.table(chunks[0].source_oid)?;
    activity::report(Some(&match chunks.len() {
        1 => format!("copying {}", first.shown()),
        n => format!("copying {} and {} other small tables", first.shown(), n - 1),
    }));
    let order = Copy {
        chunks,
        uuid: &subscription.uuid,
        source: &sides.source_tables,
        target: &sides.target_tables,
    };
    let mut watch = Watch::new(subscription.id);
    let outcomes = chunk::copy(
        &order,
        &mut sides.source,
        &mut sides.target,
        |task, flow| watch.passed(task, flow),
    )?;
    let mut whole = true;
    let mut finished: Vec<(i64, Option<Flow>)> = Vec::new();
    let mut rewritten = None;
    for (id, outcome) in outcomes {
        match outcome {
            Outcome::Copied(flow) => finished.push((id, Some(flow))),
            Outcome::Already => {
                let rows = applied::rows_of(&mut sides.target, &subscription.uuid, id)?;
                finished.push((id, Some(Flow { rows, bytes: 0 })));
            }
            Outcome::Left => {
                whole = false;
                finished.push((id, None));
            }
            Outcome::Rewritten => {
                whole = false;
                rewritten = chunks.iter().find(|c| c.id == id);
            }
        }
    }
    xact::run(|| {
        for (id, flow) in &finished {
            task::finish(*id, *flow);
        }
        let rest: Vec<Task> = chunks
            .iter()
            .filter(|c| !finished.iter().any(|(id, _)| *id == c.id))
            .cloned()
            .collect();
        task::put_back(&rest, None, 0);
        if let Some(chunk) = rewritten {
            begin_anew(subscription, chunk);
        }
        Ok(whole)
    })
}

/// The table was written anew on the source while it was cut by ctid.
fn begin_anew(subscription: &Subscription, chunk: &Task) {
    relation::restart(subscription.id, chunk.source_oid);
    if let Some(relation) = relation::by_oid(subscription.id, chunk.source_oid) {
        event::record(
            Severity::Warning,
            &subscription.name,
            &relation.shown(),
            "was rewritten on the source (VACUUM FULL, CLUSTER, TRUNCATE, ALTER TABLE) while it was copied: its copy \
             begins anew",
            None,
        );
    }
}

/// About once a second the progress is written and the limit looked at.
struct Watch {
    subscription: i32,
    looked: Instant,
    task: i64,
    bytes: u64,
    throttle: Throttle,
}

impl Watch {
    fn new(subscription: i32) -> Self {
        let now = Instant::now();
        let mut watch = Self {
            subscription,
            looked: now,
            task: 0,
            bytes: 0,
            throttle: Throttle::new(None, now),
        };
        if settings::copy_rate_limit().is_some() {
            watch.set_limit();
        }
        watch
    }

    fn passed(&mut self, task: &Task, flow: Flow) -> Result<(), Failure> {
        if self.looked.elapsed() >= Duration::from_secs(1) {
            self.looked = Instant::now();
            liveness::tick();
            xact::run(|| {
                task::progress(task.id, flow);
                Ok(())
            })?;
            self.set_limit();
        }
        if self.task != task.id {
            self.task = task.id;
            self.bytes = 0;
        }
        let bytes = flow.bytes - self.bytes;
        self.bytes = flow.bytes;
        let mut wait = self.throttle.passed(bytes, Instant::now());
        while let Some(left) = wait {
            let step = left.min(Duration::from_millis(500));
            let until = Instant::now() + step;
            while let Some(rest) = until.checked_duration_since(Instant::now()) {
                latch::wait(rest);
            }
            liveness::tick();
            wait = left.checked_sub(step).filter(|d| !d.is_zero());
        }
        Ok(())
    }

    /// The limit is for all workers of the subscription that have a chunk at hand, together.
    fn set_limit(&mut self) {
        let limit = settings::copy_rate_limit().map(|limit| {
            let workers = xact::run(|| Ok(task::copying(self.subscription)))
                .expect("reading never fails otherwise than by ERROR");
            limit / workers.max(1) as f64
        });
        self.throttle.set(limit);
    }
}

pub fn remove_duplicates(
    subscription: &Subscription,
    task: &Task,
    sides: &mut Sides,
) -> Result<(), Failure> {
    let table = sides.source_tables.table(task.source_oid)?;
    activity::report(Some(&format!(
        "removing rows of {} copied twice",
        table.shown()
    )));
    let tasks = std::slice::from_ref(task);
    if applied::begin(&mut sides.target, &subscription.uuid, tasks)?.is_empty() {
        sides.target.rollback();
    } else {
        duplicate::remove(
            &task.statements,
            table,
            &sides.names,
            &mut sides.source,
            &mut sides.target,
        )?;
        applied::commit(&mut sides.target, &subscription.uuid, &[])?;
    }
    xact::run(|| {
        task::finish(task.id, None);
        Ok(())
    })
}
