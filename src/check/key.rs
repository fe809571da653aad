//! Which tables have no key, what that costs, and how to give them one.

use super::finding::Findings;
use super::scope::{Scope, subject};
use super::side::Side;
use super::wording;
use crate::replay::multiset;
use crate::table::{Kind, Table};

/// Below this a table is read in a moment.
const LARGE: i64 = 100 << 20;

pub fn check(scope: &Scope, source: &Side, findings: &mut Findings) {
    let keyless: Vec<&Table> = scope.taken.iter().filter(|t| t.key.is_empty()).collect();
    for table in keyless.iter().filter(|t| t.bytes >= LARGE) {
        findings.warning(
            subject(table),
            format!(
                "no key, {}: it is copied in one piece from one snapshot, and each batch with updated or deleted rows of it reads \
                 the whole table on the target, unless an index finds them (adding a column rewrites the table, and blocks it \
                 meanwhile)",
                wording::bytes(table.bytes),
            ),
            source.sql(new_key(table)),
        );
    }
    for table in &keyless {
        if let Err(failure) = multiset::refuse_other_order(table, &scope.tables) {
            let fix = format!("{}\n-- or leave it out with exclude", new_key(table));
            findings.error("0A000", subject(table), failure.message, source.sql(fix));
        }
    }
    if keyless.is_empty() && !scope.taken.is_empty() {
        findings.ok("keys", "every table has one");
    } else if !keyless.is_empty() {
        let names: Vec<String> = keyless.iter().map(|t| t.shown()).collect();
        findings.ok(
            "keys",
            format!(
                "none, rows are matched by all their columns: {}",
                wording::names(&names)
            ),
        );
    }
    let deferrable = scope.named(|t| t.deferrable_key);
    if !deferrable.is_empty() {
        findings.warning(
            "keys",
            format!(
                "deferrable, which makes replay slower: {}",
                wording::names(&deferrable)
            ),
            None,
        );
    }
}

fn new_key(table: &Table) -> String {
    let name = table.qualified();
    if table.kind == Kind::Partitioned {
        return format!(
            "ALTER TABLE {name} ADD PRIMARY KEY (...); -- its columns must include those it is partitioned by"
        );
    }
    if table.column("id").is_some() {
        return format!(
            "ALTER TABLE {name} ADD PRIMARY KEY (id); -- if id is unique, else ADD COLUMN key_id bigserial PRIMARY KEY"
        );
    }
    format!(
        "ALTER TABLE {name} ADD COLUMN id bigserial PRIMARY KEY; -- or ADD PRIMARY KEY (columns that are unique)"
    )
}
