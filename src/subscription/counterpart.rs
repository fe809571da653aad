//! The subscription that leads the other way: `repl_switchover` makes it, and from then on one of the two works while the other
//! is finished. Everything here needs an open transaction.

use super::{State, Subscription, counterpart};
use crate::pg::spi;

/// One that waits for the switchover at work, or was left by one that died.
pub fn armed_counterpart(id: i32) -> Option<Subscription> {
    counterpart(id).filter(|back| back.state == State::Armed)
}

/// Lets it work, behind a fence that whoever is at work lowers at once, and its apply worker should that one have died. Its new
/// tables are captured; what is to be done about its target comes now.
pub fn awake(counterpart: &Subscription) {
    let moved = spi::update(
        "update decamp.subscription \
         set state = 'installing', copy_data = false, state_since = pg_catalog.clock_timestamp(), enabled = true, \
             fence = 'raising', fenced_at = coalesce(fenced_at, pg_catalog.clock_timestamp()), \
             complete_at = null, looked_at = null, error = null, error_sqlstate = null, hint = null, retry_at = null \
         where id = $1::int4 and state = $2",
        &[
            Some(&counterpart.id.to_string()),
            Some(counterpart.state.as_str()),
        ],
    );
    assert_eq!(
        moved, 1,
        "only the switchover at work moves its counterpart"
    );
}

/// Forgets one that never began.
pub fn drop_armed(id: i32) {
    spi::update(
        "delete from decamp.subscription where id = $1::int4 and state = 'armed'",
        &[Some(&id.to_string())],
    );
}

/// What was switched over to begins with the rows that were carried there: once each of its tables is captured, a table may be
/// copied anew as in any other subscription.
pub fn take_rows_as_copied(id: i32) {
    spi::update(
        "update decamp.subscription s set copy_data = true \
         where s.id = $1::int4 and not s.copy_data \
           and exists (select 1 from decamp.subscription o where o.id = s.counterpart_id or o.counterpart_id = s.id) \
           and not exists (select 1 from decamp.relation r \
                           where r.subscription_id = s.id and 'init' in (r.state, r.errored_from))",
        &[Some(&id.to_string())],
    );
}
