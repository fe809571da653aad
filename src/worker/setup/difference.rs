//! Tables that are missing on the target, or differ from the source's.

use crate::catalog;
use crate::drift;
use crate::failure::Failure;
use crate::pg::xact;
use crate::relation::{self, Relation};
use crate::table::Table;
use crate::worker::apply::Session;

pub fn tables_are_missing(session: &mut Session) -> Result<bool, Failure> {
    let relations = xact::run(|| Ok(relation::of(session.subscription.id)))?;
    let target = catalog::tables(&mut session.target)?;
    let missing = |r: &Relation| {
        !target
            .iter()
            .any(|t| t.schema == r.schema && t.name == r.name)
    };
    Ok(relations.iter().any(missing))
}

/// Nothing is captured or copied before every table is there and matches.
pub fn refuse_differences(
    session: &Session,
    relations: &[Relation],
    source: &[Table],
    target: &[Table],
) -> Result<(), Failure> {
    let mut problems = Vec::new();
    for relation in relations.iter().filter(|r| !r.is_captured()) {
        let of = |side: &[Table]| {
            side.iter()
                .find(|t| t.schema == relation.schema && t.name == relation.name)
                .cloned()
        };
        match (of(source), of(target)) {
            (None, _) => problems.push(format!("{} is gone from the source", relation.shown())),
            (_, None) => problems.push(format!("{} is missing on the target", relation.shown())),
            (Some(source), Some(target)) => {
                let fatal = drift::compare(&source, &target)
                    .into_iter()
                    .filter(|d| d.fatal);
                problems.extend(
                    fatal.map(|d| format!("{}: {} ({})", relation.shown(), d.message, d.fix)),
                );
            }
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(Failure::new("42P01", "tables are missing or differ on the target").detail(problems.join("; ")).hint(format!(
        "repl_events tells which statements of the schema import failed. Mend the tables on the target, then SELECT \
         repl_resume('{}'), or leave them out: repl_stop, then repl_start with exclude.",
        session.subscription.name
    )))
}
