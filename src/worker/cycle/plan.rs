//! Plans: the statements that replay each table, made when it may be replayed.

use super::Cycle;
use super::drift::counterpart;
use crate::catalog;
use crate::failure::Failure;
use crate::libpq::Question;
use crate::pg::xact;
use crate::relation;
use crate::replay::multiset::{self, Multiset};
use crate::replay::{Plan, Trouble};
use crate::table::Table;

/// What settling asks.
pub(super) fn settling(tables: &[(u32, Question)]) -> Vec<Question> {
    tables
        .iter()
        .map(|(_, question)| question.clone())
        .collect()
}

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
        let mut made = Vec::new();
        for oid in wanted {
            if self.plans.iter().any(|p| p.oid == oid) {
                continue;
            }
            let plan = self.plan_one(oid).map_err(|failure| Trouble {
                failure,
                table: Some(oid),
            })?;
            self.plans.push(plan);
            made.push(oid);
        }
        if made.is_empty() {
            return Ok(());
        }
        let oids: Vec<u32> = self.planned_counterparts().map(|t| t.oid).collect();
        self.shapes = catalog::fingerprints(&mut self.session.target, &oids)?;
        self.deliver_moved(&made)
    }

    /// The target's tables that are replayed into.
    pub(super) fn planned_counterparts(&self) -> impl Iterator<Item = &Table> {
        self.target.iter().filter(|t| {
            self.plans
                .iter()
                .any(|p| p.schema == t.schema && p.name == t.name)
        })
    }

    /// Deletes on the source what is applied already of tables without a key: before anything of them is taken.
    pub(super) fn settle(&mut self) -> Result<(), Trouble> {
        let source = &mut self.session.source;
        source.foretell(&settling(&self.settling))?;
        for (oid, question) in self.settling.drain(..) {
            source.ask(&question).map_err(|failure| Trouble {
                failure,
                table: Some(oid),
            })?;
        }
        Ok(())
    }

    fn plan_one(&mut self, oid: u32) -> Result<Plan, Failure> {
        let relation = self.relations.iter().find(|r| r.oid == oid);
        let relation = relation.expect("only our tables are planned");
        let keyless = relation.keyless;
        self.refuse_difference(oid)?;
        if keyless {
            return self.plan_whole_rows(oid);
        }
        let source = self.source.table(oid)?;
        let target = counterpart(source, &self.target).expect("no difference: it is there");
        let mut plan = Plan::new(source, target);
        self.leave_out(&mut plan, source)?;
        Ok(plan)
    }

    fn is_keyless(&self, oid: u32) -> bool {
        self.relations.iter().any(|r| r.oid == oid && r.keyless)
    }

    /// Of a table without a key, once it is known what of its deltas is applied.
    fn plan_whole_rows(&mut self, oid: u32) -> Result<Plan, Failure> {
        let id = self.id();
        let source = self.source.table(oid)?;
        multiset::refuse_other_order(source, &self.source.tables)?;
        let target = counterpart(source, &self.target).expect("no difference: it is there");
        let session = &mut *self.session;
        let question = multiset::settle(
            &mut session.source,
            &mut session.target,
            &session.names,
            (&session.subscription.uuid, &session.subscription.name),
            (source, self.source.layout(oid)?),
            &self.segments.names(oid),
        )?;
        self.settling
            .extend(question.map(|question| (oid, question)));
        let known: Vec<u32> = xact::run(|| Ok(relation::partitions(id)))?
            .iter()
            .filter(|(root, _)| *root == oid)
            .map(|(_, partition)| partition.oid)
            .collect();
        let indexed = multiset::indexed(&mut session.target, target)?;
        let multiset = Multiset::new(source, target, &indexed, &known);
        Ok(Plan::whole_rows(source, target, multiset))
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
