//! Tasks made, and those that are not to be done any more.

use super::Kind;
use crate::pg::spi;
use crate::quote;

/// A task to be made.
pub struct New<'a> {
    pub source_oid: u32,
    pub kind: Kind,
    pub name: Option<&'a str>,
    pub statements: &'a [String],
    pub other_oid: Option<u32>,
    pub bytes: i64,
}

/// Makes a task, unless the table has an open one of that kind and name already.
pub fn insert(subscription: i32, new: &New) {
    spi::update(
        "insert into decamp.task (subscription_id, source_oid, kind, phase, name, statements, other_oid, bytes) \
         select $1::int4, $2::oid, $3, $4::int4, $5, $6::text[], $7::oid, $8::int8 \
         where not exists (select from decamp.task t \
                           where t.subscription_id = $1::int4 and t.source_oid = $2::oid and t.kind = $3 \
                             and t.name is not distinct from $5 and t.state <> 'done')",
        &[
            Some(&subscription.to_string()),
            Some(&new.source_oid.to_string()),
            Some(new.kind.as_str()),
            Some(&new.kind.phase().to_string()),
            new.name,
            Some(&quote::array(new.statements)),
            new.other_oid.map(|oid| oid.to_string()).as_deref(),
            Some(&new.bytes.to_string()),
        ],
    );
}

/// A chunk to be made.
pub struct NewChunk<'a> {
    pub source_oid: u32,
    pub member: u32,
    pub member_name: &'a str,
    pub filenode: Option<u32>,
    pub condition: Option<&'a str>,
    pub bytes: i64,
    pub rows_estimate: i64,
}

pub fn insert_chunk(subscription: i32, new: &NewChunk) {
    spi::update(
        "insert into decamp.task (subscription_id, source_oid, kind, phase, member, member_name, filenode, condition, bytes, \
                                  rows_estimate) \
         values ($1::int4, $2::oid, 'chunk', 1, $3::oid, $4, $5::oid, $6, $7::int8, $8::int8)",
        &[
            Some(&subscription.to_string()),
            Some(&new.source_oid.to_string()),
            Some(&new.member.to_string()),
            Some(new.member_name),
            new.filenode.map(|node| node.to_string()).as_deref(),
            new.condition,
            Some(&new.bytes.to_string()),
            Some(&new.rows_estimate.to_string()),
        ],
    );
}

/// Opens a table's tasks of one kind anew, or declares them done.
pub fn set_open(subscription: i32, oid: u32, kind: Kind, open: bool) {
    spi::update(
        "update decamp.task set state = case when $4::bool then 'pending' else 'done' end \
         where subscription_id = $1::int4 and source_oid = $2::oid and kind = $3",
        &[
            Some(&subscription.to_string()),
            Some(&oid.to_string()),
            Some(kind.as_str()),
            Some(&open.to_string()),
        ],
    );
}

/// Forgets a table's tasks of one kind.
pub fn forget(subscription: i32, oid: u32, kind: Kind) {
    spi::update(
        "delete from decamp.task where subscription_id = $1::int4 and source_oid = $2::oid and kind = $3",
        &[
            Some(&subscription.to_string()),
            Some(&oid.to_string()),
            Some(kind.as_str()),
        ],
    );
}

/// Forgets what has been built again; it is about to be taken off once more. Not how duplicates are removed: that is known
/// only as long as the key is there.
pub fn forget_built(subscription: i32, oid: u32) {
    spi::update(
        "delete from decamp.task where subscription_id = $1::int4 and source_oid = $2::oid and phase > 2 and state = 'done'",
        &[Some(&subscription.to_string()), Some(&oid.to_string())],
    );
}

/// Forgets a task by its name: what it would build stayed in place.
pub fn forget_named(subscription: i32, oid: u32, kind: Kind, name: &str) {
    spi::update(
        "delete from decamp.task where subscription_id = $1::int4 and source_oid = $2::oid and kind = $3 and name = $4",
        &[
            Some(&subscription.to_string()),
            Some(&oid.to_string()),
            Some(kind.as_str()),
            Some(name),
        ],
    );
}

/// Nothing more of a table is to be copied: what has not begun is forgotten.
pub fn forget_copy(subscription: i32, oid: u32) {
    spi::update(
        "delete from decamp.task t where t.subscription_id = $1::int4 and t.source_oid = $2::oid and t.state = 'pending' \
           and t.phase in (1, 2, 5)",
        &[Some(&subscription.to_string()), Some(&oid.to_string())],
    );
}
