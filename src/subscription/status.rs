//! What the apply worker tells of a subscription on its row: failures and measurements; and how `repl_resume` takes failures
//! back. Everything here needs an open transaction.

use crate::failure::Failure;
use crate::meter::Reading;
use crate::pg::spi;
use crate::retry::MISSED;

/// Notes a failure on the subscription's row: shown by repl_status until [`clear_failure`].
pub fn note_failure(id: i32, failure: &Failure, retry_in_ms: Option<u128>) {
    spi::update(
        "update decamp.subscription set error = $2, error_sqlstate = $3, hint = $4, \
                retry_at = pg_catalog.clock_timestamp() + $5::int8 * interval '1 millisecond' \
         where id = $1::int4",
        &[
            Some(&id.to_string()),
            Some(&failure.line()),
            Some(&failure.sqlstate),
            failure.hint.as_deref(),
            retry_in_ms.map(|ms| ms.to_string()).as_deref(),
        ],
    );
}

/// Lets an errored subscription try again from where it stopped.
pub fn forgive(id: i32) {
    spi::update(
        "update decamp.subscription set state = errored_from, errored_from = null, \
                state_since = pg_catalog.clock_timestamp() \
         where id = $1::int4 and state = 'errored'",
        &[Some(&id.to_string())],
    );
    clear_failure(id);
}

/// Tables that stopped before they were captured or copied may try again: the worker is to go back for them if it was past
/// that.
pub fn go_back_for_tables(id: i32) {
    spi::update(
        "with behind as ( \
             select case when bool_or(r.state = 'init') then 'installing' else 'copying' end as state, count(*) as tables \
             from decamp.relation r where r.subscription_id = $1::int4 and not r.leaving and r.state in ('init', 'copying', 'copied')) \
         update decamp.subscription s set state = behind.state, state_since = pg_catalog.clock_timestamp() \
         from behind \
         where s.id = $1::int4 and s.state in ('copying', 'catchup', 'streaming') and behind.tables > 0 and behind.state <> s.state",
        &[Some(&id.to_string())],
    );
}

/// Whether copy workers are to give up what they have at hand.
pub fn is_cut(id: i32) -> bool {
    let sql = "select 1 from decamp.subscription where id = $1::int4 and cut and not enabled";
    !spi::read(sql, &[Some(&id.to_string())]).is_empty()
}

/// Whether it stopped because changes were not captured.
pub fn has_missed_changes(id: i32) -> bool {
    let sql = "select 1 from decamp.subscription where id = $1::int4 and error_sqlstate = $2";
    !spi::read(sql, &[Some(&id.to_string()), Some(MISSED)]).is_empty()
}

/// Whether the apply worker is to wait for its next try: nobody has paused, resumed or altered the subscription meanwhile.
pub fn is_resting(id: i32) -> bool {
    let sql = "select 1 from decamp.subscription where id = $1::int4 and enabled and retry_at is not null";
    !spi::read(sql, &[Some(&id.to_string())]).is_empty()
}

/// Makes the apply worker try again at once.
pub fn end_rest(id: i32) {
    spi::update(
        "update decamp.subscription set retry_at = null where id = $1::int4 and retry_at is not null",
        &[Some(&id.to_string())],
    );
}

/// The failure noted last and not yet cleared.
pub fn noted_failure(id: i32) -> Option<String> {
    spi::read(
        "select error from decamp.subscription where id = $1::int4",
        &[Some(&id.to_string())],
    )
    .first()
    .and_then(|row| row.opt("error").map(str::to_owned))
}

/// Whether the target has all deltas of what was committed on the source before `at` (microseconds, our clock), as committed now.
/// `looked`: and what leaves no deltas.
pub fn is_complete_since(id: i32, at: i64, looked: bool) -> bool {
    !spi::read_now(
        "select 1 from decamp.subscription s \
         where s.id = $1::int4 and s.state = 'streaming' \
           and s.complete_at >= 'epoch'::timestamptz + $2::int8 * interval '1 microsecond' \
           and (not $3::bool \
                or s.complete_at >= s.looked_at \
                   and s.looked_at >= 'epoch'::timestamptz + $2::int8 * interval '1 microsecond')",
        &[
            Some(&id.to_string()),
            Some(&at.to_string()),
            Some(&looked.to_string()),
        ],
    )
    .is_empty()
}

pub fn clear_failure(id: i32) {
    spi::update(
        "update decamp.subscription set error = null, error_sqlstate = null, hint = null, retry_at = null \
         where id = $1::int4 and error is not null",
        &[Some(&id.to_string())],
    );
}

/// Both sides have been reached: a failure to do so is over.
pub fn clear_outage(id: i32) {
    spi::update(
        "update decamp.subscription set error = null, error_sqlstate = null, hint = null, retry_at = null \
         where id = $1::int4 and (error_sqlstate like '08%' or error_sqlstate in ('53300', '57P01', '57P02', '57P03'))",
        &[Some(&id.to_string())],
    );
}

/// Tells that the apply worker is alive. Somebody's open transaction on the row is not waited for.
pub fn heartbeat(id: i32) {
    spi::update(
        "update decamp.subscription set heartbeat_at = pg_catalog.clock_timestamp() \
         where id in (select id from decamp.subscription \
                      where id = $1::int4 and (heartbeat_at is null or heartbeat_at < \
                                               pg_catalog.clock_timestamp() - interval '900 milliseconds') \
                      for no key update skip locked)",
        &[Some(&id.to_string())],
    );
}

/// Writes what the apply worker has measured; what it does not know yet stays. Somebody's open transaction on the row is
/// not waited for.
pub fn publish(id: i32, reading: &Reading) {
    let number = |n: Option<i64>| n.map(|n| n.to_string());
    spi::update(
        "update decamp.subscription \
         set heartbeat_at = pg_catalog.clock_timestamp(), \
             complete_at = coalesce('epoch'::timestamptz + $2::int8 * interval '1 microsecond', complete_at), \
             looked_at = coalesce('epoch'::timestamptz + $6::int8 * interval '1 microsecond', looked_at), \
             backlog = coalesce($3::int8, backlog), \
             apply_rate = $4::float8, \
             last_batch_at = coalesce('epoch'::timestamptz + $5::int8 * interval '1 microsecond', last_batch_at) \
         where id in (select id from decamp.subscription where id = $1::int4 for no key update skip locked)",
        &[
            Some(&id.to_string()),
            number(reading.complete_at).as_deref(),
            number(reading.backlog).as_deref(),
            Some(&reading.rate.to_string()),
            number(reading.last_batch_at).as_deref(),
            number(reading.looked_at).as_deref(),
        ],
    );
}
