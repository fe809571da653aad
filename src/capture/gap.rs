//! Whether the capture that was installed is still there.

use std::collections::HashMap;

use super::{EVENTS, Names};
use crate::failure::Failure;
use crate::libpq::{Connection, Question};

/// Those of `tables` whose triggers are dropped or disabled; and partitions (by oid) that carry our TRUNCATE trigger.
#[derive(Debug, Default)]
pub struct Watch {
    pub broken: Vec<u32>,
    pub guarded: Vec<u32>,
}

pub fn watch(source: &mut Connection, names: &Names, tables: &[u32]) -> Result<Watch, Failure> {
    let rows = source.ask(&question(names))?;
    let wanted = EVENTS.map(|event| names.trigger(event));
    let guard = names.trigger("truncate");
    let mut complete = HashMap::new();
    let mut guarded = Vec::new();
    // a table has one trigger of a name
    for row in rows.iter().filter(|row| row.flag("enabled")) {
        let trigger = row.text("trigger");
        if wanted.iter().any(|name| name == trigger) {
            *complete.entry(row.oid("oid")).or_insert(0) += 1;
        }
        if trigger == guard {
            guarded.push(row.oid("oid"));
        }
    }
    let broken = tables
        .iter()
        .copied()
        .filter(|oid| complete.get(oid) != Some(&EVENTS.len()))
        .collect();
    Ok(Watch { broken, guarded })
}

/// What [`watch`] asks.
pub fn question(names: &Names) -> Question {
    let sql = include_str!("../../sql/source/triggers.sql");
    Question::bound(sql, &[&names.schema()])
}
