//! A copy worker: claims tasks until none is left, each with its own transactions on source and target.

mod outcome;
mod rows;
mod target;

use std::time::{Duration, Instant};

use super::{copying, sides};
use crate::capture::Names;
use crate::catalog::{self, Snapshot};
use crate::event::{self, Severity};
use crate::failure::Failure;
use crate::libpq::Connection;
use crate::pg::worker::{self, APPLY_CLASS, COPY_CLASS};
use crate::pg::{activity, latch, liveness, server, settings, xact};
use crate::relation;
use crate::subscription::{self, State, Subscription};
use crate::table::Table;
use crate::task::{self, Claim, Kind};

/// A worker that has nothing to do stays as long as others may have something for it in a moment.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Returns when no task is left, or the subscription is paused or gone.
pub fn live(id: i32) -> Result<(), Failure> {
    let Some(extension) = xact::run(|| Ok(liveness::extension_oid()))? else {
        return Ok(());
    };
    liveness::watch(extension, move || leave_if_cut(id));
    // what is lost with a crash of ours is known to the target
    settings::commit_without_waiting();
    if !worker::join(id) {
        return Ok(());
    }
    let mut sides: Option<Sides> = None;
    let mut busy = Instant::now();
    let mut outage = Outage::default();
    loop {
        match next(id, sides.as_ref())? {
            Next::Nothing => return Ok(()),
            Next::Later if busy.elapsed() > PATIENCE => return Ok(()),
            Next::Later => {
                activity::report(Some("waiting for work"));
                liveness::tick();
                latch::wait(LOOK_EVERY);
            }
            Next::Connect(subscription) => {
                worker::set_title(&subscription.title("copy"));
                match Sides::open(&subscription) {
                    Ok(open) => {
                        sides = Some(open);
                        outage = Outage::default();
                    }
                    Err(failure) => outage.wait(&subscription, &failure)?,
                }
                busy = Instant::now();
            }
            Next::Work(subscription, claim) => {
                if let Err(failure) = work(&subscription, &claim, &mut sides) {
                    // a failed COPY leaves connections in the middle of it
                    sides = None;
                    outcome::failed(&subscription, &claim.tasks, failure)?;
                }
                wake_others(id)?;
                busy = Instant::now();
            }
        }
    }
}

enum Next {
    /// there is something to do, and we are not connected
    Connect(Box<Subscription>),
    Work(Box<Subscription>, Claim),
    /// not now, but tables are still being copied, or about to be
    Later,
    Nothing,
}

/// Nothing is claimed before we are connected: an outage is not the tasks' fault.
fn next(id: i32, sides: Option<&Sides>) -> Result<Next, Failure> {
    xact::run(|| {
        let Some(subscription) = subscription::by_id_settled(id) else {
            return Ok(Next::Nothing);
        };
        if !subscription.enabled || subscription.state.is_at_rest() {
            return Ok(Next::Nothing);
        }
        // repl_alter may want fewer
        let mut workers = worker::pids(COPY_CLASS, id);
        workers.sort_unstable();
        let own = i64::from(std::process::id());
        let place = workers.iter().position(|pid| *pid == own);
        if place.is_some_and(|place| place as i64 >= i64::from(subscription.workers)) {
            return Ok(Next::Nothing);
        }
        // repl_alter may have changed where to connect to
        let connected = sides.is_some_and(|sides| sides.lead_to(&subscription));
        if connected && let Some(claim) = task::claim(id) {
            return Ok(Next::Work(Box::new(subscription), claim));
        }
        let open = task::open(id);
        let soon = subscription.state == State::Installing;
        if !connected && (open.claimable > 0 || (soon && sides.is_none())) {
            return Ok(Next::Connect(Box::new(subscription)));
        }
        if connected && !open.copying {
            // the apply worker may be busy elsewhere, and somebody waits for this
            copying::advance(&subscription);
        }
        Ok(if open.copying || soon {
            Next::Later
        } else {
            Next::Nothing
        })
    })
}

/// Source or target cannot be reached. Whether that is something to stop for, the apply worker sees.
#[derive(Default)]
struct Outage {
    tries: u32,
}

impl Outage {
    fn wait(&mut self, subscription: &Subscription, failure: &Failure) -> Result<(), Failure> {
        if self.tries == 0 {
            xact::run(|| {
                let message = format!("copy interrupted, trying again: {}", failure.line());
                let hint = failure.hint.as_deref();
                event::record(
                    Severity::Warning,
                    &subscription.name,
                    "subscription",
                    &message,
                    hint,
                );
                Ok(())
            })?;
        }
        activity::report(Some("waiting before the next try"));
        let until = Instant::now() + Duration::from_millis(100 << self.tries.min(6));
        self.tries += 1;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            liveness::tick();
            latch::wait(left.min(Duration::from_secs(1)));
        }
        Ok(())
    }
}

/// Told once a second, also in the middle of a COPY or an index build: what is at hand ends with our connections.
fn leave_if_cut(id: i32) {
    let cut = xact::run(|| {
        let cut = subscription::is_cut(id);
        if cut {
            task::put_back_own();
        }
        Ok(cut)
    });
    if cut.is_ok_and(|cut| cut) {
        server::exit(0);
    }
}

/// The other workers may have something to do now that they had to wait for.
fn wake_others(id: i32) -> Result<(), Failure> {
    let pids = xact::run(|| {
        let mut pids = worker::pids(APPLY_CLASS, id);
        pids.extend(worker::pids(COPY_CLASS, id));
        Ok(pids)
    })?;
    pids.into_iter()
        .filter(|pid| *pid != i64::from(std::process::id()))
        .for_each(worker::wake);
    Ok(())
}

/// What a worker keeps from task to task, until something fails.
struct Sides {
    /// connection strings, as they were
    addresses: (String, Option<String>),
    source: Connection,
    target: Connection,
    names: Names,
    source_tables: Snapshot,
    target_tables: Vec<Table>,
}

impl Sides {
    fn open(subscription: &Subscription) -> Result<Self, Failure> {
        let (mut source, mut target) = sides::open(subscription, "copy")?;
        if subscription.target.is_none() {
            // a crash loses our own notes of what it loses there: they come later in the same log
            target.batch("set synchronous_commit = off")?;
        }
        let relations = xact::run(|| Ok(relation::of(subscription.id)))?;
        let oids: Vec<u32> = relations.iter().map(|r| r.oid).collect();
        let keyless = relation::keyless(&relations);
        Ok(Self {
            addresses: (subscription.source.clone(), subscription.target.clone()),
            source_tables: Snapshot::read(&mut source, &oids, &keyless)?,
            target_tables: catalog::tables(&mut target)?,
            names: Names::of(&subscription.name),
            source,
            target,
        })
    }

    fn lead_to(&self, subscription: &Subscription) -> bool {
        self.addresses.0 == subscription.source && self.addresses.1 == subscription.target
    }
}

fn work(
    subscription: &Subscription,
    claim: &Claim,
    sides: &mut Option<Sides>,
) -> Result<(), Failure> {
    let connected = sides
        .as_mut()
        .expect("nothing is claimed without connections");
    match claim.tasks[0].kind {
        Kind::Chunk => {
            if !rows::copy(subscription, &claim.tasks, connected)? {
                *sides = None;
            }
            Ok(())
        }
        Kind::Duplicates => rows::remove_duplicates(subscription, &claim.tasks[0], connected),
        Kind::Index | Kind::Constraint | Kind::Analyze | Kind::ForeignKey | Kind::Validation => {
            target::run(subscription, claim, connected)
        }
        Kind::Trigger | Kind::Rule => unreachable!("they are never claimable"),
    }
}
