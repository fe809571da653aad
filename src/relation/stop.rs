//! Tables that stop while the others go on.

use crate::failure::Failure;
use crate::pg::spi;
use crate::retry::MISSED;

/// Stops one table. Its deltas wait on the source.
pub fn quarantine(subscription: i32, oid: u32, failure: &Failure) {
    spi::update(
        "update decamp.relation \
         set errored_from = coalesce(errored_from, state), state = 'errored', error = $3, error_sqlstate = $4, hint = $5 \
         where subscription_id = $1::int4 and source_oid = $2::oid",
        &[
            Some(&subscription.to_string()),
            Some(&oid.to_string()),
            Some(&failure.line()),
            Some(&failure.sqlstate),
            failure.hint.as_deref(),
        ],
    );
}

/// Lets the stopped tables of a subscription try again from where they stopped; how many. Not those whose changes were
/// missed: trying again would make them look right.
pub fn forgive(subscription: i32) -> u64 {
    spi::update(
        "update decamp.relation \
         set state = errored_from, errored_from = null, error = null, error_sqlstate = null, hint = null \
         where subscription_id = $1::int4 and state = 'errored' and error_sqlstate <> $2",
        &[Some(&subscription.to_string()), Some(MISSED)],
    )
}

/// Lets one stopped table try again; false if changes of it were missed.
pub fn forgive_one(subscription: i32, oid: u32) -> bool {
    spi::update(
        "update decamp.relation \
         set state = errored_from, errored_from = null, error = null, error_sqlstate = null, hint = null \
         where subscription_id = $1::int4 and source_oid = $2::oid and state = 'errored' and error_sqlstate <> $3",
        &[
            Some(&subscription.to_string()),
            Some(&oid.to_string()),
            Some(MISSED),
        ],
    ) == 1
}

/// How many tables stopped because changes were not captured.
pub fn with_missed_changes(subscription: i32) -> i64 {
    spi::read(
        "select count(*) as n from decamp.relation where subscription_id = $1::int4 and error_sqlstate = $2 and not leaving",
        &[Some(&subscription.to_string()), Some(MISSED)],
    )[0]
    .int("n")
}
