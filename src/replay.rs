//! Replay: deltas of the source become row changes on the target.
//!
//! A delta means "make the target's row for this key equal the source's row now". A batch reads, in one snapshot of the
//! source, truncations and deltas of all tables, deletes them there, and merges the rows it found into the target; the
//! target commits first, then the source (ack after commit): dying in between replays the batch, which is harmless. Tables without
//! a key have deltas of another kind, of which the same is not true: `multiset.rs`.

mod ahead;
mod batch;
mod ladder;
mod merge;
pub mod multiset;
mod part;
mod rejection;
mod segments;
mod statement;
mod truncation;

pub use ahead::{Coming, Lane, Left, Others, catch_up, is_far_behind, lanes};
pub use batch::{Sides, Trouble, run};
pub use ladder::Ladder;
pub use rejection::{READ_RULE, Rule, explained};
pub use segments::Segments;
pub use statement::Plan;

/// Which of the planned tables have something to replay: oids, and whether there are truncations.
#[derive(Debug, Default)]
pub struct Pending {
    pub oids: Vec<u32>,
    pub truncated: bool,
    /// tables that are to be left alone for now
    pub shunned: Vec<u32>,
}

impl Pending {
    pub fn is_empty(&self) -> bool {
        self.oids.is_empty() && !self.truncated
    }
}
