//! One lane's batches, one after the other.
//!
//! ```text
//!  source   fetch 1 | fetch 2       | delete 1, fetch 3 | delete 2, ..
//!  target           | merge, commit 1 | merge, commit 2 | ..
//! ```

use super::Polled;
use super::fetch::{Deltas, Fetch, Portion};
use crate::capture::Names;
use crate::catalog::Snapshot;
use crate::failure::Failure;
use crate::libpq::Connection;
use crate::relation::Counts;
use crate::replay::batch::{BEGIN_TARGET, Trouble, of_table};
use crate::replay::ladder::Ladder;
use crate::replay::merge::{Merge, Staged};
use crate::replay::multiset;
use crate::replay::segments::{Reached, Segments};
use crate::replay::statement::Plan;
use crate::replay::truncation;

/// What all lanes have to do with.
pub struct Common<'a> {
    pub plans: &'a mut [Plan],
    pub segments: &'a mut Segments,
    pub names: &'a Names,
    pub known: &'a Snapshot,
    pub ladder: &'a Ladder,
    /// of the subscription
    pub uuid: &'a str,
    /// another batch is wanted
    pub wanted: bool,
    /// there is one lane only
    pub alone: bool,
}

/// What became of it in one step.
pub enum Step {
    /// there are connections to be waited for
    Nothing,
    Something,
    Committed(Vec<(u32, Counts)>),
}

pub struct Run {
    /// with a key
    keyed: Vec<u32>,
    /// without one, not asked for yet
    keyless: Vec<u32>,
    reached: Reached,
    /// what deletes on the source what is on the target
    deletions: Vec<String>,
    /// what a poll has found in the snapshot of the last batch
    polled: Option<Polled>,
    /// on its way from the source
    asked: Option<Fetch>,
    /// on its way into the target's tables
    merging: Option<(Merge, Fetch)>,
}

impl Run {
    /// Asks for the first batch of these tables.
    pub fn begin(
        source: &mut Connection,
        tables: Vec<u32>,
        common: &mut Common,
    ) -> Result<Self, Failure> {
        let is_keyless = |plan: &Plan| plan.multiset.is_some() && tables.contains(&plan.oid);
        let keyless = common.plans.iter().filter(|plan| is_keyless(plan));
        let keyless: Vec<u32> = keyless.map(|plan| plan.oid).collect();
        let mut keyed = tables.clone();
        keyed.retain(|oid| !keyless.contains(oid));
        let mut run = Self {
            keyed,
            keyless,
            reached: Reached::new(),
            deletions: Vec::new(),
            polled: None,
            asked: None,
            merging: None,
        };
        run.ask(source, common)?;
        Ok(run)
    }

    pub fn is_over(&self) -> bool {
        self.asked.is_none() && self.merging.is_none()
    }

    /// Whether its connections have something for us sooner or later: source, target.
    pub fn awaits(&self) -> (bool, bool) {
        let source = self.asked.as_ref().is_some_and(Fetch::has_room);
        (source, self.merging.is_some())
    }

    /// Goes on with what has come.
    pub fn step(
        &mut self,
        source: &mut Connection,
        target: &mut Connection,
        common: &mut Common,
    ) -> Result<Step, Trouble> {
        let mut took = false;
        if let Some(fetch) = self.asked.as_mut().filter(|fetch| fetch.has_room()) {
            took = fetch.take(source, common.plans, common.known)?;
        }
        if let Some((merge, _)) = &mut self.merging {
            if merge.take(target)? {
                return self.commit(target, common).map(Step::Committed);
            }
        } else if let Some(fetch) = &self.asked {
            // who is alone need not care that somebody else is kept waiting
            if common.alone || !fetch.has_room() {
                self.stage(source, target, common)?;
                took = true;
            }
        }
        Ok(if took { Step::Something } else { Step::Nothing })
    }

    /// Asks for the next batch, if there is one, and for the deletion of what was committed before.
    fn ask(&mut self, source: &mut Connection, common: &mut Common) -> Result<(), Failure> {
        // while the target merges keys there is time to read all of a table without one
        let mut portions = Vec::new();
        if !self.reached.is_empty() {
            portions.extend(self.all_of_one(common));
        }
        if portions.is_empty() {
            portions = self.next_keys(common);
        }
        if portions.is_empty() {
            portions.extend(self.all_of_one(common));
        }
        if portions.is_empty() {
            return Ok(());
        }
        let deletions = self.deletions();
        let truncations = truncation::look(common.names, common.plans);
        let poll = self.is_last(common).then(|| {
            let all: Vec<u32> = common.plans.iter().map(|plan| plan.oid).collect();
            common.segments.poll_statement(&all)
        });
        self.asked = Some(Fetch::ask(
            source,
            common.plans,
            portions,
            deletions,
            truncations,
            poll,
        )?);
        Ok(())
    }

    /// There is nothing to ask for after what is asked for now.
    fn is_last(&self, common: &Common) -> bool {
        let is_read = |oid: &u32| {
            let rest = common.segments.stretches(*oid, 1, &self.reached);
            rest.is_empty()
        };
        self.keyless.is_empty() && self.keyed.iter().all(is_read)
    }

    /// What comes next of the tables with a key.
    fn next_keys(&mut self, common: &Common) -> Vec<Portion> {
        let crowd = u64::try_from(self.keyed.len()).unwrap_or(u64::MAX);
        let mut portions = Vec::new();
        for (at, plan) in common.plans.iter().enumerate() {
            if !self.keyed.contains(&plan.oid) {
                continue;
            }
            let share = plan.share(crowd);
            let stretches = common.segments.stretches(plan.oid, share, &self.reached);
            if stretches.is_empty() {
                continue;
            }
            self.reached.extend(stretches.iter().map(|s| s.reached()));
            let mode = common.ladder.mode(plan.oid).max(plan.lowest);
            portions.push(Portion::new(at, Deltas::Keys { mode, stretches }));
        }
        portions
    }

    /// All deltas of one table without a key: once in a run, for none of them is taken twice.
    fn all_of_one(&mut self, common: &Common) -> Option<Portion> {
        let oid = self.keyless.pop()?;
        let at = common.plans.iter().position(|plan| plan.oid == oid)?;
        let parts = common.segments.parts(oid, None);
        Some(Portion::new(at, Deltas::Rows(parts)))
    }

    /// Once it is over: what its last batch has found, unless the run was ended before that.
    pub fn polled(&mut self) -> Option<Polled> {
        self.polled.take()
    }

    /// The statements that delete what was committed since they were asked for last.
    pub fn deletions(&mut self) -> Vec<String> {
        if self.deletions.is_empty() {
            return Vec::new();
        }
        let mut list = vec![
            "begin; set local synchronous_commit = off; set local lock_timeout = '500ms'"
                .to_owned(),
        ];
        list.append(&mut self.deletions);
        list.push("commit".to_owned());
        list
    }

    /// Carries what was asked for into staging tables, and asks for what comes next; then the target merges. Not if a truncation
    /// is visible, which would have to be replayed first.
    fn stage(
        &mut self,
        source: &mut Connection,
        target: &mut Connection,
        common: &mut Common,
    ) -> Result<(), Trouble> {
        let Some(mut fetch) = self.asked.take() else {
            return Ok(());
        };
        fetch.look(source, common.plans, common.known)?;
        if fetch.truncated {
            common.wanted = false;
            return fetch.discard(source, common.plans, common.known);
        }
        target.batch(BEGIN_TARGET)?;
        let mut staged = Vec::new();
        for at in 0..fetch.portions.len() {
            let flow = fetch.stage(at, source, target, common.plans, common.known)?;
            let portion = &fetch.portions[at];
            if let Deltas::Keys { stretches, .. } = &portion.deltas {
                let deltas: u64 = stretches.iter().map(|s| s.deltas).sum();
                // half of a long line is waited for while something is merged
                let answer = common.segments.answer / 2;
                common.plans[portion.plan].adapt(flow.rows, flow.bytes, Some(deltas), answer);
            }
            if flow.rows > 0 {
                staged.push(at);
            }
        }
        fetch.finish(source, common.plans, common.known)?;
        self.polled = fetch.polled.take().map(|rows| Polled {
            as_of: fetch.as_of,
            rows,
        });
        self.note(&fetch, source, target, common)?;
        if common.wanted {
            self.ask(source, common)?;
        }
        let mut merged = Vec::new();
        for at in staged {
            let portion = &fetch.portions[at];
            let plan = &common.plans[portion.plan];
            let of_kind = match (&portion.deltas, &plan.multiset) {
                (Deltas::Keys { mode, .. }, _) => Staged::Keys(*mode),
                (Deltas::Rows(_), None) => unreachable!("whole rows are of a table without a key"),
                (Deltas::Rows(_), Some(multiset)) => Staged::Rows(Counts {
                    deleted: multiset::take_away(target, plan, multiset)
                        .map_err(|failure| of_table(failure, plan))?,
                    ..Counts::default()
                }),
            };
            merged.push((plan, of_kind));
        }
        let merge = Merge::begin(target, merged)?;
        self.merging = Some((merge, fetch));
        Ok(())
    }

    /// Notes in the target's transaction what must not be replayed twice.
    fn note(
        &self,
        fetch: &Fetch,
        source: &mut Connection,
        target: &mut Connection,
        common: &Common,
    ) -> Result<(), Failure> {
        let Some(mark) = &fetch.mark else {
            return Ok(());
        };
        let keyless = fetch.portions.iter().map(|p| &common.plans[p.plan]);
        let keyless = keyless.filter(|plan| plan.multiset.is_some());
        let keyless: Vec<u32> = keyless.map(|plan| plan.oid).collect();
        mark.note(source, target, common.uuid, &keyless, fetch.flushed)
    }

    fn commit(
        &mut self,
        target: &mut Connection,
        common: &mut Common,
    ) -> Result<Vec<(u32, Counts)>, Trouble> {
        let Some((merge, fetch)) = self.merging.take() else {
            return Ok(Vec::new());
        };
        target.batch("commit")?;
        for portion in fetch.portions {
            match portion.deltas {
                Deltas::Keys { stretches, .. } => {
                    for stretch in stretches {
                        // one without a file is gone, and with it what was to be deleted
                        if let Some(file) = fetch.files.get(&stretch.oid) {
                            self.deletions.push(stretch.delete(*file));
                            common.segments.passed(stretch.oid, stretch.end);
                        }
                    }
                }
                Deltas::Rows(parts) => {
                    let mark = fetch.mark.iter();
                    let delete =
                        mark.flat_map(|m| parts.iter().map(|part| m.delete(&part.segment)));
                    self.deletions.extend(delete);
                    for part in &parts {
                        common.segments.passed(part.oid, i64::MAX);
                    }
                }
            }
        }
        Ok(merge.counts())
    }
}
