//! The followed tables that a statement is about.

use super::Ddl;
use crate::failure::Failure;
use crate::libpq::Connection;
use crate::quote::qualified;
use crate::relation::Relation;

/// A followed table that a statement is about.
pub struct Concerned {
    pub relation: Relation,
    pub exclusive: bool,
}

/// The followed tables that the target's transaction has locked. Errors: 0A000 when it has written rows, 55000 when a table is
/// not replayed yet.
pub fn concerned(ddl: &Ddl, target: &mut Connection) -> Result<Vec<Concerned>, Failure> {
    let mut found: Vec<Concerned> = Vec::new();
    for row in target.query(include_str!("../../sql/target/ddl_locks.sql"), &[])? {
        let name = qualified(row.text("schema"), row.text("name"));
        let root = ddl
            .partitions
            .iter()
            .find(|(_, partition)| *partition == name);
        let relation = ddl.relations.iter().find(|r| {
            root.is_some_and(|(oid, _)| *oid == r.oid) || qualified(&r.schema, &r.name) == name
        });
        let Some(relation) = relation else {
            continue;
        };
        if row.flag("changes") {
            return Err(Failure::new(
                "0A000",
                format!("the statement changes rows of {}", relation.shown()),
            )
            .detail("Nothing has been changed on either side.")
            .hint("Rows are changed on the source alone; replay brings them over. repl_ddl is for what changes tables."));
        }
        if !relation.state.is_replayed() {
            return Err(Failure::new(
                "55000",
                format!("table {} is {}", relation.shown(), relation.state.as_str()),
            )
            .detail("Nothing has been changed on either side.")
            .hint("A table can be changed once its copy is complete and while it is replayed; repl_tables shows how far it is."));
        }
        match found.iter_mut().find(|c| c.relation.oid == relation.oid) {
            Some(known) => known.exclusive |= row.flag("exclusive"),
            None => found.push(Concerned {
                relation: relation.clone(),
                exclusive: row.flag("exclusive"),
            }),
        }
    }
    Ok(found)
}
