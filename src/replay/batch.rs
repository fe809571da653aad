//! One batch: a transaction on the source and one on the target that belong together.
//!
//! All that the source is asked goes there in one list, but for tables without a key: while the target merges one table the next
//! one's rows are on their way, and a long line is felt once, not once a statement.

use std::time::{Duration, Instant};

use super::ladder::{Ladder, Mode};
use super::merge::{Merge, Staged};
use super::multiset::{self, Mark};
use super::segments::LookAhead;
use super::statement::Plan;
use super::truncation;
use super::{Pending, Segments};
use crate::capture::Names;
use crate::catalog::{self, Snapshot};
use crate::failure::Failure;
use crate::flush;
use crate::libpq::{Connection, Flow, pump_any};
use crate::meter;
use crate::relation::Counts;

/// What a committed batch did.
#[derive(Debug, Default)]
pub struct Outcome {
    pub counts: Vec<(u32, Counts)>,
    /// tables of which its snapshot shows more
    pub left: Vec<u32>,
    /// nothing that its snapshot showed is left: the target equals the source as of that snapshot
    pub complete: bool,
    /// what is to be replayed next, where that is known already, and when it was asked for
    pub next: Option<(i64, Pending)>,
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

/// A batch that took as long is followed by the next one at once.
const SOON: Duration = Duration::from_millis(20);

/// The batch's transaction must not wait long for a lock on a user's table while it holds others: somebody's ALTER TABLE
/// would be the victim. Below `deadlock_timeout` (1 s by default), so that we give way before a deadlock is looked for.
/// Scans go from the first page to the last, or what is left of a sealed segment would not be found where it begins.
const BEGIN_SOURCE: &str = "begin isolation level repeatable read; set local synchronous_commit = off; set local lock_timeout = '500ms'; \
    set local synchronize_seqscans = off; set local max_parallel_workers_per_gather = 0";

/// A deferred unique constraint says at its table's merge what is in the way, not at the commit: then it is known whose it is.
pub(super) const BEGIN_TARGET: &str = "begin; set constraints all immediate";

/// Where a batch comes from and goes to.
pub struct Sides<'a> {
    pub source: &'a mut Connection,
    pub target: &'a mut Connection,
    pub names: &'a Names,
    pub segments: &'a mut Segments,
    /// of the subscription
    pub uuid: &'a str,
    /// what the plans were made of
    pub known: &'a Snapshot,
}

/// Replays what is pending for `plans`. `first`: statements for the source that come before, each a transaction of its own;
/// `ladder` gives each table's rung.
///
/// After an `Err` drop both connections: transactions are open, perhaps in the middle of a COPY.
pub fn run(
    sides: &mut Sides,
    first: Vec<String>,
    plans: &mut [Plan],
    pending: &Pending,
    ladder: &Ladder,
) -> Result<Outcome, Trouble> {
    let Sides {
        source,
        target,
        names,
        segments,
        uuid,
        known,
    } = sides;
    let began = Instant::now();
    let whole_rows = |plan: &Plan| plan.multiset.is_some() && pending.oids.contains(&plan.oid);
    let flushes = plans.iter().any(whole_rows);
    let oids: Vec<u32> = plans.iter().map(|p| p.oid).collect();
    let multisets = plans.iter().any(|plan| plan.multiset.is_some());
    let fetches = fetches(plans, pending, segments, ladder);
    // a column added before this snapshot would silently be left out: the plan knows nothing of it
    let concerned: Vec<u32> = plans
        .iter()
        .enumerate()
        .filter(|(at, p)| p.multiset.is_some() || fetches.iter().any(|f| f.plan == *at))
        .map(|(_, p)| p.oid)
        .collect();
    let mut list = first;
    list.extend(flushes.then(|| flush::FORCE.to_owned()));
    list.push(BEGIN_SOURCE.to_owned());
    list.extend(multisets.then(|| Mark::READ.to_owned()));
    list.push(truncation::take(names, plans));
    list.push(catalog::fingerprint_statement(&concerned));
    for fetch in &fetches {
        list.push(fetch.sql.clone());
        list.extend(fetch.looks.iter().map(|look| look.sql.clone()));
    }
    list.push(segments.poll_statements(&oids));
    source.send_list(&list.join(";\n"))?;
    target.batch(BEGIN_TARGET)?;
    if flushes {
        source.rows_next()?;
    }
    let mark = match multisets {
        true => source.rows_next()?.first().map(Mark::of),
        false => None,
    };
    let truncations = truncation::replay(&source.rows_next()?, target, plans)?;
    known.refuse_others(&source.rows_next()?, &concerned)?;
    let mut outcome = Outcome::default();
    let mut counted: Vec<(u32, Counts)> = Vec::new();
    let mut flows = Vec::new();
    for fetch in &fetches {
        let plan = &plans[fetch.plan];
        let flow = fetch_table(source, target, plan).map_err(|failure| of_table(failure, plan))?;
        if flow.rows > 0 {
            counted
                .extend(Merge::begin(target, [(plan, Staged::Keys(fetch.mode))])?.finish(target)?);
        }
        for look in &fetch.looks {
            let rows = source
                .rows_next()
                .map_err(|failure| of_table(failure, plan))?;
            segments.advanced(look, &rows);
        }
        flows.push((fetch.plan, flow));
    }
    let mut more = segments.polled(&source.rows_next()?, &oids);
    source.list_done()?;
    let mut marked = Vec::new();
    let mut taken = Vec::new();
    for plan in plans.iter() {
        let truncated = truncations.iter().find(|t| t.oid == plan.oid);
        let Some(multiset) = &plan.multiset else {
            continue;
        };
        if truncated.is_none() && !pending.oids.contains(&plan.oid) {
            continue;
        }
        let mut counts = Counts::default();
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
        .map_err(|failure| of_table(failure, plan))?;
        marked.push(plan.oid);
        taken.extend(parts);
        counted.push((plan.oid, counts));
    }
    if let (Some(mark), false) = (mark, marked.is_empty()) {
        let looks = segments.looks_ahead(&taken);
        let mut list: Vec<String> = looks.iter().map(|look| look.sql.clone()).collect();
        list.push(segments.poll_statements(&oids));
        list.push(flush::REACHED.to_owned());
        source.send_list(&list.join(";\n"))?;
        for look in &looks {
            segments.advanced(look, &source.rows_next()?);
        }
        more = segments.polled(&source.rows_next()?, &oids);
        let flushed = flush::reached(&source.rows_next()?);
        source.list_done()?;
        mark.note(source, target, uuid, &marked, flushed)?;
    }
    for truncated in &truncations {
        match counted.iter_mut().find(|(oid, _)| *oid == truncated.oid) {
            Some((_, counts)) => counts.truncated = truncated.times,
            None => counted.push((
                truncated.oid,
                Counts {
                    truncated: truncated.times,
                    ..Counts::default()
                },
            )),
        }
    }
    counted.retain(|(_, counts)| counts.rows() + counts.truncated > 0);
    outcome.counts = counted;
    outcome.complete = more.is_empty();
    for (at, flow) in flows {
        let plan = &mut plans[at];
        let taken = more.oids.contains(&plan.oid).then_some(plan.limit);
        plan.adapt(flow.rows, flow.bytes, taken, segments.answer);
    }
    target.batch("commit")?;
    let asked = Instant::now();
    outcome.left = more.oids;
    if outcome.complete && began.elapsed() < SOON {
        source.batch("commit")?;
    } else {
        // what comes next is asked for anew: the longer ago that was, the more tables have got deltas since
        let as_of = meter::now();
        source.send_list(&format!("commit; {}", segments.poll_statements(&oids)))?;
        let next = segments.polled(&source.rows_next()?, &oids);
        source.list_done()?;
        outcome.next = Some((as_of, next));
    }
    // one long wait does not make a long line
    let doubled = segments.answer * 2 + Duration::from_millis(5);
    segments.answer = asked.elapsed().min(doubled);
    Ok(outcome)
}

/// What a batch takes from one table with a key.
struct Fetch {
    /// which of the plans
    plan: usize,
    mode: Mode,
    sql: String,
    looks: Vec<LookAhead>,
}

fn fetches(plans: &[Plan], pending: &Pending, segments: &Segments, ladder: &Ladder) -> Vec<Fetch> {
    let crowd = u64::try_from(pending.oids.len()).unwrap_or(u64::MAX);
    // also what nothing was found of, but is written to all the time: or a batch would hardly ever be complete
    let taken = |oid| {
        pending.oids.contains(&oid) || (segments.is_busy(oid) && !pending.shunned.contains(&oid))
    };
    plans
        .iter()
        .enumerate()
        .filter(|(_, plan)| plan.multiset.is_none() && taken(plan.oid))
        .filter_map(|(at, plan)| {
            let mode = ladder.mode(plan.oid).max(plan.lowest);
            // no other table has a part in the conflict: of those not more than usual, and none that somebody has locked
            let limit = (mode != Mode::ReplaceAll).then(|| plan.share(crowd));
            let parts = segments.parts(plan.oid, limit);
            (!parts.is_empty()).then(|| Fetch {
                plan: at,
                mode,
                sql: plan.fetch(&parts),
                looks: segments.looks_ahead(&parts),
            })
        })
        .collect()
}

pub(super) fn of_table(failure: Failure, plan: &Plan) -> Trouble {
    Trouble {
        failure,
        table: Some(plan.oid),
    }
}

/// Fetches and stages one table; the rows it fetched.
fn fetch_table(
    source: &mut Connection,
    target: &mut Connection,
    plan: &Plan,
) -> Result<Flow, Failure> {
    source.copy_next()?;
    let flow = pump_any(source, target, &plan.create_stage, &plan.fill_stage)?;
    Ok(flow.unwrap_or_default())
}
