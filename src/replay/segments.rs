//! The segments of all captured tables, as the apply worker consumes them.
//!
//! The newest of a table is written to: what it holds is asked for by polls, and batches take from its beginning. It is
//! closed, and another one opened, when its size, dead rows included, passes `pg_decamp.segment_size`: so neither a poll nor
//! a batch ever has to pass many dead rows, whoever keeps vacuum from removing them. A closed one is treated alike until it
//! is sealed. A sealed one gets no more rows: batches take it page by page, its dead rows are never looked at again, and
//! at its end it is dropped.
//!
//! All of this is known from the source's catalog and from the deltas that are left; what is kept here only saves work.
//!
//! `segments/taking.rs`: what batches take; `segments/tending.rs`: closing, sealing, disposing.

mod taking;
mod tending;

pub use taking::{LookAhead, Reached, Stretch};

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::Pending;
use super::part::Place;
use crate::capture::Names;
use crate::capture::segment::{self, Segment};
use crate::failure::Failure;
use crate::libpq::{Connection, Question};
use crate::row::Row;

/// A table that got deltas within this time is expected to get more.
const BUSY: Duration = Duration::from_secs(1);
/// Unless there are so many of them that asking for all would take long.
const MOST_BUSY: usize = 100;

#[derive(Debug)]
enum State {
    /// capture writes to it
    Open,
    /// capture writes to another one, but some transactions may not know that yet: the barrier, once it is noted
    Closed { awaited: Option<Vec<String>> },
    /// all rows are on its first `pages` pages, none before page `next`; about so many on each
    Sealed {
        pages: i64,
        next: i64,
        density: u64,
        few_keys: Option<u64>,
    },
}

#[derive(Debug)]
struct Held {
    segment: Segment,
    state: State,
    /// not to be disposed of before
    later: Option<Instant>,
}

/// What a poll has found.
#[derive(Clone, Copy, Debug)]
struct Filled {
    table: u32,
    number: u32,
    /// the first with rows
    page: i64,
}

pub struct Segments {
    names: Names,
    /// the source can scan a range of pages
    ranged: bool,
    /// by table, oldest first
    held: Vec<Held>,
    /// tables that got deltas since their segments' sizes were last looked at
    touched: BTreeSet<u32>,
    /// what the last poll found, of those not sealed
    filled: Vec<Filled>,
    /// when a poll last found something, by table
    seen: HashMap<u32, Instant>,
    /// the poll that the connection has prepared
    prepared: String,
    /// how long the source took to answer the last commit, or when we connected
    pub answer: Duration,
    looked: Option<Instant>,
    look_took: Duration,
    looked_at_others: Option<Instant>,
}

impl Segments {
    /// `source` is the one connection that everything else here goes through.
    pub fn read(source: &mut Connection, names: &Names) -> Result<Self, Failure> {
        let segments = segment::read(source, names)?;
        let held = segments.iter().map(|&segment| Held {
            segment,
            state: if segment.number == segment::newest(&segments, segment.table) {
                State::Open
            } else {
                State::Closed { awaited: None }
            },
            later: None,
        });
        Ok(Self {
            names: names.clone(),
            ranged: source.version() >= 140_000,
            held: held.collect(),
            touched: segments.iter().map(|s| s.table).collect(),
            filled: Vec::new(),
            seen: HashMap::new(),
            prepared: String::new(),
            answer: source.answer(),
            looked: None,
            look_took: Duration::ZERO,
            looked_at_others: None,
        })
    }

    /// Reads anew which segments there are, after capture was put on a table again.
    pub fn reread(&mut self, source: &mut Connection) -> Result<(), Failure> {
        let prepared = std::mem::take(&mut self.prepared);
        *self = Self::read(source, &self.names.clone())?;
        self.prepared = prepared;
        Ok(())
    }

    /// The segment that capture writes to, qualified and quoted; for deltas of our own.
    pub fn newest(&self, table: u32) -> String {
        let number = self.of(table).last().map_or(0, |h| h.segment.number);
        self.names.segment(table, number)
    }

    /// All that a table has, qualified and quoted.
    pub fn names(&self, table: u32) -> Vec<String> {
        self.of(table).iter().map(|held| self.name(held)).collect()
    }

    fn of(&self, table: u32) -> &[Held] {
        let first = self.held.partition_point(|h| h.segment.table < table);
        let end = self.held.partition_point(|h| h.segment.table <= table);
        &self.held[first..end]
    }

    fn name(&self, held: &Held) -> String {
        self.names.segment(held.segment.table, held.segment.number)
    }

    /// One statement over all segments of `tables` that are not sealed; cheap when they are empty.
    pub fn poll(&mut self, source: &mut Connection, tables: &[u32]) -> Result<Pending, Failure> {
        if tables.is_empty() {
            return Ok(Pending::default());
        }
        let rows = if self.are_new() {
            let questions = self.first_questions(tables);
            source.foretell(&questions)?;
            source.ask(&questions[0])?
        } else {
            source.ask(&self.poll_question(Vec::new(), tables))?
        };
        Ok(self.polled(&rows, tables))
    }

    /// What the first poll asks, which nothing is prepared for, and what is asked after it.
    pub fn first_questions(&self, tables: &[u32]) -> [Question; 2] {
        [
            Question::new(self.poll_statement(tables)),
            self.sizes_question(),
        ]
    }

    /// A poll after other statements, of which none has rows; [`Self::polled`] takes what it finds.
    pub fn poll_question(&mut self, mut first: Vec<String>, tables: &[u32]) -> Question {
        first.push(self.poll_statements(tables));
        Question::new(first.join(";\n"))
    }

    /// What tending them asks first.
    pub fn sizes_question(&self) -> Question {
        let growing: Vec<u32> = self.growing().iter().map(|s| s.oid).collect();
        segment::sizes_question(&growing)
    }

    /// What a poll is made of, for a list of statements; [`Self::polled`] takes its rows.
    pub fn poll_statements(&mut self, tables: &[u32]) -> String {
        let statement = self.poll_statement(tables);
        // planned once: for a thousand tables that takes much longer than to run it
        let mut sql = String::new();
        if self.prepared != statement {
            if !self.prepared.is_empty() {
                sql.push_str("deallocate decamp_poll; ");
            }
            sql.push_str(&format!("prepare decamp_poll as {statement}; "));
            self.prepared = statement;
        }
        sql + "execute decamp_poll"
    }

    /// The same, planned for this once.
    pub fn poll_statement(&self, tables: &[u32]) -> String {
        let mut asked = Vec::new();
        for &table in tables {
            let held = self.of(table);
            // capture without a segment is broken, and asking for one tells so
            asked.extend(held.is_empty().then_some((table, 0)));
            let open = held
                .iter()
                .filter(|h| !matches!(h.state, State::Sealed { .. }));
            asked.extend(open.map(|h| (table, h.segment.number)));
        }
        segment::poll_statement(&self.names, tables, &asked)
    }

    /// What of a segment the last poll found.
    fn found(&self, segment: Segment) -> Option<&Filled> {
        let is_it = |f: &&Filled| f.table == segment.table && f.number == segment.number;
        self.filled.iter().find(is_it)
    }

    /// Deltas have come lately, so there may be some that no poll has seen yet.
    pub fn is_busy(&self, table: u32) -> bool {
        self.seen.len() <= MOST_BUSY && self.seen.contains_key(&table)
    }

    /// What the rows of a poll of `tables` say.
    pub fn polled(&mut self, rows: &[Row], tables: &[u32]) -> Pending {
        self.filled = rows
            .iter()
            .map(|row| Filled {
                table: row.oid("oid"),
                number: row.oid("number"),
                page: row.int("page"),
            })
            .collect();
        let truncated = self.filled.iter().any(|f| f.table == 0);
        self.filled.retain(|f| f.table != 0);
        let filled: BTreeSet<u32> = self.filled.iter().map(|f| f.table).collect();
        self.touched.extend(&filled);
        let now = Instant::now();
        self.seen.retain(|_, at| now.duration_since(*at) < BUSY);
        self.seen.extend(filled.iter().map(|table| (*table, now)));
        let is_left =
            |h: &Held| matches!(h.state, State::Sealed { pages, next, .. } if next < pages);
        let mut oids: Vec<u32> = tables.to_vec();
        oids.retain(|table| filled.contains(table) || self.of(*table).iter().any(is_left));
        oids.sort_unstable();
        Pending {
            oids,
            truncated,
            shunned: Vec::new(),
        }
    }

    /// Counts the deltas of each of `tables`; those without any are left out.
    pub fn backlogs(
        &self,
        source: &mut Connection,
        tables: &[u32],
    ) -> Result<Vec<(u32, i64)>, Failure> {
        let mut counts: Vec<(u32, i64)> = Vec::new();
        for question in self.backlog_questions(tables) {
            for row in source.ask(&question)? {
                let (table, n) = (row.oid("oid"), row.int("n"));
                match counts.iter_mut().find(|(oid, _)| *oid == table) {
                    Some((_, sum)) => *sum += n,
                    None if n > 0 => counts.push((table, n)),
                    None => {}
                }
            }
        }
        Ok(counts)
    }

    /// What [`Self::backlogs`] asks.
    pub fn backlog_questions(&self, tables: &[u32]) -> Vec<Question> {
        let held = tables.iter().flat_map(|table| self.of(*table));
        let counts: Vec<String> = held
            .filter_map(|held| {
                let (table, from) = (held.segment.table, self.countable(held)?);
                Some(format!(
                    "select {table}::int8 as oid, count(*) as n from {from}"
                ))
            })
            .collect();
        let groups = counts.chunks(200);
        groups
            .map(|group| Question::new(group.join(" union all ")))
            .collect()
    }

    /// The FROM that its deltas are counted by; `None` when it is known to have none.
    fn countable(&self, held: &Held) -> Option<String> {
        let name = self.name(held);
        match held.state {
            State::Sealed { pages, next, .. } if next >= pages => None,
            State::Sealed { next, .. } if self.ranged => Some(format!(
                "{name} where {}",
                Place::From(next).condition().unwrap_or_default()
            )),
            _ => Some(name),
        }
    }
}
