//! Rows counted on both sides. Before the fence every table; behind it only what may have become another number since, which
//! the counters of replay tell: without an insert, delete or truncation replayed, a number that was equal still is. There is a
//! time for that, a fortieth of max_downtime; tables that were equal before and would take longer are left at that, and named.

use std::time::{Duration, Instant};

use super::Errand;
use crate::failure::Failure;
use crate::pg::{spi, xact};
use crate::table::Table;

const SHARE: u32 = 40;
const ROUNDS: u32 = 3;
const SHOWN: usize = 5;

struct Counted {
    source: Table,
    target: Table,
    /// what replay had counted before its rows were; `None`: the numbers were not equal, for it changed all the time
    equal_at: Option<String>,
    took: Duration,
}

pub(super) struct Tally {
    tables: Vec<Counted>,
    rows: i64,
}

impl Tally {
    pub(super) fn told_before(&self) -> String {
        let moving = self.tables.iter().filter(|t| t.equal_at.is_none()).count();
        let equal = self.tables.len() - moving;
        let more = match moving {
            0 => String::new(),
            n => format!("; {n} changed too fast and are counted behind the fence"),
        };
        format!("{equal} tables have as many rows on both sides, {} in all{more}", self.rows)
    }

    /// How long counting behind the fence takes at most, if no table changes too fast.
    pub(super) fn expected(&self, max_downtime: Duration) -> Duration {
        let all: Duration = self.tables.iter().map(|t| t.took).sum();
        let moving: Duration = self
            .tables
            .iter()
            .filter(|t| t.equal_at.is_none())
            .map(|t| t.took)
            .sum();
        all.min(max_downtime / SHARE).max(moving)
    }
}

impl Errand {
    /// The source's tables with their counterparts on the target.
    pub(super) fn counterparts(&mut self) -> Result<Vec<(Table, Table)>, Failure> {
        if self.tables.is_empty() {
            let (source, target) = self.sides()?;
            let (ours, theirs) = (
                crate::catalog::tables(source)?,
                crate::catalog::tables(target)?,
            );
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

    pub(super) fn count_before(&mut self) -> Result<Tally, Failure> {
        let mut tally = Tally {
            tables: Vec::new(),
            rows: 0,
        };
        for (source, target) in self.counterparts()? {
            let mut counted = Counted {
                source,
                target,
                equal_at: None,
                took: Duration::ZERO,
            };
            for _ in 0..ROUNDS {
                self.check_caller()?;
                let before = self.moves(counted.source.oid)?;
                let (ours, theirs) = self.count(&mut counted)?;
                if ours == theirs {
                    counted.equal_at = Some(before);
                    tally.rows += ours;
                    break;
                }
                self.catch_up()?;
                if self.moves(counted.source.oid)? == before {
                    return Err(self.differs(&counted, ours, theirs));
                }
            }
            tally.tables.push(counted);
        }
        Ok(tally)
    }

    /// Behind the fence, drained.
    pub(super) fn settle_counts(
        &mut self,
        tally: &mut Tally,
        fenced: Instant,
    ) -> Result<String, Failure> {
        let (_, max_downtime) = self.deadline.expect("behind the fence there is one");
        let began = Instant::now();
        let budget = max_downtime / SHARE;
        let mut changed: Vec<usize> = Vec::new();
        for (at, counted) in tally.tables.iter().enumerate() {
            let now = self.moves(counted.source.oid)?;
            if counted.equal_at.as_deref() != Some(now.as_str()) {
                changed.push(at);
            }
        }
        // those without an equal number yet must be counted; then the quick ones
        changed.sort_by_key(|at| {
            let counted = &tally.tables[*at];
            (counted.equal_at.is_some(), counted.took)
        });
        let unchanged = tally.tables.len() - changed.len();
        let mut again = 0;
        let mut left = Vec::new();
        for at in changed {
            let counted = &mut tally.tables[at];
            let fits = began.elapsed() + counted.took <= budget;
            if counted.equal_at.is_some() && !fits {
                left.push(counted.source.shown());
                continue;
            }
            let (ours, theirs) = self.count(counted)?;
            if ours != theirs {
                return Err(self.differs(counted, ours, theirs));
            }
            again += 1;
        }
        let more = match left.len() {
            0 => String::new(),
            n => format!(
                "; {n} changed since they were counted equal before the fence, and there was no time to count them again ({}{})",
                left[..n.min(SHOWN)].join(", "),
                if n > SHOWN { ", ..." } else { "" }
            ),
        };
        Ok(format!(
            "as many rows on both sides: {again} tables counted behind the fence, {unchanged} before it and without an insert or delete \
             since{more}; {} ms behind the fence",
            fenced.elapsed().as_millis()
        ))
    }

    /// Both sides at the same time.
    fn count(&mut self, counted: &mut Counted) -> Result<(i64, i64), Failure> {
        self.limit_statements()?;
        let began = Instant::now();
        let ours = format!("select count(*) as n from {}", counted.source.only());
        let theirs = format!("select count(*) as n from {}", counted.target.only());
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

    /// Another text whenever replay has changed how many rows a table has.
    fn moves(&self, oid: u32) -> Result<String, Failure> {
        let id = self.subscription.id;
        xact::run(|| {
            let rows = spi::read(
                "select pg_catalog.format('%s %s %s %s', inserted, deleted, truncated, restarts) as moves \
                 from decamp.relation where subscription_id = $1::int4 and source_oid = $2::oid",
                &[Some(&id.to_string()), Some(&oid.to_string())],
            );
            Ok(rows.first().map_or_else(String::new, |r| r.string("moves")))
        })
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
            crate::quote::literal(&table).trim()
        ))
    }
}
