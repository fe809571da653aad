//! How a table on the target differs from the one on the source. Pure; who looks, and when, is elsewhere.

use crate::quote;
use crate::table::{Kind, Table};

/// A difference, and the SQL for the target that removes it.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    /// replay cannot work with it
    pub fatal: bool,
    pub message: String,
    pub fix: String,
}

fn fatal(message: String, fix: String) -> Difference {
    Difference {
        fatal: true,
        message,
        fix,
    }
}

/// All differences that matter to copy and replay. Column order does not; extra columns of the target keep their defaults.
pub fn compare(source: &Table, target: &Table) -> Vec<Difference> {
    let mut found = Vec::new();
    let table = source.qualified();
    for column in source.stored() {
        let name = quote::ident(&column.name);
        match target.column(&column.name) {
            None => found.push(fatal(
                format!("column {name} is missing on the target"),
                format!(
                    "ALTER TABLE {table} ADD COLUMN {name} {};",
                    column.type_name
                ),
            )),
            Some(other) if other.generated => found.push(fatal(
                format!("column {name} is generated on the target but stored on the source"),
                format!("ALTER TABLE {table} ALTER COLUMN {name} DROP EXPRESSION;"),
            )),
            Some(other) if other.type_name != column.type_name => found.push(Difference {
                fatal: false,
                message: format!(
                    "column {name} is {} on the source and {} on the target",
                    column.type_name, other.type_name
                ),
                fix: format!(
                    "ALTER TABLE {table} ALTER COLUMN {name} TYPE {};",
                    column.type_name
                ),
            }),
            Some(_) => {}
        }
    }
    for column in &target.columns {
        let absent = source.column(&column.name).is_none();
        if absent && column.not_null && !column.has_default && !column.generated {
            let name = quote::ident(&column.name);
            found.push(fatal(
                format!("column {name} of the target is NOT NULL without a default and not on the source"),
                format!("ALTER TABLE {table} ALTER COLUMN {name} DROP NOT NULL;"),
            ));
        }
    }
    if !same_key(source, target) && !source.key.is_empty() {
        let columns: Vec<String> = source.key.iter().map(|k| quote::ident(&k.name)).collect();
        found.push(fatal(
            format!(
                "the target has no primary key or unique index on ({})",
                columns.join(", ")
            ),
            format!(
                "ALTER TABLE {table} ADD PRIMARY KEY ({});",
                columns.join(", ")
            ),
        ));
    }
    if target.kind == Kind::Foreign {
        found.push(fatal(
            "it is a foreign table on the target".into(),
            format!("DROP FOREIGN TABLE {table};"),
        ));
    }
    found
}

/// Whether the target's key has the same columns, in whatever order.
pub fn same_key(source: &Table, target: &Table) -> bool {
    let sorted = |t: &Table| {
        let mut names: Vec<String> = t.key.iter().map(|k| k.name.clone()).collect();
        names.sort();
        names
    };
    sorted(source) == sorted(target)
}
