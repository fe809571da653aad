//! `repl_skip` and `repl_unskip`.

use pgrx::JsonB;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{pg_extern, search_path};

use super::argument;
use crate::catalog;
use crate::event::{self, Severity};
use crate::failure::Failure;
use crate::libpq::{Connection, Role};
use crate::pg::server;
use crate::pg::worker::{self, APPLY_CLASS};
use crate::quote::{ident, literal};
use crate::relation::{self, Relation, State};
use crate::session;
use crate::skipped::{self, Key};
use crate::subscription::{self, Subscription};
use crate::table::Table;

#[pg_extern(volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn repl_skip(
    name: Option<&str>,
    table: Option<&str>,
    key: Option<JsonB>,
) -> Result<String, ErrorReport> {
    server::refuse_read_only("repl_skip")?;
    Ok(skip(
        argument::required(name, "name")?,
        argument::required(table, "table")?,
        given(key)?,
    )?)
}

#[pg_extern(volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn repl_unskip(
    name: Option<&str>,
    table: Option<&str>,
    key: Option<JsonB>,
) -> Result<String, ErrorReport> {
    server::refuse_read_only("repl_unskip")?;
    Ok(unskip(
        argument::required(name, "name")?,
        argument::required(table, "table")?,
        given(key)?,
    )?)
}

fn given(key: Option<JsonB>) -> Result<serde_json::Value, Failure> {
    key.map(|JsonB(value)| value).ok_or_else(|| {
        Failure::new("22004", "argument \"key\" must not be NULL")
            .hint("Write the key's columns and their values: '{\"id\": 7}'.")
    })
}

/// Only notes it: the apply worker takes the key's deltas from the queue from now on. The table tries again at once.
fn skip(name: &str, table: &str, key: serde_json::Value) -> Result<String, Failure> {
    let subscription = subscription::by_name_locked(name)?;
    let relation = argument::followed(&subscription, table)?;
    let stage = relation.errored_from.unwrap_or(relation.state);
    if !stage.is_replayed() {
        return Err(Failure::new(
            "55000",
            format!("table {} is {}", relation.shown(), stage.as_str()),
        )
        .detail("Nothing has been changed. The copy of a table leaves no row out; replay, which comes after it, can.")
        .hint("Change the target so that it takes all rows of the source, then SELECT repl_resume()."));
    }
    let Found { key, is_there } = find(&subscription, &relation, key)?;
    if !skipped::insert(subscription.id, name, &relation, &key) {
        return Ok(format!(
            "this key of {} is left out already; see repl_skipped",
            relation.shown()
        ));
    }
    let goes_on =
        relation.state == State::Errored && relation::forgive_one(subscription.id, relation.oid);
    record(
        name,
        &relation,
        &key,
        "one row is left out from now on, by repl_skip",
    );
    subscription::end_rest(subscription.id);
    wake(subscription.id);
    Ok(format!(
        "one row of {} is left out from now on{}{}; see repl_skipped, and repl_unskip to take it back",
        relation.shown(),
        if is_there {
            ""
        } else {
            " (the source has no such row now)"
        },
        if goes_on { "; the table goes on" } else { "" },
    ))
}

fn unskip(name: &str, table: &str, key: serde_json::Value) -> Result<String, Failure> {
    let subscription = subscription::by_name_locked(name)?;
    let relation = argument::followed(&subscription, table)?;
    let key = find(&subscription, &relation, key)?.key;
    if skipped::end(
        subscription.id,
        relation.oid,
        Some(&key),
        "repl_unskip",
        false,
    ) == 0
    {
        return Err(Failure::new(
            "42704",
            format!("no such row of {} is left out", relation.shown()),
        )
        .hint(format!(
            "SELECT \"table\", key FROM repl_skipped WHERE subscription = {} AND ended_at IS NULL;",
            literal(name)
        )));
    }
    record(
        name,
        &relation,
        &key,
        "one row is no longer left out, by repl_unskip",
    );
    wake(subscription.id);
    Ok(format!(
        "the row of {} is replayed as it is on the source now",
        relation.shown()
    ))
}

/// Without the values, which everybody could read who may see the events; they are in `repl_skipped`.
fn record(name: &str, relation: &Relation, key: &Key, message: &str) {
    let columns: Vec<String> = key.keys().map(|column| ident(column)).collect();
    let detail = format!(
        "Called by role {}. Key: {}; its values are in repl_skipped.",
        server::session_user(),
        columns.join(", ")
    );
    event::record(
        Severity::Warning,
        name,
        &relation.shown(),
        message,
        Some(&detail),
    );
}

fn wake(subscription: i32) {
    worker::pids(APPLY_CLASS, subscription)
        .into_iter()
        .for_each(worker::wake);
}

struct Found {
    key: Key,
    is_there: bool,
}

/// The key as the source writes it, which must have all of the key's columns and nothing else. Errors: 22023, what the source
/// says to a value.
fn find(
    subscription: &Subscription,
    relation: &Relation,
    key: serde_json::Value,
) -> Result<Found, Failure> {
    if relation.keyless {
        return Err(Failure::new(
            "0A000",
            format!("table {} is replayed without a key", relation.shown()),
        )
        .detail("Rows are left out by their key. Nothing has been changed.")
        .hint(
            "Change the target so that it takes all rows of the source, then SELECT repl_resume().",
        ));
    }
    let mut source = session::open(subscription, Role::Source, "skip")?;
    let tables = catalog::tables(&mut source)?;
    let table = tables
        .iter()
        .find(|t| t.oid == relation.oid && !t.key.is_empty())
        .ok_or_else(|| {
            Failure::new(
                "42P01",
                format!(
                    "table {} with a key is gone from the source",
                    relation.shown()
                ),
            )
            .hint("Rows are left out by their key. Nothing has been changed.")
        })?;
    let wanted = || {
        let columns: Vec<String> = table
            .key
            .iter()
            .map(|k| format!("{}: ...", serde_json::Value::from(k.name.as_str())))
            .collect();
        format!("Its key is {{{}}}.", columns.join(", "))
    };
    let mut values = Vec::new();
    let given = key
        .as_object()
        .filter(|given| given.len() == table.key.len());
    for column in &table.key {
        let value = given
            .and_then(|given| given.get(&column.name))
            .and_then(text)
            .ok_or_else(|| {
                Failure::new(
                    "22023",
                    format!("argument \"key\" is not a key of {}", table.shown()),
                )
                .detail("It is an object with the key's columns and no others; values are strings, integers or booleans.")
                .hint(wanted())
            })?;
        let kind = &table
            .column(&column.name)
            .expect("a key is of columns")
            .type_name;
        let rows = source
            .query(
                &format!("select ($1::text)::{kind}::text as value"),
                &[Some(&value)],
            )
            .map_err(|failure| failure.hint(wanted()))?;
        values.push(rows[0].string("value"));
    }
    Ok(Found {
        is_there: is_there(&mut source, table, &values)?,
        key: table
            .key
            .iter()
            .zip(values)
            .map(|(k, value)| (k.name.clone(), value.into()))
            .collect(),
    })
}

/// A number that JSON writes with a fraction may have lost digits on its way.
fn text(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(n) if !n.is_f64() => Some(n.to_string()),
        serde_json::Value::Bool(b) => Some(b.to_string()),
        _ => None,
    }
}

fn is_there(source: &mut Connection, table: &Table, values: &[String]) -> Result<bool, Failure> {
    let parts: Vec<String> = table
        .key
        .iter()
        .zip(values)
        .map(|(k, value)| {
            let column = table.column(&k.name).expect("a key is of columns");
            format!(
                "{} {} {}::{}",
                ident(&k.name),
                k.equality,
                literal(value),
                column.type_name
            )
        })
        .collect();
    let sql = format!(
        "select 1 from {} where {}",
        table.only(),
        parts.join(" and ")
    );
    Ok(!source.query(&sql, &[])?.is_empty())
}
