//! Pieces of the initial copy, in `decamp.task`: claimed by copy workers until none is left.
//!
//! ```text
//!  pending --> running --> done
//!     ^__________|   its worker failed or is gone
//! ```
//! Within a table the kinds come one after the other: chunks, duplicates, indexes, constraints, analyze; foreign keys and
//! their validation when both tables are ready; triggers and rules, which only an ordinary role on the target has to switch
//! off, at the very end. Whether the work of a running task whose worker is gone had been committed is
//! told by `decamp.applied` on the target, not by this table.
//!
//! Everything here needs an open transaction.

mod build;
mod claim;
mod kind;
mod look;
mod new;

pub use build::{deferred, is_to_be_built, open_builds, take_builds, unbuilt};
pub use claim::{
    Claim, at_work, built, claim, error_of, finish, forgive, progress, put_back, put_back_own,
    reclaim,
};
pub use kind::Kind;
pub use look::{copying, ids_of, is_building, open, running};
pub use new::{
    New, NewChunk, forget, forget_built, forget_copy, forget_named, insert, insert_chunk, set_open,
};

use crate::failure::Failure;
use crate::row::Row;

/// A task as a worker gets it.
#[derive(Clone, Debug)]
pub struct Task {
    pub id: i64,
    pub source_oid: u32,
    pub kind: Kind,
    /// of an index or constraint
    pub name: Option<String>,
    /// where a chunk is from: oid, quoted name, filenode if that matters
    pub member: Option<(u32, String, Option<u32>)>,
    pub condition: Option<String>,
    pub statements: Vec<String>,
    pub attempts: i64,
    /// how often somebody cancelled its statement before
    pub cancelled: i64,
}

impl Task {
    /// The name of the task that gives partitions made meanwhile their indexes.
    pub const NEW_PARTITIONS: &str = "new partitions";

    /// Whether what was to be built is on the target already: 42P07, 42710: a relation or constraint of that name; 42P16: a
    /// primary key.
    pub fn is_there(&self, failure: &Failure) -> bool {
        self.kind.is_build()
            && self.name.as_deref() != Some(Self::NEW_PARTITIONS)
            && matches!(failure.sqlstate.as_str(), "42P07" | "42710" | "42P16")
    }
}

fn read(row: &Row) -> Task {
    let oid = |name| {
        row.opt_int(name)
            .map(|oid| u32::try_from(oid).expect("an oid fits 32 bits"))
    };
    Task {
        id: row.int("id"),
        source_oid: row.oid("source_oid"),
        kind: Kind::parse(row.text("kind")),
        name: row.opt("name").map(str::to_owned),
        member: oid("member").map(|member| (member, row.string("member_name"), oid("filenode"))),
        condition: row.opt("condition").map(str::to_owned),
        statements: statements(row),
        attempts: row.int("attempts"),
        cancelled: row.int("cancelled"),
    }
}

fn statements(row: &Row) -> Vec<String> {
    row.opt("statements").map_or_else(Vec::new, |json| {
        serde_json::from_str(json).expect("array_to_json of text[] without NULLs")
    })
}
