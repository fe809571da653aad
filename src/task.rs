//! Pieces of the initial copy, in `decamp.task`: claimed by copy workers, one at a time each, until none is left.
//!
//! `pending` -> `running` -> `done`. A running task whose worker is gone goes back to `pending`; whether its data had
//! been committed is told by `decamp.applied` on the target, not by this table.
//!
//! Everything here needs an open transaction.

use crate::failure::Failure;
use crate::libpq::Flow;
use crate::pg::spi;

#[derive(Clone, Debug)]
pub struct Task {
    pub id: i64,
    pub source_oid: u32,
    pub attempts: i64,
}

/// Plans the copy of a table: one chunk.
pub fn plan(subscription: i32, oid: u32, bytes: i64) {
    spi::update(
        "insert into decamp.task (subscription_id, source_oid, bytes) values ($1::int4, $2::oid, $3::int8)",
        &[
            Some(&subscription.to_string()),
            Some(&oid.to_string()),
            Some(&bytes.to_string()),
        ],
    );
}

/// Claims the largest open task for this process.
pub fn claim(subscription: i32) -> Option<Task> {
    spi::write(
        "update decamp.task t \
         set state = 'running', worker_pid = pg_catalog.pg_backend_pid(), attempts = t.attempts + 1, rows_done = 0, \
             bytes_done = 0, started_at = pg_catalog.clock_timestamp(), \
             worker_since = (select a.backend_start from pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) a) \
         where t.id = (select o.id from decamp.task o \
                       join decamp.relation r using (subscription_id, source_oid) \
                       where o.subscription_id = $1::int4 and o.state = 'pending' and r.state = 'copying' \
                         and (o.not_before is null or o.not_before <= pg_catalog.clock_timestamp()) \
                       order by o.bytes desc, o.id limit 1 \
                       for update of o skip locked) \
         returning t.id, t.source_oid::int8 as source_oid, t.attempts",
        &[Some(&subscription.to_string())],
    )
    .first()
    .map(|row| Task { id: row.int("id"), source_oid: row.oid("source_oid"), attempts: row.int("attempts") })
}

/// How far a running task is.
pub fn progress(id: i64, flow: Flow) {
    spi::update(
        "update decamp.task set rows_done = $2::int8, bytes_done = $3::int8 where id = $1::int8",
        &[
            Some(&id.to_string()),
            Some(&flow.rows.to_string()),
            Some(&flow.bytes.to_string()),
        ],
    );
}

pub fn finish(id: i64, flow: Option<Flow>) {
    if let Some(flow) = flow {
        progress(id, flow);
    }
    spi::update(
        "update decamp.task set state = 'done', finished_at = pg_catalog.clock_timestamp(), error = null, \
                worker_pid = null, worker_since = null \
         where id = $1::int8",
        &[Some(&id.to_string())],
    );
}

/// Puts a task back, to be tried again after a while.
pub fn put_back(id: i64, failure: &Failure, wait_ms: u128) {
    spi::update(
        "update decamp.task set state = 'pending', worker_pid = null, worker_since = null, error = $2, \
                not_before = pg_catalog.clock_timestamp() + $3::int8 * interval '1 millisecond' \
         where id = $1::int8",
        &[
            Some(&id.to_string()),
            Some(&failure.line()),
            Some(&wait_ms.to_string()),
        ],
    );
}

/// Puts back the tasks of workers that are gone; how many.
pub fn reclaim(subscription: i32) -> u64 {
    spi::update(
        "update decamp.task t set state = 'pending', worker_pid = null, worker_since = null \
         where t.subscription_id = $1::int4 and t.state = 'running' \
           and not exists (select 1 from pg_catalog.pg_stat_get_activity(null) a \
                           where a.pid = t.worker_pid and a.backend_start = t.worker_since)",
        &[Some(&subscription.to_string())],
    )
}

/// Open tasks that a worker could claim now or later.
pub fn open(subscription: i32) -> i64 {
    spi::read(
        "select count(*) as n from decamp.task t join decamp.relation r using (subscription_id, source_oid) \
         where t.subscription_id = $1::int4 and t.state <> 'done' and r.state = 'copying'",
        &[Some(&subscription.to_string())],
    )[0]
    .int("n")
}

/// Tasks that a worker could claim right now.
pub fn claimable(subscription: i32) -> i64 {
    spi::read(
        "select count(*) as n from decamp.task t join decamp.relation r using (subscription_id, source_oid) \
         where t.subscription_id = $1::int4 and t.state = 'pending' and r.state = 'copying' \
           and (t.not_before is null or t.not_before <= pg_catalog.clock_timestamp())",
        &[Some(&subscription.to_string())],
    )[0]
    .int("n")
}

/// Tables in state `copying` whose tasks are all done.
pub fn finished_tables(subscription: i32) -> Vec<u32> {
    spi::read(
        "select r.source_oid::int8 as oid from decamp.relation r \
         where r.subscription_id = $1::int4 and r.state = 'copying' \
           and not exists (select 1 from decamp.task t \
                           where t.subscription_id = r.subscription_id and t.source_oid = r.source_oid \
                             and t.state <> 'done')",
        &[Some(&subscription.to_string())],
    )
    .iter()
    .map(|row| row.oid("oid"))
    .collect()
}
