//! Plans: the statements that replay each table, made when it may be replayed.

use super::Cycle;
use crate::catalog;
use crate::drift;
use crate::failure::Failure;
use crate::pg::xact;
use crate::relation;
use crate::replay::multiset::{self, Multiset};
use crate::replay::{Plan, Trouble};

impl Cycle<'_> {
    /// Keeps a plan for every table that is to be replayed.
    pub(super) fn plan(&mut self) -> Result<(), Trouble> {
        let wanted: Vec<u32> = self
            .relations
            .iter()
            .filter(|r| r.state.is_replayed())
            .map(|r| r.oid)
            .collect();
        self.plans.retain(|p| wanted.contains(&p.oid));
        if wanted
            .iter()
            .any(|oid| !self.plans.iter().any(|p| p.oid == *oid))
        {
            // its keys were not there while it was copied
            self.target = catalog::tables(&mut self.session.target)?;
        }
        for oid in wanted {
            if self.plans.iter().any(|p| p.oid == oid) {
                continue;
            }
            let plan = self.plan_one(oid).map_err(|failure| Trouble {
                failure,
                table: Some(oid),
            })?;
            self.plans.push(plan);
        }
        Ok(())
    }

    fn plan_one(&mut self, oid: u32) -> Result<Plan, Failure> {
        let source = self.source.table(oid)?;
        let target = self
            .target
            .iter()
            .find(|t| t.schema == source.schema && t.name == source.name)
            .ok_or_else(|| {
                Failure::new(
                    "42P01",
                    format!("table {} is missing on the target", source.shown()),
                )
                .hint(format!(
                    "Make it there, or rename it there if it was renamed on the source; then SELECT repl_resume('{}');",
                    self.session.subscription.name
                ))
            })?;
        if let Some(difference) = drift::compare(source, target).into_iter().find(|d| d.fatal) {
            return Err(Failure::new("42P17", difference.message).hint(format!(
                "On the target: {} Then SELECT repl_resume('{}');",
                difference.fix, self.session.subscription.name
            )));
        }
        if self.is_keyless(oid) {
            return self.plan_whole_rows(oid);
        }
        if source.key.is_empty() {
            return Err(Failure::new(
                "42P17",
                format!("table {} has lost its key on the source", source.shown()),
            )
            .hint("Give it a primary key again, then SELECT repl_resume()."));
        }
        Ok(Plan::new(&self.session.names, source, target))
    }

    fn is_keyless(&self, oid: u32) -> bool {
        self.relations.iter().any(|r| r.oid == oid && r.keyless)
    }

    /// Of a table without a key, once it is known what of its deltas is applied.
    fn plan_whole_rows(&mut self, oid: u32) -> Result<Plan, Failure> {
        let id = self.id();
        let source = self.source.table(oid)?;
        multiset::refuse_other_order(source, &self.source.tables)?;
        let target = self
            .target
            .iter()
            .find(|t| t.schema == source.schema && t.name == source.name)
            .expect("looked for just now");
        let session = &mut *self.session;
        multiset::settle(
            &mut session.source,
            &mut session.target,
            &session.names,
            &session.subscription.uuid,
            &session.subscription.name,
            source,
        )?;
        let known: Vec<u32> = xact::run(|| Ok(relation::partitions(id)))?
            .iter()
            .filter(|(root, _)| *root == oid)
            .map(|(_, partition)| partition.oid)
            .collect();
        let indexed = multiset::indexed(&mut session.target, target)?;
        let multiset = Multiset::new(source, target, &indexed, &known);
        Ok(Plan::whole_rows(&session.names, source, target, multiset))
    }

    /// A table without a key has got or lost partitions.
    pub(super) fn plan_anew(&mut self, oid: u32) -> Result<(), Trouble> {
        if !self.is_keyless(oid) {
            return Ok(());
        }
        let mut tables = catalog::tables(&mut self.session.source)?;
        catalog::forget_keys(&mut tables, &relation::keyless(&self.relations));
        self.source.tables = tables;
        self.plans.retain(|plan| plan.oid != oid);
        self.plan()
    }
}
