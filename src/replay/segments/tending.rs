//! Closing, sealing and disposing of segments.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{Held, Segments, State};
use crate::capture::segment::{self, Disposal, Disposed, Segment};
use crate::failure::Failure;
use crate::libpq::{Connection, Question};
use crate::pg::{report, settings};

/// Sizes and barriers are looked at this often at most.
const LOOK: Duration = Duration::from_millis(250);
/// Over a long line less often: looking takes at most one part in so many of the time.
const LOOK_SHARE: u32 = 10;
/// Tables that are not replayed tell nothing by being polled: their segments' sizes are looked at this often.
const LOOK_AT_OTHERS: Duration = Duration::from_secs(3);
/// A segment that somebody has locked, or still may write to, is left alone for so long.
const LATER: Duration = Duration::from_secs(5);
/// A segment without rows is worth closing from this size on, and from this share of the usual size.
const WORTH_CLOSING: i64 = 1 << 20;
const CLOSING_SHARE: i64 = 8;
/// One that has rows on as many pages is closed whatever its size: there is a backlog, and of what is sealed more can be on its
/// way while something is merged.
const BACKLOG: i64 = 128;
/// So many are closed in one transaction.
const AT_ONCE: usize = 20;

impl Segments {
    /// Closes, seals and disposes of segments, as far as that can be done at once. Not in a batch's transaction.
    /// `captured`: all tables with capture; `replayed`: those that batches take from, the only ones whose segments are
    /// dropped, for who copies a table reads its deltas.
    pub fn tend(
        &mut self,
        source: &mut Connection,
        captured: &[u32],
        replayed: &[u32],
    ) -> Result<(), Failure> {
        let pause = LOOK.max(self.look_took * LOOK_SHARE);
        if self.looked.is_some_and(|at| at.elapsed() < pause) {
            return Ok(());
        }
        let began = Instant::now();
        self.look(source, captured, replayed)?;
        self.looked = Some(Instant::now());
        self.look_took = began.elapsed();
        Ok(())
    }

    /// They have not been looked at yet: what has piled up may be worth closing before anything is taken of it.
    pub fn are_new(&self) -> bool {
        self.looked.is_none()
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

    /// Those whose size is looked at.
    pub(super) fn growing(&self) -> Vec<Segment> {
        let open = self.held.iter().filter(|held| {
            matches!(held.state, State::Open) && self.touched.contains(&held.segment.table)
        });
        open.map(|held| held.segment).collect()
    }

    fn close_large(&mut self, source: &mut Connection) -> Result<(), Failure> {
        let looked_at = self.growing();
        if looked_at.is_empty() {
            self.touched.clear();
            return Ok(());
        }
        let most = settings::segment_bytes();
        let least = (most / CLOSING_SHARE).max(WORTH_CLOSING);
        let oids: Vec<u32> = looked_at.iter().map(|s| s.oid).collect();
        let sizes = segment::sizes(source, &oids)?;
        let mut large = Vec::new();
        for last in looked_at {
            let (bytes, pages) = sizes
                .iter()
                .find(|(oid, ..)| *oid == last.oid)
                .map_or((0, 0), |s| (s.1, s.2));
            let is_worth = match self.found(last) {
                Some(filled) => pages - filled.page >= BACKLOG,
                None => {
                    self.touched.remove(&last.table);
                    bytes > least
                }
            };
            if bytes > most || is_worth {
                large.push(last);
            }
        }
        let mut groups = large.chunks(AT_ONCE).peekable();
        while let Some(some) = groups.next() {
            let after = match groups.peek() {
                Some(_) => Vec::new(),
                None => self.questions_of_sealing(some),
            };
            self.close(source, some, &after)?;
        }
        Ok(())
    }

    /// What sealing asks once `closing` are closed too, if nobody is in the way.
    fn questions_of_sealing(&self, closing: &[Segment]) -> Vec<Question> {
        let mut tables = Vec::new();
        let mut transactions = BTreeSet::new();
        let mut oids = Vec::new();
        let mut segments = Vec::new();
        for held in &self.held {
            match &held.state {
                State::Closed {
                    awaited: Some(awaited),
                } => transactions.extend(awaited.iter().cloned()),
                State::Closed { awaited: None } => tables.push(held.segment.table),
                _ if closing.contains(&held.segment) => tables.push(held.segment.table),
                _ => continue,
            }
            oids.push(held.segment.oid);
            segments.push((self.name(held), held.segment));
        }
        let transactions: Vec<String> = transactions.into_iter().collect();
        vec![
            segment::writers_question(&tables),
            segment::remaining_question(&transactions, &oids),
            segment::extents_question(&segments),
        ]
    }

    fn close(
        &mut self,
        source: &mut Connection,
        last: &[Segment],
        after: &[Question],
    ) -> Result<(), Failure> {
        let opened = match segment::open_next(source, &self.names, last, after) {
            Ok(opened) => opened,
            // somebody fences the source or changes tables there: the next look will do
            Err(failure) if failure.sqlstate == "55P03" => return Ok(()),
            Err(failure) => return Err(failure),
        };
        for segment in opened {
            let end = self
                .held
                .partition_point(|h| h.segment.table <= segment.table);
            self.held[end - 1].state = State::Closed { awaited: None };
            self.touched.insert(segment.table);
            let held = Held {
                segment,
                state: State::Open,
                later: None,
            };
            self.held.insert(end, held);
        }
        Ok(())
    }

    fn note_barriers(&mut self, source: &mut Connection) -> Result<(), Failure> {
        let is_new = |held: &Held| matches!(held.state, State::Closed { awaited: None });
        let closed = self.held.iter().filter(|held| is_new(held));
        let tables: Vec<u32> = closed.map(|held| held.segment.table).collect();
        if tables.is_empty() {
            return Ok(());
        }
        source.foretell(&self.questions_of_sealing(&[]))?;
        let writers = segment::writers(source, &tables)?;
        for held in self.held.iter_mut().filter(|held| is_new(held)) {
            let of_table = writers.iter().filter(|w| w.0 == held.segment.table);
            held.state = State::Closed {
                awaited: Some(of_table.map(|w| w.1.clone()).collect()),
            };
            held.later = Some(Instant::now() + LATER);
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
        for (at, held) in self.held.iter_mut().enumerate() {
            if let State::Closed {
                awaited: Some(awaited),
            } = &mut held.state
            {
                awaited.retain(|one| remaining.transactions.contains(one));
                if awaited.is_empty() && !remaining.segments.contains(&held.segment.oid) {
                    sealed.push(at);
                }
            }
        }
        if sealed.is_empty() {
            return Ok(());
        }
        // only now: it does not grow any more
        let held = sealed.iter().map(|at| &self.held[*at]);
        let segments: Vec<_> = held.map(|held| (self.name(held), held.segment)).collect();
        let extents = segment::extents(source, &segments)?;
        for (at, extent) in sealed.into_iter().zip(extents) {
            let (next, density) = extent.beginning.unwrap_or((extent.pages, 1));
            self.held[at].state = State::Sealed {
                pages: extent.pages,
                next,
                density,
                few_keys: extent.few_keys,
            };
            self.held[at].later = None;
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
                State::Sealed { pages, next, .. } if next >= pages => Some(Disposal::Drop),
                State::Closed { .. } if self.found(held.segment).is_none() => {
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
