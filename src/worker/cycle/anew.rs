//! Tables that are copied anew while the others go on.

use std::time::{Duration, Instant};

use super::Cycle;
use crate::capture;
use crate::catalog;
use crate::event::{self, Severity};
use crate::failure::Failure;
use crate::libpq::TARGETS_LOCK_TIMEOUT;
use crate::pg::xact;
use crate::relation::{self, Relation};
use crate::replay::Trouble;
use crate::task;
use crate::worker::preparation;

/// After a lock that was not to be had, the others get this long before it is tried again.
const LET_GO_ON: Duration = Duration::from_secs(10);

impl Cycle<'_> {
    /// Plans the copy of those that wait for it, once no worker has anything of theirs at hand.
    pub(super) fn begin_anew(&mut self) -> Result<(), Trouble> {
        let id = self.id();
        self.postponed.retain(|(_, until)| *until > Instant::now());
        let waiting: Vec<Relation> = self
            .relations
            .iter()
            .filter(|r| r.awaits_copy() && !self.postponed.iter().any(|(oid, _)| *oid == r.oid))
            .cloned()
            .collect();
        for relation in waiting {
            let settled = xact::run(|| {
                let settled = task::running(id, relation.oid) == 0;
                if settled && !relation.deferred {
                    task::forget_built(id, relation.oid);
                }
                Ok(settled)
            })?;
            if !settled {
                continue;
            }
            match self.begin_anew_one(&relation) {
                Ok(()) => {}
                Err(failure) if is_locked(&failure) => self.postpone(&relation, &failure)?,
                Err(failure) => {
                    return Err(Trouble {
                        failure,
                        table: Some(relation.oid),
                    });
                }
            }
        }
        Ok(())
    }

    fn begin_anew_one(&mut self, relation: &Relation) -> Result<(), Failure> {
        let id = self.id();
        self.source
            .refuse_changed(&mut self.session.source, &[relation.oid])?;
        self.refuse_different(relation)?;
        let session = &mut *self.session;
        let broken = capture::watch(&mut session.source, &session.names, &[relation.oid])?.broken;
        let table = self.source.table(relation.oid)?;
        let keys = capture::key_changes(&mut session.source, &session.names, &[table])?;
        if !broken.is_empty() || !keys.is_empty() {
            let partitions = capture::reinstall(&mut session.source, &session.names, table)?;
            self.segments.reread(&mut session.source)?;
            let prints = catalog::fingerprints(&mut session.source, &[relation.oid])?;
            xact::run(|| {
                for partition in &partitions {
                    relation::add_partition(id, relation.oid, partition);
                }
                if let Some(print) = prints.get(&relation.oid) {
                    relation::set_fingerprint(id, relation.oid, print);
                }
                Ok(())
            })?;
        }
        // others are being replayed meanwhile: somebody who reads this one on the target is not waited for
        session.target.batch("set lock_timeout = '1s'")?;
        let prepared = preparation::take_off(session, &[relation], &self.source.tables)
            .and_then(|()| catalog::tables(&mut session.target))
            .and_then(|target| {
                preparation::cut(session, &[relation], &self.source.tables, &target)
            });
        if !prepared.as_ref().is_err_and(|failure| failure.disconnected) {
            session.target.rollback();
            session.target.batch(TARGETS_LOCK_TIMEOUT)?;
        }
        prepared
    }

    /// Errors: when rows could not go on after they were copied. What is off for the copy is not missed.
    fn refuse_different(&mut self, relation: &Relation) -> Result<(), Failure> {
        let id = self.id();
        let off = xact::run(|| Ok(task::deferred(id)))?;
        if relation.deferred || off.contains(&relation.oid) {
            return Ok(());
        }
        self.target = catalog::tables(&mut self.session.target)?;
        self.refuse_difference(relation.oid)
    }

    pub(super) fn postpone(
        &mut self,
        relation: &Relation,
        failure: &Failure,
    ) -> Result<(), Failure> {
        self.postponed
            .push((relation.oid, Instant::now() + LET_GO_ON));
        xact::run(|| {
            let message = format!("waits for a lock, other tables go on: {}", failure.line());
            event::record(
                Severity::Warning,
                &self.session.subscription.name,
                &relation.shown(),
                &message,
                None,
            );
            Ok(())
        })
    }
}

pub(super) fn is_locked(failure: &Failure) -> bool {
    !failure.disconnected && matches!(failure.sqlstate.as_str(), "55P03" | "57014" | "40P01")
}
