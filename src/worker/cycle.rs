//! The apply worker's loop, from the first chunk on: copy workers, replay, sequences, capture, status.

mod anew;
mod calls;
mod copying;
mod drift;
mod fence;
mod lanes;
mod leaving;
mod newcomer;
mod plan;
mod progress;
mod rejection;
mod rewrite;
mod round;
mod streaming;

use std::collections::HashMap;
use std::time::{Duration, Instant};

pub use self::fence::lower_abandoned;
use self::lanes::Lanes;
use self::streaming::Found;
use super::apply::{Memory, Session};
use super::firing;
use crate::capture::Watch;
use crate::catalog::{self, Fingerprint, Snapshot};
use crate::libpq::Question;
use crate::pg::{latch, liveness, xact};
use crate::relation::{self, Relation};
use crate::replay::{Pending, Plan, Segments, Trouble};
use crate::selection::Choice;
use crate::sequence::Sequences;
use crate::skipped::Skipped;
use crate::subscription::{self, Fence, State};
use crate::table::Table;

/// How a session ends without a failure.
pub enum End {
    /// stopped, paused, errored
    Gone,
    /// connection strings or the like have changed: connect anew
    Changed,
}

const SECOND: Duration = Duration::from_secs(1);
const SHORTEST_WAIT: Duration = Duration::from_millis(20);
/// Nothing has come for as long as this together.
const RESTING: Duration = Duration::from_millis(300);
/// Copy workers wake us whenever they have done something; no more often than this do we look what.
const GLANCE: Duration = Duration::from_millis(50);
/// Sequences and capture are looked at this often.
const ROUND: Duration = Duration::from_secs(3);
/// Over a long line less often while there is a backlog: looking takes at most one part in so many of the time.
const ROUND_SHARE: u32 = 20;

struct Cycle<'a> {
    session: &'a mut Session,
    relations: Vec<Relation>,
    source: Snapshot,
    target: Vec<Table>,
    /// what the target's tables looked like when their plans were made, by their oids there
    shapes: HashMap<u32, Fingerprint>,
    plans: Vec<Plan>,
    /// what is still to be asked of tables without a key
    settling: Vec<(u32, Question)>,
    segments: Segments,
    lanes: Lanes,
    /// what the last batch has told of the next one
    next: Option<(i64, Pending)>,
    choice: Choice,
    sequences: Sequences,
    watch: Watch,
    /// tables locked by somebody, whose copy is begun anew later
    postponed: Vec<(u32, Instant)>,
    skipped: Vec<Skipped>,
    /// a snapshot of the source without anything to replay in these tables
    quiet: Option<(String, Vec<u32>)>,
    /// what the source was like when we last looked around
    looked_at: Option<round::Sight>,
    /// which tables the source had when we looked for new ones
    roster: Option<String>,
    recovered: bool,
}

/// Runs until the subscription changes or something fails.
pub fn run(session: &mut Session, memory: &mut Memory) -> Result<End, Trouble> {
    let mut cycle = match Cycle::new(session) {
        Ok(cycle) => cycle,
        Err(trouble) => return Err(calls::not_yet(session, trouble)),
    };
    turn(&mut cycle, memory).map_err(|trouble| cycle.doubted(trouble))
}

fn turn(cycle: &mut Cycle, memory: &mut Memory) -> Result<End, Trouble> {
    let mut wait = SHORTEST_WAIT;
    let mut second = None;
    let mut round = None;
    let mut round_took = Duration::ZERO;
    let mut woken = false;
    let mut asked = false;
    let mut progress = None;
    let mut behind_fence = false;
    let mut urgent = false;
    loop {
        liveness::tick();
        asked |= woken;
        if due(&mut second, if asked { GLANCE } else { SECOND }) {
            asked = false;
            if let Some(end) = cycle.reload()? {
                return Ok(end);
            }
            cycle.supervise_copy()?;
        }
        if due(&mut progress, SECOND) {
            cycle.measure_builds()?;
        }
        // when woken while streaming, somebody waits to be told that everything is there
        let awaited = woken && cycle.session.subscription.state == State::Streaming;
        let Some(fence) = cycle.passing_fence()? else {
            return Ok(End::Gone);
        };
        let every = match wait {
            Duration::ZERO => (round_took * ROUND_SHARE).clamp(ROUND, 10 * ROUND),
            _ => ROUND,
        };
        if due(&mut round, every) || awaited {
            let began = Instant::now();
            // writers are waiting: then replay comes first
            match fence {
                None => cycle.look_around(memory)?,
                Some(_) => cycle.look_at_fence(false)?,
            }
            round_took = began.elapsed();
        }
        let found = match cycle.replay(memory, wait >= RESTING) {
            Ok(found) => found,
            Err(trouble) => return Err(cycle.explained(trouble)),
        };
        // somebody may be waiting for the status
        cycle.publish(memory, awaited || urgent)?;
        cycle.tend_segments()?;
        urgent = false;
        if !cycle.recovered {
            memory.recovered(&cycle.session.subscription)?;
            cycle.recovered = true;
        }
        if fence != Some(Fence::Closing) {
            behind_fence = false;
        } else if found == Found::Nothing && !behind_fence {
            // once, for what had happened before the fence
            cycle.look_around(memory)?;
            (behind_fence, urgent) = (true, true);
        }
        wait = match found {
            _ if urgent => Duration::ZERO,
            Found::More => Duration::ZERO,
            Found::Something => SHORTEST_WAIT,
            Found::Nothing if asked => GLANCE,
            Found::Nothing => (wait * 2).clamp(SHORTEST_WAIT, SECOND),
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
        let source = Snapshot::read(&mut session.source, &oids, &relation::keyless(&relations))?;
        let segments = Segments::read(&mut session.source, &session.names)?;
        let target = catalog::tables(&mut session.target)?;
        let choice = Choice::parse(
            session.subscription.tables.as_deref(),
            session.subscription.exclude.as_deref(),
        )?;
        let mut cycle = Self {
            session,
            relations,
            source,
            target,
            shapes: HashMap::new(),
            plans: Vec::new(),
            settling: Vec::new(),
            segments,
            lanes: Lanes::default(),
            next: None,
            choice,
            sequences: Sequences::default(),
            watch: Watch::default(),
            postponed: Vec::new(),
            skipped: Vec::new(),
            quiet: None,
            looked_at: None,
            roster: None,
            recovered: false,
        };
        cycle.silence()?;
        cycle.follow_names()?;
        cycle.follow_keys()?;
        cycle.heed_skipped()?;
        cycle.deliver_rewritten()?;
        cycle.plan()?;
        Ok(cycle)
    }

    /// Where our role is an ordinary one: triggers and the like that have come, or come on again, are off.
    fn silence(&mut self) -> Result<(), Trouble> {
        let loud = firing::silence(self.session, &self.target)?;
        match loud.into_iter().next() {
            None => Ok(()),
            Some((oid, failure)) => Err(Trouble {
                failure,
                table: Some(oid),
            }),
        }
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
        if !now.enabled || now.state.is_at_rest() {
            return Ok(Some(End::Gone));
        }
        let known = &self.session.subscription;
        let goes_back = now.state == State::Installing;
        if goes_back || now.source != known.source || now.target != known.target {
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
        self.heed_skipped()?;
        self.plan()?;
        Ok(None)
    }

    fn tend_segments(&mut self) -> Result<(), Trouble> {
        let captured = self.captured();
        let mut replayed = self.planned();
        replayed.sort_unstable();
        self.segments
            .tend(&mut self.session.source, &captured, &replayed)?;
        Ok(())
    }

    fn planned(&self) -> Vec<u32> {
        self.plans.iter().map(|plan| plan.oid).collect()
    }

    fn captured(&self) -> Vec<u32> {
        let captured = self.relations.iter().filter(|r| r.is_captured());
        captured.map(|r| r.oid).collect()
    }

    fn is_count_due(&self, memory: &Memory) -> bool {
        let stopped = |r: &Relation| r.state == relation::State::Errored && r.is_captured();
        memory.meter.count_due(self.relations.iter().any(stopped))
    }

    /// Writes the status, about once a second, or at once when somebody is waiting.
    fn publish(&mut self, memory: &mut Memory, at_once: bool) -> Result<(), Trouble> {
        if !memory.meter.due(at_once) {
            return Ok(());
        }
        if self.is_count_due(memory) {
            let captured = self.captured();
            let began = Instant::now();
            let source = &mut self.session.source;
            let backlogs = match memory.meter.is_complete() {
                true => Vec::new(),
                false => self.segments.backlogs(source, &captured)?,
            };
            memory
                .meter
                .counted(backlogs.iter().map(|(_, n)| n).sum(), began.elapsed());
            let id = self.id();
            xact::run(|| {
                relation::set_backlogs(id, &backlogs);
                Ok(())
            })?;
        }
        let name = &self.session.subscription.name;
        streaming::tell(self.id(), name, &mut memory.meter, &mut memory.recorder)?;
        Ok(())
    }
}
