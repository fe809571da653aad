//! How a table on the target differs from the one on the source. Pure; who looks, and when, is elsewhere.

use crate::quote;
use crate::table::{Column, Kind, Table};

/// A difference, and the SQL for the target that removes it.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    /// replay cannot work with it
    pub fatal: bool,
    /// the target wants a value where the source does not
    pub strict: bool,
    pub message: String,
    pub fix: String,
}

fn fatal(message: String, fix: String) -> Difference {
    Difference {
        fatal: true,
        strict: false,
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
                strict: false,
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
        let strict = |t: &&Column| t.not_null && !column.not_null && !t.generated;
        if target.column(&column.name).as_ref().is_some_and(strict) {
            found.push(Difference {
                fatal: false,
                strict: true,
                message: format!("column {name} is NOT NULL on the target and not on the source"),
                fix: format!("ALTER TABLE {table} ALTER COLUMN {name} DROP NOT NULL;"),
            });
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
            match &target.primary_key {
                Some(name) => format!(
                    "ALTER TABLE {table} DROP CONSTRAINT {}, ADD PRIMARY KEY ({});",
                    quote::ident(name),
                    columns.join(", ")
                ),
                None => format!(
                    "ALTER TABLE {table} ADD PRIMARY KEY ({});",
                    columns.join(", ")
                ),
            },
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

/// The statements that give a table of the target the source's name.
pub fn renaming(target: &Table, source: &Table) -> String {
    let mut sql = String::new();
    let mut schema = target.schema.as_str();
    if target.schema != source.schema {
        sql = format!(
            "ALTER TABLE {} SET SCHEMA {}; ",
            target.qualified(),
            quote::ident(&source.schema)
        );
        schema = &source.schema;
    }
    if target.name != source.name {
        sql.push_str(&format!(
            "ALTER TABLE {} RENAME TO {}; ",
            quote::qualified(schema, &target.name),
            quote::ident(&source.name)
        ));
    }
    sql.trim_end().to_owned()
}

/// The statement that makes the table with all that replay needs of it; its partitions, if any, are left to the person.
pub fn creation(source: &Table) -> String {
    let column = |c: &Column| {
        let strict = if c.not_null { " NOT NULL" } else { "" };
        format!("{} {}{strict}", quote::ident(&c.name), c.type_name)
    };
    let key = source.key.iter().map(|k| quote::ident(&k.name));
    let mut parts: Vec<String> = source.stored().map(column).collect();
    if !source.key.is_empty() {
        let key: Vec<String> = key.collect();
        parts.push(format!("PRIMARY KEY ({})", key.join(", ")));
    }
    format!(
        "CREATE TABLE {} ({});",
        source.qualified(),
        parts.join(", ")
    )
}

/// The statement for the source that gives the table the key that the target has.
pub fn key(source: &Table, target: &Table) -> String {
    let columns: Vec<String> = target.key.iter().map(|k| quote::ident(&k.name)).collect();
    let columns = if columns.is_empty() {
        "...".to_owned()
    } else {
        columns.join(", ")
    };
    format!(
        "ALTER TABLE {} ADD PRIMARY KEY ({columns});",
        source.qualified()
    )
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
