//! The tables of a subscription, read.

use super::{Columns, Relation, State};
use crate::catalog::Fingerprint;
use crate::pg::spi;
use crate::row::Row;

/// A query for tables: what follows their columns.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select source_oid::int8 as oid, schema, name, state, errored_from, bytes, deferred, planned, restarts, keyless, \
                    shape, content, columns, error, error_sqlstate, hint from decamp.relation ",
            $rest
        )
    };
}

/// All tables of a subscription that are to stay, largest first.
pub fn of(subscription: i32) -> Vec<Relation> {
    spi::read(
        select!(
            "where subscription_id = $1::int4 and not leaving order by bytes desc, schema, name"
        ),
        &[Some(&subscription.to_string())],
    )
    .iter()
    .map(read)
    .collect()
}

/// Those that repl_remove_table takes out.
pub fn leaving(subscription: i32) -> Vec<Relation> {
    spi::read(
        select!("where subscription_id = $1::int4 and leaving order by schema, name"),
        &[Some(&subscription.to_string())],
    )
    .iter()
    .map(read)
    .collect()
}

/// One table of a subscription, as it is committed now.
pub fn by_oid(subscription: i32, oid: u32) -> Option<Relation> {
    spi::read_now(
        select!("where subscription_id = $1::int4 and source_oid = $2::oid"),
        &[Some(&subscription.to_string()), Some(&oid.to_string())],
    )
    .first()
    .map(read)
}

/// Those of a subscription that have this name: schema and table, or the table's alone.
pub fn named(subscription: i32, name: &[String]) -> Vec<u32> {
    let (schema, table) = match name {
        [table] => (None, table),
        [schema, table] => (Some(schema.as_str()), table),
        _ => return Vec::new(),
    };
    spi::read(
        "select source_oid::int8 as oid from decamp.relation \
         where subscription_id = $1::int4 and name = $2 and ($3::text is null or schema = $3) and not leaving",
        &[Some(&subscription.to_string()), Some(table), schema],
    )
    .iter()
    .map(|row| row.oid("oid"))
    .collect()
}

/// Those whose capture writes whole rows.
pub fn keyless(relations: &[Relation]) -> Vec<u32> {
    relations
        .iter()
        .filter(|r| r.keyless)
        .map(|r| r.oid)
        .collect()
}

fn read(row: &Row) -> Relation {
    Relation {
        oid: row.oid("oid"),
        schema: row.string("schema"),
        name: row.string("name"),
        state: State::parse(row.text("state")),
        errored_from: row.opt("errored_from").map(State::parse),
        bytes: row.int("bytes"),
        deferred: row.flag("deferred"),
        planned: row.flag("planned"),
        restarts: row.int("restarts"),
        keyless: row.flag("keyless"),
        fingerprint: row
            .opt("shape")
            .zip(row.opt("content"))
            .map(|(shape, content)| Fingerprint {
                shape: shape.to_owned(),
                content: content.to_owned(),
            }),
        columns: row
            .opt("columns")
            .map(|json| serde_json::from_str(json).expect("we wrote it"))
            .map(|(pairs, table, content)| Columns {
                pairs,
                table,
                content,
            }),
        error: row.opt("error").map(str::to_owned),
        sqlstate: row.opt("error_sqlstate").map(str::to_owned),
        hint: row.opt("hint").map(str::to_owned),
    }
}
