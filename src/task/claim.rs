//! Tasks in the hands of a worker, from being claimed until they are done or put back.

use super::{Task, read};
use crate::failure::Failure;
use crate::libpq::Flow;
use crate::pg::spi;
use crate::quote;

/// Claimed for this process: all of one kind.
pub struct Claim {
    pub tasks: Vec<Task>,
    /// how many workers have nothing to do now
    pub spare: i64,
}

/// `None`: there is nothing to do right now.
pub fn claim(subscription: i32) -> Option<Claim> {
    let rows = spi::write(
        include_str!("../../sql/state/claim.sql"),
        &[Some(&subscription.to_string())],
    );
    let spare = rows.first()?.int("spare");
    let mut tasks: Vec<Task> = rows.iter().map(read).collect();
    tasks.sort_by_key(|task| task.id);
    Some(Claim { tasks, spare })
}

/// The claimed tasks begin on the target, in the session with that process id.
pub fn at_work(tasks: &[Task], target_pid: i64) {
    spi::update(
        "update decamp.task set target_pid = $2::int4 where id = any ($1::int8[])",
        &[Some(&ids(tasks)), Some(&target_pid.to_string())],
    );
}

/// How far a running chunk is.
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

/// How far the build is that runs in a session of the target.
pub fn built(subscription: i32, target_pid: i64, part: &str) {
    spi::update(
        "update decamp.task set part = $3::float8 \
         where subscription_id = $1::int4 and state = 'running' and target_pid = $2::int4",
        &[
            Some(&subscription.to_string()),
            Some(&target_pid.to_string()),
            Some(part),
        ],
    );
}

pub fn finish(id: i64, flow: Option<Flow>) {
    let count = |of: fn(Flow) -> u64| flow.map(|flow| of(flow).to_string());
    spi::update(
        "update decamp.task set state = 'done', finished_at = pg_catalog.clock_timestamp(), error = null, part = null, \
                worker_pid = null, worker_since = null, target_pid = null, \
                rows_done = coalesce($2::int8, rows_done), bytes_done = coalesce($3::int8, bytes_done) \
         where id = $1::int8",
        &[
            Some(&id.to_string()),
            count(|flow| flow.rows).as_deref(),
            count(|flow| flow.bytes).as_deref(),
        ],
    );
}

/// Puts tasks back, to be tried again after a while, or, without a failure, because they were not tried.
pub fn put_back(tasks: &[Task], failure: Option<&Failure>, wait_ms: u128) {
    spi::update(
        "update decamp.task set state = 'pending', worker_pid = null, worker_since = null, target_pid = null, part = null, \
                error = $2, not_before = pg_catalog.clock_timestamp() + $3::int8 * interval '1 millisecond', \
                attempts = attempts - case when $2 is null then 1 else 0 end, \
                cancelled = cancelled + case when $4 = '57014' then 1 else 0 end \
         where id = any ($1::int8[])",
        &[
            Some(&ids(tasks)),
            failure.map(Failure::line).as_deref(),
            Some(&wait_ms.to_string()),
            failure.map(|f| f.sqlstate.as_str()),
        ],
    );
}

/// Puts back what this process has at hand.
pub fn put_back_own() {
    spi::update(
        "update decamp.task set state = 'pending', worker_pid = null, worker_since = null, target_pid = null, part = null, \
                attempts = attempts - 1 \
         where state = 'running' and worker_pid = pg_catalog.pg_backend_pid()",
        &[],
    );
}

/// Puts back the tasks of workers that are gone; how many.
pub fn reclaim(subscription: i32) -> u64 {
    spi::update(
        "update decamp.task t set state = 'pending', worker_pid = null, worker_since = null, target_pid = null, part = null \
         where t.subscription_id = $1::int4 and t.state = 'running' \
           and not exists (select 1 from pg_catalog.pg_stat_get_activity(null) a \
                           where a.pid = t.worker_pid and a.backend_start = t.worker_since)",
        &[Some(&subscription.to_string())],
    )
}

/// A person has acted: what failed is tried again at once.
pub fn forgive(subscription: i32) {
    spi::update(
        "update decamp.task set not_before = null, attempts = 0, cancelled = 0 \
         where subscription_id = $1::int4 and state = 'pending' and attempts > 0",
        &[Some(&subscription.to_string())],
    );
}

/// Why a task failed last.
pub fn error_of(id: i64) -> Option<String> {
    spi::read(
        "select error from decamp.task where id = $1::int8",
        &[Some(&id.to_string())],
    )
    .first()
    .and_then(|row| row.opt("error").map(str::to_owned))
}

fn ids(tasks: &[Task]) -> String {
    let ids: Vec<String> = tasks.iter().map(|task| task.id.to_string()).collect();
    quote::array(&ids)
}
