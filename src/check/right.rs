//! What our role lacks on the source, each with the GRANT that gives it.

use std::collections::BTreeSet;

use super::finding::Findings;
use super::scope::{Scope, oids, subject};
use super::side::Side;
use crate::quote::ident;
use crate::selection::Choice;
use crate::sequence;
use crate::table::{Kind, Table};

pub fn check(scope: &Scope, source: &mut Side, choice: &Choice, findings: &mut Findings) {
    let mark = findings.mark();
    say_database(source, findings);
    for table in scope
        .wanted()
        .filter(|t| t.kind != Kind::Foreign && t.root.is_none())
        .chain(scope.partitions())
    {
        say_table(table, source, findings);
    }
    say_granted(scope, source, findings);
    say_sequences(scope, source, choice, findings);
    if findings.quiet_since(mark) {
        let role = ident(&source.server.role);
        findings.ok(
            "source rights",
            format!("role {role} may do all that is needed: it owns every table"),
        );
    }
}

fn say_database(source: &Side, findings: &mut Findings) {
    let (database, role) = (ident(&source.server.database), ident(&source.server.role));
    if !source.server.may_create {
        findings.error(
            "42501",
            "source rights",
            format!("role {role} may not create our schema in database {database}"),
            source.sql(format!("GRANT CREATE ON DATABASE {database} TO {role};")),
        );
    }
    if !source.server.plpgsql {
        findings.error(
            "42501",
            "source rights",
            format!("role {role} may not use language plpgsql, or the database lacks it; capture functions are written in it"),
            source.sql(format!("CREATE EXTENSION IF NOT EXISTS plpgsql; GRANT USAGE ON LANGUAGE plpgsql TO {role};")),
        );
    }
}

/// The owner reads everything too, so of a table that is not ours only that is said.
fn say_table(table: &Table, source: &Side, findings: &mut Findings) {
    let (name, role) = (table.qualified(), ident(&source.server.role));
    let (message, fix) = if !table.owned {
        (
            format!(
                "role {role} may not act as its owner {}: triggers could not be put there and taken away again",
                table.owner
            ),
            format!(
                "GRANT {} TO {role}; -- or ALTER TABLE {name} OWNER TO {role};",
                ident(&table.owner)
            ),
        )
    } else if table.root.is_some() {
        return;
    } else if !table.selectable {
        (
            format!("role {role} may not read it"),
            format!("GRANT SELECT ON {name} TO {role};"),
        )
    } else if table.row_security {
        (
            format!("row security would hide rows from role {role}"),
            format!("ALTER TABLE {name} NO FORCE ROW LEVEL SECURITY; -- or exclude it"),
        )
    } else {
        return;
    };
    findings.error("42501", subject(table), message, source.sql(fix));
}

/// Schemas, and the odd owner who has taken TRIGGER from himself.
fn say_granted(scope: &Scope, source: &mut Side, findings: &mut Findings) {
    let role = ident(&source.server.role);
    let wanted = oids(scope.wanted().filter(|t| t.kind != Kind::Foreign));
    let sql = include_str!("../../sql/check/rights.sql");
    let Some(rows) = source
        .look
        .rows(findings, "source rights", sql, &[Some(&wanted)])
    else {
        return;
    };
    let closed: BTreeSet<&str> = rows
        .iter()
        .filter(|r| !r.flag("usage"))
        .map(|r| r.text("schema"))
        .collect();
    for schema in closed {
        findings.error(
            "42501",
            format!("schema {schema}"),
            format!("role {role} may not use this schema of the source"),
            source.sql(format!(
                "GRANT USAGE ON SCHEMA {} TO {role};",
                ident(schema)
            )),
        );
    }
    for table in scope.taken.iter() {
        if rows
            .iter()
            .any(|r| r.oid("oid") == table.oid && !r.flag("trigger"))
        {
            findings.error(
                "42501",
                subject(table),
                format!("role {role} may not create triggers on it"),
                source.sql(format!("GRANT TRIGGER ON {} TO {role};", table.qualified())),
            );
        }
    }
}

fn say_sequences(scope: &Scope, source: &mut Side, choice: &Choice, findings: &mut Findings) {
    let Some(sequences) = source.look.run(findings, "sequences", sequence::listed) else {
        return;
    };
    for sequence in sequences.iter().filter(|s| !s.readable) {
        if sequence.is_followed(choice, |oid| scope.taken.iter().any(|t| t.oid == oid)) {
            let (name, role) = (
                crate::quote::qualified(&sequence.schema, &sequence.name),
                ident(&source.server.role),
            );
            findings.error(
                "42501",
                format!(
                    "sequence {}",
                    crate::table::shown(&sequence.schema, &sequence.name)
                ),
                format!("role {role} may not read it"),
                source.sql(format!("GRANT SELECT ON SEQUENCE {name} TO {role};")),
            );
        }
    }
}
