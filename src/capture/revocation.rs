//! The classical fence: rights to write are revoked on all tables of some schemas. What was revoked is remembered on the
//! source, in the transaction that revoked it, as the statements that give it back.

use super::{LOCK_TIMEOUT, Names, fence};
use crate::failure::Failure;
use crate::grant::{self, Grant};
use crate::libpq::Connection;
use crate::quote::{self, literal, qualified};

pub(super) fn table(names: &Names) -> String {
    qualified(&names.schema(), "revoked")
}

/// Whether rights are revoked.
pub fn stands(source: &mut Connection, names: &Names) -> Result<bool, Failure> {
    Ok(source.query(
        "select to_regclass($1) is not null as present",
        &[Some(&table(names))],
    )?[0]
        .flag("present"))
}

/// Revokes what our role may; what it may not is returned in words. Errors: 55000 when there is nothing it may.
pub fn revoke(
    source: &mut Connection,
    names: &Names,
    schemas: &[String],
) -> Result<(usize, Vec<String>), Failure> {
    let seconds = LOCK_TIMEOUT.as_secs();
    source.batch(&format!(
        "begin; set local lock_timeout = '{seconds}s'; {}",
        fence::alone(names)
    ))?;
    let outcome = revoke_in_transaction(source, names, schemas);
    if outcome.is_err() {
        source.rollback();
    }
    outcome.map_err(|failure| failure.during("revoking the rights to write"))
}

fn revoke_in_transaction(
    source: &mut Connection,
    names: &Names,
    schemas: &[String],
) -> Result<(usize, Vec<String>), Failure> {
    let rows = source.query(
        include_str!("../../sql/source/grants.sql"),
        &[Some(&quote::array(schemas))],
    )?;
    let grants = rows
        .iter()
        .map(|row| Grant {
            table: row.string("table"),
            column: row.opt("column").map(str::to_owned),
            privilege: row.string("privilege"),
            grantable: row.flag("grantable"),
            grantor: row.string("grantor"),
            grantee: row.string("grantee"),
            owned: row.flag("owned"),
            ours: row.flag("ours"),
        })
        .collect();
    let (revoked, left) = grant::plan(grants);
    if revoked.is_empty() {
        return Err(Failure::new("55000", format!("no right to write is our role's to revoke in schemas {}", schemas.join(", ")))
            .hint("It has to own the tables, or be a member of the role that does. repl_fence without via needs no rights to be revoked."));
    }
    let mut sql = format!(
        "create table {} (number int primary key, statement text not null);",
        table(names)
    );
    for (number, grant) in revoked.iter().rev().enumerate() {
        sql.push_str(&format!(
            "insert into {} values ({number}, {});",
            table(names),
            literal(&grant.give_back())
        ));
    }
    for grant in &revoked {
        sql.push_str(&grant.revoke());
    }
    source.batch(&format!("{sql} commit"))?;
    Ok((revoked.len(), left.iter().map(Grant::in_words).collect()))
}

/// The statements that give back what is revoked, and forget it; in a transaction that is open.
pub fn giving_back(source: &mut Connection, names: &Names) -> Result<String, Failure> {
    if !stands(source, names)? {
        return Ok(String::new());
    }
    let rows = source.query(
        &format!("select statement from {} order by number", table(names)),
        &[],
    )?;
    // what was dropped meanwhile needs no rights, and must not keep the others from theirs
    let statements: Vec<String> = rows
        .iter()
        .map(|row| {
            let body = format!(
                "begin {} exception when undefined_table or undefined_column or undefined_object then null; end",
                row.text("statement")
            );
            format!("do {};", literal(&body))
        })
        .collect();
    Ok(format!(
        "{} drop table {};",
        statements.join(" "),
        table(names)
    ))
}
