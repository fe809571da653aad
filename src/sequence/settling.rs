//! The last step before the writers go over: sets every sequence of the target to where the source's is.

use super::line::{self, Line};
use super::position::{Plan, Position, settled};
use super::problem::REMARK;
use crate::failure::Failure;
use crate::libpq::Connection;
use crate::selection::Choice;

/// One sequence, and what has become of it.
#[derive(Debug)]
pub struct Settled {
    /// `schema.name`
    pub sequence: String,
    /// `None`: it could not be read
    pub source: Option<Position>,
    /// `None`: missing on the target, or not readable there
    pub before: Option<Position>,
    pub after: Option<Position>,
    /// SQLSTATE, message, hint
    pub problem: Option<Failure>,
}

impl Settled {
    /// Its problem is one: the target's sequence may hand out values that are there already.
    pub fn has_failed(&self) -> bool {
        self.problem.as_ref().is_some_and(|p| p.sqlstate != REMARK)
    }
}

/// Sets them while nobody writes on the source: exactly (`last_value` and `is_called`), past the furthest value of the owning
/// column if that is further, never backwards in their direction; those that cycle exactly and nothing else. `taken`: oids of
/// the subscription's tables on the source. Takes a handful of round trips, whatever the number of sequences.
///
/// What is wrong with one sequence is in its line. Errors: a connection is lost, a catalog cannot be read.
pub fn settle(
    source: &mut Connection,
    target: &mut Connection,
    choice: &Choice,
    taken: &[u32],
) -> Result<Vec<Settled>, Failure> {
    let mut lines = line::pair(source, target, choice, taken)?;
    let looks = line::look(source, &mut lines)?;
    line::read_extremes(target, &mut lines)?;
    let plan = |(line, position): (&Line, Option<Position>)| -> Option<Plan> {
        let ours = &line.target.as_ref()?.definition;
        Some(settled(
            position?,
            &line.source.definition,
            ours,
            line.extreme,
        ))
    };
    let positions: Vec<Option<Position>> =
        looks.iter().map(|l| Some(l.as_ref()?.position)).collect();
    let plans: Vec<Option<Plan>> = lines
        .iter()
        .zip(positions.iter().copied())
        .map(plan)
        .collect();
    line::carry_out(target, &mut lines, &plans)?;
    line::remark_unmeasured(&mut lines);
    let settled = |(line, source): (Line, Option<Position>)| Settled {
        sequence: line.source.shown(),
        source,
        before: line.before,
        after: line.after,
        problem: line.problem,
    };
    Ok(lines.into_iter().zip(positions).map(settled).collect())
}
