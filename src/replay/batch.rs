//! One batch: a transaction on the source and one on the target that belong together.

use super::ladder::{Ladder, Mode};
use super::multiset::{self, Mark};
use super::part::Part;
use super::statement::Plan;
use super::truncation::{self, Truncated};
use super::{Pending, Segments};
use crate::capture::Names;
use crate::catalog::Snapshot;
use crate::failure::Failure;
use crate::flush;
use crate::libpq::{Connection, Flow, pump};
use crate::relation::Counts;

/// What a committed batch did.
#[derive(Debug, Default)]
pub struct Outcome {
    pub counts: Vec<(u32, Counts)>,
    /// tables of which its snapshot shows more
    pub left: Vec<u32>,
    /// nothing that its snapshot showed is left: the target equals the source as of that snapshot
    pub complete: bool,
}

/// A batch that failed and was rolled back on both sides.
#[derive(Debug)]
pub struct Trouble {
    pub failure: Failure,
    /// the table at hand, if it was one
    pub table: Option<u32>,
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            table: None,
        }
    }
}

/// The most rows one batch takes from all tables together.
const MOST_ROWS: u64 = 100_000;

/// The batch's transaction must not wait long for a lock on a user's table while it holds others: somebody's ALTER TABLE
/// would be the victim. Below `deadlock_timeout` (1 s by default), so that we give way before a deadlock is looked for.
/// Scans go from the first page to the last, or what is left of a sealed segment would not be found where it begins.
const BEGIN_SOURCE: &str = "begin isolation level repeatable read; set local synchronous_commit = off; set local lock_timeout = '500ms'; \
    set local synchronize_seqscans = off; set local max_parallel_workers_per_gather = 0";

/// A deferred unique constraint says at its table's merge what is in the way, not at the commit: then it is known whose it is.
const BEGIN_TARGET: &str = "begin; set constraints all immediate";

/// Where a batch comes from and goes to.
pub struct Sides<'a> {
    pub source: &'a mut Connection,
    pub target: &'a mut Connection,
    pub names: &'a Names,
    pub segments: &'a mut Segments,
    /// of the subscription
    pub uuid: &'a str,
}

/// Replays what is pending for `plans`. `ladder` gives each table's rung,
/// `known` is what the plans were made of.
///
/// After an `Err` drop both connections: transactions are open, perhaps in the middle of a COPY.
pub fn run(
    sides: &mut Sides,
    plans: &mut [Plan],
    pending: &Pending,
    ladder: &Ladder,
    known: &Snapshot,
) -> Result<Outcome, Trouble> {
    let Sides {
        source,
        target,
        names,
        segments,
        uuid,
    } = sides;
    let whole_rows = |plan: &Plan| plan.multiset.is_some() && pending.oids.contains(&plan.oid);
    if plans.iter().any(whole_rows) {
        flush::force(source)?;
    }
    source.batch(BEGIN_SOURCE)?;
    // before anything is deleted: our own log need not be waited for
    let mark = match plans.iter().any(|plan| plan.multiset.is_some()) {
        true => Some(Mark::of(source)?),
        false => None,
    };
    target.batch(BEGIN_TARGET)?;
    let mut outcome = Outcome::default();
    let truncations = truncation::replay(source, target, names, plans)?;
    // a column added before this snapshot would silently be left out: the plan knows nothing of it
    let concerned: Vec<u32> = plans
        .iter()
        .map(|p| p.oid)
        .filter(|oid| pending.oids.contains(oid) || is_among(&truncations, *oid))
        .collect();
    known.refuse_changed(source, &concerned)?;
    let mut fetched = Vec::new();
    let mut marked = Vec::new();
    let mut left = MOST_ROWS;
    for plan in plans.iter_mut() {
        let mut counts = Counts::default();
        let truncated = truncations.iter().find(|t| t.oid == plan.oid);
        counts.truncated = truncated.map_or(0, |t| t.times);
        let mode = ladder.mode(plan.oid).max(plan.lowest);
        // no other table has a part in the conflict: of those not more than usual, and none that somebody has locked
        let whole = mode == Mode::ReplaceAll;
        if let Some(multiset) = &plan.multiset {
            if !concerned.contains(&plan.oid) {
                continue;
            }
            let positions = truncated.map_or(&[][..], |t| &t.positions);
            let parts = segments.parts(plan.oid, None);
            multiset::replay(
                source,
                target,
                plan,
                multiset,
                &parts,
                positions,
                &mut counts,
            )
            .and_then(|_| segments.advance(source, plan.oid))
            .map_err(|failure| of_table(failure, plan))?;
            marked.push(plan.oid);
        } else if (whole || left > 0) && pending.oids.contains(&plan.oid) {
            let limit = (!whole).then(|| plan.limit.min(left));
            let parts = segments.parts(plan.oid, limit);
            let flow = replay_table(source, target, plan, mode, &parts, &mut counts)
                .and_then(|flow| segments.advance(source, plan.oid).map(|()| flow))
                .map_err(|failure| of_table(failure, plan))?;
            left = left.saturating_sub(flow.rows);
            fetched.push((plan.oid, flow));
        }
        if counts.rows() + counts.truncated > 0 {
            outcome.counts.push((plan.oid, counts));
        }
    }
    let oids: Vec<u32> = plans.iter().map(|p| p.oid).collect();
    let more = segments.poll(source, &oids)?;
    outcome.complete = more.is_empty();
    outcome.left = more.oids;
    for (oid, flow) in fetched {
        let full = outcome.left.contains(&oid);
        if let Some(plan) = plans.iter_mut().find(|p| p.oid == oid) {
            plan.adapt(flow.rows, flow.bytes, full);
        }
    }
    if let (Some(mark), false) = (mark, marked.is_empty()) {
        mark.note(source, target, uuid, &marked)?;
    }
    target.batch("commit")?;
    source.batch("commit")?;
    Ok(outcome)
}

fn of_table(failure: Failure, plan: &Plan) -> Trouble {
    Trouble {
        failure,
        table: Some(plan.oid),
    }
}

fn is_among(truncations: &[Truncated], oid: u32) -> bool {
    truncations.iter().any(|t| t.oid == oid)
}

/// Fetches, stages and merges one table; the rows it fetched.
fn replay_table(
    source: &mut Connection,
    target: &mut Connection,
    plan: &mut Plan,
    mode: Mode,
    parts: &[Part],
    counts: &mut Counts,
) -> Result<Flow, Failure> {
    if parts.is_empty() {
        return Ok(Flow::default());
    }
    target.batch(&plan.create_stage)?;
    source.copy_out(&plan.fetch(parts))?;
    let flow = pump(source, target, &plan.fill_stage, |_| Ok(()))?;
    source.copy_done()?;
    if flow.rows == 0 {
        return Ok(flow);
    }
    if mode == Mode::Upsert {
        counts.deleted = target.execute(&plan.delete_gone, &[])?;
        let merged = &target.query(&plan.upsert, &[])?[0];
        counts.inserted = unsigned(merged.int("inserted"));
        counts.updated = unsigned(merged.int("updated"));
    } else {
        let gone = &target.query(&plan.delete_all, &[])?[0];
        counts.deleted = unsigned(gone.int("deleted"));
        counts.updated = unsigned(gone.int("back"));
        counts.inserted = target
            .execute(&plan.insert_all, &[])?
            .saturating_sub(counts.updated);
    }
    Ok(flow)
}

fn unsigned(n: i64) -> u64 {
    u64::try_from(n).expect("a count is not negative")
}
