//! Tables that are taken out while the others go on: `repl_remove_table`.

use super::Cycle;
use super::anew::is_locked;
use crate::capture;
use crate::event::{self, Severity};
use crate::failure::Failure;
use crate::pg::xact;
use crate::relation::{self, Relation};
use crate::replay::Trouble;
use crate::task::{self, Task};

impl Cycle<'_> {
    /// One step for each: copy workers end what they have at hand and build what is off; then capture goes, then our rows. May
    /// die between any two.
    pub(super) fn take_out(&mut self) -> Result<(), Trouble> {
        let id = self.id();
        let leaving = xact::run(|| Ok(relation::leaving(id)))?;
        for relation in &leaving {
            if self.postponed.iter().any(|(oid, _)| *oid == relation.oid) {
                continue;
            }
            let busy = xact::run(|| {
                task::forget_copy(id, relation.oid);
                Ok(task::running(id, relation.oid) > 0 || task::is_to_be_built(id, relation.oid))
            })?;
            if busy {
                continue;
            }
            match self.take_out_one(relation) {
                Ok(()) => self.segments.reread(&mut self.session.source)?,
                Err(failure) if is_locked(&failure) => self.postpone(relation, &failure)?,
                Err(failure) => return Err(failure.into()),
            }
        }
        Ok(())
    }

    fn take_out_one(&mut self, relation: &Relation) -> Result<(), Failure> {
        let id = self.id();
        let session = &mut *self.session;
        capture::take_off(&mut session.source, &session.names, relation.oid)?;
        let open = xact::run(|| {
            Ok(task::open_builds(id)
                .into_iter()
                .filter(|t| t.source_oid == relation.oid && t.kind.is_firing())
                .collect::<Vec<Task>>())
        })?;
        let mut on_again = Vec::new();
        for task in &open {
            let sql = format!("begin; {}; commit", task.statements.join("; "));
            match session.target.batch(&sql) {
                Ok(()) => on_again.push(task.id),
                Err(failure) if failure.disconnected => return Err(failure),
                Err(_) => session.target.rollback(),
            }
        }
        let name = &session.subscription.name;
        xact::run(|| {
            let mut missing = task::take_builds(id, relation.oid);
            missing.retain(|task| !on_again.contains(&task.id));
            for task in &missing {
                let sql = format!("begin; {}; commit;", task.statements.join("; "));
                let message = format!(
                    "{} is missing on the target, for {} is taken out",
                    task.kind.as_str(),
                    relation.shown()
                );
                let subject = task.name.as_deref().unwrap_or_default();
                event::record(Severity::Warning, name, subject, &message, Some(&sql));
            }
            relation::remove(id, relation.oid);
            let message = match missing.len() {
                0 => "is taken out: it is captured no more, the target's rows stay".to_owned(),
                n => format!(
                    "is taken out: it is captured no more, the target's rows stay; {n} things are missing there, whose SQL is in \
                     the events before this one"
                ),
            };
            event::record(Severity::Info, name, &relation.shown(), &message, None);
            Ok(())
        })
    }
}
