//! From a new subscription to one whose capture is complete: import the schema, look whether every table is there,
//! install capture table by table, plan the copy.

mod difference;
mod remark;
mod schema;

use std::collections::HashMap;
use std::time::Duration;

use super::apply::Session;
use super::{copying, firing, preparation};
use crate::capture::{self, Partition, Purpose, segment};
use crate::catalog::{self, Fingerprint};
use crate::event;
use crate::failure::Failure;
use crate::pg::{latch, liveness, xact};
use crate::relation::{self, Relation};
use crate::retry::{Backoff, Verdict, advised, verdict};
use crate::subscription::{self, State};
use crate::table::Table;

/// Goes on from the state the tables tell; does nothing once capture is complete.
pub fn run(session: &mut Session) -> Result<(), Failure> {
    if session.subscription.state == State::Starting {
        // decided once: an import that was interrupted has made tables too
        let import = session.subscription.copy_schema && difference::tables_are_missing(session)?;
        enter(
            session,
            if import {
                State::Importing
            } else {
                State::Installing
            },
        )?;
    }
    let imported = session.subscription.state == State::Importing;
    if imported {
        schema::import_schema(session)?;
        enter(session, State::Installing)?;
    }
    if session.subscription.state == State::Installing {
        capture::prepare(
            &mut session.source,
            &session.names,
            &session.subscription.uuid,
        )?;
        let mut source = catalog::tables(&mut session.source)?;
        let relations = xact::run(|| Ok(relation::of(session.subscription.id)))?;
        catalog::forget_keys(&mut source, &relation::keyless(&relations));
        let target = difference::settle(session, &source, imported)?;
        silence(session, &target)?;
        if session.subscription.copy_data {
            let relations = xact::run(|| Ok(relation::of(session.subscription.id)))?;
            let new: Vec<&Relation> = relations
                .iter()
                .filter(|r| r.state == relation::State::Init)
                .collect();
            preparation::take_off(session, &new, &source)?;
            // they connect and read the catalogs while the first chunks are planned
            copying::start_for(&session.subscription, new.len())?;
        }
        install_capture(session, &source, &target)?;
        enter(
            session,
            if session.subscription.copy_data {
                State::Copying
            } else {
                State::Catchup
            },
        )?;
        xact::run(|| {
            subscription::take_rows_as_copied(session.subscription.id);
            Ok(())
        })?;
    }
    Ok(())
}

fn enter(session: &mut Session, state: State) -> Result<(), Failure> {
    xact::run(|| {
        session.subscription.enter(state);
        Ok(())
    })
}

/// Tables that cannot be made quiet stop alone.
fn silence(session: &mut Session, target: &[Table]) -> Result<(), Failure> {
    let loud = firing::silence(session, target)?;
    let id = session.subscription.id;
    xact::run(|| {
        for (oid, failure) in &loud {
            relation::quarantine(id, *oid, failure);
            let subject = relation::by_oid(id, *oid).map_or_else(|| oid.to_string(), |r| r.shown());
            event::record_failure(&session.subscription.name, &subject, failure);
        }
        Ok(())
    })
}

/// Tables are captured in groups of this size, each table in a transaction of its own; then copy workers begin with them.
const GROUP: usize = 100;

/// Table by table, those whose lock is not to be had come again later; nobody on the source waits longer than the lock
/// timeout for us.
fn install_capture(
    session: &mut Session,
    source: &[Table],
    target: &[Table],
) -> Result<(), Failure> {
    let id = session.subscription.id;
    let mut backoff = Backoff::default();
    let mut settled: Option<Vec<u32>> = None;
    loop {
        let open: Vec<Relation> = xact::run(|| Ok(relation::of(id)))?
            .into_iter()
            .filter(|r| r.state == relation::State::Init)
            .collect();
        if open.is_empty() {
            return Ok(());
        }
        let settled = settled.get_or_insert_with(|| open.iter().map(|r| r.oid).collect());
        if let Some(back) = open.iter().find(|r| !settled.contains(&r.oid)) {
            // it has not been compared with the target's yet
            let message = format!("table {} tries again", back.shown());
            return Err(Failure::new("57P01", message));
        }
        let mut waiting = None;
        for group in open.chunks(GROUP) {
            waiting = install_group(session, group, source, target)?.or(waiting);
            if session.subscription.copy_data {
                copying::start_workers(&session.subscription)?;
            }
        }
        if let Some(failure) = waiting {
            let wait = backoff.next();
            xact::run(|| {
                subscription::note_failure(id, &failure, Some(wait.as_millis()));
                Ok(())
            })?;
            pause(id, wait)?;
        }
    }
}

/// Captures a group of tables and plans their chunks; a failure if one has to wait for a lock.
fn install_group(
    session: &mut Session,
    group: &[Relation],
    source: &[Table],
    target: &[Table],
) -> Result<Option<Failure>, Failure> {
    let id = session.subscription.id;
    let mut waiting = None;
    let mut installed: Vec<(&Relation, Vec<Partition>)> = Vec::new();
    let oids: Vec<u32> = group.iter().map(|r| r.oid).collect();
    let before = capture::installed(&mut session.source, &session.names, &oids)?;
    let segments = segment::read(&mut session.source, &session.names)?;
    for relation in group {
        liveness::tick();
        let table = source
            .iter()
            .find(|t| t.oid == relation.oid)
            .ok_or_else(|| catalog::changed(&relation.shown()))?;
        let result = if before.contains(&table.oid) {
            capture::members(&mut session.source, table)
        } else {
            capture::install(&mut session.source, &session.names, table, &segments)
        };
        match result {
            Ok(partitions) => installed.push((relation, partitions)),
            Err(failure) if failure.is_lock_timeout() => {
                let who = capture::holders(&mut session.source, table.oid, Purpose::Install)?;
                waiting = Some(busy(relation, &who));
            }
            Err(failure) if verdict(&failure) == Verdict::Quarantine => xact::run(|| {
                let failure = advised(failure.clone(), &session.subscription.name);
                relation::quarantine(id, relation.oid, &failure);
                event::record_failure(&session.subscription.name, &relation.shown(), &failure);
                Ok(())
            })?,
            Err(failure) => return Err(failure),
        }
    }
    capture::settle(&mut session.source, &session.names)?;
    let oids: Vec<u32> = installed.iter().map(|(r, _)| r.oid).collect();
    let prints = catalog::fingerprints(&mut session.source, &oids)?;
    if session.subscription.copy_data {
        let relations: Vec<&Relation> = installed.iter().map(|(r, _)| *r).collect();
        preparation::cut(session, &relations, source, target)?;
    }
    captured(session, &installed, &prints)?;
    Ok(waiting)
}

fn busy(relation: &Relation, who: &str) -> Failure {
    let failure = Failure::new(
        "55P03",
        format!(
            "waiting for a lock on {} to install its capture triggers",
            relation.shown()
        ),
    )
    .hint(
        "Goes on by itself when the lock can be had; nobody on the source waits for us meanwhile.",
    );
    if who.is_empty() {
        failure
    } else {
        failure.detail(format!("In the way: {who}"))
    }
}

/// Waits, unless the subscription is paused or gone meanwhile: then 57P01 ends this session, which is looked at again.
fn pause(id: i32, wait: Duration) -> Result<(), Failure> {
    liveness::tick();
    latch::wait(wait);
    let on = xact::run(|| Ok(subscription::by_id(id).is_some_and(|s| s.enabled)))?;
    if on {
        Ok(())
    } else {
        Err(Failure::new("57P01", "paused while installing capture"))
    }
}

/// The tables' next state.
fn captured(
    session: &Session,
    installed: &[(&Relation, Vec<Partition>)],
    prints: &HashMap<u32, Fingerprint>,
) -> Result<(), Failure> {
    let id = session.subscription.id;
    let next = if session.subscription.copy_data {
        relation::State::Copying
    } else {
        relation::State::Catchup
    };
    xact::run(|| {
        for (relation, partitions) in installed {
            if let Some(print) = prints.get(&relation.oid) {
                relation::set_fingerprint(id, relation.oid, print);
            }
            for partition in partitions {
                relation::add_partition(id, relation.oid, partition);
            }
            relation::enter(id, relation.oid, relation::State::Init, next);
        }
        subscription::clear_failure(id);
        Ok(())
    })
}
