//! Drift: the two sides of a table no longer match. That table stops, its deltas wait, and it goes on by itself once they do.

use super::Cycle;
use crate::capture::{self, KeyChange, fence};
use crate::catalog;
use crate::ddl;
use crate::drift::{self, Difference};
use crate::event::{self, Severity};
use crate::failure::Failure;
use crate::pg::xact;
use crate::quote::literal;
use crate::relation::{self, Relation, State};
use crate::replay::Trouble;
use crate::retry::{DRIFT, MISFIT, MISSED};
use crate::subscription;
use crate::table::Table;

impl Cycle<'_> {
    /// Why the table cannot be replayed, if it cannot, with the SQL that brings both sides together. Only differences that no
    /// row gets past count.
    pub(super) fn difference(
        &self,
        relation: &Relation,
        source: &[Table],
        target: &[Table],
    ) -> Option<Failure> {
        let name = literal(&self.session.subscription.name);
        let on = |side: &str, sql: &str| {
            format!(
                "On the {side}: {sql} Then SELECT repl_resume({name}), or wait: it goes on by itself."
            )
        };
        let Some(source) = source.iter().find(|t| t.oid == relation.oid) else {
            let message = format!("table {} is gone from the source", relation.shown());
            let namesake = source
                .iter()
                .any(|t| t.schema == relation.schema && t.name == relation.name);
            let more = if namesake {
                " One of that name is there that is not followed: repl_add_table then takes it in."
            } else {
                ""
            };
            return Some(Failure::new(DRIFT, message).hint(format!(
                "SELECT repl_remove_table({name}, {}); takes it out, the target keeps its rows.{more}",
                literal(&relation.shown())
            )));
        };
        let Some(counterpart) = counterpart(source, target) else {
            let message = format!("table {} is missing on the target", source.shown());
            let delivered = relation.columns.as_ref().map(|c| c.table);
            let before = target.iter().find(|t| match delivered {
                Some(oid) => t.oid == oid,
                None => t.schema == relation.schema && t.name == relation.name,
            });
            let sql = match before {
                Some(before) => drift::renaming(before, source),
                None => drift::creation(source),
            };
            return Some(Failure::new(DRIFT, message).hint(on("target", &sql)));
        };
        if source.key.is_empty() && !relation.keyless {
            let message = format!("table {} has lost its key on the source", source.shown());
            return Some(
                Failure::new(DRIFT, message).hint(on("source", &drift::key(source, counterpart))),
            );
        }
        let before = relation.columns.as_ref().map(|c| c.pairs.as_slice());
        let mut found = drift::compare_known(source, counterpart, before.unwrap_or_default());
        found.retain(|d| d.fatal);
        let (messages, fixes) = told(&found)?;
        Some(Failure::new(DRIFT, messages).hint(on("target", &fixes)))
    }

    /// Errors: that difference; 40001 when it may be no more than that one side has changed a moment before the other.
    pub(super) fn refuse_difference(&mut self, oid: u32) -> Result<(), Failure> {
        let relation = self.relations.iter().find(|r| r.oid == oid);
        let relation = relation.expect("only our tables are compared");
        let Some(failure) = self.difference(relation, &self.source.tables, &self.target) else {
            return Ok(());
        };
        let settled = xact::run(|| Ok(ddl::is_settled(self.id())))?;
        self.source
            .refuse_changed(&mut self.session.source, &[oid])?;
        Err(if settled {
            failure
        } else {
            catalog::changed(&relation.shown())
        })
    }

    /// Tables that have stopped: what is known better by now is told, and those that can go on do.
    pub(super) fn look_at_stopped(&mut self) -> Result<(), Trouble> {
        let stopped: Vec<Relation> = self
            .relations
            .iter()
            .filter(|r| is_of_interest(r))
            .cloned()
            .collect();
        if stopped.is_empty() {
            return Ok(());
        }
        let mut source = catalog::tables(&mut self.session.source)?;
        catalog::forget_keys(&mut source, &relation::keyless(&self.relations));
        let target = catalog::tables(&mut self.session.target)?;
        for relation in &stopped {
            match self.second_look(relation, &source, &target) {
                Look::Mended => self.go_on(relation)?,
                Look::Differs(failure) => self.tell(relation, &failure)?,
                Look::Nothing => {}
            }
        }
        Ok(())
    }

    fn second_look(&self, relation: &Relation, source: &[Table], target: &[Table]) -> Look {
        let failure = self.difference(relation, source, target);
        let sqlstate = relation.sqlstate.as_deref().unwrap_or_default();
        if sqlstate == DRIFT || failure.is_some() {
            return match failure {
                Some(_) if sqlstate.starts_with("23") && sqlstate != "23502" => Look::Nothing,
                Some(failure) => Look::Differs(failure),
                None => Look::Mended,
            };
        }
        let slight = slight(relation.oid, sqlstate, source, target);
        match (sqlstate, told(&slight)) {
            (MISFIT, None) => Look::Mended,
            ("23502", Some(told)) => Look::Differs(self.misfit(relation, told)),
            (state, Some(told)) if state.starts_with("22") => {
                Look::Differs(self.misfit(relation, told))
            }
            _ => Look::Nothing,
        }
    }

    /// A row that was refused because the columns differ.
    fn misfit(&self, relation: &Relation, (messages, fixes): (String, String)) -> Failure {
        let name = literal(&self.session.subscription.name);
        let error = relation.error.as_deref().unwrap_or_default();
        let hint = relation.hint.as_deref().unwrap_or_default();
        Failure::new(MISFIT, format!("{messages}: {error}")).hint(format!(
            "On the target: {fixes} Then SELECT repl_resume({name}), or wait: it goes on by itself. {hint}"
        ))
    }

    fn go_on(&self, relation: &Relation) -> Result<(), Failure> {
        let id = self.id();
        xact::run(|| {
            if relation::forgive_one(id, relation.oid) {
                subscription::go_back_for_tables(id);
                let name = &self.session.subscription.name;
                let message = "matches on both sides again, goes on";
                event::record(Severity::Info, name, &relation.shown(), message, None);
            }
            Ok(())
        })
    }

    /// Told once.
    fn tell(&self, relation: &Relation, failure: &Failure) -> Result<(), Failure> {
        let known = relation.sqlstate.as_deref() == Some(failure.sqlstate.as_str())
            && relation.hint == failure.hint;
        if known {
            return Ok(());
        }
        let id = self.id();
        xact::run(|| {
            relation::quarantine(id, relation.oid, failure);
            event::record_failure(&self.session.subscription.name, &relation.shown(), failure);
            Ok(())
        })
    }

    /// Capture follows the table's key. Columns with another name are read by it at once, for meanwhile the application's writes
    /// fail. After another key the deltas that wait lead nowhere: the table is copied anew.
    pub(super) fn follow_keys(&mut self) -> Result<(), Trouble> {
        let id = self.id();
        let keyed = self.relations.iter().filter(|r| r.has_captured_key());
        let captured: Vec<Relation> = keyed.cloned().collect();
        let tables: Vec<&Table> = captured
            .iter()
            .filter_map(|r| self.source.table(r.oid).ok())
            .collect();
        let session = &mut *self.session;
        let changes = capture::key_changes(&mut session.source, &session.names, &tables)?;
        for (oid, change) in changes {
            let relation = captured.iter().find(|r| r.oid == oid);
            let relation = relation.expect("only these were asked for");
            // a change that came between our looking at the tables and at their capture is no difference between them
            self.source.refuse_changed(&mut session.source, &[oid])?;
            let message = match change {
                KeyChange::Renamed(columns) => {
                    let source = &mut session.source;
                    let renamed = source
                        .batch(&format!("begin; {}", fence::alone(&session.names)))
                        .and_then(|()| capture::renaming(source, &session.names, oid, &columns))
                        .and_then(|sql| source.batch(&format!("{sql} commit")));
                    if let Err(failure) = renamed {
                        source.rollback();
                        return Err(failure.into());
                    }
                    "its key's columns have other names on the source: capture follows"
                }
                // missed changes are not made good by trying again, nor a stopped table's deltas by a key it may lose again
                KeyChange::Other if relation.state == State::Errored => continue,
                KeyChange::Other => {
                    xact::run(|| {
                        relation::copy_again(id, oid);
                        subscription::go_back_for_tables(id);
                        Ok(())
                    })?;
                    "has another key on the source: it is copied anew"
                }
            };
            let name = &session.subscription.name;
            xact::run(|| {
                event::record(Severity::Warning, name, &relation.shown(), message, None);
                Ok(())
            })?;
        }
        self.relations = xact::run(|| Ok(relation::of(id)))?;
        Ok(())
    }

    /// Tables are called here what they are called on both sides.
    pub(super) fn follow_names(&mut self) -> Result<(), Trouble> {
        let id = self.id();
        let renamed: Vec<(&Relation, &Table)> = self
            .relations
            .iter()
            .filter_map(|r| Some((r, self.source.table(r.oid).ok()?)))
            .filter(|(r, t)| r.schema != t.schema || r.name != t.name)
            .filter(|(_, t)| counterpart(t, &self.target).is_some())
            .collect();
        if renamed.is_empty() {
            return Ok(());
        }
        let name = &self.session.subscription.name;
        xact::run(|| {
            for (relation, table) in &renamed {
                relation::rename(id, relation.oid, &table.schema, &table.name);
                let message = format!("is called {} now", table.shown());
                event::record(Severity::Info, name, &relation.shown(), &message, None);
            }
            Ok(())
        })?;
        self.relations = xact::run(|| Ok(relation::of(id)))?;
        Ok(())
    }
}

/// What a second look at a stopped table shows.
enum Look {
    Nothing,
    Differs(Failure),
    Mended,
}

/// Changes that were missed need another copy, and what is off for a copy that has begun is no difference.
fn is_of_interest(relation: &Relation) -> bool {
    relation.state == State::Errored
        && relation.sqlstate.as_deref() != Some(MISSED)
        && match relation.errored_from {
            // before its capture, repl_resume has more to do: it imports what is missing
            Some(State::Catchup | State::Ready) => true,
            Some(State::Copying) => !relation.planned && !relation.deferred,
            _ => false,
        }
}

pub(super) fn counterpart<'a>(source: &Table, target: &'a [Table]) -> Option<&'a Table> {
    target
        .iter()
        .find(|t| t.schema == source.schema && t.name == source.name)
}

/// Differences that only some rows do not get past, and that may be why a row did not.
fn slight(oid: u32, sqlstate: &str, source: &[Table], target: &[Table]) -> Vec<Difference> {
    let Some(source) = source.iter().find(|t| t.oid == oid) else {
        return Vec::new();
    };
    let Some(target) = counterpart(source, target) else {
        return Vec::new();
    };
    let mut found = drift::compare(source, target);
    found.retain(|d| match sqlstate {
        "23502" => d.strict,
        _ if sqlstate.starts_with("22") => !d.strict,
        _ => true,
    });
    found
}

/// All messages and all statements; `None` without any.
fn told(found: &[Difference]) -> Option<(String, String)> {
    if found.is_empty() {
        return None;
    }
    let messages: Vec<&str> = found.iter().map(|d| d.message.as_str()).collect();
    let fixes: Vec<&str> = found.iter().map(|d| d.fix.as_str()).collect();
    Some((messages.join("; "), fixes.join(" ")))
}
