//! What has become of a table, written down.

use super::{Columns, State};
use crate::catalog::Fingerprint;
use crate::pg::spi;

/// Moves a table on, unless somebody has moved it meanwhile (repl_resync, for one).
pub fn enter(subscription: i32, oid: u32, from: State, to: State) {
    spi::update(
        "update decamp.relation set state = $4 where subscription_id = $1::int4 and source_oid = $2::oid and state = $3",
        &[
            Some(&subscription.to_string()),
            Some(&oid.to_string()),
            Some(from.as_str()),
            Some(to.as_str()),
        ],
    );
}

/// Whether a table is still to be copied, as it is committed now.
pub fn is_any_incomplete(subscription: i32) -> bool {
    let sql = "select 1 from decamp.relation where subscription_id = $1::int4 and not leaving and state in ('init', 'copying', 'copied') limit 1";
    !spi::read_now(sql, &[Some(&subscription.to_string())]).is_empty()
}

/// Notes by way of which columns the rows are being delivered.
pub fn set_columns(subscription: i32, oid: u32, columns: &Columns) {
    let json = serde_json::to_string(&(&columns.pairs, columns.table, &columns.content));
    let json = json.expect("numbers and a text");
    spi::update(
        "update decamp.relation set columns = $3 where subscription_id = $1::int4 and source_oid = $2::oid",
        &[
            Some(&subscription.to_string()),
            Some(&oid.to_string()),
            Some(&json),
        ],
    );
}

/// Notes what the source's table looks like while its rows are being delivered.
pub fn set_fingerprint(subscription: i32, oid: u32, fingerprint: &Fingerprint) {
    spi::update(
        "update decamp.relation set shape = $3, content = $4 where subscription_id = $1::int4 and source_oid = $2::oid",
        &[
            Some(&subscription.to_string()),
            Some(&oid.to_string()),
            Some(&fingerprint.shape),
            Some(&fingerprint.content),
        ],
    );
}

pub fn set_deferred(subscription: i32, oid: u32, deferred: bool) {
    spi::update(
        "update decamp.relation set deferred = $3::bool where subscription_id = $1::int4 and source_oid = $2::oid",
        &[
            Some(&subscription.to_string()),
            Some(&oid.to_string()),
            Some(&deferred.to_string()),
        ],
    );
}

/// Its chunks are in the tasks, cut from a table of this size.
pub fn set_planned(subscription: i32, oid: u32, bytes: i64, rows_estimate: i64) {
    spi::update(
        "update decamp.relation set planned = true, bytes = $3::int8, rows_estimate = $4::int8 \
         where subscription_id = $1::int4 and source_oid = $2::oid",
        &[
            Some(&subscription.to_string()),
            Some(&oid.to_string()),
            Some(&bytes.to_string()),
            Some(&rows_estimate.to_string()),
        ],
    );
}

/// The copy of a table is to begin anew, before anything has been built on it.
pub fn restart(subscription: i32, oid: u32) {
    spi::update(
        "update decamp.relation set planned = false, columns = null, restarts = restarts + 1 \
         where subscription_id = $1::int4 and source_oid = $2::oid and planned",
        &[Some(&subscription.to_string()), Some(&oid.to_string())],
    );
}

/// The table is to be copied anew, whatever state it is in.
pub fn copy_again(subscription: i32, oid: u32) {
    spi::update(
        "update decamp.relation \
         set state = 'copying', errored_from = null, error = null, error_sqlstate = null, hint = null, planned = false, columns = null, \
             deferred = false, restarts = restarts + 1 \
         where subscription_id = $1::int4 and source_oid = $2::oid",
        &[Some(&subscription.to_string()), Some(&oid.to_string())],
    );
}

/// The table is called so now. Two may have changed places: names are compared at the end of the transaction.
pub fn rename(subscription: i32, oid: u32, schema: &str, name: &str) {
    spi::update(
        "update decamp.relation set schema = $3, name = $4 where subscription_id = $1::int4 and source_oid = $2::oid",
        &[
            Some(&subscription.to_string()),
            Some(&oid.to_string()),
            Some(schema),
            Some(name),
        ],
    );
}
