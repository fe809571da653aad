//! What view repl_verifications tells of the subscription: of each mode the latest call, what differs first. Columns are shown
//! as the view has them.

use std::collections::HashMap;

use serde_json::Value;

use super::words::{clean, stamp};
use crate::pg::spi;

pub struct Verification {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
    /// more than are shown
    pub left_out: usize,
}

const MOST: usize = 200;
/// Not shown: the same in every row.
const SUBJECT: &str = "subscription";

/// `None` when there is no such view here, or nothing was verified since `started_at`.
pub fn read(name: &str, started_at: f64) -> Option<Verification> {
    let columns = columns();
    if !columns.iter().any(|column| column == SUBJECT) {
        return None;
    }
    let mut lines: Vec<Value> = spi::read(
        "select pg_catalog.row_to_json(v)::text as line from repl_verifications v where v.subscription = $1",
        &[Some(name)],
    )
    .iter()
    .map(|row| serde_json::from_str(row.text("line")).expect("row_to_json makes an object"))
    .collect();
    keep_latest(&mut lines, started_at);
    lines.sort_by_key(|line| !stands_out(line));
    let shown: Vec<&String> = columns.iter().filter(|c| *c != SUBJECT).collect();
    let cells = |line: &Value| {
        shown
            .iter()
            .map(|column| cell(&line[column.as_str()]))
            .collect()
    };
    (!lines.is_empty()).then(|| Verification {
        rows: lines.iter().take(MOST).map(cells).collect(),
        columns: shown.iter().map(|column| clean(column)).collect(),
        left_out: lines.len().saturating_sub(MOST),
    })
}

fn columns() -> Vec<String> {
    spi::read(
        "select a.attname::text as name from pg_catalog.pg_attribute a \
         where a.attrelid = pg_catalog.to_regclass('repl_verifications') and a.attnum > 0 and not a.attisdropped \
         order by a.attnum",
        &[],
    )
    .iter()
    .map(|row| row.string("name"))
    .collect()
}

/// Those of this run of the subscription, and of each mode those of the call with the largest number.
fn keep_latest(lines: &mut Vec<Value>, started_at: f64) {
    // the function's time zone is UTC, so that times compare as text
    let began = stamp(started_at).replace(' ', "T");
    lines.retain(|line| {
        line["started_at"]
            .as_str()
            .is_none_or(|at| at >= began.as_str())
    });
    let mode = |line: &Value| cell(&line["mode"]);
    let mut latest: HashMap<String, i64> = HashMap::new();
    for line in lines.iter() {
        let number = line["verification"].as_i64().unwrap_or(0);
        let known = latest.entry(mode(line)).or_insert(number);
        *known = number.max(*known);
    }
    lines.retain(|line| line["verification"].as_i64().unwrap_or(0) == latest[&mode(line)]);
}

/// Not known to be equal, or a word about it.
fn stands_out(line: &Value) -> bool {
    line["equal"] != Value::Bool(true) || !line["note"].is_null()
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => clean(text),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        other => clean(&other.to_string()),
    }
}
