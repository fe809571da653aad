//! What comes before a table's first chunk: what is to be built after the copy is noted and taken off the target, the rows
//! are cut into chunks. Done again, from the beginning, when a table is copied anew. May die between any two steps.

use super::apply::Session;
use crate::applied;
use crate::catalog;
use crate::chunk::{self, Member, plan};
use crate::deferral::{self, Deferred};
use crate::duplicate;
use crate::event::{self, Severity};
use crate::failure::Failure;
use crate::pg::{report, settings, xact};
use crate::quote;
use crate::relation::{self, Relation};
use crate::table::Table;
use crate::task::{self, NewChunk};

/// A table below this size keeps its indexes: to drop and build them costs more than to fill them.
const WORTH_DEFERRING: i64 = 1 << 20;

/// Takes off the target what would slow the copy of `wanted` down. `source`: the source's tables.
pub fn take_off(
    session: &mut Session,
    wanted: &[&Relation],
    source: &[Table],
) -> Result<(), Failure> {
    let mut wanted: Vec<Relation> = wanted.iter().map(|r| (*r).clone()).collect();
    wanted.retain(|r| !r.deferred);
    if wanted.is_empty() {
        return Ok(());
    }
    let id = session.subscription.id;
    measure(session, &mut wanted)?;
    let large: Vec<&Relation> = wanted
        .iter()
        .filter(|r| r.bytes >= WORTH_DEFERRING)
        .collect();
    if !large.is_empty() {
        let relations = xact::run(|| Ok(relation::of(id)))?;
        let tables = counterparts(session, &relations)?;
        let oids: Vec<u32> = tables.iter().map(|(_, t)| t.oid).collect();
        let is_large = |oid: u32| {
            tables
                .iter()
                .any(|(r, t)| t.oid == oid && large.iter().any(|l| l.oid == *r))
        };
        let mut deferred = deferral::read(&mut session.target, &oids)?;
        deferred.retain(|d| is_large(d.table) || d.other.is_some_and(is_large));
        note(id, &tables, &deferred)?;
        note_duplicates(id, &tables, &large, source)?;
        let kept = deferral::take_off(&mut session.target, &deferred)?;
        xact::run(|| {
            for kept in &kept {
                for one in deferred.iter().filter(|d| d.piece == kept.piece) {
                    if let Some(oid) = relation_of(&tables, one.table) {
                        task::forget_named(id, oid, one.kind, &one.name);
                    }
                }
                let name = deferred.iter().find(|d| d.piece == kept.piece);
                event::record(
                    Severity::Warning,
                    &session.subscription.name,
                    name.map_or(kept.piece.as_str(), |d| d.name.as_str()),
                    "stays on the target while its table is copied, which makes that slower",
                    Some(&kept.failure.line()),
                );
            }
            Ok(())
        })?;
    }
    xact::run(|| {
        for relation in &wanted {
            relation::set_deferred(id, relation.oid, true);
        }
        Ok(())
    })
}

/// What is copied anew may have grown since.
fn measure(session: &mut Session, relations: &mut [Relation]) -> Result<(), Failure> {
    for relation in relations.iter_mut().filter(|r| r.restarts > 0) {
        let members = chunk::members(&mut session.source, &[relation.oid])?;
        relation.bytes = members.iter().map(|m| m.bytes).sum();
    }
    Ok(())
}

/// The target's table for each of the subscription's.
fn counterparts(
    session: &mut Session,
    relations: &[Relation],
) -> Result<Vec<(u32, Table)>, Failure> {
    let tables = catalog::tables(&mut session.target)?;
    Ok(relations
        .iter()
        .filter_map(|r| {
            let same = |t: &&Table| t.schema == r.schema && t.name == r.name;
            tables.iter().find(same).map(|t| (r.oid, t.clone()))
        })
        .collect())
}

fn relation_of(tables: &[(u32, Table)], target_oid: u32) -> Option<u32> {
    tables
        .iter()
        .find(|(_, t)| t.oid == target_oid)
        .map(|(relation, _)| *relation)
}

/// Writes down what is about to be dropped. What is noted already, by one that died before or after dropping it, stays.
fn note(id: i32, tables: &[(u32, Table)], deferred: &[Deferred]) -> Result<(), Failure> {
    let mut sorted: Vec<&Deferred> = deferred.iter().collect();
    // constraints in their order; of indexes the heaviest first
    sorted.sort_by_key(|d| match d.kind {
        task::Kind::Constraint => d.ord,
        _ => -d.weight,
    });
    xact::run(|| {
        for one in sorted {
            let Some(oid) = relation_of(tables, one.table) else {
                continue;
            };
            // should the extension be dropped now, it is told here alone
            report::log(&format!(
                "{} {} is taken off for the copy, to be built after it: begin; {}; commit;",
                one.kind.as_str(),
                one.name,
                one.builds.join("; ")
            ));
            task::insert(
                id,
                &task::New {
                    source_oid: oid,
                    kind: one.kind,
                    name: Some(&one.name),
                    statements: &one.builds,
                    other_oid: one.other.and_then(|other| relation_of(tables, other)),
                    bytes: 0,
                },
            );
        }
        Ok(())
    })
}

/// How rows copied twice are to be removed from tables that are about to lose their key. What is noted already stays if the
/// key is off.
fn note_duplicates(
    id: i32,
    tables: &[(u32, Table)],
    wanted: &[&Relation],
    source: &[Table],
) -> Result<(), Failure> {
    xact::run(|| {
        for (oid, target) in tables {
            let source = source.iter().find(|t| t.oid == *oid);
            let (Some(source), true) = (source, wanted.iter().any(|r| r.oid == *oid)) else {
                continue;
            };
            if source.key.is_empty() || target.key.is_empty() {
                continue;
            }
            task::forget(id, *oid, task::Kind::Duplicates);
            task::insert(
                id,
                &task::New {
                    source_oid: *oid,
                    kind: task::Kind::Duplicates,
                    name: None,
                    statements: &duplicate::statements(source, target),
                    other_oid: None,
                    bytes: 0,
                },
            );
        }
        Ok(())
    })
}

/// Cuts tables whose capture is installed into chunks. A table that has been copied before is emptied on the target first.
/// Errors: 55P03 when somebody has one locked on the source.
pub fn cut(session: &mut Session, wanted: &[&Relation], source: &[Table]) -> Result<(), Failure> {
    if wanted.is_empty() {
        return Ok(());
    }
    let id = session.subscription.id;
    let oids: Vec<u32> = wanted.iter().map(|r| r.oid).collect();
    let members = chunk::members(&mut session.source, &oids)?;
    let whole = refuse_duplicates(session, wanted)?;
    let workers = i64::from(session.subscription.workers);
    let total = xact::run(|| Ok(relation::of(id)))?
        .iter()
        .map(|r| r.bytes)
        .sum();
    let size = plan::size(total, workers, settings::chunk_bytes());
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
            start_over(session, relation, table)?;
        }
        plan_chunks(id, relation, &chunks)?;
    }
    Ok(())
}

/// Tables that keep a unique index, or have been rewritten again and again while they were copied, are copied in one piece:
/// within one snapshot there are no duplicates, and no ranges of `ctid`.
fn refuse_duplicates(session: &mut Session, wanted: &[&Relation]) -> Result<Vec<u32>, Failure> {
    const TRIES: i64 = 3;
    let relations: Vec<Relation> = wanted.iter().map(|r| (*r).clone()).collect();
    let tables = counterparts(session, &relations)?;
    let oids: Vec<String> = tables.iter().map(|(_, t)| t.oid.to_string()).collect();
    let rows = session.target.query(
        include_str!("../../sql/target/unique.sql"),
        &[Some(&quote::array(&oids))],
    )?;
    let unique = rows
        .iter()
        .filter_map(|row| relation_of(&tables, row.oid("oid")));
    let restless = wanted.iter().filter(|r| r.restarts > TRIES).map(|r| r.oid);
    Ok(unique.chain(restless).collect())
}

/// Empties the target's table and forgets the chunks that were there.
fn start_over(session: &mut Session, relation: &Relation, table: &Table) -> Result<(), Failure> {
    let id = session.subscription.id;
    let old = xact::run(|| Ok(task::ids_of(id, relation.oid)))?;
    let target = &mut session.target;
    let during = |failure: Failure| failure.during(format_args!("emptying {}", relation.shown()));
    target.batch("begin; savepoint emptying").map_err(during)?;
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
    target.batch("commit").map_err(during)
}

/// The table's tasks for rows, made anew, in one transaction with the note that they are there.
fn plan_chunks(
    id: i32,
    relation: &Relation,
    chunks: &[(&Member, Vec<plan::Range>, bool)],
) -> Result<(), Failure> {
    let count: usize = chunks.iter().map(|(_, ranges, _)| ranges.len()).sum();
    xact::run(|| {
        task::forget(id, relation.oid, task::Kind::Chunk);
        task::forget(id, relation.oid, task::Kind::Analyze);
        for (member, ranges, by_ctid) in chunks {
            for range in ranges {
                let part = |whole: i64| (whole as f64 * range.share) as i64;
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
        Ok(())
    })
}
