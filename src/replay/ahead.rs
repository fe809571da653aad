//! Catching up: a backlog in sealed segments is replayed batch by batch, and while the target merges one the next is fetched
//! (`ahead/run.rs`). Where several tables are far behind they go several lanes, each with its own connections: a server does one
//! thing at a time for a connection, and merging takes longest.
//!
//! Nobody writes to a sealed segment any more. So a fetch need not delete what it takes: its transaction only reads, and is over
//! as soon as its rows are sent; the deltas are deleted by another one, after the target's commit. Everything a batch must be
//! sure of is asked within its own fetch, in its own snapshot: that no truncation is visible, which would have to be replayed first,
//! and that the tables look as they did. A table goes one lane, and its batches are committed in the order of their snapshots,
//! so that an older row never comes after a newer one.
//!
//! Of a table without a key all that the snapshot shows is fetched at once, sealed or not, and the snapshot is noted on the target
//! as ever (`multiset.rs`). Its deltas must be deleted before any are fetched again: so they are within a run, where it is its one
//! batch, and by whatever the source is told next; after a failure they are settled.
//!
//! None of these batches makes the target complete by itself: that is known when all of them are committed and a poll has found
//! nothing else, which the last one asks in its own snapshot; or by a plain batch (`batch.rs`), which what has no sealed backlog to
//! speak of is left to. After any failure all that was fetched is forgotten.

mod fetch;
mod run;
mod share;

use self::run::{Common, Run, Step};
use self::share::share_out;
use super::batch::{Sides, Trouble};
use super::ladder::{Ladder, Mode};
use super::segments::Segments;
use super::statement::Plan;
use crate::failure::Failure;
use crate::libpq::{Awaited, Connection, wait_for_any};
use crate::relation::Counts;
use crate::row::Row;

/// A table whose backlog comes to as many batches of rows is worth a lane.
const WORTH_A_LANE: u64 = 4;

/// Whether a table has a backlog that is worth it.
pub fn is_far_behind(plan: &Plan, segments: &Segments, ladder: &Ladder) -> bool {
    ladder.mode(plan.oid).max(plan.lowest) != Mode::ReplaceAll
        && segments.sealed(plan.oid) > plan.limit
}

/// How many lanes have enough to do, where so many are `open` already: those may be used for less.
pub fn lanes(
    plans: &[Plan],
    segments: &Segments,
    shunned: &[u32],
    ladder: &Ladder,
    open: usize,
) -> usize {
    let behind = || behind(plans, segments, shunned, ladder);
    let worth = |plan: &&Plan| segments.rows(plan.oid) > plan.limit * WORTH_A_LANE;
    let at_hand = behind().count().min(open);
    behind().filter(worth).count().max(at_hand).max(1)
}

fn behind<'a>(
    plans: &'a [Plan],
    segments: &'a Segments,
    shunned: &'a [u32],
    ladder: &'a Ladder,
) -> impl Iterator<Item = &'a Plan> {
    let far = |plan: &&Plan| is_far_behind(plan, segments, ladder);
    plans
        .iter()
        .filter(|plan| !shunned.contains(&plan.oid))
        .filter(far)
}

/// Is told of each batch that is committed, by table; whether another one is wanted.
pub type Noted<'a> = dyn FnMut(&[(u32, Counts)]) -> Result<bool, Failure> + 'a;

/// The connections of a lane: source, target.
pub type Lane = (Connection, Connection);

/// The lanes beside the connections of [`Sides`].
pub struct Others<'a> {
    pub open: &'a mut Vec<Lane>,
    /// how many there may be
    pub most: usize,
    /// goes on with opening one more
    pub more: &'a mut dyn FnMut() -> Coming,
}

/// One more lane.
pub enum Coming {
    Now(Box<Lane>),
    /// to be asked for again when this has come, and now and then
    Later(Awaited),
    /// there will be no more
    Never,
}

/// What a poll of all planned tables has found, and as of when, in microseconds since 1970.
pub struct Polled {
    pub as_of: i64,
    pub rows: Vec<Row>,
}

/// What a run leaves to be done.
#[derive(Default)]
pub struct Left {
    /// statements that delete what the last batches replayed: they go before whatever else could take it
    pub deletions: Vec<String>,
    /// what the last batch has found, if the run went to its end
    pub polled: Option<Polled>,
}

/// Replays what is sealed of the tables far behind, but for those `shunned`, as long as there is more of it and `noted` wants it,
/// over the connections of `sides` and over these `others`.
///
/// After an `Err` drop all connections.
pub fn catch_up(
    sides: &mut Sides,
    others: &mut Others,
    plans: &mut [Plan],
    shunned: &[u32],
    ladder: &Ladder,
    noted: &mut Noted,
) -> Result<Left, Trouble> {
    let tables: Vec<(u32, u64)> = behind(plans, sides.segments, shunned, ladder)
        .map(|plan| (plan.oid, sides.segments.rows(plan.oid)))
        .collect();
    let mut shares = share_out(&tables, others.most + 1).into_iter().peekable();
    let mut common = Common {
        plans,
        segments: sides.segments,
        names: sides.names,
        known: sides.known,
        ladder,
        uuid: sides.uuid,
        wanted: true,
        alone: shares.len() == 1,
    };
    let mut runs: Vec<Run> = Vec::new();
    loop {
        // one that is not open yet goes on being opened when the others wait for something anyway
        let mut moved = false;
        while runs.len() <= others.open.len()
            && let Some(tables) = shares.next()
        {
            let source = match runs.len() {
                0 => &mut *sides.source,
                n => &mut others.open[n - 1].0,
            };
            runs.push(Run::begin(source, tables, &mut common)?);
        }
        for (at, run) in runs.iter_mut().enumerate() {
            let (source, target) = match at {
                0 => (&mut *sides.source, &mut *sides.target),
                _ => {
                    let (source, target) = &mut others.open[at - 1];
                    (source, target)
                }
            };
            match run.step(source, target, &mut common)? {
                Step::Nothing => continue,
                Step::Something => {}
                Step::Committed(counts) => common.wanted &= noted(&counts)?,
            }
            moved = true;
        }
        if moved {
            continue;
        }
        let mut door = None;
        if common.wanted && shares.peek().is_some() {
            match (others.more)() {
                Coming::Now(lane) => {
                    others.open.push(*lane);
                    continue;
                }
                Coming::Later(awaited) => door = Some(awaited),
                // what it would have taken waits for the next run
                Coming::Never => {
                    shares = Vec::new().into_iter().peekable();
                    common.alone = runs.len() == 1;
                }
            }
        }
        // who waits for nothing else need not wait for a lane: the next run takes what that would have taken
        if runs.iter().all(Run::is_over) {
            break;
        }
        let own = std::iter::once((&mut *sides.source, &mut *sides.target));
        let pairs = own.chain(
            others
                .open
                .iter_mut()
                .map(|(source, target)| (source, target)),
        );
        let awaited = runs.iter().zip(pairs).flat_map(|(run, (source, target))| {
            let (from_source, from_target) = run.awaits();
            let source = from_source.then_some(source);
            source.into_iter().chain(from_target.then_some(target))
        });
        wait_for_any(awaited, door)?;
    }
    let polled = runs.iter_mut().filter_map(Run::polled);
    let polled = polled.max_by_key(|polled| polled.as_of);
    Ok(Left {
        deletions: runs.iter_mut().flat_map(Run::deletions).collect(),
        polled,
    })
}
