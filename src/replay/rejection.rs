//! A row that the target refuses: how the person finds it, who alone is to see its values. Pure.

use crate::failure::Failure;
use crate::quote::{self, ident, literal};
use crate::table::Table;

/// What the target's catalog says about the constraint.
#[derive(Debug, Default)]
pub struct Rule {
    /// of a unique or foreign key, no expressions and no predicate
    pub columns: Vec<String>,
    /// qualified: what a foreign key refers to
    pub referred: Option<String>,
    pub referred_columns: Vec<String>,
    /// statement for the target that takes it off
    pub removal: Option<String>,
}

/// The failure with the table's key columns, a query that finds the row on the source, and what to do then. `waiting`: the
/// table's segments, qualified.
pub fn explained(
    failure: Failure,
    subscription: &str,
    source: &Table,
    rule: Option<&Rule>,
    waiting: &[String],
) -> Failure {
    let keys: Vec<String> = source.key.iter().map(|k| ident(&k.name)).collect();
    let named = refused_column(&failure, source);
    let condition = condition(&failure, source, rule, named.as_deref());
    let query = match condition {
        Some(condition) => format!(
            "SELECT {} FROM {} t WHERE {condition};",
            list(&keys, "t."),
            source.only()
        ),
        None => among_waiting(source, &keys, named.as_deref(), waiting),
    };
    let removal = rule
        .and_then(|r| r.removal.as_deref())
        .map_or_else(String::new, |sql| format!(" (on the target: {sql})"));
    let table = literal(&source.shown());
    let subscription = literal(subscription);
    let template: Vec<String> = source
        .key
        .iter()
        .map(|k| format!("\"{}\": ...", k.name.replace('"', "\\\"")))
        .collect();
    let column = named.map_or_else(String::new, |c| format!(", column {c}"));
    failure
        .during(format_args!(
            "replaying {} (key: {}{column})",
            source.shown(),
            keys.join(", ")
        ))
        .hint(format!(
            "To find the row, on the source: {query} Mend it there, or change the target{removal}; then SELECT \
             repl_resume({subscription}); or leave it out: SELECT repl_skip({subscription}, {table}, '{{{}}}');",
            template.join(", ")
        ))
}

/// By its own name; in a batch it goes by its place.
fn refused_column(failure: &Failure, source: &Table) -> Option<String> {
    let told = failure.column.as_deref()?;
    if source.column(told).is_some() {
        return Some(ident(told));
    }
    let place: usize = told.get(1..)?.parse().ok()?;
    let at = place.checked_sub(1)?;
    match told.chars().next()? {
        'k' => source.key.get(at).map(|k| ident(&k.name)),
        'c' => source.stored().nth(at).map(|c| ident(&c.name)),
        _ => None,
    }
}

fn condition(
    failure: &Failure,
    source: &Table,
    rule: Option<&Rule>,
    column: Option<&str>,
) -> Option<String> {
    if failure.sqlstate == "23502" {
        return column.map(|c| format!("t.{c} IS NULL"));
    }
    let rule = rule?;
    if rule.columns.is_empty() || rule.columns.iter().any(|c| source.column(c).is_none()) {
        return None;
    }
    let columns: Vec<String> = rule.columns.iter().map(|c| ident(c)).collect();
    let Some(referred) = &rule.referred else {
        let columns_of_t = list(&columns, "t.");
        return Some(format!(
            "({columns_of_t}) IN (SELECT {columns} FROM {} GROUP BY {columns} HAVING count(*) > 1)",
            source.only(),
            columns = columns.join(", "),
        ));
    };
    let pairs: Vec<String> = columns
        .iter()
        .zip(&rule.referred_columns)
        .map(|(c, r)| format!("r.{} = t.{c}", ident(r)))
        .collect();
    let given: Vec<String> = columns
        .iter()
        .map(|c| format!("t.{c} IS NOT NULL"))
        .collect();
    Some(format!(
        "{} AND NOT EXISTS (SELECT FROM {referred} r WHERE {})",
        given.join(" AND "),
        pairs.join(" AND ")
    ))
}

/// Nothing narrower is known, or to be told (the condition of a CHECK may quote the very value): all that wait, with the
/// column that was refused.
fn among_waiting(
    source: &Table,
    keys: &[String],
    column: Option<&str>,
    waiting: &[String],
) -> String {
    let all: Vec<String> = waiting
        .iter()
        .map(|segment| format!("SELECT * FROM {segment}"))
        .collect();
    let on: Vec<String> = source
        .key
        .iter()
        .enumerate()
        .map(|(i, k)| format!("t.{} {} d.k{}", ident(&k.name), k.equality, i + 1))
        .collect();
    let shown: Vec<String> = keys
        .iter()
        .map(String::as_str)
        .chain(column.filter(|c| !keys.iter().any(|k| k == c)))
        .map(|c| format!("t.{c}"))
        .collect();
    format!(
        "SELECT DISTINCT {} FROM {} t JOIN ({}) d ON {};",
        shown.join(", "),
        source.only(),
        all.join(" UNION ALL "),
        on.join(" AND ")
    )
}

fn list(names: &[String], prefix: &str) -> String {
    let names: Vec<String> = names.iter().map(|n| format!("{prefix}{n}")).collect();
    names.join(", ")
}

/// What reads the [`Rule`] of a constraint or index on the target: parameters are the table's oid and the name.
pub const READ_RULE: &str = include_str!("../../sql/target/rule.sql");

impl Rule {
    /// A row of [`READ_RULE`].
    pub fn read(row: &crate::row::Row) -> Self {
        let names = |column: &str| {
            row.opt(column)
                .map(|json| serde_json::from_str(json).expect("an array of names"))
                .unwrap_or_default()
        };
        Self {
            columns: names("columns"),
            referred: row
                .opt("referred_schema")
                .zip(row.opt("referred_name"))
                .map(|(schema, name)| quote::qualified(schema, name)),
            referred_columns: names("referred_columns"),
            removal: row.opt("removal").map(str::to_owned),
        }
    }
}
