//! Replay of tables without a key. Their deltas are whole rows, +1 or -1; what a batch takes of them is summed up per row, and the
//! target's table gets so many copies more or less. Rows are compared by their text, column by column: not every type has an
//! equality, and what is equal need not be the same (1.0 and 1.00).
//!
//! Unlike a key, a row must not be replayed twice. A batch takes every delta that its snapshot shows, and that snapshot is noted
//! on the target in the batch's transaction: should the source's half of it be lost, [`settle`] deletes there what the snapshot
//! saw before anything else is taken. Who is far behind has its deltas only read, and deleted after the target's commit (`ahead.rs`).

mod mark;
mod statement;

pub use mark::{Mark, is_laid_out_alike, settle};
pub use statement::{Multiset, indexed, refuse_other_order};

use super::part::Part;
use super::statement::Plan;
use crate::failure::Failure;
use crate::libpq::{Connection, Flow, pump};
use crate::relation::Counts;
use crate::retry::DIFFERS;
use crate::row::Row;

/// Takes and merges everything that the batch's snapshot shows of one table, which `parts` is. `truncated`: members that were truncated, and where
/// in the order of deltas.
pub fn replay(
    source: &mut Connection,
    target: &mut Connection,
    plan: &Plan,
    multiset: &Multiset,
    parts: &[Part],
    truncated: &[(u32, i64)],
    counts: &mut Counts,
) -> Result<Flow, Failure> {
    if parts.is_empty() {
        return Ok(Flow::default());
    }
    if let Some(unknown) = multiset.unknown(parts) {
        refuse_unknown(&source.query(&unknown, &[])?, plan)?;
    }
    target.batch(&multiset.create)?;
    source.copy_out(&fetch(plan, parts, truncated))?;
    let flow = pump(source, target, &multiset.fill, |_| Ok(()))?;
    source.list_done()?;
    if flow.rows > 0 {
        counts.deleted = take_away(target, plan, multiset)?;
        counts.inserted = target.execute(&multiset.insert, &[])?;
    }
    Ok(flow)
}

/// Deletes the staged rows that went; how many. Those that came are to be inserted afterwards.
pub fn take_away(
    target: &mut Connection,
    plan: &Plan,
    multiset: &Multiset,
) -> Result<u64, Failure> {
    let gone = format!(
        "select coalesce(-sum(n), 0) as copies, count(*) as rows from {} where n < 0",
        multiset.stage
    );
    let gone = &target.query(&gone, &[])?[0];
    let copies = unsigned(gone.int("copies"));
    if copies == 0 {
        return Ok(0);
    }
    let deleted = delete(target, multiset, gone.int("rows"))?;
    if deleted != copies {
        return Err(differs(plan, copies - deleted));
    }
    Ok(deleted)
}

/// What the query of [`Multiset::unknown`] found. Errors: 40001.
pub fn refuse_unknown(rows: &[Row], plan: &Plan) -> Result<(), Failure> {
    if rows.iter().all(|row| !row.flag("unknown")) {
        return Ok(());
    }
    Err(Failure::new(
        "40001",
        format!("{} has got or lost a partition on the source", plan.shown),
    )
    .hint("Looked at again by itself."))
}

/// The COPY that reads all deltas and leaves them where they are.
pub fn read(parts: &[Part]) -> String {
    let all: Vec<String> = parts
        .iter()
        .map(|part| format!("select sign, image from {}", part.segment))
        .collect();
    net("", &all.join(" union all "), "")
}

/// The COPY of what deltas come to. `with`: what they are taken by, if they are; `kept`: which of them count.
fn net(with: &str, deltas: &str, kept: &str) -> String {
    format!(
        "copy ({with} select sum(sign), image from ({deltas}) taken {kept} group by image having sum(sign) <> 0) to stdout"
    )
}

/// The COPY that takes all deltas, but for those of rows that a TRUNCATE did away with, and what they come to.
fn fetch(plan: &Plan, parts: &[Part], truncated: &[(u32, i64)]) -> String {
    let kept: Vec<String> = truncated
        .iter()
        .map(|(member, position)| {
            if *member == plan.oid {
                format!("position > {position}")
            } else {
                format!("(member <> {member} or position > {position})")
            }
        })
        .collect();
    let kept = match kept.as_slice() {
        [] => String::new(),
        kept => format!("where {}", kept.join(" and ")),
    };
    let taken: Vec<String> = parts
        .iter()
        .enumerate()
        .map(|(at, part)| {
            format!(
                "taken{at} as ({})",
                part.take("member, position, sign, image")
            )
        })
        .collect();
    let all: Vec<String> = (0..parts.len())
        .map(|at| format!("select * from taken{at}"))
        .collect();
    net(
        &format!("with {}", taken.join(", ")),
        &all.join(" union all "),
        &kept,
    )
}

/// Deletes the rows that went, `rows` different ones; how many there were.
fn delete(target: &mut Connection, multiset: &Multiset, rows: i64) -> Result<u64, Failure> {
    let (before, after) = &multiset.find;
    let find = format!("{before}{rows}{after}");
    if multiset.scans {
        // so that the text of each of the table's rows is made once
        target.batch(&format!(
            "set local enable_nestloop = off; {find}; reset enable_nestloop"
        ))?;
    } else {
        target.batch(&find)?;
    }
    let members = target.query(
        &format!(
            "select distinct member::int8 as oid, member::regclass::text as name from {}",
            multiset.found
        ),
        &[],
    )?;
    let mut deleted = 0;
    for member in &members {
        let sql = format!(
            "delete from only {} where ctid = any (array(select f.at from {} f where f.member = {}))",
            member.text("name"),
            multiset.found,
            member.oid("oid")
        );
        deleted += target
            .execute(&sql, &[])
            .map_err(|failure| published(failure, member.text("name")))?;
    }
    Ok(deleted)
}

/// 55000: the target publishes deletes of a table that has no replica identity.
fn published(failure: Failure, member: &str) -> Failure {
    if failure.sqlstate != "55000" {
        return failure;
    }
    let mut failure = failure;
    failure.sqlstate = "0A000".to_owned();
    failure.hint(format!(
        "On the target: ALTER TABLE {member} REPLICA IDENTITY FULL;"
    ))
}

fn differs(plan: &Plan, missing: u64) -> Failure {
    Failure::new(
        DIFFERS,
        format!("{missing} rows that were changed or deleted on the source are not in the target's {}", plan.shown),
    )
    .detail("The table has no key, and the target's has other rows than the source's had. Nothing of this batch was applied.")
}

fn unsigned(n: i64) -> u64 {
    u64::try_from(n).expect("a count is not negative")
}
