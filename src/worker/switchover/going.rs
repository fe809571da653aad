//! `repl_switchover`, step by step. Up to the fence nothing is refused to anybody; from the fence on every step ends in time or
//! everything is taken back.

use std::time::{Duration, Instant};

use super::Errand;
use super::evidence::Evidence;
use crate::failure::Failure;
use crate::meter;
use crate::pg::worker::{self, APPLY_CLASS};
use crate::pg::{latch, xact};
use crate::selection::Choice;
use crate::sequence;
use crate::step::Outcome;
use crate::subscription::{self, State};
use crate::switchover::Verify;

/// How it is to be done.
#[derive(Clone, Copy)]
pub(super) struct Way {
    pub max_downtime: Duration,
    pub verify: Verify,
    pub reverse: bool,
    pub dry_run: bool,
}

/// What the apply worker is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// all deltas are replayed
    Replayed,
    /// and it has looked for changes that leave none
    Looked,
}

/// What is replayed before the fence is not waited for any longer.
const CATCHING_UP: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(3);
/// A wake-up that came while the apply worker waited for a server is forgotten.
const WAKE_EVERY: Duration = Duration::from_millis(40);
const CARE: Duration = Duration::from_millis(100);

impl Errand {
    pub(super) fn switch_over(&mut self, way: Way) -> Result<(), Failure> {
        let mut evidence = self.prepare(way)?;
        if way.dry_run {
            return self.estimate(way, &evidence);
        }
        self.begin("fence")?;
        self.announce()?;
        self.caught_up(Until::Replayed)?;
        self.raise()?;
        let fenced = self.raised.expect("just raised");
        self.deadline = Some((fenced + way.max_downtime, way.max_downtime));
        self.done("the source refuses writes")?;

        self.begin("barrier")?;
        let deadline = fenced + way.max_downtime;
        let waited = self.barrier(deadline, way.max_downtime, false)?;
        self.confirm()?;
        self.done(&format!(
            "nobody writes any more, after {} ms",
            waited.as_millis()
        ))?;

        self.begin("drain")?;
        let id = self.subscription.id;
        let closed = meter::now();
        xact::run(|| {
            subscription::set_fence(id, Some(subscription::Fence::Closing));
            Ok(())
        })?;
        let took = self.caught_up(Until::Replayed)?;
        self.done(&format!(
            "all that was written is on the target, after {} ms",
            took.as_millis()
        ))?;

        self.begin("sequences")?;
        let message = self.set_sequences()?;
        self.done(&message)?;

        self.begin("verify")?;
        if let Some(evidence) = &mut evidence {
            self.complete(evidence, false)?;
        }
        // what had happened before the fence without deltas, a partition that came with rows for one, is found meanwhile
        self.looked_since(closed)?;
        match &mut evidence {
            None => self.end(Outcome::Skipped, "rows are not counted, as told", false)?,
            Some(evidence) => {
                self.complete(evidence, true)?;
                self.done(&evidence.told_behind(fenced))?;
            }
        }

        self.begin("triggers")?;
        let message = self.put_back()?;
        self.done(&message)?;

        self.finish(fenced)
    }

    /// Everything that can be done while the application writes.
    fn prepare(&mut self, way: Way) -> Result<Option<Evidence>, Failure> {
        self.begin("check")?;
        let message = self.check(way.max_downtime)?;
        self.done(&message)?;

        let proof = self.prove(way.verify, way.max_downtime)?;

        self.begin("materialized views")?;
        let message = self.refresh_views()?;
        self.done(&message)?;

        self.begin("statistics")?;
        let message = self.analyze()?;
        self.done(&message)?;

        let evidence = if way.verify == Verify::None {
            None
        } else {
            self.begin("count")?;
            let tally = self.count_before()?;
            self.done(&tally.told_before())?;
            Some(Evidence { tally, proof })
        };
        self.begin("reverse")?;
        self.prepare_way_back(way)?;

        self.begin("catch up")?;
        let took = self.catch_up()?;
        self.done(&format!("caught up within {} ms", took.as_millis()))?;
        Ok(evidence)
    }

    fn prepare_way_back(&mut self, way: Way) -> Result<(), Failure> {
        if !way.reverse {
            return self.end(
                Outcome::Skipped,
                "no subscription leads back, as told: what is written to the target after the last step stays there",
                false,
            );
        }
        if way.dry_run {
            let id = self.subscription.id;
            let finished = xact::run(|| Ok(subscription::counterpart(id)))?
                .filter(|back| back.state == State::Finished);
            if let Some(finished) = finished {
                let message = self.look_back(&finished)?;
                return self.done(&message);
            }
            return self.end(
                Outcome::Skipped,
                "dry run: the target is not fenced either",
                false,
            );
        }
        let message = self.arm()?;
        self.done(&message)
    }

    /// Waits until the target equals the source as of a moment after the call.
    pub(super) fn catch_up(&mut self) -> Result<Duration, Failure> {
        self.caught_up(Until::Looked)
    }

    fn caught_up(&mut self, until: Until) -> Result<Duration, Failure> {
        self.await_worker(until, meter::now())
    }

    fn looked_since(&mut self, since: i64) -> Result<(), Failure> {
        self.await_worker(Until::Looked, since).map(drop)
    }

    fn await_worker(&mut self, until: Until, since: i64) -> Result<Duration, Failure> {
        let began = Instant::now();
        let id = self.subscription.id;
        let limit = self
            .deadline
            .map_or(began + CATCHING_UP, |(deadline, _)| deadline);
        let mut woken: Option<Instant> = None;
        let mut cared = Instant::now();
        loop {
            let (reached, workers) = xact::run(|| {
                let looked = until == Until::Looked;
                let reached = subscription::is_complete_since(id, since, looked);
                Ok((reached, worker::pids(APPLY_CLASS, id)))
            })?;
            if reached {
                return Ok(began.elapsed());
            }
            if Instant::now() >= limit {
                return Err(self.too_late("what is to be replayed is not on the target yet"));
            }
            if woken.is_none_or(|at| at.elapsed() >= WAKE_EVERY) {
                woken = Some(Instant::now());
                workers.into_iter().for_each(worker::wake);
            }
            if cared.elapsed() >= CARE {
                cared = Instant::now();
                self.check_caller()?;
                self.refuse_stopped()?;
            }
            latch::wait(LOOK_EVERY);
        }
    }

    /// The one place where the target's sequences are set for good.
    fn set_sequences(&mut self) -> Result<String, Failure> {
        let choice = Choice::parse(
            self.subscription.tables.as_deref(),
            self.subscription.exclude.as_deref(),
        )?;
        let taken: Vec<u32> = self.relations.iter().map(|r| r.oid).collect();
        self.limit_statements()?;
        let (source, target) = self.sides()?;
        let settled = sequence::settle(source, target, &choice, &taken)?;
        let Some(failed) = settled.iter().find(|s| s.has_failed()) else {
            return Ok(format!(
                "{} sequences of the target are where the source's are",
                settled.len()
            ));
        };
        let why = failed.problem.as_ref().map(Failure::line);
        Err(Failure::new(
            "55000",
            format!("sequence {}: {}", failed.sequence, why.unwrap_or_default()),
        )
        .hint(
            "Mend the sequence on the target (missing, or a right on it), then call repl_switchover again.",
        ))
    }

    fn finish(&mut self, fenced: Instant) -> Result<(), Failure> {
        self.remaining()?;
        self.begin("finished")?;
        self.check_caller()?;
        self.confirm()?;
        self.confirm_way_back()?;
        let id = self.subscription.id;
        let finished = xact::run(|| {
            let finished = subscription::finish(id);
            if finished {
                self.awake_way_back()?;
            }
            Ok(finished)
        })?;
        if !finished {
            return Err(
                Failure::new("55000", "the subscription is not streaming any more")
                    .hint("SELECT * FROM repl_status tells what happened to it."),
            );
        }
        self.raised = None;
        self.before = Some(subscription::Fence::Standing);
        let message = self.finished(fenced)?;
        xact::run(|| {
            let last = !self.subscription.ordinary;
            self.run
                .end(self.number, Outcome::Done, &message, None, last);
            super::wake_apply_worker(id);
            Ok(())
        })?;
        if self.subscription.ordinary {
            self.validate()?;
        }
        Ok(())
    }

    /// What there is to say now that nothing is taken back any more.
    fn finished(&mut self, fenced: Instant) -> Result<String, Failure> {
        let name = self.subscription.name.clone();
        let Some(back) = self.way_back_name() else {
            return Ok(format!(
                "finished: writes were refused for {} ms; point the application at the target. The source goes on refusing writes, so \
                 that no straggler is lost; SELECT repl_stop('{name}') cleans it up and lets it take writes again",
                fenced.elapsed().as_millis()
            ));
        };
        let opened = self.open_way_back();
        let millis = fenced.elapsed().as_millis();
        Ok(match opened {
            Ok(()) => format!(
                "finished: writes were refused for {millis} ms; point the application at the target. What is written there flows back to \
                 the source by subscription {back}, so that SELECT repl_switchover('{back}') can go back; the source refuses all \
                 other writes. For good: SELECT repl_stop('{back}'), then SELECT repl_stop('{name}')"
            ),
            Err(failure) => format!(
                "finished, but the target still refuses writes ({}): subscription {back} lets it take them as soon as it can, or \
                 SELECT repl_unfence('{back}'); then point the application at the target",
                failure.line()
            ),
        })
    }

    fn estimate(&mut self, way: Way, evidence: &Option<Evidence>) -> Result<(), Failure> {
        self.begin("estimate")?;
        let began = Instant::now();
        let caught_up = self.catch_up()?;
        self.set_sequences()?;
        let moving = began.elapsed();
        let counting = evidence
            .as_ref()
            .map_or(Duration::ZERO, |e| e.expected(way.max_downtime));
        let writers = self.writers()?;
        let message = format!(
            "dry run, nothing was fenced: writes would be refused for about {} ms (drain {} ms, sequences {} ms, verification up to {} \
             ms){}",
            (moving + counting).as_millis(),
            caught_up.as_millis(),
            (moving - caught_up).as_millis(),
            counting.as_millis(),
            match writers.first() {
                None => "; nobody writes right now".to_owned(),
                Some(oldest) => format!(
                    ", and as long as the transactions that are writing then take: {} right now, the oldest: {}",
                    writers.len(),
                    oldest.in_words
                ),
            }
        );
        self.end(Outcome::Done, &message, true)
    }
}
