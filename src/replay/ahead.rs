//! Catching up: a backlog in sealed segments is replayed batch by batch, and while the target merges one the next is fetched.
//!
//! ```text
//!  source   fetch 1 | fetch 2       | delete 1, fetch 3 | delete 2, ..
//!  target           | merge, commit 1 | merge, commit 2 | ..
//! ```
//! Nobody writes to a sealed segment any more. So a fetch need not delete what it takes: its transaction only reads, and is over
//! as soon as its rows are sent; the deltas are deleted by another one, after the target's commit. Everything a batch must be
//! sure of is asked within its own fetch, in its own snapshot: that no truncation is visible, which would have to be replayed first,
//! and that the tables look as they did. Batches are committed in the order of their snapshots, so that an older row never
//! comes after a newer one.
//!
//! None of this is ever the last batch of a backlog: whether the target is complete only the plain ones know (`batch.rs`), and
//! whatever is not a table with a key and a sealed backlog is left to them. After any failure all that was fetched is forgotten.

mod fetch;

use self::fetch::{Fetch, Portion};
use super::batch::{BEGIN_TARGET, Sides, Trouble};
use super::ladder::{Ladder, Mode};
use super::merge::Merge;
use super::segments::{Reached, Stretch};
use super::statement::Plan;
use super::truncation;
use crate::failure::Failure;
use crate::libpq::{Connection, wait_for_either};
use crate::relation::Counts;

/// Whether a table has a backlog that is worth it.
pub fn is_far_behind(plan: &Plan, sides: &Sides, ladder: &Ladder) -> bool {
    plan.multiset.is_none()
        && ladder.mode(plan.oid).max(plan.lowest) != Mode::ReplaceAll
        && sides.segments.sealed(plan.oid) > plan.limit
}

/// Is told of each batch that is committed, by table; whether another one is wanted.
pub type Noted<'a> = dyn FnMut(&[(u32, Counts)]) -> Result<bool, Failure> + 'a;

/// Replays what is sealed of the tables far behind, but for those `shunned`, as long as there is more of it and `noted` wants it.
/// Returns the statements that delete what the last batch replayed: they go before whatever the source is told next.
///
/// After an `Err` drop both connections.
pub fn catch_up(
    sides: &mut Sides,
    plans: &mut [Plan],
    shunned: &[u32],
    ladder: &Ladder,
    noted: &mut Noted,
) -> Result<Vec<String>, Trouble> {
    let known = sides.known;
    let behind: Vec<u32> = plans
        .iter()
        .filter(|plan| !shunned.contains(&plan.oid) && is_far_behind(plan, sides, ladder))
        .map(|plan| plan.oid)
        .collect();
    let mut run = Run {
        behind,
        reached: Reached::new(),
        deletions: Vec::new(),
    };
    let mut wanted = true;
    let mut asked = run.ask(sides, plans, ladder)?;
    while let Some(mut fetch) = asked.take() {
        fetch.look(sides.source, plans, known)?;
        if fetch.truncated {
            fetch.discard(sides.source, plans, known)?;
            break;
        }
        let staged = run.stage(&mut fetch, sides, plans)?;
        if wanted {
            asked = run.ask(sides, plans, ladder)?;
        }
        let merge = Merge::begin(
            sides.target,
            staged.iter().map(|&at| {
                let portion = &fetch.portions[at];
                (&plans[portion.plan], portion.mode)
            }),
        )?;
        let counts = overlap(merge, asked.as_mut(), sides, plans)?;
        sides.target.batch("commit")?;
        run.committed(fetch);
        wanted = noted(&counts)?;
    }
    Ok(run.deletions(sides))
}

/// Batches that follow one another.
struct Run {
    /// tables
    behind: Vec<u32>,
    reached: Reached,
    /// what is on the target and not yet deleted on the source
    deletions: Vec<(Stretch, i64)>,
}

impl Run {
    /// Asks for the next batch, if there is one, and for the deletion of what was committed before.
    fn ask(
        &mut self,
        sides: &mut Sides,
        plans: &[Plan],
        ladder: &Ladder,
    ) -> Result<Option<Fetch>, Failure> {
        let crowd = u64::try_from(self.behind.len()).unwrap_or(u64::MAX);
        let mut portions = Vec::new();
        for (at, plan) in plans.iter().enumerate() {
            if !self.behind.contains(&plan.oid) {
                continue;
            }
            let stretches = sides
                .segments
                .stretches(plan.oid, plan.share(crowd), &self.reached);
            if stretches.is_empty() {
                continue;
            }
            self.reached.extend(stretches.iter().map(|s| s.reached()));
            let mode = ladder.mode(plan.oid).max(plan.lowest);
            portions.push(Portion::new(at, mode, stretches));
        }
        if portions.is_empty() {
            return Ok(None);
        }
        let deletions = self.deletions(sides);
        let truncations = truncation::look(sides.names, plans);
        Fetch::ask(sides.source, plans, portions, deletions, truncations).map(Some)
    }

    /// The statements, each time for what was committed since.
    fn deletions(&mut self, sides: &mut Sides) -> Vec<String> {
        if self.deletions.is_empty() {
            return Vec::new();
        }
        let mut list = vec![
            "begin; set local synchronous_commit = off; set local lock_timeout = '500ms'"
                .to_owned(),
        ];
        for (stretch, file) in self.deletions.drain(..) {
            list.push(stretch.delete(file));
            sides.segments.passed(&stretch);
        }
        list.push("commit".to_owned());
        list
    }

    /// Begins the batch on the target, with all its rows in staging tables; which portions have any.
    fn stage(
        &mut self,
        fetch: &mut Fetch,
        sides: &mut Sides,
        plans: &mut [Plan],
    ) -> Result<Vec<usize>, Trouble> {
        let known = sides.known;
        sides.target.batch(BEGIN_TARGET)?;
        let mut staged = Vec::new();
        for at in 0..fetch.portions.len() {
            let flow = fetch.stage(at, sides.source, sides.target, plans, known)?;
            let portion = &fetch.portions[at];
            let deltas: u64 = portion.stretches.iter().map(|s| s.deltas).sum();
            // half of a long line is waited for while something is merged
            let answer = sides.segments.answer / 2;
            plans[portion.plan].adapt(flow.rows, flow.bytes, Some(deltas), answer);
            if flow.rows > 0 {
                staged.push(at);
            }
        }
        fetch.finish(sides.source, plans, known)?;
        Ok(staged)
    }

    fn committed(&mut self, fetch: Fetch) {
        for stretch in fetch.portions.into_iter().flat_map(|p| p.stretches) {
            // one without a file is gone, and with it what was to be deleted
            if let Some(file) = fetch.files.get(&stretch.oid) {
                self.deletions.push((stretch, *file));
            }
        }
    }
}

/// Waits until the merge is done, and takes in meanwhile what comes of the next fetch.
fn overlap(
    mut merge: Merge,
    mut fetch: Option<&mut Fetch>,
    sides: &mut Sides,
    plans: &[Plan],
) -> Result<Vec<(u32, Counts)>, Trouble> {
    let known = sides.known;
    let (source, target): (&mut Connection, &mut Connection) = (sides.source, sides.target);
    while !merge.take(target)? {
        match fetch.as_deref_mut().filter(|fetch| fetch.has_room()) {
            None => target.wait()?,
            Some(fetch) => {
                if !fetch.take(source, plans, known)? {
                    wait_for_either(source, target)?;
                }
            }
        }
    }
    Ok(merge.counts())
}
