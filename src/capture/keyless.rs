//! Capture on tables without a key: not keys are written but the rows themselves, with a sign, which make a multiset whose net
//! change does not depend on their order. `sql/source/keyless_segment.sql` has the columns.

use super::partition::{self, Partition};
use super::{Names, segment};
use crate::failure::Failure;
use crate::libpq::Connection;
use crate::quote::{ident, literal};
use crate::rendering;
use crate::table::{Capture, Table};
use crate::template::fill;

/// The statements that make the segment.
pub fn segment(names: &Names, table: &Table, segment: &str) -> String {
    fill(
        include_str!("../../sql/source/keyless_segment.sql"),
        &[
            ("segment", segment),
            ("positions", &names.positions(table.oid)),
        ],
    )
}

pub fn truncate_function(names: &Names, table: &Table) -> String {
    fill(
        include_str!("../../sql/source/keyless_truncate_function.sql"),
        &[
            ("function_truncate", &names.function(table.oid, "_truncate")),
            ("schema", &ident(&names.schema())),
            ("oid", &table.oid.to_string()),
            ("positions", &literal(&names.positions(table.oid))),
        ],
    )
}

/// The statements that put triggers on the table.
pub fn triggers(names: &Names, table: &Table, segment: &str) -> String {
    let file = match table.capture() {
        Capture::Statement => include_str!("../../sql/source/keyless_capture_statement.sql"),
        Capture::Row => include_str!("../../sql/source/keyless_capture_row.sql"),
    };
    let trigger = |event| ident(&names.trigger(event));
    let settings: Vec<String> = rendering::of(table.columns.iter().map(|c| c.base_type.as_str()))
        .iter()
        .map(|(name, value)| format!("set {name} = '{value}'"))
        .collect();
    fill(
        file,
        &[
            ("table", &table.qualified()),
            ("segment", segment),
            ("positions", &literal(&names.positions(table.oid))),
            ("settings", &settings.join(" ")),
            ("insert", &trigger("insert")),
            ("update", &trigger("update")),
            ("delete", &trigger("delete")),
            ("rekey", &trigger("rekey")),
            ("truncate", &trigger("truncate")),
            ("function", &names.function(table.oid, "")),
            ("function_old", &names.function(table.oid, "_old")),
            ("function_truncate", &names.function(table.oid, "_truncate")),
        ],
    )
}

/// Replaces what is known of a partition by its rows as they are in one snapshot: its deltas of before are in them already,
/// those to come follow.
pub fn deliver(
    source: &mut Connection,
    names: &Names,
    root: u32,
    partition: &Partition,
) -> Result<(), Failure> {
    let segments = segment::named(source, names, root)?;
    let forgotten: String = segments
        .iter()
        .map(|segment| format!("delete from {segment} where member = {}; ", partition.oid))
        .collect();
    let newest = segments.last().ok_or_else(|| no_segment(root))?;
    let sql = fill(
        include_str!("../../sql/source/keyless_deliver.sql"),
        &[
            ("segment", newest),
            ("positions", &literal(&names.positions(root))),
            ("partition", &partition.qualified()),
            ("member", &partition.oid.to_string()),
        ],
    );
    partition::in_transaction(
        source,
        &format!(
            "begin isolation level repeatable read; {} {forgotten} {sql}",
            partition::truncation(names, root, partition)
        ),
    )
}

/// Forgets the deltas of partitions that do not belong to the table any more.
pub fn forget_strangers(source: &mut Connection, names: &Names, root: u32) -> Result<(), Failure> {
    for segment in segment::named(source, names, root)? {
        let sql = fill(
            include_str!("../../sql/source/keyless_strangers.sql"),
            &[("segment", &segment), ("root", &root.to_string())],
        );
        source.execute(&sql, &[])?;
    }
    Ok(())
}

fn no_segment(root: u32) -> Failure {
    Failure::new(
        "42P01",
        format!("capture has no segment for the table with oid {root}"),
    )
    .hint("Looked at again by itself.")
}
