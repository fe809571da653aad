//! What an earlier run left on the source.

use super::finding::Findings;
use super::side::Side;
use crate::pg::spi;
use crate::quote;
use crate::row::Row;

/// `name`: the subscription about to be started, whose schema must not be there.
pub fn check(source: &mut Side, name: Option<&str>, findings: &mut Findings) {
    let mark = findings.mark();
    let own = name.map(|name| format!("decamp_{name}"));
    let sql = include_str!("../../sql/check/leftovers.sql");
    let Some(schemas) = source
        .look
        .rows(findings, "leftovers", sql, &[own.as_deref()])
    else {
        return;
    };
    let origins = origins(source, &schemas, findings);
    let known: Vec<String> = spi::read("select uuid from decamp.subscription", &[])
        .iter()
        .map(|r| r.string("uuid"))
        .collect();
    for row in &schemas {
        let schema = row.text("schema");
        let origin = origins
            .iter()
            .find(|(s, _)| s == schema)
            .map(|(_, uuid)| uuid);
        if origin.is_some_and(|uuid| known.contains(uuid)) {
            findings.ok(
                "leftovers",
                format!("schema {schema} belongs to a subscription of this database"),
            );
        } else if Some(schema) == own.as_deref() {
            findings.error(
                "55000",
                "leftovers",
                format!(
                    "schema {schema} is on the source already: left by an earlier run, or in use by an extension on another \
                     server. Dropping it drops the capture triggers too, and for a moment locks each table they are on"
                ),
                drop(source, schema),
            );
        } else {
            findings.warning(
                "leftovers",
                format!(
                    "schema {schema} on the source is of no subscription of this database: left by an earlier run (its \
                     triggers go on filling it), or in use by an extension on another server"
                ),
                drop(source, schema),
            );
        }
    }
    if schemas.is_empty() && findings.quiet_since(mark) {
        findings.ok("leftovers", "none on the source");
    }
}

/// Table by table first: all at once would lock them all, and on a busy source never get there.
fn drop(source: &Side, schema: &str) -> Option<String> {
    source.sql(format!(
        "SET lock_timeout = '2s'; -- in psql, if nobody uses it; again until nothing is refused\n\
         SELECT format('DROP TRIGGER %I ON %s', t.tgname, t.tgrelid::regclass) FROM pg_trigger t JOIN pg_proc p ON p.oid = \
         t.tgfoid WHERE p.pronamespace = {}::regnamespace AND NOT t.tgisinternal \\gexec\n\
         DROP SCHEMA {} CASCADE;",
        quote::literal(schema),
        quote::ident(schema)
    ))
}

/// Whose the readable schemas are: pairs of schema and uuid.
fn origins(source: &mut Side, schemas: &[Row], findings: &mut Findings) -> Vec<(String, String)> {
    let parts: Vec<String> = schemas
        .iter()
        .filter(|row| row.flag("readable"))
        .map(|row| {
            let schema = row.text("schema");
            format!(
                "select {} as schema, subscription as uuid from only {}",
                quote::literal(schema),
                quote::qualified(schema, "origin")
            )
        })
        .collect();
    if parts.is_empty() {
        return Vec::new();
    }
    let rows = source
        .look
        .rows(findings, "leftovers", &parts.join(" union all "), &[])
        .unwrap_or_default();
    rows.iter()
        .map(|row| (row.string("schema"), row.string("uuid")))
        .collect()
}
