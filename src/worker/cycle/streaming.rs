//! Replay: polls, batches, and what is complete.

use std::time::{Duration, Instant};

use super::Cycle;
use crate::event::{self, Severity};
use crate::failure::Failure;
use crate::history::Recorder;
use crate::meter::{self, Meter};
use crate::pg::xact;
use crate::relation::{self, Counts};
use crate::replay::{self, Left, Pending, Trouble};
use crate::snapshot;
use crate::subscription::{self, Fence, State};
use crate::worker::apply::Memory;

/// What there was to replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    Nothing,
    /// and it is replayed
    Something,
    /// and there is more
    More,
}

/// All that goes on beside replay is put off by a run of batches for as long as this; not what is told of it, nor somebody who
/// pauses, fences or stops. Between two runs the lanes stand still, over a long line for half a second.
const RUN: Duration = Duration::from_secs(10);
/// While copy workers may wait for us.
const RUN_BESIDE_COPY: Duration = Duration::from_secs(3);

/// Counts what a batch did. Rows of tables are locked in one order: copy workers do so too.
fn note(id: i32, counts: &[(u32, Counts)], meter: &mut Meter) -> Result<(), Failure> {
    let mut rows = 0;
    let mut counts: Vec<&(u32, Counts)> = counts.iter().collect();
    counts.sort_by_key(|(oid, _)| *oid);
    xact::run(|| {
        for (oid, counts) in counts {
            relation::add(id, *oid, counts);
            rows += counts.rows();
        }
        Ok(())
    })?;
    meter.batch(rows);
    Ok(())
}

/// Writes the status.
pub(super) fn tell(
    id: i32,
    name: &str,
    meter: &mut Meter,
    recorder: &mut Recorder,
) -> Result<(), Failure> {
    let reading = meter.read();
    xact::run(|| {
        recorder.record(id, name, &reading, meter);
        subscription::publish(id, &reading);
        Ok(())
    })
}

/// Something has become of the subscription that the loop must see to.
fn is_wanted_elsewhere(id: i32) -> Result<bool, Failure> {
    let now = xact::run(|| Ok(subscription::by_id(id)))?;
    Ok(now.is_none_or(|s| {
        !s.enabled || s.state.is_at_rest() || s.fence.is_some_and(Fence::is_passing)
    }))
}

/// Takes out the tables that are to be left alone for now; whether there were any with something to replay.
fn leave_shunned(memory: &mut Memory, pending: &mut Pending) -> bool {
    memory.shunned.retain(|s| s.until > Instant::now());
    pending.shunned = memory.shunned.iter().map(|s| s.oid).collect();
    let all = pending.oids.len();
    pending.oids.retain(|oid| !pending.shunned.contains(oid));
    pending.oids.len() < all
}

impl Cycle<'_> {
    /// One poll, if the batch before has not told, and a batch if there is anything.
    pub(super) fn replay(&mut self, memory: &mut Memory, rests: bool) -> Result<Found, Trouble> {
        self.settle()?;
        let (as_of, mut pending) = match self.next.take() {
            Some(known) => known,
            None => {
                let as_of = self.session.source.as_of();
                (as_of, self.poll(self.planned(), rests)?)
            }
        };
        if self.segments.are_new() && !pending.is_empty() {
            // what has piled up is closed first: sealed it goes faster, and the next of it is on its way all the time
            self.tend_segments()?;
        }
        let mut left_out = leave_shunned(memory, &mut pending);
        if pending.is_empty() {
            self.lanes.close();
            if !left_out {
                self.completed(memory, as_of)?;
            }
            return Ok(Found::Nothing);
        }
        let (far, Left { deletions, polled }) = self.catch_up(memory, &pending)?;
        pending.oids.retain(|oid| !far.contains(oid));
        pending.shunned.extend(&far);
        if pending.is_empty() {
            self.look_further(memory, deletions)?;
            return Ok(Found::More);
        }
        if far.is_empty() && !deletions.is_empty() {
            // all that was far behind is replayed: that may have been everything
            let as_of;
            (as_of, pending) = match polled {
                Some(polled) => (
                    polled.as_of,
                    self.segments.polled(&polled.rows, &self.planned()),
                ),
                None => (meter::now(), self.poll(self.planned(), false)?),
            };
            left_out = leave_shunned(memory, &mut pending);
            if pending.is_empty() {
                if !left_out {
                    self.completed(memory, as_of)?;
                    self.publish(memory, true)?;
                }
                self.session.source.batch(&deletions.join(";\n"))?;
                return Ok(Found::Something);
            }
        }
        let found = self.batch(memory, deletions, &pending)?;
        if found == Found::More && left_out && far.is_empty() {
            // of the tables that are left alone it knows no better
            self.next = None;
            return Ok(Found::Something);
        }
        Ok(found)
    }

    /// One plain batch, behind these deletions.
    fn batch(
        &mut self,
        memory: &mut Memory,
        deletions: Vec<String>,
        pending: &Pending,
    ) -> Result<Found, Trouble> {
        let as_of = meter::now();
        let outcome = replay::run(
            &mut replay::Sides {
                source: &mut self.session.source,
                target: &mut self.session.target,
                names: &self.session.names,
                segments: &mut self.segments,
                uuid: &self.session.subscription.uuid,
                known: &self.source,
            },
            deletions,
            &mut self.plans,
            pending,
            &memory.ladder,
        )?;
        memory.ladder.worked();
        note(self.id(), &outcome.counts, &mut memory.meter)?;
        self.enter_ready(&outcome.left)?;
        if outcome.complete {
            self.completed(memory, as_of)?;
        }
        match outcome.next {
            Some((as_of, next)) if next.is_empty() => {
                self.completed(memory, as_of)?;
                Ok(Found::Something)
            }
            Some(next) => {
                self.next = Some(next);
                Ok(Found::More)
            }
            None => Ok(Found::Something),
        }
    }

    /// Between two runs of batches: a poll, behind the last deletions, and what the status and the segments are looked after with.
    fn look_further(&mut self, memory: &Memory, deletions: Vec<String>) -> Result<(), Failure> {
        let planned = self.planned();
        let poll = self.segments.poll_question(deletions, &planned);
        let mut questions = vec![poll.clone()];
        if self.is_count_due(memory) {
            questions.extend(self.segments.backlog_questions(&self.captured()));
        }
        questions.push(self.segments.sizes_question());
        let source = &mut self.session.source;
        let as_of = meter::now();
        source.foretell(&questions)?;
        let rows = source.ask(&poll)?;
        self.next = Some((as_of, self.segments.polled(&rows, &planned)));
        Ok(())
    }

    /// A run of batches of the tables that are far behind; which are so still, and best left out of a batch for the others; and
    /// what is left to be done.
    fn catch_up(
        &mut self,
        memory: &mut Memory,
        pending: &Pending,
    ) -> Result<(Vec<u32>, Left), Trouble> {
        let id = self.id();
        memory.ladder.rest();
        let ladder = &memory.ladder;
        let mut left = Left::default();
        if !pending.truncated {
            let open = self.lanes.open();
            let worth = replay::lanes(&self.plans, &self.segments, &pending.shunned, ladder, open);
            let most = self.lanes.prepare(&self.session.subscription, worth)?;
            let session = &mut *self.session;
            let run = match session.subscription.state {
                State::Copying => RUN_BESIDE_COPY,
                _ => RUN,
            };
            let deadline = Instant::now() + run;
            let (meter, recorder) = (&mut memory.meter, &mut memory.recorder);
            let name = &session.subscription.name;
            let mut noted = |counts: &[(u32, Counts)]| {
                note(id, counts, meter)?;
                if meter.due(false) {
                    tell(id, name, meter, recorder)?;
                }
                Ok(Instant::now() < deadline && !is_wanted_elsewhere(id)?)
            };
            let plans = &mut self.plans;
            let mut sides = replay::Sides {
                source: &mut session.source,
                target: &mut session.target,
                names: &session.names,
                segments: &mut self.segments,
                uuid: &session.subscription.uuid,
                known: &self.source,
            };
            let lanes = &mut self.lanes;
            let caught_up = lanes.use_up_to(most, &session.subscription, |others| {
                let shunned = &pending.shunned;
                replay::catch_up(&mut sides, others, plans, shunned, ladder, &mut noted)
            });
            if caught_up.is_err() {
                self.lanes.close();
            }
            left = caught_up?;
        }
        let far = self.plans.iter().filter(|plan| {
            pending.oids.contains(&plan.oid) && replay::is_far_behind(plan, &self.segments, ladder)
        });
        Ok((far.map(|plan| plan.oid).collect(), left))
    }

    /// While nobody writes to the source at all it is asked for no more than that: to look into a thousand segments costs it ten
    /// milliseconds.
    fn poll(&mut self, planned: Vec<u32>, rests: bool) -> Result<Pending, Failure> {
        let source = &mut self.session.source;
        if !rests {
            return self.segments.poll(source, &planned);
        }
        // before the poll: what can be seen then can be seen by it
        let now = (snapshot::of(source)?, planned);
        if self.quiet.as_ref() == Some(&now) {
            return Ok(Pending::default());
        }
        let pending = self.segments.poll(source, &now.1)?;
        self.quiet = pending.is_empty().then_some(now);
        Ok(pending)
    }

    /// Tables whose backlog is empty in the snapshot just replayed are ready.
    fn enter_ready(&mut self, backlogged: &[u32]) -> Result<(), Trouble> {
        let id = self.id();
        let mut ready: Vec<u32> = self
            .relations
            .iter()
            .filter(|r| r.state == relation::State::Catchup && !backlogged.contains(&r.oid))
            .map(|r| r.oid)
            .collect();
        if ready.is_empty() {
            return Ok(());
        }
        ready.sort_unstable();
        self.relations = xact::run(|| {
            for oid in &ready {
                relation::enter(id, *oid, relation::State::Catchup, relation::State::Ready);
            }
            Ok(())
        })
        .and_then(|()| xact::run(|| Ok(relation::of(id))))?;
        Ok(())
    }

    /// Everything that was visible at `as_of` is on the target.
    fn completed(&mut self, memory: &mut Memory, as_of: i64) -> Result<(), Trouble> {
        let id = self.id();
        let errored = self
            .relations
            .iter()
            .any(|r| r.state == relation::State::Errored);
        self.enter_ready(&[])?;
        let all_ready = self
            .relations
            .iter()
            .all(|r| r.state == relation::State::Ready);
        let begins = all_ready && self.session.subscription.state == State::Catchup;
        if begins {
            // sequences first: streaming means that everything is there
            self.look_around(memory)?;
        }
        if begins || (self.session.subscription.state == State::Streaming && !errored) {
            memory.meter.complete(as_of);
        } else {
            memory.meter.incomplete();
        }
        if begins {
            let reading = memory.meter.read();
            let subscription = &mut self.session.subscription;
            xact::run(|| {
                if !subscription.enter(State::Streaming) {
                    return Ok(());
                }
                subscription::publish(id, &reading);
                event::record(
                    Severity::Info,
                    &subscription.name,
                    "subscription",
                    "streaming",
                    None,
                );
                Ok(())
            })?;
        }
        Ok(())
    }
}
