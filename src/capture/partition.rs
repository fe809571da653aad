//! Partitions come and go while a migration runs. Row triggers follow by themselves; what does not is mended here by the
//! same means as everything else, deltas and truncations, so that replay makes the target equal.

use super::{LOCK_TIMEOUT, Names, enable_always, keyless};
use crate::failure::Failure;
use crate::libpq::Connection;
use crate::quote::{ident, literal, qualified};
use crate::table::Table;
use crate::template::fill;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    pub oid: u32,
    pub schema: String,
    pub name: String,
    /// holds rows itself: is not partitioned further
    pub leaf: bool,
}

impl Partition {
    pub fn qualified(&self) -> String {
        qualified(&self.schema, &self.name)
    }
}

/// All partitions below a partitioned table, at any depth.
pub fn of(source: &mut Connection, root: u32) -> Result<Vec<Partition>, Failure> {
    let rows = source.query(
        include_str!("../../sql/source/partitions.sql"),
        &[Some(&root.to_string())],
    )?;
    Ok(rows
        .iter()
        .map(|row| Partition {
            oid: row.oid("oid"),
            schema: row.string("schema"),
            name: row.string("name"),
            leaf: row.flag("leaf"),
        })
        .collect())
}

/// The statements that put the TRUNCATE trigger of `root` on it or on one of its partitions.
pub fn truncate_trigger(names: &Names, root: u32, member: &str) -> String {
    let create = fill(
        include_str!("../../sql/source/truncate_trigger.sql"),
        &[
            ("table", member),
            ("truncate", &ident(&names.trigger("truncate"))),
            ("function_truncate", &names.function(root, "_truncate")),
        ],
    );
    format!(
        "{create}{}",
        enable_always(member, &[names.trigger("truncate")])
    )
}

/// A partition that was created or attached later. What happened to it before its TRUNCATE trigger, and the rows it
/// brought along, nobody captured: its counterpart is to be emptied and filled again. `segment`: the newest of `root`. Errors: 55P03 or 57014 when the lock
/// was not to be had in time; nothing is changed then.
pub fn arrived(
    source: &mut Connection,
    names: &Names,
    root: &Table,
    partition: &Partition,
    segment: &str,
) -> Result<(), Failure> {
    let seconds = LOCK_TIMEOUT.as_secs();
    let member = partition.qualified();
    let trigger = ident(&names.trigger("truncate"));
    let there = !source
        .query(
            "select 1 from pg_trigger where tgrelid = $1::oid and tgname = $2",
            &[
                Some(&partition.oid.to_string()),
                Some(&names.trigger("truncate")),
            ],
        )?
        .is_empty();
    let drop = if there {
        format!("drop trigger {trigger} on {member};")
    } else {
        String::new()
    };
    in_transaction(
        source,
        &format!(
            "begin; set local lock_timeout = '{seconds}s'; {drop} {};",
            truncate_trigger(names, root.oid, &member)
        ),
    )?;
    if !partition.leaf {
        return Ok(());
    }
    if root.key.is_empty() {
        return keyless::deliver(source, names, root.oid, partition);
    }
    // in a transaction of its own, which locks nobody out however many rows there are. Rows written meanwhile leave deltas,
    // and those wait: replay runs in this process, after this.
    let key: Vec<String> = root.key.iter().map(|k| ident(&k.name)).collect();
    let truncation = truncation(names, root.oid, partition);
    in_transaction(
        source,
        &format!(
            "begin; {truncation} insert into {segment} select {} from only {member};",
            key.join(", ")
        ),
    )
}

/// A partition that was dropped or detached: its rows are no longer in the table.
pub fn left(
    source: &mut Connection,
    names: &Names,
    root: u32,
    partition: &Partition,
) -> Result<(), Failure> {
    if !partition.leaf {
        return Ok(());
    }
    in_transaction(
        source,
        &format!("begin; {}", truncation(names, root, partition)),
    )
}

/// Deltas of a table without a key whose partitions are no longer part of it.
pub fn forget_strangers(
    source: &mut Connection,
    names: &Names,
    root: &Table,
) -> Result<(), Failure> {
    if root.key.is_empty() {
        keyless::forget_strangers(source, names, root.oid)?;
    }
    Ok(())
}

pub(super) fn truncation(names: &Names, root: u32, partition: &Partition) -> String {
    format!(
        "insert into {} (relation, schema, name) values ({root}, {}, {});",
        names.truncation(),
        literal(&partition.schema),
        literal(&partition.name)
    )
}

pub(super) fn in_transaction(source: &mut Connection, sql: &str) -> Result<(), Failure> {
    let result = source.batch(&format!("{sql} commit"));
    if result.is_err() {
        source.rollback();
    }
    result
}
