//! Whether the capture that was installed is still there.

use super::{EVENTS, Names};
use crate::failure::Failure;
use crate::libpq::Connection;

/// Those of `tables` whose triggers are dropped or disabled; and partitions (by oid) that carry our TRUNCATE trigger.
#[derive(Debug, Default)]
pub struct Watch {
    pub broken: Vec<u32>,
    pub guarded: Vec<u32>,
}

pub fn watch(source: &mut Connection, names: &Names, tables: &[u32]) -> Result<Watch, Failure> {
    let rows = source.query(
        include_str!("../../sql/source/triggers.sql"),
        &[Some(&names.schema())],
    )?;
    let has = |oid: u32, event: &str| {
        let wanted = names.trigger(event);
        rows.iter()
            .any(|r| r.oid("oid") == oid && r.text("trigger") == wanted && r.flag("enabled"))
    };
    let broken = tables
        .iter()
        .copied()
        .filter(|oid| !EVENTS.iter().all(|event| has(*oid, event)))
        .collect();
    let guard = names.trigger("truncate");
    let guarded = rows
        .iter()
        .filter(|r| r.text("trigger") == guard && r.flag("enabled"))
        .map(|r| r.oid("oid"))
        .collect();
    Ok(Watch { broken, guarded })
}
