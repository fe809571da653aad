//! The key that capture writes. Its functions name the key's columns, so a renamed one makes them fail, and with them what the
//! application writes: they are made anew at once. Another key leaves deltas nobody can make use of any more.

use super::Names;
use crate::failure::Failure;
use crate::libpq::{Connection, Question};
use crate::quote::{self, ident};
use crate::table::Table;

/// How the key that is captured differs from the table's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// columns have got other names: old and new, unquoted
    Renamed(Vec<(String, String)>),
    /// other columns, or in another order
    Other,
}

/// Those of `tables` whose capture is out of date.
pub fn changes(
    source: &mut Connection,
    names: &Names,
    tables: &[&Table],
) -> Result<Vec<(u32, Change)>, Failure> {
    let oids: Vec<u32> = tables.iter().map(|t| t.oid).collect();
    let rows = source.ask(&question(names, &oids))?;
    let mut found = Vec::new();
    for row in &rows {
        let table = tables.iter().find(|t| t.oid == row.oid("oid"));
        let key: Vec<String> = table
            .map(|t| t.key.iter().map(|k| k.name.clone()).collect())
            .unwrap_or_default();
        let (Some(written), Some(now)) = (written(row.text("body")), row.opt("columns")) else {
            continue;
        };
        let now: Vec<String> = serde_json::from_str(now).expect("an array of names");
        if let (false, Some(change)) = (key.is_empty(), change(&written, &now, &key)) {
            found.push((row.oid("oid"), change));
        }
    }
    Ok(found)
}

/// What [`changes`] asks about tables, by their oids.
pub fn question(names: &Names, tables: &[u32]) -> Question {
    let sql = include_str!("../../sql/source/captured_key.sql");
    let oids: Vec<String> = tables.iter().map(u32::to_string).collect();
    Question::bound(
        sql,
        &[
            &names.schema(),
            &quote::array(&oids),
            &names.trigger("rekey"),
        ],
    )
}

/// `written`: as the function names them; `now`: what those columns are called; `key`: the table's.
fn change(written: &[String], now: &[String], key: &[String]) -> Option<Change> {
    if written == key {
        return None;
    }
    let same_columns = now.len() == key.len() && key.iter().all(|k| now.contains(k));
    if !same_columns || written.len() != key.len() {
        return Some(Change::Other);
    }
    let moved: Vec<(String, String)> = written
        .iter()
        .zip(key)
        .filter(|(w, k)| w != k)
        .map(|(w, k)| (w.clone(), k.clone()))
        .collect();
    // with two of them nobody knows which has become which
    match moved.as_slice() {
        [(old, _)] if !key.contains(old) => Some(Change::Renamed(moved)),
        _ => Some(Change::Other),
    }
}

/// The columns in `insert into ... values (old."a", old."b")`.
fn written(body: &str) -> Option<Vec<String>> {
    let (_, mut rest) = body.split_once("values (")?;
    let mut names = Vec::new();
    loop {
        rest = rest.strip_prefix("old.\"")?;
        let mut name = String::new();
        let end = loop {
            let quote = rest.find('"')?;
            name.push_str(&rest[..quote]);
            rest = &rest[quote + 1..];
            match rest.strip_prefix('"') {
                Some(after) => {
                    name.push('"');
                    rest = after;
                }
                None => break rest,
            }
        };
        names.push(name);
        match end.strip_prefix(", ") {
            Some(next) => rest = next,
            None => return end.starts_with(')').then_some(names),
        }
    }
}

/// Statements that make a table's capture functions read the columns by their new names. They lock nobody out.
pub fn renaming(
    source: &mut Connection,
    names: &Names,
    oid: u32,
    columns: &[(String, String)],
) -> Result<String, Failure> {
    let function = |suffix: &str| format!("capture_{oid}{suffix}");
    let wanted = ["", "_old", "_new"].map(function);
    let rows = source.query(
        "select pg_get_functiondef(p.oid) as definition from pg_proc p join pg_namespace n on n.oid = p.pronamespace \
         where n.nspname = $1 and p.proname = any ($2::text[])",
        &[Some(&names.schema()), Some(&quote::array(&wanted))],
    )?;
    let renamed = |definition: &str| {
        columns
            .iter()
            .fold(definition.to_owned(), |sql, (old, new)| {
                ["changed", "old", "new"].iter().fold(sql, |sql, row| {
                    sql.replace(
                        &format!("{row}.{}", ident(old)),
                        &format!("{row}.{}", ident(new)),
                    )
                })
            })
    };
    let statements: Vec<String> = rows.iter().map(|r| renamed(r.text("definition"))).collect();
    Ok(format!(
        "set local check_function_bodies = off; {};",
        statements.join("; ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    #[test]
    fn the_columns_are_read_from_the_function() {
        let body = "begin\n insert into \"s\".\"d\" values (old.\"a, b\"\"\", old.\"c)\");\n return null;\nend";
        assert_eq!(written(body), Some(own(&["a, b\"", "c)"])));
        assert_eq!(written("insert into x select 1"), None);
    }

    #[test]
    fn a_rename_is_told_from_another_key() {
        let renamed = |old: &str, new: &str| Some(Change::Renamed(vec![(old.into(), new.into())]));
        let change = |written: &[&str], now: &[&str], key: &[&str]| {
            super::change(&own(written), &own(now), &own(key))
        };
        assert_eq!(change(&["id"], &["id"], &["id"]), None);
        assert_eq!(
            change(&["id"], &["ident"], &["ident"]),
            renamed("id", "ident")
        );
        assert_eq!(change(&["id"], &["id"], &["other"]), Some(Change::Other));
        assert_eq!(
            change(&["a", "b"], &["a", "c"], &["a", "c"]),
            renamed("b", "c")
        );
        assert_eq!(
            change(&["a", "b"], &["a", "b"], &["b", "a"]),
            Some(Change::Other)
        );
        assert_eq!(
            change(&["a", "b"], &["c", "d"], &["c", "d"]),
            Some(Change::Other)
        );
        // the names have changed places
        assert_eq!(change(&["a"], &["b"], &["a"]), Some(Change::Other));
    }
}
