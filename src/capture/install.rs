//! Capture put on a table.

use super::partition::{self, Partition};
use super::segment::{self, Segment};
use super::{EVENTS, LOCK_TIMEOUT, Names, enable_always, fence, keyless, removal};
use crate::failure::Failure;
use crate::libpq::Connection;
use crate::quote::{self, ident};
use crate::table::{Capture, Kind, Table};
use crate::template::fill;

/// Puts capture on one table; the partitions it then covers. The commit is not waited for: [`settle`](super::settle) comes after a group of
/// tables. `segments`: those that are there. Errors: 55P03 or 57014 when the lock was not to be had in time; nothing is changed then.
pub fn install(
    source: &mut Connection,
    names: &Names,
    table: &Table,
    segments: &[Segment],
) -> Result<Vec<Partition>, Failure> {
    let partitions = members(source, table)?;
    let statements = statements(source.version(), names, table, segments, &partitions);
    put_on(source, table, statements)?;
    Ok(partitions)
}

/// The same with the fence in it from the beginning: there is no moment at which the table is captured and not fenced.
pub fn install_fenced(
    source: &mut Connection,
    names: &Names,
    table: &Table,
    segments: &[Segment],
) -> Result<(), Failure> {
    let partitions = members(source, table)?;
    let open = statements(source.version(), names, table, segments, &partitions);
    put_on(source, table, open.fenced(names))
}

fn put_on(source: &mut Connection, table: &Table, statements: Statements) -> Result<(), Failure> {
    let Statements { objects, triggers } = statements;
    let seconds = LOCK_TIMEOUT.as_secs();
    let before = format!(
        "begin; set local synchronous_commit = off; set local check_function_bodies = off; set local lock_timeout = '{seconds}s'; \
         {objects}",
    );
    let locked = format!(
        "set local statement_timeout = '{seconds}s'; lock table {} in share row exclusive mode",
        table.only()
    );
    let triggers = format!("{triggers} commit");
    // one round trip where there is one lock to be waited for; where there are many, all of them together get the time
    let steps = match table.capture() {
        Capture::Statement => vec![[before, locked, triggers].join("; ")],
        Capture::Row => vec![before, locked, triggers],
    };
    for step in steps {
        if let Err(failure) = source.batch(&step) {
            source.rollback();
            return Err(failure.during(format_args!("installing capture on {}", table.shown())));
        }
    }
    Ok(())
}

/// Takes the triggers off a table, in the open transaction, which holds its lock; [`renew`] puts them on again.
pub fn suspend(source: &mut Connection, names: &Names, table: &Table) -> Result<(), Failure> {
    let drop = |event: &str, on: &str| {
        format!(
            "drop trigger if exists {} on {on};",
            ident(&names.trigger(event))
        )
    };
    let mut sql: String = members(source, table)?
        .iter()
        .map(|partition| drop("truncate", &partition.qualified()))
        .collect();
    sql.extend(EVENTS.map(|event| drop(event, &table.qualified())));
    source.batch(&sql)
}

/// Puts capture on a table as it is now, in the open transaction, which has had its lock since before [`suspend`].
pub fn renew(
    source: &mut Connection,
    names: &Names,
    table: &Table,
    segments: &[Segment],
) -> Result<(), Failure> {
    let partitions = members(source, table)?;
    let Statements { objects, triggers } =
        statements(source.version(), names, table, segments, &partitions);
    source.batch(&format!(
        "set local check_function_bodies = off; {objects} {triggers}"
    ))
}

/// Puts capture on a fenced table that is another one since: what was captured of it before is dropped, and there is no moment
/// without the fence. Errors: 55P03 when a lock was not to be had in time; nothing is changed then.
pub fn renew_fenced(
    source: &mut Connection,
    names: &Names,
    table: &Table,
    segments: &[Segment],
) -> Result<(), Failure> {
    let renewed = renew_behind_fence(source, names, table, segments);
    if renewed.is_err() {
        source.rollback();
    }
    renewed
}

fn renew_behind_fence(
    source: &mut Connection,
    names: &Names,
    table: &Table,
    segments: &[Segment],
) -> Result<(), Failure> {
    let seconds = LOCK_TIMEOUT.as_secs();
    source.batch(&format!(
        "begin; set local lock_timeout = '{seconds}s'; lock table {} in access exclusive mode",
        table.qualified()
    ))?;
    suspend(source, names, table)?;
    let mut next = Vec::new();
    for segment in segments.iter().filter(|s| s.table == table.oid) {
        source.batch(&format!(
            "drop table {}",
            names.segment(segment.table, segment.number)
        ))?;
        // nothing that is known of it is believed of the one after it
        next.push(Segment {
            number: segment.number + 1,
            ..*segment
        });
    }
    let partitions = members(source, table)?;
    let Statements { objects, triggers } =
        statements(source.version(), names, table, &next, &partitions).fenced(names);
    source.batch(&format!(
        "set local check_function_bodies = off; {objects} {triggers} commit"
    ))
}

/// What capture on a table is made of.
struct Statements {
    /// the newest segment, if it is not there, and what needs no lock
    objects: String,
    triggers: String,
}

impl Statements {
    fn fenced(self, names: &Names) -> Self {
        Self {
            objects: fence::in_all(&self.objects, names),
            triggers: fence::in_all(&self.triggers, names),
        }
    }
}

fn statements(
    version: i32,
    names: &Names,
    table: &Table,
    segments: &[Segment],
    partitions: &[Partition],
) -> Statements {
    let key: Vec<String> = table
        .key
        .iter()
        .enumerate()
        .map(|(i, k)| format!("{} as k{}", ident(&k.name), i + 1))
        .collect();
    let segment = names.segment(table.oid, segment::newest(segments, table.oid));
    let (create, truncate_function) = if table.key.is_empty() {
        (
            keyless::segment(names, table, &segment),
            keyless::truncate_function(names, table),
        )
    } else {
        (
            segment::of_keys(&segment, &key.join(", "), &table.only()),
            truncate_function(names, table),
        )
    };
    Statements {
        objects: format!(
            "{create} alter table {segment} replica identity full; {truncate_function}"
        ),
        triggers: format!(
            "{}; {} {}",
            triggers(names, table, &segment),
            truncate_triggers(names, table, partitions),
            always(version, names, table),
        ),
    }
}

fn truncate_function(names: &Names, table: &Table) -> String {
    fill(
        include_str!("../../sql/source/truncate_function.sql"),
        &[
            ("function_truncate", &names.function(table.oid, "_truncate")),
            ("schema", &ident(&names.schema())),
            ("oid", &table.oid.to_string()),
        ],
    )
}

fn triggers(names: &Names, table: &Table, segment: &str) -> String {
    if table.key.is_empty() {
        return keyless::triggers(names, table, segment);
    }
    let key = |prefix: &str| {
        table
            .key
            .iter()
            .map(|k| format!("{prefix}.{}", ident(&k.name)))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let file = match table.capture() {
        Capture::Statement => include_str!("../../sql/source/capture_statement.sql"),
        Capture::Row => include_str!("../../sql/source/capture_row.sql"),
    };
    let trigger = |event| ident(&names.trigger(event));
    fill(
        file,
        &[
            ("table", &table.qualified()),
            ("segment", segment),
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
            ("key_changed", &key_changed(table)),
        ],
    )
}

/// Types whose equal values look the same.
const PLAIN: [&str; 8] = [
    "smallint",
    "integer",
    "bigint",
    "oid",
    "uuid",
    "date",
    "timestamp without time zone",
    "timestamp with time zone",
];

/// Every statement that updates the table reads this condition anew, so where a plain one will do it is that. Else the key's
/// image is compared, as one row: the cast keeps it whole, without it each column would need an operator of its own.
fn key_changed(table: &Table) -> String {
    let names = |prefix: &str| -> Vec<String> {
        let named = table.key.iter();
        named
            .map(|k| format!("{prefix}.{}", ident(&k.name)))
            .collect()
    };
    let (old, new) = (names("old"), names("new"));
    let is_plain = |name: &str| {
        table
            .column(name)
            .is_some_and(|c| PLAIN.contains(&c.base_type.as_str()))
    };
    if table.key.iter().all(|k| is_plain(&k.name)) {
        let pairs = old.iter().zip(&new);
        let changed: Vec<String> = pairs
            .map(|(old, new)| format!("{old} is distinct from {new}"))
            .collect();
        return changed.join(" or ");
    }
    format!(
        "row({})::record operator(pg_catalog.*<>) row({})::record",
        old.join(", "),
        new.join(", ")
    )
}

/// Our triggers fire always, except the row triggers of a partitioned table before version 13: their clones on the
/// partitions only a superuser may alter there, and only superusers set session_replication_role.
fn always(version: i32, names: &Names, table: &Table) -> String {
    if table.kind == Kind::Partitioned && version < 130_000 {
        return String::new();
    }
    let triggers: Vec<String> = EVENTS
        .iter()
        .filter(|event| table.capture() == Capture::Statement || **event != "truncate")
        .map(|event| names.trigger(event))
        .collect();
    enable_always(&table.qualified(), &triggers)
}

/// For a row-captured table: on the table itself and, unlike row triggers, on each partition.
fn truncate_triggers(names: &Names, table: &Table, partitions: &[Partition]) -> String {
    if table.capture() == Capture::Statement {
        return String::new();
    }
    std::iter::once(table.qualified())
        .chain(partitions.iter().map(Partition::qualified))
        .map(|member| partition::truncate_trigger(names, table.oid, &member))
        .collect()
}

/// The partitions that capture on the table covers.
pub fn members(source: &mut Connection, table: &Table) -> Result<Vec<Partition>, Failure> {
    match table.kind {
        Kind::Partitioned => partition::of(source, table.oid),
        Kind::Ordinary | Kind::Foreign => Ok(Vec::new()),
    }
}

/// Waits until what was installed is on the source's disk. It is a change like any other, whose commit is waited for.
pub fn settle(source: &mut Connection, names: &Names) -> Result<(), Failure> {
    source.batch(&format!(
        "comment on schema {} is 'pg_decamp: keys of changed rows, to be replayed elsewhere'",
        ident(&names.schema())
    ))
}

/// Those of `tables` that have all triggers, of which an earlier try may have been the last that we know of.
pub fn installed(
    source: &mut Connection,
    names: &Names,
    tables: &[u32],
) -> Result<Vec<u32>, Failure> {
    let oids: Vec<String> = tables.iter().map(u32::to_string).collect();
    let rows = source.query(
        "select tgrelid::int8 as oid from pg_trigger where tgrelid = any ($1::oid[]) and tgname = any ($2::text[]) \
         group by tgrelid having count(*) = $3::int8",
        &[
            Some(&quote::array(&oids)),
            Some(&quote::array(&EVENTS.map(|event| names.trigger(event)))),
            Some(&EVENTS.len().to_string()),
        ],
    )?;
    Ok(rows.iter().map(|row| row.oid("oid")).collect())
}

/// Capture put on anew where it was dropped, in part perhaps, or disabled, or where the key is another one: its deltas are of no
/// use any more, the table is to be copied. Errors: as of `install`.
pub fn reinstall(
    source: &mut Connection,
    names: &Names,
    table: &Table,
) -> Result<Vec<Partition>, Failure> {
    let guard = [names.trigger("truncate")];
    for partition in members(source, table)? {
        removal::remove(source, &partition.qualified(), &guard)?;
    }
    let triggers = EVENTS.map(|event| names.trigger(event));
    removal::remove(source, &table.qualified(), &triggers)?;
    removal::drop_segments(source, names, table.oid)?;
    let segments = segment::read(source, names)?;
    let partitions = install(source, names, table, &segments)?;
    settle(source, names)?;
    Ok(partitions)
}
