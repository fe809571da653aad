//! What batches take of segments: from the beginning of one that is written to; of a sealed one page by page.

use std::collections::HashMap;

use super::{Held, Segments, State};
use crate::replay::part::{Part, Place};
use crate::row::Row;

/// As dense as rows can be: 28 bytes each.
const DENSEST: u64 = 292;
/// Pages of a batch where each row's place has to be spelled out.
const SPELLED_OUT: i64 = 128;

/// The query for the first page with rows of a sealed segment that a batch took from.
pub struct LookAhead {
    oid: u32,
    until: i64,
    pub sql: String,
}

/// Pages of a sealed segment. As nobody writes to it any more, what was read of them in one transaction may be deleted in
/// another one.
#[derive(Clone, Debug)]
pub struct Stretch {
    /// of the segment
    pub oid: u32,
    pub part: Part,
    /// about how many
    pub deltas: u64,
    /// the page after it
    pub end: i64,
}

impl Stretch {
    /// How far its segment is read with it.
    pub fn reached(&self) -> (u32, i64) {
        (self.oid, self.end)
    }

    /// Deletes it, if the segment is the same file still: where VACUUM FULL has been, other rows are on these pages.
    pub fn delete(&self, file: i64) -> String {
        let Part {
            oid,
            segment,
            place,
            ..
        } = &self.part;
        let condition = place.condition().expect("a stretch is of certain pages");
        format!(
            "delete from {segment} where {condition} and (select pg_relation_filenode({oid})) = {file}"
        )
    }
}

/// How far segments are read, by their oids.
pub type Reached = HashMap<u32, i64>;

impl Segments {
    /// What a batch takes of a table, oldest first: about `limit` deltas, or all.
    pub fn parts(&self, table: u32, limit: Option<u64>) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut left = limit;
        for held in self.of(table) {
            if left == Some(0) {
                break;
            }
            let place = match held.state {
                State::Sealed { pages, next, .. } if next >= pages => continue,
                _ if limit.is_none() => Place::Anywhere,
                State::Sealed { pages, next, .. } => {
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
                State::Open | State::Closed { .. } if self.found(held.segment).is_none() => {
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

    /// After a batch took `parts`, in its transaction: where what it left of sealed segments begins. [`Self::advanced`] takes the
    /// rows of each.
    pub fn looks_ahead(&self, parts: &[Part]) -> Vec<LookAhead> {
        let taken = |held: &&Held| parts.iter().any(|part| part.oid == held.segment.oid);
        self.held
            .iter()
            .filter(taken)
            .filter_map(|held| {
                let State::Sealed { pages, next, .. } = held.state else {
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

    /// What comes next of a table's sealed segments: about so many deltas, after what is `reached` already.
    pub fn stretches(&self, table: u32, deltas: u64, reached: &Reached) -> Vec<Stretch> {
        let mut stretches = Vec::new();
        let mut left = deltas;
        for held in self.of(table) {
            let State::Sealed {
                pages,
                next,
                density,
                ..
            } = held.state
            else {
                continue;
            };
            let oid = held.segment.oid;
            let first = reached.get(&oid).map_or(next, |page| next.max(*page));
            if first >= pages || left == 0 {
                continue;
            }
            let wanted = i64::try_from(left.div_ceil(density)).unwrap_or(i64::MAX);
            let end = pages.min(first.saturating_add(wanted));
            let (place, end) = if self.ranged {
                (Place::Pages(first, end), end)
            } else {
                let end = end.min(first + SPELLED_OUT);
                (Place::Between(first, end), end)
            };
            let deltas = u64::try_from(end - first).unwrap_or(0) * density;
            left = left.saturating_sub(deltas);
            stretches.push(Stretch {
                oid,
                part: Part {
                    oid,
                    segment: self.name(held),
                    place,
                    limit: None,
                },
                deltas,
                end,
            });
        }
        stretches
    }

    /// About how many deltas a table's sealed segments have.
    pub fn sealed(&self, table: u32) -> u64 {
        self.of(table).iter().map(|held| deltas(&held.state)).sum()
    }

    /// About how many rows they come to, in the batches that take them: where the same few keys come again and again, that is
    /// next to none.
    pub fn rows(&self, table: u32) -> u64 {
        let rows = |held: &Held| match held.state {
            State::Sealed {
                few_keys: Some(few),
                ..
            } => deltas(&held.state).min(few),
            _ => deltas(&held.state),
        };
        self.of(table).iter().map(rows).sum()
    }

    /// A sealed segment is replayed up to a page, and is deleted up to there before anything else is asked.
    pub fn passed(&mut self, segment: u32, until: i64) {
        for held in self.held.iter_mut().filter(|h| h.segment.oid == segment) {
            if let State::Sealed { pages, next, .. } = &mut held.state {
                *next = until.min(*pages);
            }
        }
    }

    /// Which pages of a sealed segment a batch takes that takes from others too, and where they end.
    fn stretch(&self, pages: i64, next: i64) -> (Place, i64) {
        if self.ranged {
            return (Place::From(next), pages);
        }
        let end = pages.min(next + SPELLED_OUT);
        (Place::Between(next, end), end)
    }
}

/// About how many are left of a sealed segment.
fn deltas(state: &State) -> u64 {
    match state {
        State::Sealed {
            pages,
            next,
            density,
            ..
        } => u64::try_from(pages - next).unwrap_or(0) * density,
        _ => 0,
    }
}
