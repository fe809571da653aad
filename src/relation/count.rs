//! How many rows were replayed, and how many deltas wait.

use crate::pg::spi;
use crate::quote;

/// What a batch did to a table.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub inserted: u64,
    pub updated: u64,
    pub deleted: u64,
    pub truncated: u64,
}

impl Counts {
    pub fn rows(&self) -> u64 {
        self.inserted + self.updated + self.deleted
    }
}

pub fn add(subscription: i32, oid: u32, counts: &Counts) {
    spi::update(
        "update decamp.relation \
         set inserted = inserted + $3::int8, updated = updated + $4::int8, deleted = deleted + $5::int8, \
             truncated = truncated + $6::int8 \
         where subscription_id = $1::int4 and source_oid = $2::oid",
        &[
            Some(&subscription.to_string()),
            Some(&oid.to_string()),
            Some(&counts.inserted.to_string()),
            Some(&counts.updated.to_string()),
            Some(&counts.deleted.to_string()),
            Some(&counts.truncated.to_string()),
        ],
    );
}

/// Writes the backlogs as counted; tables not named have none.
pub fn set_backlogs(subscription: i32, backlogs: &[(u32, i64)]) {
    let oids: Vec<String> = backlogs.iter().map(|(oid, _)| oid.to_string()).collect();
    let counts: Vec<String> = backlogs.iter().map(|(_, n)| n.to_string()).collect();
    spi::update(
        "update decamp.relation r set backlog = coalesce(b.n, 0) \
         from (select l.subscription_id, l.source_oid from decamp.relation l \
               where l.subscription_id = $1::int4 order by l.source_oid for no key update) o \
         left join rows from (pg_catalog.unnest($2::oid[]), pg_catalog.unnest($3::int8[])) b(oid, n) on b.oid = o.source_oid \
         where r.subscription_id = $1::int4 and o.subscription_id = r.subscription_id \
           and o.source_oid = r.source_oid and r.backlog <> coalesce(b.n, 0)",
        &[
            Some(&subscription.to_string()),
            Some(&quote::array(&oids)),
            Some(&quote::array(&counts)),
        ],
    );
}
