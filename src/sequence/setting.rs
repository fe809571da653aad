//! Sets sequences of the target.

use super::each::{Purpose, each};
use super::listing::position;
use super::position::{Goal, Position};
use crate::failure::Failure;
use crate::libpq::Connection;
use crate::quote;

/// One sequence of the target and where it is to be.
pub struct Setting<'a> {
    /// quoted and qualified
    pub name: String,
    pub increment: i64,
    pub goal: &'a Goal,
}

/// Sets them, and never one of them backwards; where each of them is afterwards. Not transactional, like sequences
/// themselves.
pub fn set(
    target: &mut Connection,
    settings: &[Setting],
) -> Result<Vec<Result<Position, Failure>>, Failure> {
    let outcomes = each(target, settings, Purpose::Set, &statement)?;
    let after = |(outcome, setting): (Result<_, Failure>, &Setting)| {
        outcome.map(|row: crate::row::Row| match row.opt("set") {
            Some(_) => setting.goal.position,
            None => position(&row),
        })
    };
    Ok(outcomes.into_iter().zip(settings).map(after).collect())
}

/// What counts is the value handed out last: `last_value` if it has been called, else one step before it.
fn statement(setting: &Setting) -> String {
    let (name, step) = (&setting.name, setting.increment);
    let Position { last, called } = setting.goal.position;
    let moves = if setting.goal.exactly {
        format!("(t.last_value, t.is_called) is distinct from ('{last}'::int8, {called})")
    } else {
        format!(
            "'{}'::numeric {} t.last_value - case when t.is_called then 0 else '{step}'::numeric end",
            setting.goal.position.reached(step),
            if step > 0 { ">" } else { "<" },
        )
    };
    format!(
        "t.last_value, t.is_called, case when {moves} then setval({}::regclass, '{last}', {called}) end as set from {name} t",
        quote::literal(name)
    )
}
