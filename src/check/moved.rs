//! What else is in the source's database and is not moved.

use super::finding::Findings;
use super::side::Side;
use super::wording::names;

/// Large objects and materialized views; on PostgreSQL 10 also partitioned tables.
pub fn check_objects(source: &mut Side, findings: &mut Findings) {
    let sql = include_str!("../../sql/check/objects.sql");
    let Some(rows) = source.look.rows(findings, "large objects", sql, &[]) else {
        return;
    };
    let row = &rows[0];
    match row.int("large_objects") {
        0 => findings.ok("large objects", "none"),
        n => {
            let n = if n > 100_000 {
                "more than 100000".to_owned()
            } else {
                n.to_string()
            };
            findings.warning(
                "large objects",
                format!("not moved, number on the source: {n}"),
                source.sql("SELECT oid, lo_get(oid) FROM pg_largeobject_metadata; -- and lo_from_bytea(oid, ...) on the target"),
            );
        }
    }
    match row.opt("views") {
        None => findings.ok("materialized views", "none"),
        Some(views) => {
            let views: Vec<&str> = views.lines().collect();
            findings.warning(
                "materialized views",
                format!("not refreshed on the target: {}", names(&views)),
                Some(format!(
                    "-- target, after the switch, each of them\nREFRESH MATERIALIZED VIEW {};",
                    views[0]
                )),
            );
        }
    }
    if source.look.version() < 110_000 && row.int("partitioned") > 0 {
        findings.ok(
            "partitioned tables",
            "PostgreSQL 10 knows no triggers on them: their partitions are taken one by one",
        );
    }
}
