//! What else is in the source's database and is not moved, or needs the target to be prepared.

use super::finding::Findings;
use super::side::Side;
use super::wording::names;
use crate::quote;

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

/// `imported`: the schema will be, and CREATE EXTENSION with it.
pub fn check_extensions(
    source: &mut Side,
    target: &mut Side,
    imported: bool,
    findings: &mut Findings,
) {
    let sql = include_str!("../../sql/check/extensions.sql");
    let Some(wanted) = source.look.rows(findings, "extensions", sql, &[]) else {
        return;
    };
    let wanted: Vec<String> = wanted.iter().map(|r| r.string("name")).collect();
    let sql = include_str!("../../sql/check/available.sql");
    let Some(available) =
        target
            .look
            .rows(findings, "extensions", sql, &[Some(&quote::array(&wanted))])
    else {
        return;
    };
    let mark = findings.mark();
    for name in &wanted {
        let subject = format!("extension {name}");
        let create = format!("CREATE EXTENSION IF NOT EXISTS {};", quote::ident(name));
        match available.iter().find(|r| r.text("name") == name) {
            None => findings.warning(
                subject,
                "the target's server does not have it: tables that use it cannot be created there",
                target.sql(format!(
                    "{create} -- after installing its package on the server"
                )),
            ),
            Some(row) if row.opt("installed").is_some() => {}
            Some(_) if imported => findings.ok(subject, "will be created on the target"),
            Some(_) => findings.warning(
                subject,
                "not created in the target's database",
                target.sql(create),
            ),
        }
    }
    if findings.quiet_since(mark) {
        let list = if wanted.is_empty() {
            "none on the source".to_owned()
        } else {
            names(&wanted)
        };
        findings.ok(
            "extensions",
            format!("the target has what it needs: {list}"),
        );
    }
}
