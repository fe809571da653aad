//! Tables of the source that a subscription's patterns match but that it does not follow: `decamp.offered`.
//!
//! Everything here needs an open transaction.

use crate::pg::spi;
use crate::quote;
use crate::table::Table;

/// Notes a table; false if it is known already.
pub fn insert(subscription: i32, table: &Table) -> bool {
    spi::update(
        "insert into decamp.offered (subscription_id, source_oid, schema, name) values ($1::int4, $2::oid, $3, $4) \
         on conflict do nothing",
        &[
            Some(&subscription.to_string()),
            Some(&table.oid.to_string()),
            Some(&table.schema),
            Some(&table.name),
        ],
    ) == 1
}

/// The table has been taken out: it is not news when it is seen again.
pub fn dismiss(subscription: i32, oid: u32, schema: &str, name: &str) {
    spi::update(
        "insert into decamp.offered (subscription_id, source_oid, schema, name, dismissed) values ($1::int4, $2::oid, $3, $4, true) \
         on conflict (subscription_id, source_oid) do update set dismissed = true",
        &[
            Some(&subscription.to_string()),
            Some(&oid.to_string()),
            Some(schema),
            Some(name),
        ],
    );
}

/// Tables of this name that were offered and not dismissed are to be told of no more; how many.
pub fn dismiss_named(subscription: i32, name: &[String]) -> u64 {
    let schema = (name.len() > 1).then(|| name[name.len() - 2].as_str());
    spi::update(
        "update decamp.offered set dismissed = true \
         where subscription_id = $1::int4 and name = $2 and ($3::text is null or schema = $3) and not dismissed",
        &[
            Some(&subscription.to_string()),
            name.last().map(String::as_str),
            schema,
        ],
    )
}

/// Forgets those that are gone from the source.
pub fn retain(subscription: i32, present: &[u32]) {
    let oids: Vec<String> = present.iter().map(u32::to_string).collect();
    spi::update(
        "delete from decamp.offered where subscription_id = $1::int4 and not source_oid = any ($2::oid[])",
        &[Some(&subscription.to_string()), Some(&quote::array(&oids))],
    );
}
