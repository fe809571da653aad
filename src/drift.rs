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

/// Which columns are replayed into which: attnum on the source and on the target.
pub type Pairs = Vec<(i64, i64)>;

pub fn pairs(source: &Table, target: &Table) -> Pairs {
    let pair = |c: &Column| Some((c.attnum, target.column(&c.name)?.attnum));
    source.stored().filter_map(pair).collect()
}

/// Whether rows that were delivered by way of `before` may be wrong by way of `now`: a column is replayed into another one than
/// before, unless both of them are new.
pub fn moved(before: &[(i64, i64)], now: &[(i64, i64)]) -> bool {
    let new = |(s, t): &(i64, i64)| before.iter().all(|(bs, bt)| bs < s && bt < t);
    now.iter().any(|pair| !before.contains(pair) && !new(pair))
}

/// As [`compare`], where columns that were replayed into each other `before` are known to be the same ones.
pub fn compare_known(source: &Table, target: &Table, before: &[(i64, i64)]) -> Vec<Difference> {
    let mut renamed = target.clone();
    let mut found = Vec::new();
    for column in source.stored() {
        let counterpart = before.iter().find(|(s, _)| *s == column.attnum);
        let old = counterpart
            .and_then(|(_, t)| target.columns.iter().find(|c| c.attnum == *t))
            .map(|c| c.name.clone());
        let (None, Some(old)) = (target.column(&column.name), old) else {
            continue;
        };
        if source.column(&old).is_some() {
            continue;
        }
        let (from, to) = (quote::ident(&old), quote::ident(&column.name));
        found.push(fatal(
            format!("column {from} is called {to} on the source"),
            format!(
                "ALTER TABLE {} RENAME COLUMN {from} TO {to};",
                source.qualified()
            ),
        ));
        for c in renamed.columns.iter_mut().filter(|c| c.name == old) {
            c.name.clone_from(&column.name);
        }
        for k in renamed.key.iter_mut().filter(|k| k.name == old) {
            k.name.clone_from(&column.name);
        }
    }
    found.extend(compare(source, &renamed));
    found
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
            attnum: 1,
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
    fn a_renamed_column_is_not_taken_for_a_new_one() {
        let mut source = table(vec![column("id", "integer"), column("name", "text")]);
        let mut target = table(vec![column("id", "integer"), column("title", "text")]);
        source.columns[1].attnum = 2;
        target.columns[1].attnum = 5;
        let found = compare_known(&source, &target, &[(1, 1), (2, 5)]);
        let fixes: Vec<&str> = found.iter().map(|d| d.fix.as_str()).collect();
        assert_eq!(
            fixes,
            ["ALTER TABLE \"public\".\"t\" RENAME COLUMN \"title\" TO \"name\";"]
        );
        let found = compare_known(&source, &target, &[(1, 1)]);
        assert!(found[0].fix.contains("ADD COLUMN"));
    }

    #[test]
    fn rows_are_delivered_anew_when_a_column_goes_elsewhere() {
        let before = vec![(1, 1), (2, 2)];
        assert!(!moved(&before, &[(1, 1), (2, 2)]));
        assert!(!moved(&before, &[(1, 1)]));
        assert!(!moved(&before, &[(1, 1), (2, 2), (3, 4)]), "new on both");
        assert!(
            moved(&before, &[(1, 1), (2, 3)]),
            "renamed here, added there"
        );
        assert!(
            moved(&before, &[(1, 1), (3, 2)]),
            "replaced here, renamed there"
        );
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
