//! The segments of all captured tables, as the apply worker consumes them.
//!
//! The newest of a table is written to: what it holds is asked for by polls, and batches take from its beginning. It is
//! closed, and another one opened, when its size, dead rows included, passes `pg_decamp.segment_size`: so neither a poll nor
//! a batch ever has to pass many dead rows, whoever keeps vacuum from removing them. A closed one is treated alike until it
//! is sealed. A sealed one gets no more rows: batches take it page by page, its dead rows are never looked at again, and
//! at its end it is dropped.
//!
//! All of this is known from the source's catalog and from the deltas that are left; what is kept here only saves work.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::Pending;
use super::part::{Part, Place};
use crate::capture::Names;
use crate::capture::segment::{self, Disposal, Disposed, Segment};
use crate::failure::Failure;
use crate::libpq::Connection;
use crate::pg::{report, settings};
use crate::row::Row;

/// As dense as rows can be: 28 bytes each.
const DENSEST: u64 = 292;
/// Pages of a batch where each row's place has to be spelled out.
const SPELLED_OUT: i64 = 128;
/// Sizes and barriers are looked at this often at most.
const LOOK: Duration = Duration::from_millis(250);
/// Over a long line less often: looking takes at most one part in so many of the time.
const LOOK_SHARE: u32 = 10;
/// Tables that are not replayed tell nothing by being polled: their segments' sizes are looked at this often.
const LOOK_AT_OTHERS: Duration = Duration::from_secs(3);
/// A table that got deltas within this time is expected to get more.
const BUSY: Duration = Duration::from_secs(1);
/// Unless there are so many of them that asking for all would take long.
const MOST_BUSY: usize = 100;
/// A segment that somebody has locked, or still may write to, is left alone for so long.
const LATER: Duration = Duration::from_secs(5);
/// A segment without rows is worth closing from this size on, and from this share of the usual size.
const WORTH_CLOSING: i64 = 1 << 20;
const CLOSING_SHARE: i64 = 8;

#[derive(Debug)]
enum State {
    /// capture writes to it
    Open,
    /// capture writes to another one, but some transactions may not know that yet: the barrier, once it is noted
    Closed { awaited: Option<Vec<String>> },
    /// all rows are on its first `pages` pages, none before page `next`
    Sealed { pages: i64, next: i64 },
}

#[derive(Debug)]
struct Held {
    segment: Segment,
    state: State,
    /// not to be disposed of before
    later: Option<Instant>,
}

/// The query for the first page with rows of a sealed segment that a batch took from.
pub struct LookAhead {
    oid: u32,
    until: i64,
    pub sql: String,
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
    filled: Vec<(u32, u32)>,
    /// when a poll last found something, by table
    seen: HashMap<u32, Instant>,
    /// the poll that the connection has prepared
    prepared: String,
    /// how long the source took to answer the last commit
    pub answer: Duration,
    looked: Instant,
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
            answer: Duration::ZERO,
            looked: Instant::now(),
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
        source.send_list(&self.poll_statements(tables))?;
        let rows = source.rows_next()?;
        source.list_done()?;
        Ok(self.polled(&rows, tables))
    }

    /// What a poll is made of, for a list of statements; [`Self::polled`] takes its rows.
    pub fn poll_statements(&mut self, tables: &[u32]) -> String {
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
        let statement = segment::poll_statement(&self.names, tables, &asked);
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

    /// Deltas have come lately, so there may be some that no poll has seen yet.
    pub fn is_busy(&self, table: u32) -> bool {
        self.seen.len() <= MOST_BUSY && self.seen.contains_key(&table)
    }

    /// What the rows of a poll of `tables` say.
    pub fn polled(&mut self, rows: &[Row], tables: &[u32]) -> Pending {
        self.filled = rows
            .iter()
            .map(|row| (row.oid("oid"), row.oid("number")))
            .collect();
        let truncated = self.filled.contains(&(0, 0));
        self.filled.retain(|(table, _)| *table != 0);
        let filled: BTreeSet<u32> = self.filled.iter().map(|(table, _)| *table).collect();
        self.touched.extend(&filled);
        let now = Instant::now();
        self.seen.retain(|_, at| now.duration_since(*at) < BUSY);
        self.seen.extend(filled.iter().map(|table| (*table, now)));
        let is_left = |h: &Held| matches!(h.state, State::Sealed { pages, next } if next < pages);
        let mut oids: Vec<u32> = tables.to_vec();
        oids.retain(|table| filled.contains(table) || self.of(*table).iter().any(is_left));
        oids.sort_unstable();
        Pending {
            oids,
            truncated,
            shunned: Vec::new(),
        }
    }

    /// What a batch takes of a table, oldest first: about `limit` deltas, or all.
    pub fn parts(&self, table: u32, limit: Option<u64>) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut left = limit;
        for held in self.of(table) {
            if left == Some(0) {
                break;
            }
            let place = match held.state {
                State::Sealed { pages, next } if next >= pages => continue,
                _ if limit.is_none() => Place::Anywhere,
                State::Sealed { pages, next } => {
                    let (place, until) = self.stretch(pages, next);
                    let most = u64::try_from(until - next).unwrap_or(0) * DENSEST;
                    parts.push(Part {
                        oid: held.segment.oid,
                        segment: self.name(held),
                        place,
                        limit: left,
                    });
                    left = left.map(|left| left.saturating_sub(most));
                    continue;
                }
                State::Open if self.is_busy(table) => Place::Anywhere,
                State::Open | State::Closed { .. }
                    if !self.filled.contains(&(table, held.segment.number)) =>
                {
                    continue;
                }
                State::Open | State::Closed { .. } => Place::Anywhere,
            };
            parts.push(Part {
                oid: held.segment.oid,
                segment: self.name(held),
                place,
                limit: left,
            });
            // how many it will be, nobody knows
            left = left.map(|_| 0);
        }
        parts
    }

    /// After a batch took `parts`, in its transaction: where what it left of sealed segments begins.
    pub fn advance(&mut self, source: &mut Connection, parts: &[Part]) -> Result<(), Failure> {
        for look in self.looks_ahead(parts) {
            let rows = source.query(&look.sql, &[])?;
            self.advanced(&look, &rows);
        }
        Ok(())
    }

    /// What `advance` asks, for a list of statements; [`Self::advanced`] takes the rows of each.
    pub fn looks_ahead(&self, parts: &[Part]) -> Vec<LookAhead> {
        let taken = |held: &&Held| parts.iter().any(|part| part.oid == held.segment.oid);
        self.held
            .iter()
            .filter(taken)
            .filter_map(|held| {
                let State::Sealed { pages, next } = held.state else {
                    return None;
                };
                let (place, until) = self.stretch(pages, next);
                Some(LookAhead {
                    oid: held.segment.oid,
                    until,
                    sql: format!(
                        "select (ctid::text::point)[0]::int8 as page from {}{} limit 1",
                        self.name(held),
                        place
                            .condition()
                            .map(|condition| format!(" where {condition}"))
                            .unwrap_or_default()
                    ),
                })
            })
            .collect()
    }

    pub fn advanced(&mut self, look: &LookAhead, rows: &[Row]) {
        for held in self.held.iter_mut().filter(|h| h.segment.oid == look.oid) {
            if let State::Sealed { next, .. } = &mut held.state {
                *next = rows.first().map_or(look.until, |row| row.int("page"));
            }
        }
    }

    /// Which pages of a sealed segment are taken at once, and where they end.
    fn stretch(&self, pages: i64, next: i64) -> (Place, i64) {
        if self.ranged {
            return (Place::From(next), pages);
        }
        let end = pages.min(next + SPELLED_OUT);
        (Place::Between(next, end), end)
    }

    /// Counts the deltas of each of `tables`; those without any are left out.
    pub fn backlogs(
        &self,
        source: &mut Connection,
        tables: &[u32],
    ) -> Result<Vec<(u32, i64)>, Failure> {
        let mut counts: Vec<(u32, i64)> = Vec::new();
        let counted: Vec<(u32, String)> = tables
            .iter()
            .flat_map(|table| self.of(*table))
            .filter_map(|held| Some((held.segment.table, self.countable(held)?)))
            .collect();
        for group in counted.chunks(200) {
            let parts: Vec<String> = group
                .iter()
                .map(|(table, from)| {
                    format!("select {table}::int8 as oid, count(*) as n from {from}")
                })
                .collect();
            for row in source.query(&parts.join(" union all "), &[])? {
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

    /// The FROM that its deltas are counted by; `None` when it is known to have none.
    fn countable(&self, held: &Held) -> Option<String> {
        let name = self.name(held);
        match held.state {
            State::Sealed { pages, next } if next >= pages => None,
            State::Sealed { next, .. } if self.ranged => Some(format!(
                "{name} where {}",
                Place::From(next).condition().unwrap_or_default()
            )),
            _ => Some(name),
        }
    }

    /// Closes, seals and disposes of segments, as far as that can be done at once. Not in a batch's transaction.
    /// `captured`: all tables with capture; `replayed`: those that batches take from, the only ones whose segments are
    /// dropped, for who copies a table reads its deltas.
    pub fn tend(
        &mut self,
        source: &mut Connection,
        captured: &[u32],
        replayed: &[u32],
    ) -> Result<(), Failure> {
        if self.looked.elapsed() < LOOK.max(self.look_took * LOOK_SHARE) {
            return Ok(());
        }
        let began = Instant::now();
        self.look(source, captured, replayed)?;
        self.looked = Instant::now();
        self.look_took = self.looked.duration_since(began);
        Ok(())
    }

    fn look(
        &mut self,
        source: &mut Connection,
        captured: &[u32],
        replayed: &[u32],
    ) -> Result<(), Failure> {
        if captured.len() > replayed.len()
            && self
                .looked_at_others
                .is_none_or(|at| at.elapsed() >= LOOK_AT_OTHERS)
        {
            self.looked_at_others = Some(Instant::now());
            let others = captured.iter().filter(|oid| !replayed.contains(oid));
            self.touched.extend(others);
        }
        self.close_large(source)?;
        self.note_barriers(source)?;
        self.seal(source)?;
        self.dispose(source, replayed)
    }

    fn close_large(&mut self, source: &mut Connection) -> Result<(), Failure> {
        let looked_at: Vec<Segment> = self
            .held
            .iter()
            .filter(|h| matches!(h.state, State::Open) && self.touched.contains(&h.segment.table))
            .map(|h| h.segment)
            .collect();
        if looked_at.is_empty() {
            self.touched.clear();
            return Ok(());
        }
        let most = settings::segment_bytes();
        let least = (most / CLOSING_SHARE).max(WORTH_CLOSING);
        let oids: Vec<u32> = looked_at.iter().map(|s| s.oid).collect();
        let sizes = segment::sizes(source, &oids)?;
        for last in looked_at {
            let bytes = sizes
                .iter()
                .find(|(oid, ..)| *oid == last.oid)
                .map_or(0, |s| s.1);
            let filled = self.filled.contains(&(last.table, last.number));
            if !filled {
                self.touched.remove(&last.table);
            }
            if bytes > most || !filled && bytes > least {
                self.close(source, last)?;
            }
        }
        Ok(())
    }

    fn close(&mut self, source: &mut Connection, last: Segment) -> Result<(), Failure> {
        let next = match segment::open_next(source, &self.names, last) {
            Ok(Some(next)) => next,
            Ok(None) => return Ok(()),
            // somebody fences the source or changes tables there: the next look will do
            Err(failure) if failure.sqlstate == "55P03" => return Ok(()),
            Err(failure) => return Err(failure),
        };
        let end = self.held.partition_point(|h| h.segment.table <= last.table);
        self.held[end - 1].state = State::Closed { awaited: None };
        self.held.insert(
            end,
            Held {
                segment: next,
                state: State::Open,
                later: None,
            },
        );
        self.touched.insert(last.table);
        Ok(())
    }

    fn note_barriers(&mut self, source: &mut Connection) -> Result<(), Failure> {
        for held in &mut self.held {
            if let State::Closed { awaited } = &mut held.state
                && awaited.is_none()
            {
                *awaited = Some(segment::writers(source, held.segment.table)?);
                held.later = Some(Instant::now() + LATER);
            }
        }
        Ok(())
    }

    /// Those whose barrier is passed.
    fn seal(&mut self, source: &mut Connection) -> Result<(), Failure> {
        let mut transactions = BTreeSet::new();
        let mut oids = Vec::new();
        for held in &self.held {
            if let State::Closed {
                awaited: Some(awaited),
            } = &held.state
            {
                transactions.extend(awaited.iter().cloned());
                oids.push(held.segment.oid);
            }
        }
        if oids.is_empty() {
            return Ok(());
        }
        let transactions: Vec<String> = transactions.into_iter().collect();
        let remaining = segment::remaining(source, &transactions, &oids)?;
        let mut sealed = Vec::new();
        for held in &mut self.held {
            if let State::Closed {
                awaited: Some(awaited),
            } = &mut held.state
            {
                awaited.retain(|one| remaining.transactions.contains(one));
                if awaited.is_empty() && !remaining.segments.contains(&held.segment.oid) {
                    sealed.push(held.segment.oid);
                }
            }
        }
        if sealed.is_empty() {
            return Ok(());
        }
        // only now: it does not grow any more
        for (oid, _, pages) in segment::sizes(source, &sealed)? {
            for held in self.held.iter_mut().filter(|h| h.segment.oid == oid) {
                held.state = State::Sealed { pages, next: 0 };
                held.later = None;
            }
        }
        Ok(())
    }

    /// Drops what is sealed and consumed; takes the dead rows out of what has been closed for long, for then somebody who has
    /// written to the table keeps it from being sealed, perhaps for hours.
    fn dispose(&mut self, source: &mut Connection, replayed: &[u32]) -> Result<(), Failure> {
        let now = Instant::now();
        let mut at = 0;
        while at < self.held.len() {
            let held = &self.held[at];
            let table = held.segment.table;
            let how = match held.state {
                State::Sealed { pages, next } if next >= pages => Some(Disposal::Drop),
                State::Closed { .. } if !self.filled.contains(&(table, held.segment.number)) => {
                    Some(Disposal::Truncate)
                }
                _ => None,
            };
            let how = how.filter(|_| {
                replayed.binary_search(&table).is_ok() && held.later.is_none_or(|later| later < now)
            });
            let Some(how) = how else {
                at += 1;
                continue;
            };
            if how == Disposal::Truncate
                && segment::sizes(source, &[held.segment.oid])?
                    .iter()
                    .all(|size| size.1 == 0)
            {
                self.held[at].later = Some(now + LATER);
                at += 1;
                continue;
            }
            let name = self.name(held);
            match segment::dispose(source, &name, how) {
                Ok(Disposed::Done) if how == Disposal::Drop => {
                    self.held.remove(at);
                    continue;
                }
                Ok(Disposed::Filled) if how == Disposal::Drop => {
                    report::log(&format!(
                        "segment {name} is not empty, it is looked at again"
                    ));
                    self.held[at].state = State::Closed { awaited: None };
                }
                Ok(_) => self.held[at].later = Some(now + LATER),
                Err(failure) if failure.disconnected => return Err(failure),
                Err(failure) => {
                    report::log(&failure.line());
                    self.held[at].later = Some(now + 12 * LATER);
                }
            }
            at += 1;
        }
        Ok(())
    }
}
