//! Rows that were copied twice. A row that is updated between two chunks may be in both, in its old and its new place; so may
//! two rows that had the same unique value one after the other. All of them have left their key in a segment: rows with such
//! a key are taken off the target before its indexes are built, and replay brings them back as they are then.

use crate::capture::Names;
use crate::capture::segment;
use crate::failure::Failure;
use crate::libpq::{Connection, pump};
use crate::quote::{ident, qualified};
use crate::table::Table;

/// The statements for the target, to be kept with the task: its key, with its operators, will not be there to be looked up.
pub fn statements(source: &Table, target: &Table) -> Vec<String> {
    let stage_name = format!("duplicates_{}", source.oid);
    let stage = qualified("pg_temp", &stage_name);
    let mut definitions = Vec::new();
    let mut names = Vec::new();
    let mut matches = Vec::new();
    for (at, key) in source.key.iter().enumerate() {
        let alias = format!("k{}", at + 1);
        let column = target.column(&key.name).or(source.column(&key.name));
        let kind = column.map_or("text", |c| c.base_type.as_str());
        let same = target.key.iter().find(|t| t.name == key.name);
        let equality = same.map_or(key.equality.as_str(), |t| t.equality.as_str());
        definitions.push(format!("{alias} {kind}"));
        matches.push(format!("t.{} {equality} s.{alias}", ident(&key.name)));
        names.push(alias);
    }
    vec![
        format!(
            "create temp table {} ({}) on commit drop",
            ident(&stage_name),
            definitions.join(", ")
        ),
        format!("copy {stage} ({}) from stdin", names.join(", ")),
        format!(
            "analyze {stage}; set local enable_nestloop = off; delete from {} t using {stage} s where {}",
            target.only(),
            matches.join(" and ")
        ),
    ]
}

/// Removes them, in the target's open transaction. On `Err` drop both connections.
pub fn remove(
    statements: &[String],
    table: &Table,
    names: &Names,
    source: &mut Connection,
    target: &mut Connection,
) -> Result<(), Failure> {
    let [create, fill, delete] = statements else {
        panic!("a task that removes duplicates has three statements");
    };
    let during = |failure: Failure| {
        failure.during(format_args!(
            "removing rows of {} copied twice",
            table.shown()
        ))
    };
    let keys: Vec<String> = (1..=table.key.len()).map(|at| format!("k{at}")).collect();
    target.batch(create).map_err(during)?;
    // all that have been written to since the copy began: one that is opened after this look has only later changes
    let segments = segment::read(source, names).map_err(during)?;
    let keys = keys.join(", ");
    let deltas: Vec<String> = segments
        .iter()
        .filter(|s| s.table == table.oid)
        .map(|s| format!("select {keys} from {}", names.segment(s.table, s.number)))
        .collect();
    let fetch = format!(
        "copy (select distinct {keys} from ({}) deltas) to stdout",
        deltas.join(" union all ")
    );
    source.copy_out(&fetch).map_err(during)?;
    let flow = pump(source, target, fill, |_| Ok(())).map_err(during)?;
    source.list_done().map_err(during)?;
    if flow.rows > 0 {
        target.batch(delete).map_err(during)?;
    }
    Ok(())
}
