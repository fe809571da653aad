//! Replay: deltas of the source become row changes on the target.
//!
//! A delta means "make the target's row for this key equal the source's row now". A batch reads, in one snapshot of the
//! source, truncations and deltas of all tables, deletes them there, and merges the rows it found into the target; the
//! target commits first, then the source (ack after commit): dying in between replays the batch, which is harmless. Tables without
//! a key have deltas of another kind, of which the same is not true: `multiset.rs`.

mod batch;
mod ladder;
pub mod multiset;
mod statement;
mod truncation;

pub use batch::{Sides, Trouble, run};
pub use ladder::Ladder;
pub use statement::Plan;

use crate::capture::Names;
use crate::failure::Failure;
use crate::libpq::Connection;

/// Which of the planned tables have something to replay: oids, and whether there are truncations.
pub struct Pending {
    pub oids: Vec<u32>,
    pub truncated: bool,
}

impl Pending {
    pub fn is_empty(&self) -> bool {
        self.oids.is_empty() && !self.truncated
    }
}

/// One statement over all segments; cheap when they are empty.
pub fn poll(source: &mut Connection, names: &Names, plans: &[Plan]) -> Result<Pending, Failure> {
    if plans.is_empty() {
        return Ok(Pending {
            oids: Vec::new(),
            truncated: false,
        });
    }
    let oids: Vec<String> = plans.iter().map(|p| p.oid.to_string()).collect();
    let mut parts = vec![format!(
        "select 0::int8 as oid where exists (select 1 from {} where relation = any ('{{{}}}'::oid[]))",
        names.truncation(),
        oids.join(","),
    )];
    parts.extend(plans.iter().map(|p| {
        format!(
            "select {}::int8 where exists (select 1 from {})",
            p.oid, p.segment
        )
    }));
    let rows = source.query(&parts.join(" union all "), &[])?;
    let mut pending = Pending {
        oids: rows.iter().map(|row| row.oid("oid")).collect(),
        truncated: false,
    };
    pending.truncated = pending.oids.contains(&0);
    pending.oids.retain(|oid| *oid != 0);
    Ok(pending)
}

/// Counts the deltas of each segment; those without any are left out.
pub fn backlogs(
    source: &mut Connection,
    names: &Names,
    oids: &[u32],
) -> Result<Vec<(u32, i64)>, Failure> {
    let mut counts = Vec::new();
    for group in oids.chunks(200) {
        let parts: Vec<String> = group
            .iter()
            .map(|oid| {
                format!(
                    "select {oid}::int8 as oid, count(*) as n from {}",
                    names.segment(*oid)
                )
            })
            .collect();
        for row in source.query(&parts.join(" union all "), &[])? {
            if row.int("n") > 0 {
                counts.push((row.oid("oid"), row.int("n")));
            }
        }
    }
    Ok(counts)
}
