//! Rows that a person has left out, by their keys: `decamp.skipped`, view `repl_skipped`. Their deltas are taken from the queue
//! without being applied. Never ended by us, never forgotten.
//!
//! Everything here needs an open transaction.

use crate::pg::spi;
use crate::relation::Relation;
use crate::row::Row;

/// The values of a key's columns by name, as text.
pub type Key = serde_json::Map<String, serde_json::Value>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    pub id: i64,
    pub oid: u32,
    pub key: Key,
}

/// The values in the order of `columns`; `None` for a key of other columns.
pub fn values<'a>(
    key: &Key,
    mut columns: impl ExactSizeIterator<Item = &'a str>,
) -> Option<Vec<String>> {
    if columns.len() != key.len() {
        return None;
    }
    let mut values = Vec::new();
    columns.try_for_each(|column| {
        values.push(key.get(column)?.as_str()?.to_owned());
        Some(())
    })?;
    Some(values)
}

fn read(row: &Row) -> Skipped {
    Skipped {
        id: row.int("id"),
        oid: row.oid("oid"),
        key: serde_json::from_str(row.text("key")).expect("repl_skip wrote an object"),
    }
}

/// Those still left out.
pub fn of(subscription: i32) -> Vec<Skipped> {
    spi::read(
        "select id, source_oid::int8 as oid, key::text as key from decamp.skipped \
         where subscription_id = $1::int4 and ended_at is null order by id",
        &[Some(&subscription.to_string())],
    )
    .iter()
    .map(read)
    .collect()
}

/// Those no longer left out, whose deltas are still to be put back into the queue.
pub fn to_be_queued(subscription: i32) -> Vec<Skipped> {
    spi::read(
        "select id, source_oid::int8 as oid, key::text as key from decamp.skipped \
         where subscription_id = $1::int4 and ended_at is not null and not queued order by id",
        &[Some(&subscription.to_string())],
    )
    .iter()
    .map(read)
    .collect()
}

/// Leaves a key out from now on; false if it is already.
pub fn insert(subscription: i32, name: &str, relation: &Relation, key: &Key) -> bool {
    spi::update(
        "insert into decamp.skipped (subscription_id, subscription, source_oid, schema, name, key, role) \
         values ($1::int4, $2, $3::oid, $4, $5, $6::jsonb, session_user) on conflict do nothing",
        &[
            Some(&subscription.to_string()),
            Some(name),
            Some(&relation.oid.to_string()),
            Some(&relation.schema),
            Some(&relation.name),
            Some(&serde_json::Value::from(key.clone()).to_string()),
        ],
    ) == 1
}

/// Takes one back (`None`: all of a table); how many. `queued`: nothing is to be put back into the queue.
pub fn end(subscription: i32, oid: u32, key: Option<&Key>, by: &str, queued: bool) -> u64 {
    let key = key.map(|key| serde_json::Value::from(key.clone()).to_string());
    spi::update(
        "update decamp.skipped \
         set ended_at = pg_catalog.clock_timestamp(), ended_by = pg_catalog.concat(session_user, ', ', $4), queued = $5::bool \
         where subscription_id = $1::int4 and source_oid = $2::oid and ended_at is null \
           and key = coalesce($3::jsonb, key)",
        &[
            Some(&subscription.to_string()),
            Some(&oid.to_string()),
            key.as_deref(),
            Some(by),
            Some(&queued.to_string()),
        ],
    )
}

pub fn set_queued(id: i64) {
    spi::update(
        "update decamp.skipped set queued = true where id = $1::int8",
        &[Some(&id.to_string())],
    );
}
