//! What comes before a table's first chunk: what is to be built after the copy is noted and taken off the target (here), the
//! rows are cut into chunks (`chunks.rs`). Done again, from the beginning, when a table is copied anew. May die between any
//! two steps.

mod chunks;

pub use chunks::cut;

use super::apply::Session;
use crate::capture::partition;
use crate::catalog;
use crate::chunk;
use crate::deferral::{self, Deferred, Kept};
use crate::duplicate;
use crate::event::{self, Severity};
use crate::failure::Failure;
use crate::pg::{report, xact};
use crate::quote;
use crate::relation::{self, Relation};
use crate::subscription::Subscription;
use crate::table::{Kind, Table};
use crate::task;
use crate::template::fill;

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
        let tables = counterparts(&catalog::tables(&mut session.target)?, &relations);
        let oids: Vec<u32> = tables.iter().map(|(_, t)| t.oid).collect();
        let is_large = |oid: u32| {
            tables
                .iter()
                .any(|(r, t)| t.oid == oid && large.iter().any(|l| l.oid == *r))
        };
        let mut deferred = deferral::read(&mut session.target, &oids)?;
        deferred.retain(|d| is_large(d.table) || d.other.is_some_and(is_large));
        note(id, &tables, &deferred)?;
        note_partitions(session, &tables, &large)?;
        note_duplicates(id, &tables, &large, source)?;
        let kept = deferral::take_off(&mut session.target, &deferred)?;
        let message = "stays on the target while its table is copied, which makes that slower";
        forget_kept(&session.subscription, &tables, &deferred, &kept, message)?;
    }
    xact::run(|| {
        for relation in &wanted {
            relation::set_deferred(id, relation.oid, true);
        }
        Ok(())
    })
}

/// What could not be taken off is not to be built again.
pub(super) fn forget_kept(
    subscription: &Subscription,
    tables: &[(u32, Table)],
    deferred: &[Deferred],
    kept: &[Kept],
    message: &str,
) -> Result<(), Failure> {
    xact::run(|| {
        for kept in kept {
            for one in deferred.iter().filter(|d| d.piece == kept.piece) {
                if let Some(oid) = relation_of(tables, one.table) {
                    task::forget_named(subscription.id, oid, one.kind, &one.name);
                }
            }
            let name = deferred.iter().find(|d| d.piece == kept.piece);
            event::record(
                Severity::Warning,
                &subscription.name,
                name.map_or(kept.piece.as_str(), |d| d.name.as_str()),
                message,
                Some(&kept.failure.line()),
            );
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
pub(super) fn counterparts(target: &[Table], relations: &[Relation]) -> Vec<(u32, Table)> {
    relations
        .iter()
        .filter_map(|r| {
            let same = |t: &&Table| t.schema == r.schema && t.name == r.name;
            target.iter().find(same).map(|t| (r.oid, t.clone()))
        })
        .collect()
}

pub(super) fn relation_of(tables: &[(u32, Table)], target_oid: u32) -> Option<u32> {
    tables
        .iter()
        .find(|(_, t)| t.oid == target_oid)
        .map(|(relation, _)| *relation)
}

/// Writes down what is about to be dropped. What is noted already, by one that died before or after dropping it, stays.
pub(super) fn note(id: i32, tables: &[(u32, Table)], deferred: &[Deferred]) -> Result<(), Failure> {
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
                "{} {} of the target is taken off, to be put back: begin; {}; commit;",
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

/// Partitions may be made on the target while the indexes are off.
fn note_partitions(
    session: &mut Session,
    tables: &[(u32, Table)],
    wanted: &[&Relation],
) -> Result<(), Failure> {
    let id = session.subscription.id;
    for (oid, target) in tables {
        if target.kind != Kind::Partitioned || !wanted.iter().any(|r| r.oid == *oid) {
            continue;
        }
        let known: Vec<String> = partition::of(&mut session.target, target.oid)?
            .iter()
            .map(|p| p.oid.to_string())
            .collect();
        let statement = fill(
            include_str!("../../sql/target/partition_indexes.sql"),
            &[
                ("table", &target.oid.to_string()),
                ("known", &quote::literal(&quote::array(&known))),
            ],
        );
        xact::run(|| {
            task::insert(
                id,
                &task::New {
                    source_oid: *oid,
                    kind: task::Kind::Constraint,
                    name: Some(task::Task::NEW_PARTITIONS),
                    statements: &[statement],
                    other_oid: None,
                    bytes: 0,
                },
            );
            Ok(())
        })?;
    }
    Ok(())
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
