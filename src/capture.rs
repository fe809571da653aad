//! Capture on the source: triggers that write the keys of changed rows into segments. Installed and removed one table
//! per transaction, under a lock timeout, so that the application never waits longer than that for us.
//!
//! Invariant: once `install` has committed, every later change of the table leaves its key in the segment. The lock that
//! CREATE TRIGGER takes (SHARE ROW EXCLUSIVE) waits out the transactions that have already written to the table.

use std::time::Duration;

use crate::failure::Failure;
use crate::libpq::Connection;
use crate::quote::{ident, literal, qualified};
use crate::retry::MISSED;
use crate::row::Row;
use crate::table::{Capture, Kind, Table};
use crate::template::fill;

/// No lock that could block the application is waited for longer.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// Names of a subscription's objects on the source.
#[derive(Clone, Debug)]
pub struct Names {
    subscription: String,
}

impl Names {
    pub fn of(subscription: &str) -> Self {
        Self {
            subscription: subscription.to_owned(),
        }
    }

    /// Unquoted.
    pub fn schema(&self) -> String {
        format!("decamp_{}", self.subscription)
    }

    pub fn segment(&self, oid: u32) -> String {
        qualified(&self.schema(), &format!("delta_{oid}_0"))
    }

    pub fn truncation(&self) -> String {
        qualified(&self.schema(), "truncation")
    }

    fn function(&self, oid: u32, suffix: &str) -> String {
        qualified(&self.schema(), &format!("capture_{oid}{suffix}"))
    }

    fn trigger(&self, event: &str) -> String {
        format!("decamp_{}_{event}", self.subscription)
    }
}

const EVENTS: [&str; 5] = ["insert", "update", "delete", "rekey", "truncate"];

/// Makes our schema on the source, or recognises it as ours. Errors: 55000 when it belongs to somebody else.
pub fn prepare(source: &mut Connection, names: &Names, uuid: &str) -> Result<(), Failure> {
    let sql = fill(
        include_str!("../sql/source/schema.sql"),
        &[
            ("schema", &ident(&names.schema())),
            ("uuid", &literal(uuid)),
        ],
    );
    source.batch(&format!("begin; {sql} commit"))?;
    own(source, names, uuid).map(|_| ())
}

/// Whether our schema is on the source. Errors: 55000 when a schema of that name has another origin.
pub fn own(source: &mut Connection, names: &Names, uuid: &str) -> Result<bool, Failure> {
    let schema = names.schema();
    let present = source.query(
        "select to_regclass($1) is not null as present",
        &[Some(&qualified(&schema, "origin"))],
    )?[0]
        .flag("present");
    if !present {
        return Ok(false);
    }
    let origin = source.query(
        &format!(
            "select subscription::text as uuid from {}",
            qualified(&schema, "origin")
        ),
        &[],
    )?;
    if origin.iter().any(|row| row.text("uuid") == uuid) {
        return Ok(true);
    }
    Err(Failure::new("55000", format!("schema {schema:?} on the source belongs to another subscription"))
        .detail("Its deltas are not ours to read or to delete.")
        .hint(format!(
            "If no other pg_decamp uses it any more, run on the source: DROP SCHEMA {schema} CASCADE; it drops the \
             capture triggers too."
        )))
}

/// Holds the subscription's advisory lock on the source for as long as the connection lives. Errors: 55006 when another
/// session holds it (a restored copy of the target that works on the same source, or our own previous connection, which
/// the source has not yet noticed to be gone).
pub fn lock_origin(source: &mut Connection, uuid: &str) -> Result<(), Failure> {
    let got = source.query(
        "select pg_try_advisory_lock(('x' || substr(replace($1, '-', ''), 1, 16))::bit(64)::int8) as got",
        &[Some(uuid)],
    )?[0]
        .flag("got");
    if got {
        return Ok(());
    }
    Err(Failure::new("57P03", "another session works on this subscription's deltas")
        .at(source.origin())
        .detail("Either our previous connection, which the source has not yet noticed to be gone, or a copy of this target.")
        .hint("Goes on by itself when the other session ends; see pg_stat_activity on the source for application_name pg_decamp."))
}

/// Puts capture on one table. Errors: 55P03 or 57014 when the lock was not to be had in time; nothing is changed then.
pub fn install(source: &mut Connection, names: &Names, table: &Table) -> Result<(), Failure> {
    if is_installed(source, names, table)? {
        return Ok(());
    }
    let seconds = LOCK_TIMEOUT.as_secs();
    let key: Vec<String> = table
        .key
        .iter()
        .enumerate()
        .map(|(i, k)| format!("{} as k{}", ident(&k.name), i + 1))
        .collect();
    let segment = names.segment(table.oid);
    let before = format!(
        "begin; set local lock_timeout = '{seconds}s'; \
         create table if not exists {segment} as select {} from {} with no data; \
         alter table {segment} replica identity full; {}",
        key.join(", "),
        table.only(),
        fill(
            include_str!("../sql/source/truncate_function.sql"),
            &[
                ("function_truncate", &names.function(table.oid, "_truncate")),
                ("schema", &ident(&names.schema())),
                ("oid", &table.oid.to_string()),
            ],
        ),
    );
    let locked = format!(
        "set local statement_timeout = '{seconds}s'; lock table {} in share row exclusive mode",
        table.only()
    );
    let triggers = format!(
        "{}; {} commit",
        triggers(names, table),
        truncate_triggers(source, names, table)?
    );
    for step in [before, locked, triggers] {
        if let Err(failure) = source.batch(&step) {
            source.rollback();
            return Err(failure.during(format_args!("installing capture on {}", table.shown())));
        }
    }
    Ok(())
}

fn triggers(names: &Names, table: &Table) -> String {
    let key = |prefix: &str| {
        table
            .key
            .iter()
            .map(|k| format!("{prefix}.{}", ident(&k.name)))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let file = match table.capture() {
        Capture::Statement => include_str!("../sql/source/capture_statement.sql"),
        Capture::Row => include_str!("../sql/source/capture_row.sql"),
    };
    let trigger = |event| ident(&names.trigger(event));
    fill(
        file,
        &[
            ("table", &table.qualified()),
            ("segment", &names.segment(table.oid)),
            ("insert", &trigger("insert")),
            ("update", &trigger("update")),
            ("delete", &trigger("delete")),
            ("rekey", &trigger("rekey")),
            ("truncate", &trigger("truncate")),
            ("function", &names.function(table.oid, "")),
            ("function_old", &names.function(table.oid, "_old")),
            ("function_new", &names.function(table.oid, "_new")),
            ("function_truncate", &names.function(table.oid, "_truncate")),
            ("changed_key", &key("changed")),
            ("old_key", &key("old")),
            ("new_key", &key("new")),
            ("old_row", &format!("row({})::record", key("old"))),
            ("new_row", &format!("row({})::record", key("new"))),
        ],
    )
}

/// For a row-captured table: on the table itself and, unlike row triggers, on each partition.
fn truncate_triggers(
    source: &mut Connection,
    names: &Names,
    table: &Table,
) -> Result<String, Failure> {
    if table.capture() == Capture::Statement {
        return Ok(String::new());
    }
    let mut members = vec![table.qualified()];
    if table.kind == Kind::Partitioned {
        members.extend(
            partitions(source, table.oid)?
                .iter()
                .map(|row| qualified(row.text("schema"), row.text("name"))),
        );
    }
    Ok(members
        .iter()
        .map(|member| {
            fill(
                include_str!("../sql/source/truncate_trigger.sql"),
                &[
                    ("table", member),
                    ("truncate", &ident(&names.trigger("truncate"))),
                    ("function_truncate", &names.function(table.oid, "_truncate")),
                ],
            )
        })
        .collect())
}

fn partitions(source: &mut Connection, root: u32) -> Result<Vec<Row>, Failure> {
    source.query(
        include_str!("../sql/source/partitions.sql"),
        &[Some(&root.to_string())],
    )
}

fn is_installed(source: &mut Connection, names: &Names, table: &Table) -> Result<bool, Failure> {
    let rows = source.query(
        "select count(*) as n from pg_trigger where tgrelid = $1::oid and tgname = any ($2::text[])",
        &[
            Some(&table.oid.to_string()),
            Some(&crate::quote::array(&EVENTS.map(|event| names.trigger(event)))),
        ],
    )?;
    Ok(rows[0].int("n") == EVENTS.len() as i64)
}

/// The failure of a table, or of a whole subscription, whose capture is not complete.
pub fn missed(what: &str, subscription: &str) -> Failure {
    Failure::new(MISSED, format!("{what}: changes were missed")).hint(format!(
        "The target can no longer be brought up to date. SELECT repl_stop('{subscription}'), empty the target's tables \
         and start again."
    ))
}

/// What is wrong with the capture of a table, if anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gap {
    /// triggers are dropped or disabled: changes were missed
    Broken(u32),
    /// a partition that came later has no TRUNCATE trigger yet
    Partition {
        root: u32,
        schema: String,
        name: String,
    },
}

/// Compares the triggers on the source with what `tables` (oid, whether partitioned) must have.
pub fn gaps(
    source: &mut Connection,
    names: &Names,
    tables: &[(u32, bool)],
) -> Result<Vec<Gap>, Failure> {
    let rows = source.query(
        include_str!("../sql/source/triggers.sql"),
        &[Some(&names.schema())],
    )?;
    let mut gaps = Vec::new();
    for (oid, partitioned) in tables {
        let sound = |event: &str| {
            let wanted = names.trigger(event);
            rows.iter()
                .any(|r| r.oid("oid") == *oid && r.text("trigger") == wanted && r.flag("enabled"))
        };
        if !EVENTS.iter().all(|event| sound(event)) {
            gaps.push(Gap::Broken(*oid));
            continue;
        }
        if *partitioned {
            let wanted = names.trigger("truncate");
            for row in partitions(source, *oid)? {
                let there = rows
                    .iter()
                    .any(|r| r.oid("oid") == row.oid("oid") && r.text("trigger") == wanted);
                if !there {
                    gaps.push(Gap::Partition {
                        root: *oid,
                        schema: row.string("schema"),
                        name: row.string("name"),
                    });
                }
            }
        }
    }
    Ok(gaps)
}

/// Puts the TRUNCATE trigger on a partition that came later. Errors as for `install`.
pub fn install_on_partition(
    source: &mut Connection,
    names: &Names,
    root: u32,
    schema: &str,
    name: &str,
) -> Result<(), Failure> {
    let seconds = LOCK_TIMEOUT.as_secs();
    let sql = fill(
        include_str!("../sql/source/truncate_trigger.sql"),
        &[
            ("table", &qualified(schema, name)),
            ("truncate", &ident(&names.trigger("truncate"))),
            ("function_truncate", &names.function(root, "_truncate")),
        ],
    );
    let result = source.batch(&format!(
        "begin; set local lock_timeout = '{seconds}s'; {sql} commit"
    ));
    if result.is_err() {
        source.rollback();
    }
    result
}

/// Tables that carry our triggers: oid, schema, name and trigger names, partitions' clones left out.
pub fn triggers_by_table(
    source: &mut Connection,
    names: &Names,
) -> Result<Vec<(u32, String, Vec<String>)>, Failure> {
    let rows = source.query(
        include_str!("../sql/source/triggers.sql"),
        &[Some(&names.schema())],
    )?;
    let mut tables: Vec<(u32, String, Vec<String>)> = Vec::new();
    for row in rows.iter().filter(|row| !row.flag("inherited")) {
        let oid = row.oid("oid");
        match tables.last_mut() {
            Some((last, _, triggers)) if *last == oid => triggers.push(row.string("trigger")),
            _ => tables.push((
                oid,
                qualified(row.text("schema"), row.text("name")),
                vec![row.string("trigger")],
            )),
        }
    }
    Ok(tables)
}

/// Removes our triggers from one table. Errors: 55P03 when the lock was not to be had in time; nothing is changed then.
pub fn remove(source: &mut Connection, table: &str, triggers: &[String]) -> Result<(), Failure> {
    let seconds = LOCK_TIMEOUT.as_secs();
    let drops: String = triggers
        .iter()
        .map(|t| format!("drop trigger if exists {} on {table}; ", ident(t)))
        .collect();
    let result = source.batch(&format!(
        "begin; set local lock_timeout = '{seconds}s'; set local statement_timeout = '{seconds}s'; {drops} commit"
    ));
    if result.is_err() {
        source.rollback();
    }
    result
}

/// Drops our schema on the source; no user table is locked by it, its triggers are gone already.
pub fn drop_schema(source: &mut Connection, names: &Names) -> Result<(), Failure> {
    source.batch(&format!(
        "drop schema if exists {} cascade",
        ident(&names.schema())
    ))
}

/// Who stands in the way of locking a table, in words; empty when nobody does any more or it is not for us to see.
pub fn blockers(source: &mut Connection, oid: u32) -> Result<String, Failure> {
    let rows = source.query(
        include_str!("../sql/source/blockers.sql"),
        &[Some(&oid.to_string())],
    )?;
    Ok(rows
        .iter()
        .map(|row| row.text("who"))
        .collect::<Vec<_>>()
        .join("; "))
}
