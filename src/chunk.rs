//! Pieces of tables, for the initial copy: rows of the source at one snapshot, put on the target in one transaction together
//! with the note that they are there. Whatever dies in between, a chunk is there once or not at all.
//!
//! No long snapshot is needed: capture is installed before the first chunk, so every row that changes after the chunk's
//! snapshot leaves its key in a segment and is replayed later (design: convergence). A table without a key is one chunk, partitions
//! and all, and its snapshot is noted on the target: deltas of transactions that it sees are not to be replayed.

mod cut;
mod format;
mod largest;
pub mod plan;

use std::collections::HashMap;

pub use cut::{Member, members, ranges};
use format::is_binary;
pub use largest::largest_row;

use crate::applied::{self, Applied};
use crate::catalog::Snapshot;
use crate::failure::Failure;
use crate::flush;
use crate::libpq::{Connection, Flow, pump};
use crate::quote::{ident, literal};
use crate::row::Row;
use crate::table::{Kind, Table};
use crate::task::Task;
use crate::template::fill;

/// Chunks that are copied together, from one snapshot in one transaction, and what is known about their tables.
pub struct Copy<'a> {
    pub chunks: &'a [Task],
    /// of the subscription
    pub uuid: &'a str,
    pub source: &'a Snapshot,
    /// the target's tables
    pub target: &'a [Table],
}

/// What became of a chunk.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    Copied(Flow),
    /// an earlier try had been committed
    Already,
    /// its partition is no longer part of the table
    Left,
    /// the table was written anew on the source: its ranges of ctid mean nothing any more
    Rewritten,
}

/// Copies them; the outcome of each, in their order. When one has left or is rewritten, none is copied and the others are
/// not in the result. On `Err`, and then too, drop both connections.
pub fn copy(
    copy: &Copy,
    source: &mut Connection,
    target: &mut Connection,
    mut progress: impl FnMut(&Task, Flow) -> Result<(), Failure>,
) -> Result<Vec<(i64, Outcome)>, Failure> {
    let new = applied::begin(target, copy.uuid, copy.chunks)?;
    let (open, already): (Vec<&Task>, Vec<&Task>) =
        copy.chunks.iter().partition(|c| new.contains(&c.id));
    let mut outcomes: Vec<(i64, Outcome)> =
        already.iter().map(|c| (c.id, Outcome::Already)).collect();
    if open.is_empty() {
        target.rollback();
        return Ok(outcomes);
    }
    let mut statements = Vec::new();
    for chunk in &open {
        statements.push(Statements::of(copy, chunk, source, target)?);
    }
    let rows = source
        .copy_out(&source_list(copy, &open, &statements))
        .map_err(|failure| during(failure, copy, open[0]))?;
    let unfit = unfit(copy, &open, &rows)?;
    if !unfit.is_empty() {
        return Ok(unfit);
    }
    for (at, (chunk, statements)) in open.iter().zip(&statements).enumerate() {
        let result = copy_one(source, target, at > 0, &statements.read_in, |flow| {
            progress(chunk, flow)
        });
        let flow = result.map_err(|failure| during(failure, copy, chunk))?;
        outcomes.push((chunk.id, Outcome::Copied(flow)));
    }
    source.list_done()?;
    note_snapshots(copy, &open, &rows, source, target)?;
    let rows: Vec<(i64, u64)> = outcomes
        .iter()
        .filter_map(|(id, outcome)| match outcome {
            Outcome::Copied(flow) => Some((*id, flow.rows)),
            _ => None,
        })
        .collect();
    applied::commit(target, copy.uuid, &rows)?;
    Ok(outcomes)
}

/// Notes of which snapshot the copies of tables without a key are.
fn note_snapshots(
    copy: &Copy,
    chunks: &[&Task],
    rows: &[Row],
    source: &mut Connection,
    target: &mut Connection,
) -> Result<(), Failure> {
    let keyless = |oid: u32| {
        copy.source
            .tables
            .iter()
            .any(|t| t.oid == oid && t.key.is_empty())
    };
    let oids: Vec<u32> = chunks
        .iter()
        .map(|c| c.source_oid)
        .filter(|oid| keyless(*oid))
        .collect();
    if oids.is_empty() {
        return Ok(());
    }
    flush::force(source)?;
    for oid in oids {
        let Some(row) = rows.iter().find(|row| row.oid("member") == oid) else {
            // it had a key when its capture was installed
            continue;
        };
        let applied = Applied {
            snapshot: Some(row.string("snapshot")),
            layout: row.opt("layout").unwrap_or_default().to_owned(),
        };
        applied::note_copied(target, copy.uuid, oid, &applied)?;
    }
    Ok(())
}

fn copy_one(
    source: &mut Connection,
    target: &mut Connection,
    next: bool,
    read_in: &str,
    progress: impl FnMut(Flow) -> Result<(), Failure>,
) -> Result<Flow, Failure> {
    if next {
        source.copy_next()?;
    }
    pump(source, target, read_in, progress)
}

fn during(failure: Failure, copy: &Copy, chunk: &Task) -> Failure {
    match copy.source.table(chunk.source_oid) {
        Ok(table) => failure.during(format_args!("copying {}", table.shown())),
        Err(_) => failure,
    }
}

/// The COPY on either side, columns by name in the source's order.
struct Statements {
    send_out: String,
    read_in: String,
}

impl Statements {
    fn of(
        copy: &Copy,
        chunk: &Task,
        source: &Connection,
        target: &Connection,
    ) -> Result<Self, Failure> {
        let table = copy.source.table(chunk.source_oid)?;
        let (_, member, _) = chunk.member.as_ref().expect("a chunk is of some member");
        let columns: Vec<String> = table.stored().map(|c| ident(&c.name)).collect();
        let columns = columns.join(", ");
        // there are tables without columns
        let list = match columns.as_str() {
            "" => String::new(),
            columns => format!("({columns})"),
        };
        let other = copy
            .target
            .iter()
            .find(|t| t.schema == table.schema && t.name == table.name);
        let binary =
            other.is_some_and(|other| is_binary(table, source.version(), other, target.version()));
        let format = if binary { " (format binary)" } else { "" };
        let condition = match &chunk.condition {
            Some(condition) => format!(" where {condition}"),
            None => String::new(),
        };
        Ok(Self {
            send_out: format!(
                "copy (select {columns} from {}{member}{condition}) to stdout{format}",
                if is_whole(copy, chunk) { "" } else { "only " }
            ),
            read_in: format!("copy {} {list} from stdin{format}", table.qualified()),
        })
    }
}

/// Whether it is a partitioned table with all its partitions.
fn is_whole(copy: &Copy, chunk: &Task) -> bool {
    let table = copy
        .source
        .tables
        .iter()
        .find(|t| t.oid == chunk.source_oid);
    let own = chunk
        .member
        .as_ref()
        .is_some_and(|(oid, _, _)| *oid == chunk.source_oid);
    own && table.is_some_and(|t| t.kind == Kind::Partitioned)
}

/// Everything the source is to do, in one round trip. First the locks, then the snapshot: nobody can change or rewrite the
/// tables in between. Read-only, so it may end before the target has committed.
fn source_list(copy: &Copy, chunks: &[&Task], statements: &[Statements]) -> String {
    let array = |oids: Vec<String>| literal(&format!("{{{}}}", oids.join(",")));
    let relations = array(chunks.iter().map(|c| c.source_oid.to_string()).collect());
    let members: Vec<_> = chunks.iter().filter_map(|c| c.member.as_ref()).collect();
    let check = fill(
        include_str!("../sql/source/chunk.sql"),
        &[
            (
                "fingerprint",
                &include_str!("../sql/source/fingerprint.sql").replace("$1", &relations),
            ),
            ("relations", &relations),
            (
                "members",
                &array(members.iter().map(|(oid, _, _)| oid.to_string()).collect()),
            ),
        ],
    );
    let foreign = |oid: u32| {
        let known = copy.source.tables.iter().find(|t| t.oid == oid);
        known.is_some_and(|t| t.kind == Kind::Foreign)
    };
    let mut names: Vec<String> = chunks
        .iter()
        .filter_map(|chunk| {
            let (oid, name, _) = chunk.member.as_ref()?;
            let only = if is_whole(copy, chunk) { "" } else { "only " };
            (!foreign(*oid)).then(|| format!("{only}{name}"))
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    let lock = if names.is_empty() {
        String::new()
    } else {
        format!("lock table {} in access share mode;", names.join(", "))
    };
    let copies: Vec<&str> = statements.iter().map(|s| s.send_out.as_str()).collect();
    format!(
        "begin isolation level repeatable read, read only; set local lock_timeout = '2s'; {lock} {check}; {}; commit",
        copies.join("; ")
    )
}

/// Chunks that are not what they were when they were cut. Errors: 40001 when a table has other columns than we know.
fn unfit(copy: &Copy, chunks: &[&Task], rows: &[Row]) -> Result<Vec<(i64, Outcome)>, Failure> {
    let now: HashMap<u32, &Row> = rows.iter().map(|row| (row.oid("member"), row)).collect();
    let mut unfit = Vec::new();
    for chunk in chunks {
        let (member, _, filenode) = chunk.member.as_ref().expect("a chunk is of some member");
        let Some(row) = now.get(member) else {
            continue;
        };
        if !row.flag("belongs") {
            unfit.push((chunk.id, Outcome::Left));
        } else if filenode.is_some_and(|cut| row.opt("filenode") != Some(&cut.to_string())) {
            unfit.push((chunk.id, Outcome::Rewritten));
        } else {
            copy.source
                .refuse_other_shape(chunk.source_oid, row.opt("shape"))?;
        }
    }
    Ok(unfit)
}
