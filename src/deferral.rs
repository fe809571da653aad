//! What is taken off the target's tables for the copy and built again after it: foreign keys, constraints, indexes; and what
//! an ordinary role on the target switches off until the end: triggers, rules, foreign keys. Read from the target's own
//! catalogs, so it does not matter who made them.

use crate::failure::Failure;
use crate::libpq::Connection;
use crate::quote;
use crate::row::Row;
use crate::task::Kind;

/// One step of what is to be built again; `sql/target/deferral.sql` has the rules.
#[derive(Clone, Debug)]
pub struct Deferred {
    /// the table of the target it belongs to
    pub table: u32,
    /// the other table of a foreign key
    pub other: Option<u32>,
    pub kind: Kind,
    pub ord: i64,
    /// what stands or falls as one
    pub piece: String,
    pub name: String,
    pub weight: i64,
    /// one row of each piece has them
    pub drops: Vec<String>,
    pub builds: Vec<String>,
}

/// A piece that cannot be taken off.
pub struct Kept {
    pub piece: String,
    pub failure: Failure,
}

/// Everything on these tables of the target, in the order of dropping.
pub fn read(target: &mut Connection, tables: &[u32]) -> Result<Vec<Deferred>, Failure> {
    query(target, tables, include_str!("../sql/target/deferral.sql"))
}

/// What acts on rows that arrive where session_replication_role cannot be set. Of foreign keys only that they do.
pub fn firing(target: &mut Connection, tables: &[u32]) -> Result<Vec<Deferred>, Failure> {
    query(target, tables, include_str!("../sql/target/firing.sql"))
}

fn query(target: &mut Connection, tables: &[u32], sql: &str) -> Result<Vec<Deferred>, Failure> {
    let oids: Vec<String> = tables.iter().map(u32::to_string).collect();
    let sql = format!(
        "select d.table_oid, d.other_oid, d.phase, d.ord, d.piece, d.name, coalesce(d.weight, 0)::int8 as weight, \
                array_to_json(d.drops)::text as drops, array_to_json(d.builds)::text as builds \
         from ({sql}) d"
    );
    let rows = target.query(&sql, &[Some(&quote::array(&oids))])?;
    Ok(rows.iter().map(deferred).collect())
}

fn deferred(row: &Row) -> Deferred {
    let list = |name| -> Vec<String> {
        serde_json::from_str(row.text(name)).expect("array_to_json of text[] without NULLs")
    };
    Deferred {
        table: row.oid("table_oid"),
        other: row.opt("other_oid").map(|_| row.oid("other_oid")),
        kind: Kind::parse(row.text("phase")),
        ord: row.int("ord"),
        piece: row.string("piece"),
        name: row.string("name"),
        weight: row.int("weight"),
        drops: list("drops"),
        builds: list("builds"),
    }
}

/// Drops them, in one transaction; what had to stay, because something else needs it (2BP01: a view grouped by the primary
/// key) or our role does not own the table (42501).
pub fn take_off(target: &mut Connection, deferred: &[Deferred]) -> Result<Vec<Kept>, Failure> {
    let drops: Vec<&str> = deferred
        .iter()
        .flat_map(|d| d.drops.iter().map(String::as_str))
        .collect();
    if drops.is_empty() {
        return Ok(Vec::new());
    }
    match target.batch(&format!("begin; {}; commit", drops.join("; "))) {
        Ok(()) => return Ok(Vec::new()),
        Err(failure) if must_stay(&failure) => target.rollback(),
        Err(failure) => {
            target.rollback();
            return Err(failure.during("taking off what the target's tables are to be without"));
        }
    }
    one_by_one(target, deferred).inspect_err(|_| target.rollback())
}

fn must_stay(failure: &Failure) -> bool {
    matches!(failure.sqlstate.as_str(), "2BP01" | "42501")
}

fn one_by_one(target: &mut Connection, deferred: &[Deferred]) -> Result<Vec<Kept>, Failure> {
    let mut kept = Vec::new();
    target.batch("begin")?;
    for one in deferred.iter().filter(|d| !d.drops.is_empty()) {
        target.batch("savepoint piece")?;
        match target.batch(&one.drops.join("; ")) {
            Ok(()) => target.batch("release savepoint piece")?,
            Err(failure) if must_stay(&failure) => {
                target.batch("rollback to savepoint piece; release savepoint piece")?;
                kept.push(Kept {
                    piece: one.piece.clone(),
                    failure,
                });
            }
            Err(failure) => return Err(failure.during(format_args!("dropping {}", one.name))),
        }
    }
    target.batch("commit")?;
    Ok(kept)
}
