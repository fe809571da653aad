//! Schema changes that change rows without firing a trigger: a column added with a DEFAULT, a type changed by rewriting the
//! table. Every key of such a table goes into its deltas; rows that are equal on both sides already cost a comparison.

use super::Cycle;
use crate::event::{self, Severity};
use crate::failure::Failure;
use crate::pg::xact;
use crate::quote::ident;
use crate::relation::{self, Relation};
use crate::replay::Trouble;

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
            // without a key: its deltas are no longer images of its rows, which is seen when it is planned
            let rewritten = !relation.keyless
                && relation.fingerprint.as_ref().is_some_and(|before| {
                    before.shape != now.shape && before.content != now.content
                });
            if rewritten {
                self.deliver_all(relation.oid).map_err(|failure| Trouble {
                    failure,
                    table: Some(relation.oid),
                })?;
            }
            let id = self.id();
            xact::run(|| {
                relation::set_fingerprint(id, relation.oid, &now);
                if rewritten {
                    let message = "changed on the source in a way that may have changed every row: all are delivered anew";
                    let name = &self.session.subscription.name;
                    event::record(Severity::Info, name, &relation.shown(), message, None);
                }
                Ok(())
            })?;
        }
        Ok(())
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
            self.session.names.segment(oid),
            key.join(", "),
            table.only()
        );
        self.session.source.execute(&sql, &[])?;
        Ok(())
    }
}
