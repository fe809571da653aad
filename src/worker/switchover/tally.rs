//! Rows counted on both sides. Before the fence every table, at a moment of both sides, without the rows whose deltas are still
//! to be replayed; behind it only what may have become another number since, which
//! the counters of replay tell: without an insert, delete or truncation replayed, a number that was equal still is. There is a
//! time for that; tables that were equal before and would take longer are left at that, and named.

use std::time::{Duration, Instant};

use super::Errand;
use super::except::Except;
use super::moves::Moves;
use crate::catalog;
use crate::failure::Failure;
use crate::quote::literal;
use crate::relation;
use crate::table::Table;

/// A snapshot on the source is held no longer, but for one large table.
const SNAPSHOT: Duration = Duration::from_secs(5);
/// Tables that have deltas for so long, whenever one looks, are counted behind the fence.
const PATIENCE: Duration = Duration::from_secs(10);
const SHOWN: usize = 5;
/// A difference is one when it is there at so many moments.
const MOMENTS: usize = 4;

struct Counted {
    source: Table,
    target: Table,
    /// what replay had counted before its rows were; `None`: the numbers were not equal, for it changed all the time
    equal_at: Option<Moves>,
    took: Duration,
    place: Place,
}

/// Where a table was counted last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Before,
    Behind,
    /// before, and it has changed since
    Left,
}

pub(super) struct Tally {
    tables: Vec<Counted>,
    rows: i64,
    /// on comparing behind the fence
    pub(super) spent: Duration,
}

impl Tally {
    pub(super) fn told_before(&self) -> String {
        let moving = self.tables.iter().filter(|t| t.equal_at.is_none()).count();
        let equal = self.tables.len() - moving;
        let more = match moving {
            0 => String::new(),
            n => format!("; {n} changed too fast and are counted behind the fence"),
        };
        format!(
            "{equal} tables have as many rows on both sides, {} in all{more}",
            self.rows
        )
    }

    pub(super) fn told_behind(&self, fenced: Instant) -> String {
        let at = |place| self.tables.iter().filter(move |t| t.place == place);
        let left: Vec<String> = at(Place::Left).map(|t| t.source.shown()).collect();
        let more = match left.len() {
            0 => String::new(),
            n => format!(
                "; {n} may have changed since they were counted equal before the fence, and there was no time to count them again ({}{}): a \
                 longer max_downtime gives more",
                left[..n.min(SHOWN)].join(", "),
                if n > SHOWN { ", ..." } else { "" }
            ),
        };
        format!(
            "as many rows on both sides: {} tables counted behind the fence, {} before it and without an insert or delete since{more}; \
             {} ms behind the fence",
            at(Place::Behind).count(),
            at(Place::Before).count(),
            fenced.elapsed().as_millis()
        )
    }

    /// How long all of it, and what must be counted behind the fence, take there.
    pub(super) fn expected(&self) -> (Duration, Duration) {
        let moving = self.tables.iter().filter(|t| t.equal_at.is_none());
        (
            self.tables.iter().map(|t| t.took).sum(),
            moving.map(|t| t.took).sum(),
        )
    }

    /// The numbers of a table are equal behind the fence.
    pub(super) fn know(&mut self, oid: u32, moves: Option<&Moves>) {
        if let Some(counted) = self.tables.iter_mut().find(|t| t.source.oid == oid) {
            counted.equal_at = moves.cloned();
            counted.place = Place::Behind;
        }
    }
}

impl Errand {
    /// The source's tables with their counterparts on the target.
    pub(super) fn counterparts(&mut self) -> Result<Vec<(Table, Table)>, Failure> {
        if self.tables.is_empty() {
            let (source, target) = self.sides()?;
            let (mut ours, theirs) = (catalog::tables(source)?, catalog::tables(target)?);
            catalog::forget_keys(&mut ours, &relation::keyless(&self.relations));
            let taken: Vec<u32> = self.relations.iter().map(|r| r.oid).collect();
            self.tables = ours
                .into_iter()
                .filter(|t| taken.contains(&t.oid))
                .filter_map(|t| {
                    let other = theirs
                        .iter()
                        .find(|o| o.schema == t.schema && o.name == t.name)?;
                    Some((t, other.clone()))
                })
                .collect();
        }
        Ok(self.tables.clone())
    }

    /// Each table at a moment of both sides: the numbers are equal, or something is wrong. Tables with many deltas at each of
    /// several moments are left for later.
    pub(super) fn count_before(&mut self) -> Result<Tally, Failure> {
        let mut eye = self.eye()?;
        let mut tally = Tally {
            tables: Vec::new(),
            rows: 0,
            spent: Duration::ZERO,
        };
        let mut waiting = self.counterparts()?;
        let mut fruitless = Instant::now();
        let mut doubted: Vec<u32> = Vec::new();
        while !waiting.is_empty() && fruitless.elapsed() < PATIENCE {
            // before the moment: what is replayed after it will have changed these
            let moves = self.all_moves()?;
            let Some(filled) = self.meet(&mut eye)? else {
                break;
            };
            let began = Instant::now();
            let mut later = Vec::new();
            for (source, target) in waiting {
                let Some(at) = moves.get(&source.oid) else {
                    continue;
                };
                if began.elapsed() >= SNAPSHOT {
                    later.push((source, target));
                    continue;
                }
                self.check_caller()?;
                let mut counted = Counted {
                    source,
                    target,
                    equal_at: Some(at.clone()),
                    took: Duration::ZERO,
                    place: Place::Before,
                };
                let segments: Vec<String> = filled
                    .iter()
                    .filter(|(table, _)| *table == counted.source.oid)
                    .map(|(table, number)| self.names.segment(*table, *number))
                    .collect();
                let Some(except) = self.except((&counted.source, &counted.target), &segments)?
                else {
                    later.push((counted.source, counted.target));
                    continue;
                };
                let (ours, theirs) = self.count(&mut counted, &except)?;
                if ours != theirs {
                    // no snapshot sees the rows of before a TRUNCATE, and a batch of whole rows may be committed here and not yet
                    // acknowledged there: neither is so at several moments
                    doubted.push(counted.source.oid);
                    let times = doubted.iter().filter(|oid| **oid == counted.source.oid);
                    if times.count() < MOMENTS {
                        later.push((counted.source, counted.target));
                        continue;
                    }
                    return Err(self.differs(&counted, ours, theirs));
                }
                tally.rows += ours;
                tally.tables.push(counted);
                fruitless = Instant::now();
            }
            self.part()?;
            waiting = later;
        }
        let moving = waiting.into_iter().map(|(source, target)| Counted {
            source,
            target,
            equal_at: None,
            took: Duration::ZERO,
            place: Place::Before,
        });
        tally.tables.extend(moving);
        Ok(tally)
    }

    /// Behind the fence, drained, for so long at most. Called again it counts what has changed since. `last`: a difference is one.
    pub(super) fn settle_counts(
        &mut self,
        tally: &mut Tally,
        budget: Duration,
        last: bool,
    ) -> Result<(), Failure> {
        let now = self.all_moves()?;
        let same = |counted: &Counted| {
            let moves = counted.equal_at.as_ref().zip(now.get(&counted.source.oid));
            moves.is_some_and(|(then, now)| now.leaves_number(then))
        };
        let mut changed: Vec<usize> = (0..tally.tables.len())
            .filter(|at| !same(&tally.tables[*at]))
            .collect();
        // those without an equal number yet must be counted; then the quick ones
        changed.sort_by_key(|at| {
            let counted = &tally.tables[*at];
            (counted.equal_at.is_some(), counted.took)
        });
        for at in changed {
            let counted = &mut tally.tables[at];
            if counted.equal_at.is_some() && tally.spent + counted.took > budget {
                counted.place = Place::Left;
                continue;
            }
            let (ours, theirs) = self.count(counted, &Except::default())?;
            tally.spent += counted.took;
            if ours != theirs && last {
                return Err(self.differs(counted, ours, theirs));
            }
            let moves = now.get(&counted.source.oid).cloned();
            counted.equal_at = moves.filter(|_| ours == theirs);
            counted.place = Place::Behind;
        }
        Ok(())
    }

    /// Both sides at the same time.
    fn count(&mut self, counted: &mut Counted, except: &Except) -> Result<(i64, i64), Failure> {
        self.limit_statements()?;
        let began = Instant::now();
        let sql =
            |from: &str, except: &str| format!("select (select count(*) from {from}){except} as n");
        let ours = sql(&counted.source.only(), &except.source);
        let theirs = sql(&counted.target.only(), &except.target);
        let (source, target) = self.sides()?;
        source.start(&ours)?;
        let started = target.start(&theirs);
        let ours = source.finish();
        started?;
        let theirs = target.finish();
        let (ours, theirs) = (ours?[0].int("n"), theirs?[0].int("n"));
        counted.took = began.elapsed();
        Ok((ours, theirs))
    }

    fn differs(&self, counted: &Counted, ours: i64, theirs: i64) -> Failure {
        let table = counted.source.shown();
        Failure::new(
            "55000",
            format!("table {table} has {ours} rows on the source and {theirs} on the target"),
        )
        .hint(format!(
            "Did somebody else write to the target? SELECT repl_resync('{}', {}); copies the table anew.",
            self.subscription.name,
            literal(&table).trim()
        ))
    }
}
