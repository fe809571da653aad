//! What was taken off the target and is not there again.

use std::collections::HashSet;

use super::{Task, read};
use crate::pg::spi;

/// The tables on whose counterparts something was noted to be built again: it may be off already.
pub fn deferred(subscription: i32) -> HashSet<u32> {
    spi::read(
        "select distinct source_oid::int8 as oid from decamp.task \
         where subscription_id = $1::int4 and phase between 2 and 5 and state <> 'done'",
        &[Some(&subscription.to_string())],
    )
    .iter()
    .map(|row| row.oid("oid"))
    .collect()
}

/// How many indexes, constraints and foreign keys of a table are off, as it is committed now.
pub fn unbuilt(subscription: i32, oid: u32) -> i64 {
    spi::read_now(
        "select count(*) as n from decamp.task \
         where subscription_id = $1::int4 and source_oid = $2::oid and phase in (3, 4, 6, 7) and state <> 'done'",
        &[Some(&subscription.to_string()), Some(&oid.to_string())],
    )[0]
    .int("n")
}

/// Whether copy workers still build indexes or constraints of the table.
pub fn is_to_be_built(subscription: i32, oid: u32) -> bool {
    !spi::read(
        "select 1 from decamp.task t join decamp.relation r using (subscription_id, source_oid) \
         where t.subscription_id = $1::int4 and t.source_oid = $2::oid and t.state <> 'done' and t.phase in (3, 4) \
           and r.planned and r.state in ('copying', 'copied') limit 1",
        &[Some(&subscription.to_string()), Some(&oid.to_string())],
    )
    .is_empty()
}

/// Open tasks that build something again on the target: table, kind, name, statements, in the order in which they can be
/// run one by one.
pub fn open_builds(subscription: i32) -> Vec<Task> {
    spi::read(
        "select t.id, t.source_oid::int8 as source_oid, t.kind, t.name, null::int8 as member, null as member_name, \
                null::int8 as filenode, null as condition, pg_catalog.array_to_json(t.statements)::text as statements, \
                t.attempts, t.cancelled \
         from decamp.task t where t.subscription_id = $1::int4 and t.state <> 'done' and t.phase not in (1, 2, 5) \
         order by t.phase, t.source_oid, t.id",
        &[Some(&subscription.to_string())],
    )
    .iter()
    .map(read)
    .collect()
}

/// Takes the open builds of a table, and those of others that refer to it, out of the tasks; with their SQL, in the order in
/// which they can be run.
pub fn take_builds(subscription: i32, oid: u32) -> Vec<Task> {
    let mut taken = open_builds(subscription);
    let referring: HashSet<i64> = spi::write(
        "delete from decamp.task t where t.subscription_id = $1::int4 and (t.source_oid = $2::oid or t.other_oid = $2::oid) \
           and t.state <> 'done' and t.phase not in (1, 2, 5) returning t.id",
        &[Some(&subscription.to_string()), Some(&oid.to_string())],
    )
    .iter()
    .map(|row| row.int("id"))
    .collect();
    taken.retain(|task| referring.contains(&task.id));
    taken
}
