//! Sequences of the source that are nearly used up: a migration is the moment to notice.

use super::finding::Findings;
use super::side::Side;
use crate::quote;
use crate::table::shown;

pub fn check(source: &mut Side, findings: &mut Findings) {
    let sql = include_str!("../../sql/check/exhaustion.sql");
    let Some(rows) = source.look.rows(findings, "sequences", sql, &[]) else {
        return;
    };
    if rows.is_empty() {
        findings.ok("sequences", "none is near its end");
    }
    for row in &rows {
        let (schema, name) = (row.text("schema"), row.text("name"));
        let qualified = quote::qualified(schema, name);
        let fix = if row.text("type") != "bigint" {
            format!(
                "ALTER SEQUENCE {qualified} AS bigint; -- and its column: ALTER TABLE ... TYPE bigint rewrites the table"
            )
        } else if row.flag("bounded") {
            format!("ALTER SEQUENCE {qualified} NO MAXVALUE NO MINVALUE;")
        } else {
            format!(
                "SELECT * FROM pg_sequences WHERE sequencename = {};",
                quote::literal(name)
            )
        };
        findings.warning(
            format!("sequence {}", shown(schema, name)),
            format!(
                "{} % used up: the last value was {}, of type {}",
                row.int("percent"),
                row.int("last"),
                row.text("type")
            ),
            source.sql(fix),
        );
    }
}
