//! Which row it was that did not fit.

use crate::catalog;
use crate::failure::Failure;
use crate::libpq::Connection;
use crate::quote::ident;
use crate::row::Row;
use crate::table::Table;
use crate::task::Task;
use crate::template::fill;

/// A row, named by its key.
pub struct LargestRow {
    /// of the key
    pub columns: String,
    /// its values
    pub key: String,
    pub bytes: i64,
    /// for people
    pub size: String,
}

/// The largest row of a chunk.
pub fn largest_row(source: &mut Connection, chunk: &Task) -> Result<Option<LargestRow>, Failure> {
    let tables = catalog::tables(source)?;
    let Some(table) = tables.iter().find(|t| t.oid == chunk.source_oid) else {
        return Ok(None);
    };
    let Some((_, member, _)) = &chunk.member else {
        return Ok(None);
    };
    let exact = find(source, table, member, chunk, true);
    // a value may be too large to be looked at
    let rows = exact.or_else(|_| find(source, table, member, chunk, false))?;
    Ok(rows.first().map(|row| LargestRow {
        columns: key(table),
        key: row.string("key"),
        bytes: row.int("bytes"),
        size: row.string("size"),
    }))
}

fn key(table: &Table) -> String {
    let columns: Vec<String> = table.key.iter().map(|k| ident(&k.name)).collect();
    columns.join(", ")
}

fn find(
    source: &mut Connection,
    table: &Table,
    member: &str,
    chunk: &Task,
    exact: bool,
) -> Result<Vec<Row>, Failure> {
    let condition = chunk
        .condition
        .as_ref()
        .map_or_else(String::new, |c| format!("where {c}"));
    let sql = fill(
        include_str!("../../sql/source/largest_row.sql"),
        &[
            ("key", &format!("concat_ws(', ', {})", key(table))),
            ("stored", &bytes(table, false)),
            ("size", &bytes(table, exact)),
            ("member", member),
            ("condition", &condition),
        ],
    );
    source.query(&sql, &[])
}

/// Bytes of a row. `octet_length` of text and bytea does not read what is stored out of line; other types count as stored,
/// perhaps compressed, or, to be exact, as text.
fn bytes(table: &Table, exact: bool) -> String {
    let sizes: Vec<String> = table
        .stored()
        .map(|column| {
            let name = ident(&column.name);
            let kind = column.base_type.as_str();
            let plain = matches!(kind, "text" | "bytea") || kind.starts_with("character varying");
            let measure = match (plain, exact) {
                (true, _) => format!("octet_length({name})"),
                (false, true) => format!("octet_length({name}::text)"),
                (false, false) => format!("pg_column_size({name})"),
            };
            format!("coalesce({measure}, 0)::int8")
        })
        .collect();
    sizes.join(" + ")
}
