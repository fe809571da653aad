//! What `repl_verify` says.

use crate::migration::NAME;
use crate::pair::{Pair, TARGET_DATABASE};

/// One row of its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub table: String,
    /// `t`, `f`, or empty where it is not known
    pub equal: String,
    pub differing: String,
    pub source_rows: String,
    pub target_rows: String,
    pub how: String,
    pub note: String,
}

impl Pair {
    /// `repl_verify('heroku')` with further arguments such as `mode => 'count'`.
    pub fn verify(&self, more: &str) -> Vec<Line> {
        let comma = if more.is_empty() { "" } else { ", " };
        let sql = format!(
            "SELECT \"table\", equal, differing, source_rows, target_rows, how, note FROM repl_verify('{NAME}'{comma}{more})"
        );
        let rows = self.target.rows(TARGET_DATABASE, &sql);
        rows.into_iter()
            .map(|row| {
                let [table, equal, differing, source_rows, target_rows, how, note] =
                    row.try_into().expect("seven columns");
                Line {
                    table,
                    equal,
                    differing,
                    source_rows,
                    target_rows,
                    how,
                    note,
                }
            })
            .collect()
    }

    /// The line of one table.
    pub fn verify_table(&self, table: &str, more: &str) -> Line {
        let comma = if more.is_empty() { "" } else { ", " };
        let mut lines = self.verify(&format!("tables => array['{table}']{comma}{more}"));
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines.remove(0)
    }
}

/// # Panics
/// When a table is not known to be equal.
pub fn assert_equal(lines: &[Line]) {
    assert!(!lines.is_empty(), "something was verified");
    let others: Vec<&Line> = lines.iter().filter(|line| line.equal != "t").collect();
    assert!(others.is_empty(), "{others:#?}");
}
