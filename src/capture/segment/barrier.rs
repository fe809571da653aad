//! The barrier between two segments: who may still write to the older one.

use super::oids;
use crate::failure::Failure;
use crate::libpq::{Connection, Question};
use crate::quote;

/// The barrier: transactions that may still write to older segments of each of `tables`, by their virtual transaction. To be
/// asked after the commit that made the newest one.
pub fn writers(source: &mut Connection, tables: &[u32]) -> Result<Vec<(u32, String)>, Failure> {
    let rows = source.ask(&writers_question(tables))?;
    Ok(rows
        .iter()
        .map(|row| (row.oid("table"), row.string("transaction")))
        .collect())
}

/// What [`writers`] asks.
pub fn writers_question(tables: &[u32]) -> Question {
    let sql = include_str!("../../../sql/source/writers.sql");
    Question::bound(sql, &[&oids(tables)])
}

/// What of a barrier is still there.
#[derive(Debug, Default)]
pub struct Remaining {
    /// virtual transactions
    pub transactions: Vec<String>,
    /// segments with rows that are not committed
    pub segments: Vec<u32>,
}

/// One look at the locks, for all barriers together: each of `transactions` and of `segments` (oids) that is still held.
pub fn remaining(
    source: &mut Connection,
    transactions: &[String],
    segments: &[u32],
) -> Result<Remaining, Failure> {
    let rows = source.ask(&remaining_question(transactions, segments))?;
    let mut remaining = Remaining::default();
    for row in &rows {
        remaining
            .transactions
            .extend(row.opt("transaction").map(str::to_owned));
        if row.opt("segment").is_some() {
            remaining.segments.push(row.oid("segment"));
        }
    }
    Ok(remaining)
}

/// What [`remaining`] asks.
pub fn remaining_question(transactions: &[String], segments: &[u32]) -> Question {
    let sql = include_str!("../../../sql/source/barrier.sql");
    Question::bound(sql, &[&quote::array(transactions), &oids(segments)])
}
