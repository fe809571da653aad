//! Rows that the target refuses, and rows that a person has left out.

use super::Cycle;
use super::drift::counterpart;
use crate::catalog;
use crate::failure::{Failure, Origin};
use crate::pg::xact;
use crate::quote::{ident, literal};
use crate::replay::{self, Plan, Rule, Trouble};
use crate::retry::{Verdict, verdict};
use crate::skipped::{self, Skipped};
use crate::table::Table;
use crate::worker::apply::is_missing_object;

impl Cycle<'_> {
    /// With what the person needs to find the row, if it is about one. The batch is over: its connections are given up anyway.
    pub(super) fn explained(&mut self, trouble: Trouble) -> Trouble {
        let Trouble { failure, table } = trouble;
        if let Some(failure) = table.and_then(|oid| self.changed_meanwhile(&failure, oid)) {
            return Trouble {
                failure,
                table: None,
            };
        }
        let explained = match table.and_then(|oid| self.source.table(oid).ok().cloned()) {
            Some(source) if is_about_a_row(&failure) && !source.key.is_empty() => {
                self.with_its_row(failure, &source)
            }
            Some(source) => failure.during(format_args!("replaying {}", source.shown())),
            None => failure,
        };
        Trouble {
            failure: explained,
            table,
        }
    }

    /// Where an object of ours is not there, and a table is not what it was either, repl_ddl has been at work: the deltas of a key
    /// go with it. Then what is known is out of date, and nothing was missed.
    pub(super) fn doubted(&mut self, trouble: Trouble) -> Trouble {
        let Trouble { failure, table } = &trouble;
        if table.is_some() || failure.disconnected || !is_missing_object(failure) {
            return trouble;
        }
        let captured = self.captured();
        self.session.source.rollback();
        let seen = self
            .source
            .refuse_changed(&mut self.session.source, &captured);
        match seen {
            Err(changed) if changed.sqlstate == "40001" => changed.into(),
            _ => trouble,
        }
    }

    /// A statement can fail for what the batch's snapshot does not show yet: names are looked up in the catalogs as they are.
    fn changed_meanwhile(&mut self, failure: &Failure, oid: u32) -> Option<Failure> {
        if failure.disconnected || !failure.sqlstate.starts_with("42") {
            return None;
        }
        if failure.origin == Origin::Source {
            self.session.source.rollback();
            let seen = self.source.refuse_changed(&mut self.session.source, &[oid]);
            return seen.err().filter(|failure| failure.sqlstate == "40001");
        }
        let source = self.source.table(oid).ok()?;
        let target = counterpart(source, &self.target)?;
        let known = self.shapes.get(&target.oid)?;
        self.session.target.rollback();
        let now = catalog::fingerprints(&mut self.session.target, &[target.oid]).ok()?;
        (now.get(&target.oid).map(|print| &print.shape) != Some(&known.shape))
            .then(|| catalog::changed_on_target(&target.shown()))
    }

    fn with_its_row(&mut self, failure: Failure, source: &Table) -> Failure {
        let rule = failure
            .constraint
            .clone()
            .and_then(|name| self.rule(source, &name));
        let waiting = self.segments.names(source.oid);
        replay::explained(
            failure,
            &self.session.subscription.name,
            source,
            rule.as_ref(),
            &waiting,
        )
    }

    /// A hint is as good without it.
    fn rule(&mut self, source: &Table, name: &str) -> Option<Rule> {
        let same = |t: &&Table| t.schema == source.schema && t.name == source.name;
        let oid = self.target.iter().find(same)?.oid.to_string();
        let target = &mut self.session.target;
        target.rollback();
        let rows = target.query(replay::READ_RULE, &[Some(&oid), Some(name)]);
        rows.ok()?.first().map(Rule::read)
    }

    /// Reads which rows are left out. Plans of tables where that has changed are made anew; what is no longer left out goes
    /// back into the queue, as often as we die before that is noted.
    pub(super) fn heed_skipped(&mut self) -> Result<(), Trouble> {
        let id = self.id();
        let (now, back) = xact::run(|| Ok((skipped::of(id), skipped::to_be_queued(id))))?;
        if now != self.skipped {
            let changed = |plan: &Plan| {
                let of = |list: &[Skipped]| -> Vec<Skipped> {
                    list.iter().filter(|s| s.oid == plan.oid).cloned().collect()
                };
                of(&now) != of(&self.skipped)
            };
            self.plans.retain(|plan| !changed(plan));
            self.skipped = now;
        }
        for one in &back {
            self.queue(one).map_err(|failure| Trouble {
                failure,
                table: Some(one.oid),
            })?;
        }
        Ok(())
    }

    fn queue(&mut self, skipped: &Skipped) -> Result<(), Failure> {
        let captured = self
            .relations
            .iter()
            .any(|r| r.oid == skipped.oid && r.is_captured() && !r.awaits_copy());
        let Ok(table) = self.source.table(skipped.oid) else {
            return Ok(());
        };
        let values = skipped::values(&skipped.key, table.key.iter().map(|k| k.name.as_str()));
        let (true, Some(values)) = (captured, values) else {
            return Ok(());
        };
        let values: Vec<String> = table
            .key
            .iter()
            .zip(&values)
            .map(|(k, value)| {
                let column = table.column(&k.name).expect("a key is of columns");
                format!("{}::{}", literal(value), column.type_name)
            })
            .collect();
        let sql = format!(
            "insert into {} values ({})",
            self.segments.newest(skipped.oid),
            values.join(", ")
        );
        self.session.source.execute(&sql, &[])?;
        xact::run(|| {
            skipped::set_queued(skipped.id);
            Ok(())
        })
    }

    /// The plan with what is left out. Errors: 55000 when the key has other columns now.
    pub(super) fn leave_out(&self, plan: &mut Plan, source: &Table) -> Result<(), Failure> {
        let of_table = self.skipped.iter().filter(|s| s.oid == source.oid);
        let values = of_table
            .map(|s| {
                skipped::values(&s.key, source.key.iter().map(|k| k.name.as_str())).ok_or_else(
                    || {
                        let names: Vec<String> = s.key.keys().map(|k| ident(k)).collect();
                        Failure::new(
                            "55000",
                            format!(
                                "rows of {} are left out by a key ({}) that is no longer its key",
                                source.shown(),
                                names.join(", ")
                            ),
                        )
                        .hint(format!(
                            "SELECT repl_resync({}, {}); copies the table anew, with those rows.",
                            literal(&self.session.subscription.name),
                            literal(&source.shown())
                        ))
                    },
                )
            })
            .collect::<Result<Vec<_>, _>>()?;
        plan.leave_out(source, &values);
        Ok(())
    }
}

/// Integrity and data errors of the target; what triggers raise there may have any SQLSTATE.
fn is_about_a_row(failure: &Failure) -> bool {
    let class = failure.sqlstate.get(..2).unwrap_or_default();
    failure.origin == Origin::Target
        && !failure.disconnected
        && verdict(failure) != Verdict::Retry
        && !matches!(class, "42" | "25" | "XX")
}
