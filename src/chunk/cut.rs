//! What a table's chunks are, by the source's catalogs and statistics.

use super::plan::{self, Bound, Range};
use crate::failure::Failure;
use crate::libpq::Connection;
use crate::quote::{self, ident};
use crate::table::Table;
use crate::template::fill;

/// A table that is not partitioned, or a leaf of one that is.
pub struct Member {
    /// the table of the subscription
    pub relation: u32,
    pub oid: u32,
    pub name: String,
    /// `None`: a foreign table
    pub filenode: Option<u32>,
    pages: i64,
    pub bytes: i64,
    pub rows_estimate: i64,
}

impl Member {
    /// A table and all that it consists of.
    pub fn whole(table: &Table, members: &[Member]) -> Self {
        Self {
            relation: table.oid,
            oid: table.oid,
            name: table.qualified(),
            filenode: None,
            pages: members.iter().map(|m| m.pages).sum(),
            bytes: members.iter().map(|m| m.bytes).sum(),
            rows_estimate: members.iter().map(|m| m.rows_estimate).sum(),
        }
    }
}

/// Where the rows of some tables are. Errors: 55P03 when somebody has one locked.
pub fn members(source: &mut Connection, relations: &[u32]) -> Result<Vec<Member>, Failure> {
    let oids: Vec<String> = relations.iter().map(u32::to_string).collect();
    source.batch("set lock_timeout = '2s'")?;
    let rows = source.query(
        include_str!("../../sql/source/members.sql"),
        &[Some(&quote::array(&oids))],
    );
    source.batch("set lock_timeout = 0")?;
    Ok(rows?
        .iter()
        .map(|row| Member {
            relation: row.oid("relation"),
            oid: row.oid("oid"),
            name: quote::qualified(row.text("schema"), row.text("name")),
            filenode: row.opt("filenode").map(|_| row.oid("filenode")),
            pages: row.int("pages"),
            bytes: row.int("bytes"),
            rows_estimate: row.int("rows_estimate"),
        })
        .collect())
}

/// PostgreSQL 14 reads only the pages that a range of ctid names; before, each chunk would read the whole table.
const TID_RANGE_SCAN: i32 = 140_000;

/// Cuts a member into about `count` ranges. `by_ctid` in the result: they hold only as long as the member keeps its
/// filenode.
pub fn ranges(
    source: &mut Connection,
    table: &Table,
    member: &Member,
    count: i64,
) -> Result<(Vec<Range>, bool), Failure> {
    if count <= 1 || member.filenode.is_none() {
        return Ok((vec![Range::whole()], false));
    }
    if source.version() >= TID_RANGE_SCAN {
        let ranges = plan::by_page(member.pages, count);
        let by_ctid = ranges.len() > 1;
        return Ok((ranges, by_ctid));
    }
    let Some(key) = table.key.first() else {
        return Ok((vec![Range::whole()], false));
    };
    let Some(kind) = table.column(&key.name).and_then(|c| ordered(&c.base_type)) else {
        return Ok((vec![Range::whole()], false));
    };
    let sql = fill(
        include_str!("../../sql/source/bounds.sql"),
        &[("type", kind)],
    );
    let rows = source.query(&sql, &[Some(&member.oid.to_string()), Some(&key.name)])?;
    let share = |text: &str| text.parse::<f64>().unwrap_or(0.0);
    let bounds: Vec<Bound> = rows
        .iter()
        .map(|row| Bound {
            value: row.string("value"),
            before: share(row.text("before")),
            at: share(row.text("at")),
        })
        .collect();
    Ok((plan::by_value(&ident(&key.name), &bounds, count), false))
}

/// Types along which a table can be cut: text compared as the column itself compares it.
fn ordered(base_type: &str) -> Option<&'static str> {
    let plain = base_type.split('(').next().unwrap_or(base_type).trim_end();
    match plain {
        "smallint" => Some("smallint"),
        "integer" => Some("integer"),
        "bigint" => Some("bigint"),
        "uuid" => Some("uuid"),
        "date" => Some("date"),
        "text" | "character varying" => Some("text"),
        "timestamp" | "timestamp without time zone" if base_type.contains("without") => {
            Some("timestamp without time zone")
        }
        "timestamp" | "timestamp with time zone" => Some("timestamp with time zone"),
        _ => None,
    }
}
