//! One table: is the target's what the source's is?

use super::image;
use super::key::{Inquiry, Settled};
use super::outcome::Outcome;
use super::passage::{self, Passage};
use super::range::{self, MOST_SUSPECTS, Shapes, Walk};
use super::shape::{Depth, Shape};
use super::sides::Sides;
use crate::catalog::{self, Fingerprint};
use crate::drift;
use crate::failure::Failure;
use crate::pg::xact;
use crate::quote::literal;
use crate::relation::{self, Relation};
use crate::skipped;
use crate::subscription::Subscription;
use crate::table::{Column, Table};

/// A table that a subscription follows.
pub struct Followed<'a> {
    pub subscription: &'a Subscription,
    pub relation: &'a Relation,
    pub source: &'a Table,
    pub target: &'a Table,
}

impl Followed<'_> {
    /// Errors: those of the servers.
    pub fn verify(&self, sides: &mut Sides, depth: Depth) -> Result<Outcome, Failure> {
        if let Some(why) = not_followed(self.relation) {
            return Ok(Outcome::open(why));
        }
        let (shapes, key) = shapes(sides, self.source, self.target, depth)?;
        let walk = range::walk(sides, &shapes, self.relation.oid)?;
        let mut outcome = self.compare(sides, &shapes, walk)?;
        let names = || key.iter().map(String::as_str);
        outcome.left_out = xact::within(|| skipped::of(self.subscription.id))
            .iter()
            .filter(|s| s.oid == self.relation.oid && !key.is_empty())
            .filter_map(|s| skipped::values(&s.key, names()))
            .collect();
        outcome.key = key;
        self.judge_columns(&mut outcome, depth);
        self.refuse_moved(sides, &mut outcome)?;
        Ok(outcome)
    }

    /// What to type when too much differs.
    pub fn anew(&self) -> String {
        format!(
            "SELECT repl_resync({}, {}); copies the table anew",
            literal(&self.subscription.name),
            literal(&self.relation.shown())
        )
    }

    /// Looks into the ranges that differ, once replay has passed the moment they were read at.
    fn compare(&self, sides: &mut Sides, shapes: &Shapes, walk: Walk) -> Result<Outcome, Failure> {
        let mut outcome = Outcome {
            rows: Some(walk.rows),
            summing: Some(walk.summing),
            how: match (shapes.source.has_key(), walk.ranges) {
                (false, _) => "rows by content".to_owned(),
                (true, 1) => "1 range".to_owned(),
                (true, n) => format!("{n} ranges"),
            },
            ..Outcome::default()
        };
        if walk.unequal.is_empty() {
            outcome.equal = Some(true);
            return Ok(outcome);
        }
        let (id, oid) = (self.subscription.id, self.relation.oid);
        let again = walk.unequal.len();
        outcome.how = format!("{}, {again} of them looked at again", outcome.how);
        let passed = passage::wait(sides, id, oid, walk.moment, |_| Ok(()))?;
        if let Passage::Stuck(reason) = passed {
            outcome.note(format!(
                "{again} ranges differ and may have changes that are not replayed: {reason}"
            ));
            return Ok(outcome);
        }
        let mut suspects = Vec::new();
        let mut cut_short = false;
        let mut rows = walk.rows;
        for (range, before) in &walk.unequal {
            let inside = range::look_into(sides, shapes, range)?;
            rows.replace(*before, inside.rows);
            cut_short |= inside.cut_short;
            if suspects.len() < MOST_SUSPECTS {
                suspects.extend(inside.suspects);
            }
        }
        outcome.rows = Some(rows);
        if suspects.len() > MOST_SUSPECTS {
            suspects.truncate(MOST_SUSPECTS);
            cut_short = true;
        }
        if !suspects.is_empty() {
            outcome.how = format!("{}, {} keys one by one", outcome.how, suspects.len());
        }
        let inquiry = Inquiry {
            subscription: self.subscription,
            oid,
            shapes,
        };
        let settled = inquiry.settle(sides, suspects)?;
        if cut_short {
            outcome.note(format!(
                "more than {MOST_SUSPECTS} keys look different, no more were looked at; {}",
                self.anew()
            ));
        }
        conclude(&mut outcome, settled, cut_short);
        Ok(outcome)
    }

    /// Columns that only one side has are not compared: what the source has and the target lacks is a difference.
    fn judge_columns(&self, outcome: &mut Outcome, depth: Depth) {
        if depth == Depth::Presence {
            return;
        }
        let drift: Vec<String> = drift::compare(self.source, self.target)
            .into_iter()
            .filter(|d| d.fatal)
            .map(|d| d.message)
            .collect();
        if !drift.is_empty() {
            outcome.note(drift.join("; "));
        }
        let lacking = |c: &&Column| self.target.column(&c.name).is_none();
        if self.source.stored().any(|c| lacking(&c)) {
            outcome.equal = outcome.equal.map(|_| false);
        }
    }

    /// What was seen of a table that was emptied or stopped in the middle proves nothing. Nor does a difference while the
    /// source's table was changed in a way that fires no trigger: its keys are put into the deltas a little later.
    fn refuse_moved(&self, sides: &mut Sides, outcome: &mut Outcome) -> Result<(), Failure> {
        let oid = self.relation.oid;
        let now = xact::within(|| relation::by_oid(self.subscription.id, oid));
        let Some(now) = now else {
            outcome.reopen("the subscription no longer has it".into());
            return Ok(());
        };
        if let Some(why) = not_followed(&now) {
            outcome.reopen(why);
        } else if now.restarts != self.relation.restarts {
            outcome.reopen("it was copied anew meanwhile; call again".into());
        } else if outcome.equal == Some(false) {
            let print = catalog::fingerprints(&mut sides.source, &[oid])?.remove(&oid);
            let shape = |print: Option<Fingerprint>| print.map(|print| print.shape);
            let known = shape(self.relation.fingerprint.clone());
            if shape(now.fingerprint) != known || known.is_some() && shape(print) != known {
                outcome.reopen(
                    "it was altered on the source, and may not be delivered anew yet; call again"
                        .into(),
                );
            }
        }
        Ok(())
    }
}

/// A table on both sides, and the columns rows are told apart by: the source's key, if the target has them.
pub fn shapes(
    sides: &mut Sides,
    source: &Table,
    target: &Table,
    depth: Depth,
) -> Result<(Shapes, Vec<String>), Failure> {
    let mut key: Vec<String> = source.key.iter().map(|k| k.name.clone()).collect();
    if key.iter().any(|name| target.column(name).is_none()) {
        key.clear();
    }
    let columns: Vec<&Column> = key.iter().filter_map(|k| source.column(k)).collect();
    sides.set_digits(image::nested_digits(&columns, sides.servers))?;
    let shape = |one, other| Shape::new(one, other, &key, depth, sides.servers);
    let shapes = Shapes {
        source: shape(source, target),
        target: shape(target, source),
    };
    Ok((shapes, key))
}

/// Why its rows cannot be expected to be on the target, if that is so.
fn not_followed(relation: &Relation) -> Option<String> {
    match relation.state {
        relation::State::Init | relation::State::Copying | relation::State::Copied => {
            Some(format!(
                "it is not copied yet (state {}); call again when repl_wait(..., 'streaming') has returned",
                relation.state.as_str()
            ))
        }
        relation::State::Errored
            if !relation
                .errored_from
                .is_some_and(relation::State::is_replayed) =>
        {
            Some("it has stopped before it was copied; see repl_tables".into())
        }
        _ => None,
    }
}

fn conclude(outcome: &mut Outcome, settled: Settled, cut_short: bool) {
    outcome.equal = if !settled.different.is_empty() {
        Some(false)
    } else if settled.restless > 0 || settled.stuck.is_some() || cut_short {
        None
    } else {
        Some(true)
    };
    outcome.differing = settled.different;
    if let Some(reason) = settled.stuck {
        outcome.note(format!(
            "keys differ and may have changes that are not replayed: {reason}"
        ));
    }
    if settled.restless > 0 {
        outcome.note(format!(
            "{} keys changed at every look; all others are known. Call again when they change less often",
            settled.restless
        ));
    }
}
