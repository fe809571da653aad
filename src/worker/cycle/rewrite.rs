//! Schema changes that change rows without firing a trigger: a column added with a DEFAULT, a type changed by rewriting the
//! table. Every key of such a table goes into its deltas; rows that are equal on both sides already cost a comparison.

use super::Cycle;
use super::drift::counterpart;
use crate::drift;
use crate::event::{self, Severity};
use crate::failure::Failure;
use crate::pg::xact;
use crate::quote::ident;
use crate::relation::{self, Columns, Relation};
use crate::replay::{Trouble, multiset};
use crate::subscription;

impl Cycle<'_> {
    /// Compares what the captured tables look like with what they looked like when their rows were last delivered. The
    /// deltas are committed before that is noted: dying in between delivers once more.
    pub(super) fn deliver_rewritten(&mut self) -> Result<(), Trouble> {
        let captured: Vec<Relation> = self
            .relations
            .iter()
            .filter(|r| r.is_captured() && r.state != relation::State::Errored)
            .cloned()
            .collect();
        for relation in captured {
            let Some(now) = self.source.fingerprints.get(&relation.oid).cloned() else {
                continue;
            };
            if relation.fingerprint.as_ref() == Some(&now) {
                continue;
            }
            let rewritten = relation
                .fingerprint
                .as_ref()
                .is_some_and(|before| before.shape != now.shape && before.content != now.content);
            if rewritten && relation.keyless {
                self.renew_keyless(&relation)?;
            } else if rewritten {
                self.deliver_all(relation.oid).map_err(|failure| Trouble {
                    failure,
                    table: Some(relation.oid),
                })?;
            }
            let id = self.id();
            xact::run(|| {
                relation::set_fingerprint(id, relation.oid, &now);
                if rewritten && !relation.keyless {
                    let message = "changed on the source in a way that may have changed every row: all are delivered anew";
                    let name = &self.session.subscription.name;
                    event::record(Severity::Info, name, &relation.shown(), message, None);
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Without a key there is nothing to queue. Other columns are seen when it is planned; where they are the same, only a copy
    /// tells what is in them now.
    fn renew_keyless(&mut self, relation: &Relation) -> Result<(), Failure> {
        let session = &mut *self.session;
        let uuid = &session.subscription.uuid;
        let (source, target) = (&mut session.source, &mut session.target);
        if relation.awaits_copy()
            || !multiset::is_laid_out_alike(source, target, uuid, relation.oid)?
        {
            return Ok(());
        }
        let message = "was written anew on the source, and has no key: it is copied anew";
        self.copy_again(relation.oid, message)
    }

    /// Columns that were renamed, dropped and added, on either side: what the target has in them need not be what the source
    /// has. As above, the deltas come first.
    pub(super) fn deliver_moved(&mut self, planned: &[u32]) -> Result<(), Trouble> {
        for oid in planned {
            let Some((before, now)) = self.columns_of(*oid) else {
                continue;
            };
            if before.as_ref() == Some(&now) {
                continue;
            }
            if before.as_ref().is_some_and(|b| b.table != now.table) {
                let message = "is another table on the target than before: it is copied anew";
                self.copy_again(*oid, message)?;
                continue;
            }
            let moved = before.as_ref().is_some_and(|before| {
                let more = now.pairs.iter().any(|pair| !before.pairs.contains(pair));
                drift::moved(&before.pairs, &now.pairs) || (more && before.content != now.content)
            });
            let keyless = self.relations.iter().any(|r| r.oid == *oid && r.keyless);
            if moved && keyless {
                let message = "has columns that were others before, and no key: it is copied anew";
                self.copy_again(*oid, message)?;
                continue;
            }
            if moved {
                self.deliver_all(*oid).map_err(|failure| Trouble {
                    failure,
                    table: Some(*oid),
                })?;
            }
            let id = self.id();
            let shown = self.source.table(*oid)?.shown();
            xact::run(|| {
                relation::set_columns(id, *oid, &now);
                if moved {
                    let message =
                        "has columns that were others before: all rows are delivered anew";
                    let name = &self.session.subscription.name;
                    event::record(Severity::Info, name, &shown, message, None);
                }
                Ok(())
            })?;
            for relation in self.relations.iter_mut().filter(|r| r.oid == *oid) {
                relation.columns = Some(now.clone());
            }
        }
        Ok(())
    }

    /// What the target's table has in its rows, nobody knows any more.
    fn copy_again(&mut self, oid: u32, message: &str) -> Result<(), Failure> {
        let id = self.id();
        let shown = self.source.table(oid)?.shown();
        self.plans.retain(|plan| plan.oid != oid);
        xact::run(|| {
            relation::copy_again(id, oid);
            subscription::go_back_for_tables(id);
            let name = &self.session.subscription.name;
            event::record(Severity::Warning, name, &shown, message, None);
            Ok(())
        })?;
        self.relations = xact::run(|| Ok(relation::of(id)))?;
        Ok(())
    }

    /// As its rows were delivered before, and as they are now.
    fn columns_of(&self, oid: u32) -> Option<(Option<Columns>, Columns)> {
        let relation = self.relations.iter().find(|r| r.oid == oid)?;
        let source = self.source.table(oid).ok()?;
        let target = counterpart(source, &self.target)?;
        let content = self.shapes.get(&target.oid)?.content.clone();
        let now = Columns {
            pairs: drift::pairs(source, target),
            table: target.oid,
            content,
        };
        Some((relation.columns.clone(), now))
    }

    fn deliver_all(&mut self, oid: u32) -> Result<(), Failure> {
        let table = self.source.table(oid)?;
        let key: Vec<String> = table.key.iter().map(|k| ident(&k.name)).collect();
        if key.is_empty() {
            return Err(Failure::new(
                "42P17",
                format!("table {} has lost its key on the source", table.shown()),
            ));
        }
        let sql = format!(
            "insert into {} select {} from {}",
            self.segments.newest(oid),
            key.join(", "),
            table.only()
        );
        if let Err(failure) = self.session.source.execute(&sql, &[]) {
            // it may have changed once more
            self.source
                .refuse_changed(&mut self.session.source, &[oid])?;
            return Err(failure);
        }
        Ok(())
    }
}
