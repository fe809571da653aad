//! What our role lacks on the target, each with the GRANT that gives it.

use super::finding::Findings;
use super::side::Side;
use super::wording::count;
use crate::deferral;
use crate::quote::{self, ident};
use crate::table::{Table, shown};
use crate::task::Kind;

/// Triggers and foreign keys must not fire while rows arrive. `None`: our role may keep them quiet. Else what it lacks, for
/// [`check_ordinary`] to judge once the target's tables are known.
pub fn check_replication_role(target: &mut Side, findings: &mut Findings) -> Option<String> {
    let subject = "session_replication_role";
    let result = target.look.attempt(|c| {
        c.batch("savepoint decamp; set local session_replication_role = replica; rollback to savepoint decamp")
    });
    let role = ident(&target.server.role);
    match result {
        None => {}
        Some(Ok(())) => findings.ok(subject, format!("role {role} may set it on the target")),
        Some(Err(failure)) if failure.sqlstate == "42501" => {
            return Some(if target.look.version() >= 150_000 {
                format!(
                    "GRANT SET ON PARAMETER session_replication_role TO {role}; -- as a superuser"
                )
            } else {
                format!(
                    "ALTER ROLE {role} SUPERUSER; -- as a superuser; a provider may have a role to grant instead"
                )
            });
        }
        Some(Err(failure)) => findings.failure(subject, &failure),
    }
    None
}

/// An ordinary role has to switch off what would act on arriving rows, for which it must own the tables. `grant` is what
/// would make that unnecessary.
pub fn check_ordinary(
    target: &mut Side,
    tables: &[(&Table, &Table)],
    grant: String,
    findings: &mut Findings,
) {
    let subject = "session_replication_role";
    let role = ident(&target.server.role);
    let oids: Vec<u32> = tables.iter().map(|(_, other)| other.oid).collect();
    let list = quote::array(&oids.iter().map(u32::to_string).collect::<Vec<_>>());
    let sql = include_str!("../../sql/check/ordinary.sql");
    let (Some(rows), Some(firing)) = (
        target.look.rows(findings, subject, sql, &[Some(&list)]),
        target
            .look
            .run(findings, subject, |c| deferral::firing(c, &oids)),
    ) else {
        return;
    };
    for row in &rows {
        let name = quote::qualified(row.text("schema"), row.text("name"));
        let owner = ident(row.text("owner"));
        let why = row.opt("key").map_or_else(
            || "its triggers and foreign keys".to_owned(),
            |key| format!("foreign key {}", ident(key)),
        );
        findings.error(
            "42501",
            format!("table {}", shown(row.text("schema"), row.text("name"))),
            format!(
                "role {role} neither may set session_replication_role on the target nor owns this table of {owner} there: {why} \
                 would act on arriving rows"
            ),
            target.sql(format!(
                "{grant}\n-- or\nALTER TABLE {name} OWNER TO {role}; -- or GRANT {owner} TO {role};"
            )),
        );
    }
    if rows.is_empty() {
        let off = |what| firing.iter().filter(|d| d.kind == what).count();
        let mut keys: Vec<&str> = firing
            .iter()
            .filter(|d| d.kind == Kind::ForeignKey)
            .map(|d| d.name.as_str())
            .collect();
        keys.sort_unstable();
        keys.dedup();
        findings.warning(
            subject,
            format!(
                "role {role} may not set it on the target: triggers, rules and foreign keys of the tables there (now {}, {} \
                 and {}) are switched off before rows arrive; repl_stop puts them back as they were",
                count(off(Kind::Trigger), "trigger"),
                count(off(Kind::Rule), "rule"),
                count(keys.len(), "foreign key"),
            ),
            target.sql(grant),
        );
    }
}

/// Schema `decamp`, where the target keeps what was applied.
pub fn check_state(target: &mut Side, findings: &mut Findings) {
    let subject = "target state";
    let sql = include_str!("../../sql/check/state.sql");
    let Some(rows) = target.look.rows(findings, subject, sql, &[]) else {
        return;
    };
    let (role, row) = (ident(&target.server.role), &rows[0]);
    if row.flag("present") && !row.flag("writable") && !row.flag("creatable") {
        findings.error(
            "42501",
            subject,
            format!("role {role} may not write in schema decamp of the target, where it is kept what was applied"),
            target.sql(format!(
                "GRANT USAGE, CREATE ON SCHEMA decamp TO {role}; GRANT SELECT, INSERT, DELETE ON ALL TABLES IN SCHEMA decamp TO {role};"
            )),
        );
    } else if !row.flag("present") && !target.server.may_create {
        findings.error(
            "42501",
            subject,
            format!("role {role} may not create schema decamp on the target"),
            grant_create(target),
        );
    } else {
        findings.ok(
            subject,
            format!("role {role} may keep in schema decamp what was applied"),
        );
    }
}

/// Creating the schemas and tables that are missing.
pub fn check_creation(target: &mut Side, schemas: &[&str], findings: &mut Findings) {
    let subject = "target rights";
    let names = crate::quote::array(schemas);
    let sql = include_str!("../../sql/check/schemas.sql");
    let Some(rows) = target.look.rows(findings, subject, sql, &[Some(&names)]) else {
        return;
    };
    let mark = findings.mark();
    let role = ident(&target.server.role);
    if rows.iter().any(|r| !r.flag("present")) && !target.server.may_create {
        let message = format!("role {role} may not create schemas in the target's database");
        findings.error("42501", subject, message, grant_create(target));
    }
    for row in rows
        .iter()
        .filter(|r| r.flag("present") && !r.flag("creatable"))
    {
        let schema = ident(row.text("name"));
        findings.error(
            "42501",
            subject,
            format!("role {role} may not create tables in schema {schema} of the target"),
            target.sql(format!("GRANT USAGE, CREATE ON SCHEMA {schema} TO {role};")),
        );
    }
    if findings.quiet_since(mark) {
        findings.ok(subject, format!("role {role} may create what is missing"));
    }
}

fn grant_create(target: &Side) -> Option<String> {
    target.sql(format!(
        "GRANT CREATE ON DATABASE {} TO {};",
        ident(&target.server.database),
        ident(&target.server.role)
    ))
}
