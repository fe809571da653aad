//! What `repl_verify` says.

use crate::load::Running;
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

/// # Panics
/// When a table is not known to be different, or by something else.
pub fn different(line: &Line, differing: &str) {
    assert_eq!(
        (line.equal.as_str(), line.differing.as_str()),
        ("f", differing),
        "{line:?}"
    );
}

/// 120,000 rows of `item` are three ranges; the load changes those from 1000 on and all of `part`, which is small.
pub fn loaded() -> (Pair, Running) {
    let pair = Pair::start();
    pair.source.app(
        "create table item (id int primary key, n int not null default 0, pad text); \
         create table part (a int, b text, n int not null default 0, primary key (a, b)); \
         create table hot (id int primary key, n int not null)",
    );
    pair.source.app(
        "insert into item select i, 0, repeat(md5(i::text), 2) from generate_series(1, 120000) as i; \
         insert into part select i % 10, 'part ' || i, 0 from generate_series(1, 2000) as i; \
         insert into hot values (1, 0); analyze",
    );
    pair.stream("");
    let load = pair
        .source
        .pgbench()
        .script("\\set id random(1000, 120000)\nupdate item set n = n + 1 where id between :id and :id + 20;\n")
        .script("\\set id random(1000, 200000)\nbegin;\ndelete from item where id = :id;\ninsert into item values (:id, 7, 'again') on conflict do nothing;\nend;\n")
        .script("\\set id random(1, 2000)\nupdate part set n = n + 1 where b = 'part ' || :id;\n")
        .script("update hot set n = n + 1;\n")
        .clients(2)
        .rate(200)
        .start();
    pair.poll("SELECT bool_and(updated > 10) FROM repl_tables");
    (pair, load)
}
