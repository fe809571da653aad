//! The sequences of a subscription on both sides, one line each; what settling and forwarding have in common.

use std::collections::HashMap;

use super::each::{Purpose, each};
use super::forecast::Look;
use super::listing::{self, OwningColumn, Sequence};
use super::position::{Plan, Position};
use super::problem;
use super::setting::{Setting, set};
use crate::failure::{Failure, Origin};
use crate::libpq::Connection;
use crate::selection::Choice;

/// One sequence of the source, and what has become of it.
pub struct Line {
    pub source: Sequence,
    pub target: Option<Sequence>,
    column: Option<OwningColumn>,
    /// the furthest value of the owning column
    pub extreme: Option<i64>,
    pub before: Option<Position>,
    pub after: Option<Position>,
    /// first come, first kept
    pub problem: Option<Failure>,
}

impl Line {
    /// Nothing is known to be in the way.
    pub fn goes_on(&self) -> bool {
        self.problem.is_none()
    }
}

/// The sequences that a choice of tables brings with it. What one of them lacks is its problem.
pub fn pair(
    source: &mut Connection,
    target: &mut Connection,
    choice: &Choice,
    taken: &[u32],
) -> Result<Vec<Line>, Failure> {
    let roles = (role(source)?, role(target)?);
    let mut theirs = listing::listed(source)?;
    theirs.retain(|s| s.is_followed(choice, |oid| taken.contains(&oid)));
    let mut ours: HashMap<(String, String), Sequence> = listing::listed(target)?
        .into_iter()
        .map(|s| ((s.schema.clone(), s.name.clone()), s))
        .collect();
    let mut columns = listing::owning_columns(target)?;
    let line = |source: Sequence| {
        let target = ours.remove(&(source.schema.clone(), source.name.clone()));
        Line {
            problem: lacks(&source, target.as_ref(), &roles),
            column: target.as_ref().and_then(|t| columns.remove(&t.oid)),
            source,
            target,
            extreme: None,
            before: None,
            after: None,
        }
    };
    let mut lines: Vec<Line> = theirs.into_iter().map(line).collect();
    read_before(target, &mut lines)?;
    Ok(lines)
}

fn role(connection: &mut Connection) -> Result<String, Failure> {
    Ok(connection.query("select current_user as name", &[])?[0].string("name"))
}

fn lacks(
    source: &Sequence,
    target: Option<&Sequence>,
    roles: &(String, String),
) -> Option<Failure> {
    let Some(target) = target else {
        return Some(problem::missing(source));
    };
    if !source.readable {
        return Some(problem::forbidden(
            source,
            "SELECT",
            &roles.0,
            Origin::Source,
        ));
    }
    (!(target.readable && target.settable))
        .then(|| problem::forbidden(target, "SELECT, UPDATE", &roles.1, Origin::Target))
}

/// Where the target's are now; also of those that cannot be set.
fn read_before(target: &mut Connection, lines: &mut [Line]) -> Result<(), Failure> {
    let there = |line: &&mut Line| line.target.as_ref().is_some_and(|t| t.readable);
    let mut lines: Vec<&mut Line> = lines.iter_mut().filter(there).collect();
    let sequences: Vec<&Sequence> = lines.iter().filter_map(|l| l.target.as_ref()).collect();
    let looks = listing::positions(target, &sequences)?;
    for (line, look) in lines.iter_mut().zip(looks) {
        match look {
            Ok(look) => {
                line.before = Some(look.position);
                line.after = line.before;
            }
            Err(failure) => line.problem = line.problem.take().or(Some(failure)),
        }
    }
    Ok(())
}

/// Where the source's are; `None` for those that have a problem.
pub fn look(source: &mut Connection, lines: &mut [Line]) -> Result<Vec<Option<Look>>, Failure> {
    let going: Vec<&Sequence> = lines
        .iter()
        .filter(|l| l.goes_on())
        .map(|l| &l.source)
        .collect();
    let mut looks = listing::positions(source, &going)?.into_iter();
    let mut look = |line: &mut Line| {
        if !line.goes_on() {
            return None;
        }
        let look = looks.next().expect("one for each that goes on");
        look.map_err(|failure| line.problem = Some(failure)).ok()
    };
    Ok(lines.iter_mut().map(&mut look).collect())
}

/// The furthest value that each owning column has, where that is known at once.
pub fn read_extremes(target: &mut Connection, lines: &mut [Line]) -> Result<(), Failure> {
    let mut lines: Vec<&mut Line> = lines
        .iter_mut()
        .filter(|l| l.goes_on() && l.column.as_ref().is_some_and(|c| c.measurable))
        .collect();
    let queries: Vec<String> = lines
        .iter()
        .filter_map(|l| Some((l.column.as_ref()?, l.target.as_ref()?)))
        .map(|(column, sequence)| {
            let furthest = if sequence.definition.is_ascending() {
                "max"
            } else {
                "min"
            };
            format!(
                "{furthest}({})::int8 as extreme from {}",
                column.column, column.table
            )
        })
        .collect();
    let rows = each(target, &queries, Purpose::Read, &String::clone)?;
    for (line, row) in lines.iter_mut().zip(rows) {
        match row {
            Ok(row) => line.extreme = row.opt_int("extreme"),
            // then it is not known; that it could not be read is told with the line
            Err(_) => line.column.as_mut().expect("filtered above").measurable = false,
        }
    }
    Ok(())
}

/// Sets what the plans, one for each line, say.
pub fn carry_out(
    target: &mut Connection,
    lines: &mut [Line],
    plans: &[Option<Plan>],
) -> Result<(), Failure> {
    let mut going = Vec::new();
    let mut settings = Vec::new();
    for (line, plan) in lines.iter_mut().zip(plans) {
        let (Some(plan), Some(sequence)) = (plan, &line.target) else {
            continue;
        };
        line.problem = plan
            .obstacle
            .map(|obstacle| problem::hindered(obstacle, sequence));
        if let Some(goal) = &plan.goal {
            settings.push(Setting {
                name: sequence.qualified(),
                increment: sequence.definition.increment,
                goal,
            });
            going.push(line);
        }
    }
    let outcomes = set(target, &settings)?;
    for (line, outcome) in going.into_iter().zip(outcomes) {
        match outcome {
            Ok(position) => line.after = Some(position),
            Err(failure) => line.problem = Some(failure),
        }
    }
    Ok(())
}

/// A remark on lines whose owning column was not looked at.
pub fn remark_unmeasured(lines: &mut [Line]) {
    for line in lines.iter_mut().filter(|l| l.goes_on()) {
        if let Some(column) = line.column.as_ref().filter(|c| !c.measurable) {
            line.problem = Some(problem::unmeasured(&column.table, &column.column));
        }
    }
}
