//! The partitions that are taken care of, in `decamp.partition`.

use crate::capture::Partition;
use crate::pg::spi;

/// The partitions that are taken care of, each with its root's oid.
pub fn partitions(subscription: i32) -> Vec<(u32, Partition)> {
    spi::read(
        "select root_oid::int8 as root, oid::int8 as oid, schema, name, leaf from decamp.partition \
         where subscription_id = $1::int4",
        &[Some(&subscription.to_string())],
    )
    .iter()
    .map(|row| {
        let partition = Partition {
            oid: row.oid("oid"),
            schema: row.string("schema"),
            name: row.string("name"),
            leaf: row.flag("leaf"),
        };
        (row.oid("root"), partition)
    })
    .collect()
}

/// From now on the partition is taken care of.
pub fn add_partition(subscription: i32, root: u32, partition: &Partition) {
    spi::update(
        "insert into decamp.partition (subscription_id, root_oid, oid, schema, name, leaf) \
         values ($1::int4, $2::oid, $3::oid, $4, $5, $6::bool) on conflict do nothing",
        &[
            Some(&subscription.to_string()),
            Some(&root.to_string()),
            Some(&partition.oid.to_string()),
            Some(&partition.schema),
            Some(&partition.name),
            Some(&partition.leaf.to_string()),
        ],
    );
}

/// The partition is gone from the source.
pub fn remove_partition(subscription: i32, oid: u32) {
    spi::update(
        "delete from decamp.partition where subscription_id = $1::int4 and oid = $2::oid",
        &[Some(&subscription.to_string()), Some(&oid.to_string())],
    );
}
