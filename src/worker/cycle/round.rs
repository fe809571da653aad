//! Every few seconds, and when somebody waits: sequences, columns, triggers, partitions.

use super::Cycle;
use super::plan::settling;
use crate::capture::{self, Partition, partition};
use crate::catalog;
use crate::event::{self, Severity};
use crate::failure::Failure;
use crate::libpq::Question;
use crate::pg::xact;
use crate::relation::{self, Relation};
use crate::replay::Trouble;
use crate::retry::{Verdict, verdict};
use crate::snapshot;
use crate::table::{Kind, Table, shown};
use crate::worker::apply::Memory;
use crate::worker::outset;

/// What is the same when nothing but sequences can have changed on the source.
#[derive(PartialEq, Eq)]
pub(super) struct Sight {
    snapshot: String,
    tables: Vec<u32>,
}

impl Cycle<'_> {
    /// Sequences, and whether capture is still what it should be. Before replay: what is found here goes into its deltas.
    pub(super) fn look_around(&mut self, memory: &mut Memory) -> Result<(), Trouble> {
        let as_of = self.session.source.as_of();
        let now = self.sight()?;
        let unchanged = self.looked_at.as_ref() == Some(&now);
        self.looked_at = None;
        if !unchanged {
            let questions = outset::of_a_look(&self.session.names);
            self.session.source.foretell(&questions)?;
        }
        self.look_at_fence(unchanged)?;
        self.silence()?;
        self.follow_sequences(unchanged)?;
        if !unchanged {
            self.look_at_tables()?;
        }
        self.look_at_counterparts()?;
        self.look_at_stopped()?;
        self.settle_calls()?;
        let mut settled = true;
        if !unchanged {
            self.look_for_newcomers()?;
            settled = self.look_at_partitions()?;
        }
        if settled {
            memory.meter.looked(as_of);
            self.looked_at = Some(now);
        }
        Ok(())
    }

    /// The source's catalogs and segments as they can be seen now, and which tables we want to hear of.
    fn sight(&mut self) -> Result<Sight, Failure> {
        let tables = self.watched().map(|r| r.oid).collect();
        let snapshot = snapshot::of(&mut self.session.source)?;
        Ok(Sight { snapshot, tables })
    }

    fn follow_sequences(&mut self, unchanged: bool) -> Result<(), Trouble> {
        let taken: Vec<u32> = self.relations.iter().map(|r| r.oid).collect();
        self.sequences
            .refresh(&mut self.session.source, &self.choice, &taken)?;
        let mut questions = settling(&self.settling);
        questions.extend(self.sequences.questions());
        if !unchanged {
            questions.extend(self.questions_about_tables());
        }
        self.session.source.foretell(&questions)?;
        self.settle()?;
        let session = &mut *self.session;
        let complaints = self
            .sequences
            .follow(&mut session.source, &mut session.target)?;
        let name = session.subscription.name.clone();
        if !complaints.is_empty() {
            xact::run(|| {
                for complaint in &complaints {
                    event::record(
                        Severity::Warning,
                        &name,
                        &complaint.sequence,
                        &complaint.message,
                        None,
                    );
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Tables whose changes we want to hear of.
    fn watched(&self) -> impl Iterator<Item = &Relation> {
        self.relations
            .iter()
            .filter(|r| r.is_captured() && r.state != relation::State::Errored && !r.awaits_copy())
    }

    /// What is asked after the sequences; the first time the first poll too.
    fn questions_about_tables(&self) -> Vec<Question> {
        let oids: Vec<u32> = self.watched().map(|r| r.oid).collect();
        let mut questions = vec![
            catalog::fingerprint_question(&oids),
            capture::watch_question(&self.session.names),
        ];
        questions.extend(self.newcomer_questions());
        if self.segments.are_new() {
            questions.extend(self.segments.first_questions(&self.planned()));
        }
        questions
    }

    fn look_at_tables(&mut self) -> Result<(), Trouble> {
        let oids: Vec<u32> = self.watched().map(|r| r.oid).collect();
        let session = &mut *self.session;
        self.source.refuse_changed(&mut session.source, &oids)?;
        self.watch = capture::watch(&mut session.source, &session.names, &oids)?;
        match self.watch.broken.first() {
            None => Ok(()),
            Some(oid) => Err(Trouble {
                failure: capture::missed_table(
                    "capture triggers on the source are dropped or disabled",
                    &session.subscription.name,
                    &self
                        .source
                        .table(*oid)
                        .map_or_else(|_| oid.to_string(), Table::shown),
                ),
                table: Some(*oid),
            }),
        }
    }

    /// Errors: 40001 when a table of the target is not what it was when its plan was made: passes by reading anew.
    fn look_at_counterparts(&mut self) -> Result<(), Trouble> {
        let oids: Vec<u32> = self.shapes.keys().copied().collect();
        if oids.is_empty() {
            return Ok(());
        }
        let now = catalog::fingerprints(&mut self.session.target, &oids)?;
        let is_other = |oid: &u32| {
            now.get(oid).map(|print| &print.shape) != self.shapes.get(oid).map(|p| &p.shape)
        };
        let changed = self
            .planned_counterparts()
            .find(|t| oids.contains(&t.oid) && is_other(&t.oid));
        match changed {
            None => Ok(()),
            Some(table) => Err(catalog::changed_on_target(&table.shown()).into()),
        }
    }

    /// Partitions that came or went. False if one could not be seen to, for somebody has it locked.
    fn look_at_partitions(&mut self) -> Result<bool, Trouble> {
        let id = self.id();
        let watched: Vec<u32> = self.watched().map(|r| r.oid).collect();
        let roots: Vec<Table> = self
            .source
            .tables
            .iter()
            .filter(|t| t.kind == Kind::Partitioned && watched.contains(&t.oid))
            .cloned()
            .collect();
        if roots.is_empty() {
            return Ok(true);
        }
        let all_known = xact::run(|| Ok(relation::partitions(id)))?;
        let mut settled = true;
        for root in &roots {
            let known: Vec<&Partition> = all_known
                .iter()
                .filter(|(r, _)| *r == root.oid)
                .map(|(_, p)| p)
                .collect();
            settled &= self
                .look_at_partitions_of(root, &known)
                .map_err(|failure| Trouble {
                    failure,
                    table: Some(root.oid),
                })?;
            let now = xact::run(|| Ok(relation::partitions(id)))?;
            if now != all_known {
                self.plan_anew(root.oid)?;
            }
        }
        Ok(settled)
    }

    fn look_at_partitions_of(
        &mut self,
        root: &Table,
        known: &[&Partition],
    ) -> Result<bool, Failure> {
        let id = self.id();
        let session = &mut *self.session;
        let name = &session.subscription.name;
        let source = &mut session.source;
        let present = partition::of(source, root.oid)?;
        partition::forget_strangers(source, &session.names, root)?;
        let mut settled = true;
        for new in &present {
            let cared_for =
                known.iter().any(|k| k.oid == new.oid) && self.watch.guarded.contains(&new.oid);
            if cared_for {
                continue;
            }
            // forgotten first: dying between its trigger and its deltas, we come back for it
            xact::run(|| {
                relation::remove_partition(id, new.oid);
                Ok(())
            })?;
            let segment = self.segments.newest(root.oid);
            match partition::arrived(source, &session.names, root, new, &segment) {
                Ok(()) => xact::run(|| {
                    relation::add_partition(id, root.oid, new);
                    let message = format!("partition {} came", shown(&new.schema, &new.name));
                    event::record(Severity::Info, name, &root.shown(), &message, None);
                    Ok(())
                })?,
                Err(failure) if verdict(&failure) == Verdict::Retry && !failure.disconnected => {
                    settled = false
                }
                Err(failure) => return Err(failure),
            }
        }
        for old in known
            .iter()
            .filter(|k| !present.iter().any(|p| p.oid == k.oid))
        {
            partition::left(source, &session.names, root.oid, old)?;
            xact::run(|| {
                relation::remove_partition(id, old.oid);
                let message = format!("partition {} left", shown(&old.schema, &old.name));
                event::record(Severity::Info, name, &root.shown(), &message, None);
                Ok(())
            })?;
        }
        Ok(settled)
    }
}
