//! Tables are cut into chunks.

use super::{counterparts, relation_of};
use crate::applied;
use crate::catalog;
use crate::chunk::{self, Member, plan};
use crate::failure::Failure;
use crate::pg::{settings, xact};
use crate::quote;
use crate::relation::{self, Relation};
use crate::table::Table;
use crate::task::{self, NewChunk};
use crate::worker::apply::Session;

/// Cuts tables whose capture is installed into chunks. A table that has been copied before is emptied on the target first.
/// Errors: 55P03 when somebody has one locked on the source.
pub fn cut(
    session: &mut Session,
    wanted: &[&Relation],
    source: &[Table],
    target: &[Table],
) -> Result<(), Failure> {
    if wanted.is_empty() {
        return Ok(());
    }
    let id = session.subscription.id;
    let oids: Vec<u32> = wanted.iter().map(|r| r.oid).collect();
    let members = members(session, wanted, source, &oids)?;
    let whole = refuse_duplicates(session, wanted, target)?;
    let workers = i64::from(session.subscription.workers);
    let total = xact::run(|| Ok(relation::of(id)))?
        .iter()
        .map(|r| r.bytes)
        .sum();
    let size = plan::size(total, workers, settings::chunk_bytes());
    let mut planned = Vec::new();
    for relation in wanted {
        let Some(table) = source.iter().find(|t| t.oid == relation.oid) else {
            return Err(catalog::changed(&relation.shown()));
        };
        let mut chunks = Vec::new();
        for member in members.iter().filter(|m| m.relation == relation.oid) {
            let count = if whole.contains(&relation.oid) {
                1
            } else {
                plan::count(member.bytes, size, workers)
            };
            let (ranges, by_ctid) = chunk::ranges(&mut session.source, table, member, count)?;
            chunks.push((member, ranges, by_ctid));
        }
        if relation.restarts > 0 {
            let counterpart = counterparts(target, &[(*relation).clone()]);
            let counterpart = counterpart.first().map_or(table, |(_, table)| table);
            start_over(session, relation, counterpart)?;
        }
        planned.push((relation, chunks));
    }
    xact::run(|| {
        for (relation, chunks) in &planned {
            note(id, relation, chunks);
        }
        Ok(())
    })
}

/// What chunks are cut from. A table without a key is copied in one piece: what a snapshot saw of it must be known of all of it.
fn members(
    session: &mut Session,
    wanted: &[&Relation],
    source: &[Table],
    oids: &[u32],
) -> Result<Vec<Member>, Failure> {
    let mut members = chunk::members(&mut session.source, oids)?;
    for relation in wanted.iter().filter(|r| r.keyless) {
        let (own, others): (Vec<Member>, Vec<Member>) = members
            .into_iter()
            .partition(|m| m.relation == relation.oid);
        members = others;
        if let Some(table) = source.iter().find(|t| t.oid == relation.oid) {
            members.push(Member::whole(table, &own));
        }
    }
    Ok(members)
}

/// Tables that keep a unique index, or have been rewritten again and again while they were copied, are copied in one piece:
/// within one snapshot there are no duplicates, and no ranges of `ctid`.
fn refuse_duplicates(
    session: &mut Session,
    wanted: &[&Relation],
    target: &[Table],
) -> Result<Vec<u32>, Failure> {
    const TRIES: i64 = 3;
    let relations: Vec<Relation> = wanted.iter().map(|r| (*r).clone()).collect();
    let tables = counterparts(target, &relations);
    let oids: Vec<String> = tables.iter().map(|(_, t)| t.oid.to_string()).collect();
    let rows = session.target.query(
        include_str!("../../../sql/target/unique.sql"),
        &[Some(&quote::array(&oids))],
    )?;
    let unique = rows
        .iter()
        .filter_map(|row| relation_of(&tables, row.oid("oid")));
    let restless = wanted.iter().filter(|r| r.restarts > TRIES).map(|r| r.oid);
    Ok(unique.chain(restless).collect())
}

/// Empties the target's table and forgets the chunks that were there. The lock waits for a dead worker's session that may
/// just be committing one.
fn start_over(session: &mut Session, relation: &Relation, table: &Table) -> Result<(), Failure> {
    let id = session.subscription.id;
    let old = xact::run(|| Ok(task::ids_of(id, relation.oid)))?;
    let target = &mut session.target;
    let during = |failure: Failure| failure.during(format_args!("emptying {}", relation.shown()));
    target
        .batch(&format!(
            "begin; lock table {} in share row exclusive mode; savepoint emptying",
            table.only()
        ))
        .map_err(during)?;
    // as replay does: where another table refers to it, TRUNCATE is refused
    let emptied = target.batch(&format!("truncate {}", table.only()));
    match emptied {
        Ok(()) => {}
        Err(failure) if failure.sqlstate.starts_with("0A") || failure.sqlstate == "42501" => target
            .batch(&format!(
                "rollback to savepoint emptying; delete from {}",
                table.only()
            ))
            .map_err(during)?,
        Err(failure) => return Err(during(failure)),
    }
    applied::forget_tasks(target, &session.subscription.uuid, &old)?;
    applied::forget_snapshot(target, &session.subscription.uuid, relation.oid)?;
    target.batch("commit").map_err(during)
}

/// The table's tasks for rows, made anew, and that they are there.
fn note(id: i32, relation: &Relation, chunks: &[(&Member, Vec<plan::Range>, bool)]) {
    let count: usize = chunks.iter().map(|(_, ranges, _)| ranges.len()).sum();
    task::forget(id, relation.oid, task::Kind::Chunk);
    task::forget(id, relation.oid, task::Kind::Analyze);
    for (member, ranges, by_ctid) in chunks {
        // so that the parts together are the whole
        let all: f64 = ranges.iter().map(|range| range.share).sum();
        let all = if all > 0.0 { all } else { 1.0 };
        let mut before = 0.0;
        for range in ranges {
            let after = before + range.share / all;
            let upto = |share: f64, whole: i64| (whole as f64 * share).round() as i64;
            let part = |whole: i64| upto(after, whole) - upto(before, whole);
            task::insert_chunk(
                id,
                &NewChunk {
                    source_oid: relation.oid,
                    member: member.oid,
                    member_name: &member.name,
                    filenode: member.filenode.filter(|_| *by_ctid),
                    condition: range.condition.as_deref(),
                    bytes: part(member.bytes),
                    rows_estimate: part(member.rows_estimate),
                },
            );
            before = after;
        }
    }
    // within one snapshot no row can be there twice
    task::set_open(id, relation.oid, task::Kind::Duplicates, count > 1);
    task::insert(
        id,
        &task::New {
            source_oid: relation.oid,
            kind: task::Kind::Analyze,
            name: None,
            statements: &[format!(
                "analyze {}",
                quote::qualified(&relation.schema, &relation.name)
            )],
            other_oid: None,
            bytes: relation.bytes,
        },
    );
    let bytes = chunks.iter().map(|(m, _, _)| m.bytes).sum();
    let rows = chunks.iter().map(|(m, _, _)| m.rows_estimate).sum();
    relation::set_planned(id, relation.oid, bytes, rows);
}
