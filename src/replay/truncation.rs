//! Truncations: the first thing a batch replays, always all that its snapshot shows, so that no row replayed before or
//! after one is lost to it.

use super::batch::Trouble;
use super::statement::Plan;
use crate::capture::Names;
use crate::failure::Failure;
use crate::libpq::Connection;
use crate::quote::{self, literal, qualified};
use crate::row::Row;

/// A table or partition to be emptied on the target.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Emptied {
    statement_name: String,
    table: u32,
    partition: bool,
}

/// What was truncated of a table.
pub struct Truncated {
    pub oid: u32,
    /// how often the whole of it
    pub times: u64,
    /// of a table without a key: it or its partitions, and after which deltas
    pub positions: Vec<(u32, i64)>,
}

/// What takes them on the source.
pub fn take(names: &Names, plans: &[Plan]) -> String {
    format!(
        "delete from {} where {} returning relation::int8 as oid, schema, name, \
         member::int8 as member, position",
        names.truncation(),
        concern(plans),
    )
}

/// What tells whether there is any.
pub fn look(names: &Names, plans: &[Plan]) -> String {
    format!(
        "select 1 from {} where {} limit 1",
        names.truncation(),
        concern(plans),
    )
}

fn concern(plans: &[Plan]) -> String {
    let oids: Vec<String> = plans.iter().map(|p| p.oid.to_string()).collect();
    format!("relation = any ({}::oid[])", literal(&quote::array(&oids)))
}

/// Replays what [`take`] returned: which tables.
pub fn replay(
    rows: &[Row],
    target: &mut Connection,
    plans: &[Plan],
) -> Result<Vec<Truncated>, Trouble> {
    let mut truncated: Vec<Truncated> = Vec::new();
    let mut emptied: Vec<Emptied> = Vec::new();
    for row in rows {
        let plan = plans
            .iter()
            .find(|p| p.oid == row.oid("oid"))
            .expect("only planned tables were asked for");
        let whole = row.text("schema") == plan.schema && row.text("name") == plan.name;
        if !truncated.iter().any(|t| t.oid == plan.oid) {
            truncated.push(Truncated {
                oid: plan.oid,
                times: 0,
                positions: Vec::new(),
            });
        }
        let known = truncated
            .iter_mut()
            .find(|t| t.oid == plan.oid)
            .expect("made just now");
        known.times += u64::from(whole);
        if let Some(position) = row.opt_int("position") {
            known.positions.push((row.oid("member"), position));
        }
        let statement_name = if whole {
            plan.target.clone()
        } else {
            qualified(row.text("schema"), row.text("name"))
        };
        emptied.push(Emptied {
            statement_name,
            table: plan.oid,
            partition: !whole,
        });
    }
    // TRUNCATE of a whole table notes its partitions too, which the target need not have
    let whole: Vec<u32> = emptied
        .iter()
        .filter(|e| !e.partition)
        .map(|e| e.table)
        .collect();
    emptied.retain(|e| !(e.partition && whole.contains(&e.table)));
    emptied.sort();
    emptied.dedup();
    empty(target, &emptied)?;
    Ok(truncated)
}

/// One TRUNCATE for all, so that foreign keys among them do not matter. Where the target refuses (another table refers to
/// one of them, a partition is not there), each is emptied by DELETE, and who fails is known.
fn empty(target: &mut Connection, emptied: &[Emptied]) -> Result<(), Trouble> {
    if emptied.is_empty() {
        return Ok(());
    }
    let list: Vec<&str> = emptied.iter().map(|e| e.statement_name.as_str()).collect();
    target.batch("savepoint truncation")?;
    match target.batch(&format!("truncate {}", list.join(", "))) {
        Ok(()) => {
            target.batch("release savepoint truncation")?;
            Ok(())
        }
        Err(failure)
            if failure.sqlstate.starts_with("0A") || failure.sqlstate.starts_with("42") =>
        {
            target.batch("rollback to savepoint truncation")?;
            for one in emptied {
                target
                    .batch(&format!("delete from {}", one.statement_name))
                    .map_err(|failure| Trouble {
                        failure: explained(failure, one),
                        table: Some(one.table),
                    })?;
            }
            Ok(())
        }
        Err(failure) => Err(failure.during("replaying TRUNCATE").into()),
    }
}

fn explained(failure: Failure, one: &Emptied) -> Failure {
    let failure = failure.during(format_args!("emptying {}", one.statement_name));
    if failure.sqlstate != "42P01" || !one.partition {
        return failure;
    }
    failure.hint(format!(
        "The partition {} is or was on the source: make it on the target too, as it is there (and drop it again, if it is \
         gone there, after the next batch); then SELECT repl_resume().",
        one.statement_name
    ))
}
