//! Segments on the source: the tables that capture writes to. Of a table's segments only the newest is written to, but for
//! transactions that wrote to the table before it was made; once those are gone the older ones are **sealed**: nobody can
//! write to them any more.
//!
//! Why that is so: a statement that writes to a table takes ROW EXCLUSIVE on it (on a partition: on that one). Whoever takes
//! that lock after the commit that made the newest segment, first takes in what the commit made invalid (`LockRelationOid`),
//! and so finds the new function: plpgsql looks at its pg_proc row at every call. Whoever had the lock before is seen in
//! pg_locks after that commit. What they have written to an old segment and not yet committed keeps that one locked, under
//! whatever name the transaction goes: PREPARE TRANSACTION gives it another.
//!
//! Everything is in the source's catalog: dying between any two steps loses nothing.

mod barrier;

pub use barrier::{remaining, remaining_question, writers, writers_question};

use super::{Names, fence};
use crate::failure::Failure;
use crate::libpq::{Connection, Question};
use crate::quote::{self, literal, qualified};
use crate::row::Row;
use crate::template::fill;

/// A segment, as the catalog has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Segment {
    /// oid of the captured table
    pub table: u32,
    pub number: u32,
    /// its own
    pub oid: u32,
    /// its deltas are keys, not whole rows
    pub keyed: bool,
}

impl Names {
    /// Qualified and quoted.
    pub fn segment(&self, table: u32, number: u32) -> String {
        qualified(&self.schema(), &format!("delta_{table}_{number}"))
    }

    /// What the quoted names of a table's segments begin with.
    fn segments(&self, table: u32) -> String {
        self.segment(table, 0).trim_end_matches("0\"").to_owned()
    }
}

/// All segments of a subscription, by table, oldest first.
pub fn read(source: &mut Connection, names: &Names) -> Result<Vec<Segment>, Failure> {
    let rows = source.ask(&question(names))?;
    let mut segments: Vec<Segment> = rows
        .iter()
        .map(|row| Segment {
            table: row.oid("table"),
            number: row.oid("number"),
            oid: row.oid("oid"),
            keyed: row.flag("keyed"),
        })
        .collect();
    segments.sort();
    Ok(segments)
}

/// What [`read`] asks.
pub fn question(names: &Names) -> Question {
    let sql = include_str!("../../sql/source/segments.sql");
    Question::bound(sql, &[&names.schema()])
}

/// The segments of one table, qualified and quoted, oldest first.
pub fn named(source: &mut Connection, names: &Names, table: u32) -> Result<Vec<String>, Failure> {
    let segments = read(source, names)?;
    let of_table = segments.iter().filter(|s| s.table == table);
    Ok(of_table.map(|s| names.segment(table, s.number)).collect())
}

/// The number of the segment that capture on `table` writes to, or is to write to if there is none yet.
pub fn newest(segments: &[Segment], table: u32) -> u32 {
    segments
        .iter()
        .filter(|s| s.table == table)
        .map(|s| s.number)
        .max()
        .unwrap_or(0)
}

/// Makes the segment after each of `last` and lets capture write there from now on, without a lock on the users' tables. Those
/// are left out of which no capture function writes to a segment: there nothing is changed. `after`: what will be asked then,
/// which is foretold.
pub fn open_next(
    source: &mut Connection,
    names: &Names,
    last: &[Segment],
    after: &[Question],
) -> Result<Vec<Segment>, Failure> {
    let next = |segment: &Segment| Segment {
        number: segment.number + 1,
        ..*segment
    };
    let next: Vec<Segment> = last.iter().map(next).collect();
    // alone from reading the functions on: a fence that came in between would be undone
    let mut list = vec![format!(
        "begin; set local check_function_bodies = off; set local lock_timeout = '500ms'; {}",
        fence::alone(names)
    )];
    list.extend(last.iter().map(|segment| redirect(names, *segment)));
    list.push("commit".to_owned());
    list.extend(next.iter().map(|segment| {
        let name = literal(&names.segment(segment.table, segment.number));
        format!("select to_regclass({name})::oid::int8 as oid")
    }));
    let question = Question::with_answers(list.join(";\n"), next.len());
    source.foretell(&[std::slice::from_ref(&question), after].concat())?;
    let rows = source.ask(&question).inspect_err(|_| source.rollback())?;
    let opened = next.into_iter().zip(&rows);
    Ok(opened
        .filter_map(|(segment, row)| {
            let oid = u32::try_from(row.opt_int("oid")?).ok()?;
            Some(Segment { oid, ..segment })
        })
        .collect())
}

/// The statement that makes the segment after `last`, if capture writes to any, and lets it write there.
fn redirect(names: &Names, last: Segment) -> String {
    let segments = names.segments(last.table);
    let old = names.segment(last.table, last.number);
    let new = names.segment(last.table, last.number + 1);
    let body = fill(
        include_str!("../../sql/source/redirect.sql"),
        &[
            ("schema", &literal(&names.schema())),
            ("capture", &literal(&format!("capture_{}", last.table))),
            ("segments", &literal(&segments)),
            ("any", &literal(&(quote::pattern(&segments) + "[0-9]+\""))),
            ("old", &old),
            ("new", &new),
            ("written", &literal(&new.replace('\\', "\\\\"))),
        ],
    );
    format!("do {}", literal(&body))
}

fn oids(oids: &[u32]) -> String {
    let oids: Vec<String> = oids.iter().map(u32::to_string).collect();
    quote::array(&oids)
}

/// Bytes and pages of segments, by oid, dead rows included; those that are gone are left out.
pub fn sizes(source: &mut Connection, segments: &[u32]) -> Result<Vec<(u32, i64, i64)>, Failure> {
    let rows = source.ask(&sizes_question(segments))?;
    Ok(rows
        .iter()
        .map(|row| (row.oid("oid"), row.int("bytes"), row.int("pages")))
        .collect())
}

/// What [`sizes`] asks.
pub fn sizes_question(segments: &[u32]) -> Question {
    let sql = include_str!("../../sql/source/segment_sizes.sql");
    Question::bound(sql, &[&oids(segments)])
}

/// Where the rows of a segment are.
pub struct Extent {
    /// how large it is, dead rows included
    pub pages: i64,
    /// the first page with rows, and about how many are on each; `None` if it has none
    pub beginning: Option<(i64, u64)>,
    /// the same few keys come again and again: how many
    pub few_keys: Option<u64>,
}

/// Of each of these segments, by their names, which nobody writes to.
pub fn extents(
    source: &mut Connection,
    segments: &[(String, Segment)],
) -> Result<Vec<Extent>, Failure> {
    let rows = source.ask(&extents_question(segments))?;
    let extent = |row: &Row| {
        let number = |name| row.opt_int(name).and_then(|n| u64::try_from(n).ok());
        Extent {
            pages: row.int("pages"),
            beginning: row.opt_int("page").zip(number("density").map(|n| n.max(1))),
            few_keys: number("few_keys"),
        }
    };
    Ok(rows.iter().map(extent).collect())
}

/// What [`extents`] asks.
pub fn extents_question(segments: &[(String, Segment)]) -> Question {
    let mut list = vec!["begin; set local synchronize_seqscans = off".to_owned()];
    list.extend(segments.iter().map(|(name, segment)| {
        // rows of tables without a key may be long
        let key = if segment.keyed { "d::text" } else { "null" };
        format!(
            "select pg_relation_size({}::regclass) / current_setting('block_size')::int8 as pages, \
                    min(page) as page, count(*) / (max(page) - min(page) + 1) as density, \
                    case when count(distinct key) < count(key) / 2 then count(distinct key) end as few_keys \
             from (select (ctid::text::point)[0]::int8 as page, {key} as key from {name} d limit 1000) s",
            literal(name)
        )
    }));
    list.push("commit".to_owned());
    Question::with_answers(list.join(";\n"), segments.len())
}

/// How an old segment is got rid of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposal {
    /// it is sealed
    Drop,
    /// somebody may still write to it: only its dead rows go
    Truncate,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposed {
    Done,
    /// somebody has it locked: later
    Locked,
    /// it has rows: not before they are replayed
    Filled,
}

/// Gives a segment's space back, if it has no rows; under a lock, so that there is no doubt. Nobody waits for that lock
/// longer than the disposal takes: we wait for it a moment only.
pub fn dispose(source: &mut Connection, name: &str, how: Disposal) -> Result<Disposed, Failure> {
    let patience = match how {
        Disposal::Drop => "200ms",
        // who waits behind us there is the application
        Disposal::Truncate => "20ms",
    };
    let looked = source.ask(&Question::new(format!(
        "begin; set local synchronous_commit = off; set local lock_timeout = '{patience}'; \
         lock table {name} in access exclusive mode; select 1 from {name} limit 1"
    )));
    let rows = match looked {
        Ok(rows) => rows,
        Err(failure) => {
            source.rollback();
            return match failure.sqlstate.as_str() {
                "55P03" | "40P01" => Ok(Disposed::Locked),
                _ => Err(failure),
            };
        }
    };
    if !rows.is_empty() {
        source.rollback();
        return Ok(Disposed::Filled);
    }
    let statement = match how {
        Disposal::Drop => "drop table",
        Disposal::Truncate => "truncate",
    };
    if let Err(failure) = source.batch(&format!("{statement} {name}; commit")) {
        source.rollback();
        return Err(failure.during(format_args!("disposing of the segment {name}")));
    }
    Ok(Disposed::Done)
}

/// The statement that makes the first segment of a table with a key, of these columns, if it is not there.
pub fn of_keys(segment: &str, columns: &str, from: &str) -> String {
    format!("create table if not exists {segment} as select {columns} from {from} with no data;")
}

/// The statement that tells which of `segments` have rows, as table and number, with the first page that has; and 0, 0 for
/// truncations of `tables`.
pub fn poll_statement(names: &Names, tables: &[u32], segments: &[(u32, u32)]) -> String {
    let oids: Vec<String> = tables.iter().map(u32::to_string).collect();
    let truncated = format!(
        "select 0::int8 as oid, 0 as number, 0::int8 as page where exists (select 1 from {} where relation = any ({}::oid[]))",
        names.truncation(),
        literal(&format!("{{{}}}", oids.join(","))),
    );
    std::iter::once(truncated)
        .chain(segments.iter().map(|(table, number)| {
            format!(
                "select {table}, {number}, (s.at)[0]::int8 from (select ctid::text::point as at from {} limit 1) s",
                names.segment(*table, *number)
            )
        }))
        .collect::<Vec<_>>()
        .join(" union all ")
}
