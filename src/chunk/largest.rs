//! Which row it was that did not fit.

use crate::catalog;
use crate::failure::Failure;
use crate::libpq::Connection;
use crate::quote::ident;
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

/// The largest row of a chunk. `octet_length` of text and bytea does not read what is stored out of line; other types count
/// as stored, perhaps compressed.
pub fn largest_row(source: &mut Connection, chunk: &Task) -> Result<Option<LargestRow>, Failure> {
    let tables = catalog::tables(source)?;
    let Some(table) = tables.iter().find(|t| t.oid == chunk.source_oid) else {
        return Ok(None);
    };
    let Some((_, member, _)) = &chunk.member else {
        return Ok(None);
    };
    let sizes: Vec<String> = table
        .stored()
        .map(|column| {
            let name = ident(&column.name);
            let measure = match column.base_type.as_str() {
                "text" | "bytea" => "octet_length",
                kind if kind.starts_with("character varying") => "octet_length",
                _ => "pg_column_size",
            };
            format!("coalesce({measure}({name}), 0)::int8")
        })
        .collect();
    let columns: Vec<String> = table.key.iter().map(|k| ident(&k.name)).collect();
    let condition = chunk
        .condition
        .as_ref()
        .map_or_else(String::new, |c| format!("where {c}"));
    let sql = fill(
        include_str!("../../sql/source/largest_row.sql"),
        &[
            ("key", &format!("concat_ws(', ', {})", columns.join(", "))),
            ("size", &sizes.join(" + ")),
            ("member", member),
            ("condition", &condition),
        ],
    );
    let rows = source.query(&sql, &[])?;
    Ok(rows.first().map(|row| LargestRow {
        columns: columns.join(", "),
        key: row.string("key"),
        bytes: row.int("bytes"),
        size: row.string("size"),
    }))
}
