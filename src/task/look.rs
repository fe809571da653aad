//! What there is to do, and what is being done.

use crate::pg::spi;

/// What there is to do for copy workers.
pub struct Open {
    /// tables are not complete
    pub copying: bool,
    /// tasks that could be claimed right now
    pub claimable: i64,
}

pub fn open(subscription: i32) -> Open {
    let row = &spi::read(
        include_str!("../../sql/state/open.sql"),
        &[Some(&subscription.to_string())],
    )[0];
    Open {
        copying: row.flag("copying"),
        claimable: row.int("claimable"),
    }
}

/// How many workers have chunks at hand.
pub fn copying(subscription: i32) -> i64 {
    spi::read(
        "select count(distinct worker_pid) as n from decamp.task \
         where subscription_id = $1::int4 and state = 'running' and kind = 'chunk'",
        &[Some(&subscription.to_string())],
    )[0]
    .int("n")
}

/// Tasks of a table that a worker has at hand.
pub fn running(subscription: i32, oid: u32) -> i64 {
    spi::read(
        "select count(*) as n from decamp.task t \
         where t.subscription_id = $1::int4 and t.source_oid = $2::oid and t.state = 'running'",
        &[Some(&subscription.to_string()), Some(&oid.to_string())],
    )[0]
    .int("n")
}

/// Whether an index or constraint is being built right now.
pub fn is_building(subscription: i32) -> bool {
    let sql = "select 1 from decamp.task t where t.subscription_id = $1::int4 and t.state = 'running' and t.target_pid is not null \
               limit 1";
    !spi::read(sql, &[Some(&subscription.to_string())]).is_empty()
}

/// All tasks of a table.
pub fn ids_of(subscription: i32, oid: u32) -> Vec<i64> {
    spi::read(
        "select id from decamp.task where subscription_id = $1::int4 and source_oid = $2::oid",
        &[Some(&subscription.to_string()), Some(&oid.to_string())],
    )
    .iter()
    .map(|row| row.int("id"))
    .collect()
}
