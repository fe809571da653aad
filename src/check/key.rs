//! Does every table have a key, and what to do about those that have none.

use super::finding::Findings;
use super::scope::{Scope, subject};
use super::side::Side;
use super::wording;
use crate::quote;
use crate::selection::Choice;
use crate::table::{Kind, Table};

/// With more keyless tables than this the full exclude list is told once, not on each row.
const REPEATED: usize = 20;

pub fn check(scope: &Scope, source: &Side, choice: &Choice, findings: &mut Findings) {
    let keyless: Vec<&Table> = scope
        .obstacles
        .iter()
        .map(|(t, _)| t)
        .filter(|t| t.key.is_empty() && is_candidate(t))
        .collect();
    let list = exclude_list(choice, &keyless);
    for (at, table) in keyless.iter().enumerate() {
        let exclude = if at == 0 || keyless.len() <= REPEATED {
            list.as_str()
        } else {
            "(see the first of these rows)"
        };
        findings.error(
            "0A000",
            subject(table),
            format!(
                "no key: neither a primary key nor a unique index over NOT NULL columns (adding a column rewrites the table, \
                 {}, and blocks it meanwhile)",
                wording::bytes(table.bytes),
            ),
            source.sql(format!("{}\n-- or leave it out:\nexclude => {exclude}", new_key(table))),
        );
    }
    if keyless.is_empty() && !scope.taken.is_empty() {
        findings.ok("keys", "every table has one");
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

/// Foreign tables and lone partitions are not taken for other reasons.
fn is_candidate(table: &Table) -> bool {
    table.kind != Kind::Foreign && table.root.is_none()
}

/// What is excluded already, and all keyless tables.
fn exclude_list(choice: &Choice, keyless: &[&Table]) -> String {
    let patterns: Vec<String> = choice
        .excluded()
        .map(str::to_owned)
        .chain(keyless.iter().map(|t| t.shown()))
        .map(|pattern| quote::literal(&pattern).trim_start().to_owned())
        .collect();
    format!("array[{}]", patterns.join(", "))
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
