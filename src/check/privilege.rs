//! What our role lacks on the target, each with the GRANT that gives it.

use super::finding::Findings;
use super::side::Side;
use crate::quote::ident;

/// Triggers and foreign keys must not fire while rows arrive.
pub fn check_replication_role(target: &mut Side, findings: &mut Findings) {
    let subject = "session_replication_role";
    let result = target.look.attempt(|c| {
        c.batch("savepoint decamp; set local session_replication_role = replica; rollback to savepoint decamp")
    });
    let role = ident(&target.server.role);
    match result {
        None => {}
        Some(Ok(())) => findings.ok(subject, format!("role {role} may set it on the target")),
        Some(Err(failure)) if failure.sqlstate == "42501" => {
            let fix = if target.look.version() >= 150_000 {
                format!(
                    "GRANT SET ON PARAMETER session_replication_role TO {role}; -- as a superuser"
                )
            } else {
                format!(
                    "ALTER ROLE {role} SUPERUSER; -- as a superuser; a provider may have a role to grant instead"
                )
            };
            findings.error(
                "42501",
                subject,
                format!(
                    "role {role} may not set it on the target: triggers and foreign keys would act on arriving rows"
                ),
                target.sql(fix),
            );
        }
        Some(Err(failure)) => findings.failure(subject, &failure),
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
