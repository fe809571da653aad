//! The apply worker's loop, from the first chunk on: copy workers, replay, sequences, capture, status.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::apply::{Memory, Session};
use crate::capture::{self, Gap};
use crate::catalog;
use crate::drift;
use crate::event::{self, Severity};
use crate::failure::Failure;
use crate::meter::{self, Meter};
use crate::pg::worker::{self, COPY_CLASS, Kind};
use crate::pg::{latch, liveness, server, xact};
use crate::relation::{self, Relation};
use crate::replay::{self, Mode, Plan, Trouble};
use crate::selection::Choice;
use crate::sequence::Sequences;
use crate::subscription::{self, State};
use crate::table::{Kind as TableKind, Table};
use crate::task;

/// How a session ends without a failure.
pub enum End {
    /// stopped, paused, errored
    Gone,
    /// connection strings or the like have changed: connect anew
    Changed,
}

const SECOND: Duration = Duration::from_secs(1);
const SHORTEST_WAIT: Duration = Duration::from_millis(20);
/// Sequences and capture are looked at this often.
const ROUND: Duration = Duration::from_secs(3);

struct Cycle<'a> {
    session: &'a mut Session,
    relations: Vec<Relation>,
    source: Vec<Table>,
    target: Vec<Table>,
    plans: Vec<Plan>,
    fingerprints: HashMap<u32, String>,
    sequences: Sequences,
    meter: Meter,
    recovered: bool,
}

/// Runs until the subscription changes or something fails.
pub fn run(session: &mut Session, memory: &mut Memory) -> Result<End, Trouble> {
    let mut cycle = Cycle::new(session)?;
    let mut wait = SHORTEST_WAIT;
    let mut second = None;
    let mut round = None;
    let mut woken = false;
    loop {
        liveness::tick();
        if due(&mut second, SECOND) {
            if let Some(end) = cycle.reload()? {
                return Ok(end);
            }
            cycle.supervise_copy()?;
        }
        let busy = cycle.replay(memory)?;
        if due(&mut round, ROUND) {
            cycle.look_around()?;
        }
        cycle.publish(woken)?;
        if !cycle.recovered {
            memory.recovered(&cycle.session.subscription)?;
            cycle.recovered = true;
        }
        wait = if busy {
            Duration::ZERO
        } else {
            (wait * 2).clamp(SHORTEST_WAIT, SECOND)
        };
        woken = if wait.is_zero() {
            latch::check_for_interrupts();
            false
        } else {
            latch::wait(wait)
        };
        if woken {
            wait = SHORTEST_WAIT;
        }
    }
}

/// Whether `period` has passed since the last time, which it then notes.
fn due(last: &mut Option<Instant>, period: Duration) -> bool {
    let due = last.is_none_or(|at| at.elapsed() >= period);
    if due {
        *last = Some(Instant::now());
    }
    due
}

impl<'a> Cycle<'a> {
    fn new(session: &'a mut Session) -> Result<Self, Trouble> {
        let id = session.subscription.id;
        let relations = xact::run(|| Ok(relation::of(id)))?;
        let oids: Vec<u32> = relations.iter().map(|r| r.oid).collect();
        // before the tables themselves: a change in between is then noticed by the first batch
        let fingerprints = catalog::fingerprints(&mut session.source, &oids)?;
        let source = catalog::tables(&mut session.source)?;
        let target = catalog::tables(&mut session.target)?;
        let mut cycle = Self {
            session,
            relations,
            source,
            target,
            plans: Vec::new(),
            fingerprints,
            sequences: Sequences::default(),
            meter: Meter::default(),
            recovered: false,
        };
        let subscription = &cycle.session.subscription;
        let choice = Choice::parse(
            subscription.tables.as_deref(),
            subscription.exclude.as_deref(),
        )?;
        cycle
            .sequences
            .refresh(&mut cycle.session.source, &choice, &oids)?;
        cycle.plan()?;
        Ok(cycle)
    }

    fn id(&self) -> i32 {
        self.session.subscription.id
    }

    /// Reads what others may have changed in the tables.
    fn reload(&mut self) -> Result<Option<End>, Trouble> {
        let id = self.id();
        let (now, relations) = xact::run(|| Ok((subscription::by_id(id), relation::of(id))))?;
        let Some(now) = now else {
            return Ok(Some(End::Gone));
        };
        if !now.enabled || now.state == State::Errored {
            return Ok(Some(End::Gone));
        }
        let known = &self.session.subscription;
        if now.source != known.source || now.target != known.target {
            return Ok(Some(End::Changed));
        }
        // a table came back from `errored`: it may have changed meanwhile, so look at everything anew
        let was_errored = |r: &Relation| {
            self.relations
                .iter()
                .any(|k| k.oid == r.oid && k.state == relation::State::Errored)
        };
        if relations
            .iter()
            .any(|r| r.state != relation::State::Errored && was_errored(r))
        {
            return Ok(Some(End::Changed));
        }
        self.session.subscription = now;
        self.relations = relations;
        self.plan()?;
        Ok(None)
    }

    /// Keeps a plan for every table that is to be replayed.
    fn plan(&mut self) -> Result<(), Trouble> {
        let wanted: Vec<u32> = self
            .relations
            .iter()
            .filter(|r| r.state.is_replayed())
            .map(|r| r.oid)
            .collect();
        self.plans.retain(|p| wanted.contains(&p.oid));
        for oid in wanted {
            if self.plans.iter().any(|p| p.oid == oid) {
                continue;
            }
            let plan = self.plan_one(oid).map_err(|failure| Trouble {
                failure,
                table: Some(oid),
            })?;
            self.plans.push(plan);
        }
        Ok(())
    }

    fn plan_one(&self, oid: u32) -> Result<Plan, Failure> {
        let source = self.source.iter().find(|t| t.oid == oid).ok_or_else(|| {
            Failure::new(
                "42P01",
                format!("table with oid {oid} is gone from the source"),
            )
        })?;
        let target = self
            .target
            .iter()
            .find(|t| t.schema == source.schema && t.name == source.name)
            .ok_or_else(|| {
                Failure::new(
                    "42P01",
                    format!("table {} is missing on the target", source.shown()),
                )
            })?;
        if let Some(difference) = drift::compare(source, target).into_iter().find(|d| d.fatal) {
            return Err(Failure::new("42P17", difference.message).hint(format!(
                "On the target: {} Then SELECT repl_resume('{}');",
                difference.fix, self.session.subscription.name
            )));
        }
        if source.key.is_empty() {
            return Err(Failure::new(
                "42P17",
                format!("table {} has lost its key on the source", source.shown()),
            )
            .hint("Give it a primary key again, then SELECT repl_resume()."));
        }
        Ok(Plan::new(&self.session.names, source, target))
    }

    /// Starts copy workers while there is work for them; moves tables and the subscription on when it is done.
    fn supervise_copy(&mut self) -> Result<(), Trouble> {
        if self.session.subscription.state != State::Copying {
            return Ok(());
        }
        let id = self.id();
        let (done, open, claimable, running) = xact::run(|| {
            task::reclaim(id);
            Ok((
                task::finished_tables(id),
                task::open(id),
                task::claimable(id),
                worker::pids(COPY_CLASS, id).len(),
            ))
        })?;
        if !done.is_empty() {
            xact::run(|| {
                for oid in &done {
                    relation::enter(id, *oid, relation::State::Catchup);
                }
                Ok(())
            })?;
        }
        let wanted = usize::try_from(claimable.min(i64::from(self.session.subscription.workers)))
            .unwrap_or(0);
        let free = usize::try_from(self.session.subscription.workers)
            .unwrap_or(0)
            .saturating_sub(running);
        for _ in 0..wanted.min(free) {
            worker::start(
                Kind::Copy,
                server::database_oid(),
                id,
                &self.session.subscription.name,
            )?;
        }
        if open == 0 {
            xact::run(|| {
                self.session.subscription.enter(State::Catchup);
                event::record(
                    Severity::Info,
                    &self.session.subscription.name,
                    "subscription",
                    "copy finished",
                    None,
                );
                Ok(())
            })?;
        }
        if !done.is_empty() || open == 0 {
            self.relations = xact::run(|| Ok(relation::of(id)))?;
            self.plan()?;
        }
        Ok(())
    }

    /// One poll, and a batch if there is anything. Returns whether there is more to do at once.
    fn replay(&mut self, memory: &mut Memory) -> Result<bool, Trouble> {
        let as_of = meter::now();
        let session = &mut *self.session;
        let pending = replay::poll(&mut session.source, &session.names, &self.plans)?;
        if pending.is_empty() {
            self.completed(as_of)?;
            return Ok(false);
        }
        let as_of = meter::now();
        let outcome = replay::run(
            &mut replay::Sides {
                source: &mut session.source,
                target: &mut session.target,
            },
            &session.names,
            &mut self.plans,
            &pending,
            &memory.modes,
            &self.fingerprints,
        )?;
        // a table that was sent up the ladder comes down after a batch that worked
        memory.modes.retain(|(_, mode)| *mode == Mode::Upsert);
        let id = self.id();
        let mut rows = 0;
        xact::run(|| {
            for (oid, counts) in &outcome.counts {
                relation::add(id, *oid, counts);
                rows += counts.rows();
            }
            Ok(())
        })?;
        self.meter.batch(rows);
        if outcome.complete {
            self.completed(as_of)?;
        }
        Ok(!outcome.complete)
    }

    /// Everything that was visible at `as_of` is on the target.
    fn completed(&mut self, as_of: i64) -> Result<(), Trouble> {
        let id = self.id();
        let errored = self
            .relations
            .iter()
            .any(|r| r.state == relation::State::Errored);
        let early: Vec<u32> = self
            .relations
            .iter()
            .filter(|r| r.state == relation::State::Catchup)
            .map(|r| r.oid)
            .collect();
        if !early.is_empty() {
            xact::run(|| {
                for oid in &early {
                    relation::enter(id, *oid, relation::State::Ready);
                }
                Ok(())
            })?;
            self.relations = xact::run(|| Ok(relation::of(id)))?;
        }
        let all_ready = self
            .relations
            .iter()
            .all(|r| r.state == relation::State::Ready);
        if all_ready && self.session.subscription.state == State::Catchup {
            // sequences first: streaming means that everything is there
            self.look_around()?;
            xact::run(|| {
                self.session.subscription.enter(State::Streaming);
                event::record(
                    Severity::Info,
                    &self.session.subscription.name,
                    "subscription",
                    "streaming",
                    None,
                );
                Ok(())
            })?;
        }
        if self.session.subscription.state == State::Streaming && !errored {
            self.meter.complete(as_of);
        }
        Ok(())
    }

    /// Sequences, and whether capture is still what it should be.
    fn look_around(&mut self) -> Result<(), Trouble> {
        let session = &mut *self.session;
        let complaints = self
            .sequences
            .follow(&mut session.source, &mut session.target)?;
        let name = session.subscription.name.clone();
        if !complaints.is_empty() {
            xact::run(|| {
                for complaint in &complaints {
                    event::record(
                        Severity::Warning,
                        &name,
                        &complaint.sequence,
                        &complaint.message,
                        None,
                    );
                }
                Ok(())
            })?;
        }
        let watched: Vec<(u32, bool)> = self
            .relations
            .iter()
            .filter(|r| r.is_captured() && r.state != relation::State::Errored)
            .map(|r| {
                let partitioned = self
                    .source
                    .iter()
                    .any(|t| t.oid == r.oid && t.kind == TableKind::Partitioned);
                (r.oid, partitioned)
            })
            .collect();
        for gap in capture::gaps(&mut session.source, &session.names, &watched)? {
            match gap {
                Gap::Broken(oid) => {
                    return Err(Trouble {
                        failure: broken_capture(&name),
                        table: Some(oid),
                    });
                }
                Gap::Partition { root, schema, name } => {
                    // tried again in the next round if the lock is not to be had now
                    capture::install_on_partition(
                        &mut session.source,
                        &session.names,
                        root,
                        &schema,
                        &name,
                    )
                    .ok();
                }
            }
        }
        Ok(())
    }

    /// Writes the status, about once a second, or at once when somebody is waiting.
    fn publish(&mut self, at_once: bool) -> Result<(), Trouble> {
        if !self.meter.due(at_once) {
            return Ok(());
        }
        if self.meter.count_due() {
            let captured: Vec<u32> = self
                .relations
                .iter()
                .filter(|r| r.is_captured())
                .map(|r| r.oid)
                .collect();
            let began = Instant::now();
            let backlogs =
                replay::backlogs(&mut self.session.source, &self.session.names, &captured)?;
            self.meter
                .counted(backlogs.iter().map(|(_, n)| n).sum(), began.elapsed());
            let id = self.id();
            xact::run(|| {
                relation::set_backlogs(id, &backlogs);
                Ok(())
            })?;
        }
        let id = self.id();
        let reading = self.meter.read();
        xact::run(|| {
            subscription::publish(id, &reading);
            Ok(())
        })?;
        Ok(())
    }
}

fn broken_capture(name: &str) -> Failure {
    Failure::new("42P17", "capture triggers on the source are dropped or disabled, changes were missed").hint(format!(
        "The target's copy of this table can no longer be brought up to date. SELECT repl_stop('{name}'), empty the \
         target's tables and start again, or go on without it."
    ))
}
