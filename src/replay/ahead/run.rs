//! One lane's batches, one after the other.
//!
//! ```text
//!  source   fetch 1 | fetch 2       | delete 1, fetch 3 | delete 2, ..
//!  target           | merge, commit 1 | merge, commit 2 | ..
//! ```

use super::fetch::{Fetch, Portion};
use crate::capture::Names;
use crate::catalog::Snapshot;
use crate::failure::Failure;
use crate::libpq::Connection;
use crate::relation::Counts;
use crate::replay::batch::{BEGIN_TARGET, Trouble};
use crate::replay::ladder::Ladder;
use crate::replay::merge::Merge;
use crate::replay::segments::{Reached, Segments, Stretch};
use crate::replay::statement::Plan;
use crate::replay::truncation;

/// What all lanes have to do with.
pub struct Common<'a> {
    pub plans: &'a mut [Plan],
    pub segments: &'a mut Segments,
    pub names: &'a Names,
    pub known: &'a Snapshot,
    pub ladder: &'a Ladder,
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
    tables: Vec<u32>,
    reached: Reached,
    /// what is on the target and not yet deleted on the source
    deletions: Vec<(Stretch, i64)>,
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
        let mut run = Self {
            tables,
            reached: Reached::new(),
            deletions: Vec::new(),
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
                return self.commit(target).map(Step::Committed);
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
        let crowd = u64::try_from(self.tables.len()).unwrap_or(u64::MAX);
        let mut portions = Vec::new();
        for (at, plan) in common.plans.iter().enumerate() {
            if !self.tables.contains(&plan.oid) {
                continue;
            }
            let share = plan.share(crowd);
            let stretches = common.segments.stretches(plan.oid, share, &self.reached);
            if stretches.is_empty() {
                continue;
            }
            self.reached.extend(stretches.iter().map(|s| s.reached()));
            let mode = common.ladder.mode(plan.oid).max(plan.lowest);
            portions.push(Portion::new(at, mode, stretches));
        }
        if portions.is_empty() {
            return Ok(());
        }
        let deletions = self.deletions(common.segments);
        let truncations = truncation::look(common.names, common.plans);
        self.asked = Some(Fetch::ask(
            source,
            common.plans,
            portions,
            deletions,
            truncations,
        )?);
        Ok(())
    }

    /// The statements that delete what was committed since they were asked for last.
    pub fn deletions(&mut self, segments: &mut Segments) -> Vec<String> {
        if self.deletions.is_empty() {
            return Vec::new();
        }
        let mut list = vec![
            "begin; set local synchronous_commit = off; set local lock_timeout = '500ms'"
                .to_owned(),
        ];
        for (stretch, file) in self.deletions.drain(..) {
            list.push(stretch.delete(file));
            segments.passed(&stretch);
        }
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
            let deltas: u64 = portion.stretches.iter().map(|s| s.deltas).sum();
            // half of a long line is waited for while something is merged
            let answer = common.segments.answer / 2;
            common.plans[portion.plan].adapt(flow.rows, flow.bytes, Some(deltas), answer);
            if flow.rows > 0 {
                staged.push(at);
            }
        }
        fetch.finish(source, common.plans, common.known)?;
        if common.wanted {
            self.ask(source, common)?;
        }
        let merge = Merge::begin(
            target,
            staged.iter().map(|&at| {
                let portion = &fetch.portions[at];
                (&common.plans[portion.plan], portion.mode)
            }),
        )?;
        self.merging = Some((merge, fetch));
        Ok(())
    }

    fn commit(&mut self, target: &mut Connection) -> Result<Vec<(u32, Counts)>, Trouble> {
        let Some((merge, fetch)) = self.merging.take() else {
            return Ok(Vec::new());
        };
        target.batch("commit")?;
        for stretch in fetch.portions.into_iter().flat_map(|p| p.stretches) {
            // one without a file is gone, and with it what was to be deleted
            if let Some(file) = fetch.files.get(&stretch.oid) {
                self.deletions.push((stretch, *file));
            }
        }
        Ok(merge.counts())
    }
}
