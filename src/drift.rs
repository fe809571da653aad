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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Column;

    fn column(name: &str, type_name: &str) -> Column {
        Column {
            name: name.into(),
            type_name: type_name.into(),
            base_type: type_name.into(),
            not_null: false,
            has_default: false,
            generated: false,
            identity_always: false,
        }
    }

    fn table(columns: Vec<Column>) -> Table {
        Table {
            columns,
            ..Table::sample()
        }
    }

    #[test]
    fn order_and_extra_columns_do_not_matter() {
        let source = table(vec![column("id", "integer"), column("a", "text")]);
        let target = table(vec![
            column("a", "text"),
            column("more", "text"),
            column("id", "integer"),
        ]);
        assert_eq!(compare(&source, &target), []);
    }

    #[test]
    fn a_missing_column_comes_with_the_sql_that_adds_it() {
        let source = table(vec![column("id", "integer"), column("New One", "text")]);
        let target = table(vec![column("id", "integer")]);
        let found = compare(&source, &target);
        assert!(found[0].fatal);
        assert_eq!(
            found[0].fix,
            "ALTER TABLE \"public\".\"t\" ADD COLUMN \"New One\" text;"
        );
    }

    #[test]
    fn what_replay_cannot_fill_is_fatal_and_another_type_is_not() {
        let source = table(vec![column("id", "integer")]);
        let mut strict = column("strict", "text");
        strict.not_null = true;
        let target = table(vec![column("id", "bigint"), strict]);
        let fatal: Vec<bool> = compare(&source, &target).iter().map(|d| d.fatal).collect();
        assert_eq!(fatal, [false, true]);
    }

    #[test]
    fn the_target_needs_the_same_key() {
        let source = table(vec![column("id", "integer")]);
        let mut target = source.clone();
        target.key.clear();
        assert!(
            compare(&source, &target)[0]
                .message
                .contains("unique index on (\"id\")")
        );
    }
}
