//! Replay: polls, batches, and what is complete.

use std::time::Instant;

use super::Cycle;
use crate::event::{self, Severity};
use crate::failure::Failure;
use crate::meter;
use crate::pg::xact;
use crate::relation;
use crate::replay::{self, Pending, Trouble};
use crate::snapshot;
use crate::subscription::{self, State};
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

impl Cycle<'_> {
    /// One poll, if the batch before has not told, and a batch if there is anything.
    pub(super) fn replay(&mut self, memory: &mut Memory, rests: bool) -> Result<Found, Trouble> {
        let (as_of, mut pending) = match self.next.take() {
            Some(known) => known,
            None => {
                let as_of = meter::now();
                let planned: Vec<u32> = self.plans.iter().map(|p| p.oid).collect();
                (as_of, self.poll(planned, rests)?)
            }
        };
        let session = &mut *self.session;
        memory.shunned.retain(|s| s.until > Instant::now());
        pending.shunned = memory.shunned.iter().map(|s| s.oid).collect();
        let shunned = |oid: &u32| memory.shunned.iter().any(|s| s.oid == *oid);
        let left_out = pending.oids.iter().any(&shunned);
        pending.oids.retain(|oid| !shunned(oid));
        if pending.is_empty() {
            if !left_out {
                self.completed(memory, as_of)?;
            }
            return Ok(Found::Nothing);
        }
        let as_of = meter::now();
        let outcome = replay::run(
            &mut replay::Sides {
                source: &mut session.source,
                target: &mut session.target,
                names: &session.names,
                segments: &mut self.segments,
                uuid: &session.subscription.uuid,
            },
            &mut self.plans,
            &pending,
            &memory.ladder,
            &self.source,
        )?;
        memory.ladder.worked();
        let id = self.id();
        let mut rows = 0;
        xact::run(|| {
            for (oid, counts) in &outcome.counts {
                relation::add(id, *oid, counts);
                rows += counts.rows();
            }
            Ok(())
        })?;
        memory.meter.batch(rows);
        self.enter_ready(&outcome.left)?;
        if outcome.complete {
            self.completed(memory, as_of)?;
        }
        match outcome.next {
            Some((as_of, next)) if next.is_empty() => {
                self.completed(memory, as_of)?;
                Ok(Found::Something)
            }
            Some(next) if !left_out => {
                self.next = Some(next);
                Ok(Found::More)
            }
            _ => Ok(Found::Something),
        }
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
        let ready: Vec<u32> = self
            .relations
            .iter()
            .filter(|r| r.state == relation::State::Catchup && !backlogged.contains(&r.oid))
            .map(|r| r.oid)
            .collect();
        if ready.is_empty() {
            return Ok(());
        }
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
