//! Tables of special kinds: what becomes of them.

use super::finding::Findings;
use super::scope::{Scope, subject};
use super::side::Side;
use super::wording::{count, names};
use crate::selection::{Choice, Obstacle};
use crate::table::{Kind, Table};

pub fn check(scope: &Scope, source: &Side, choice: &Choice, findings: &mut Findings) {
    say_lone_partitions(scope, findings);
    let foreign: Vec<String> = scope
        .tables
        .iter()
        .filter(|t| t.kind == Kind::Foreign && t.root.is_none() && choice.wants(&t.schema, &t.name))
        .map(Table::shown)
        .collect();
    if !foreign.is_empty() {
        let message = format!(
            "not taken, their rows live on another server: {}",
            names(&foreign)
        );
        findings.warning("foreign tables", message, None);
    }
    let foreign: Vec<String> = scope
        .partitions()
        .filter(|t| t.kind == Kind::Foreign)
        .map(Table::shown)
        .collect();
    if !foreign.is_empty() {
        let message = format!(
            "partitions on another server; changes made there directly are not seen: {}",
            names(&foreign)
        );
        findings.warning("foreign tables", message, None);
    }
    let unlogged = scope.named(|t| t.unlogged);
    if !unlogged.is_empty() {
        findings.warning(
            "unlogged tables",
            format!(
                "emptied by a crash of the source without a trace, the target would keep the rows: {}",
                names(&unlogged)
            ),
            source.sql(format!("ALTER TABLE {} SET LOGGED; -- rewrites it; each of them", unlogged[0])),
        );
    }
    let inherits = scope.named(|t| t.inherits && t.kind == Kind::Ordinary);
    if !inherits.is_empty() && source.look.version() >= 110_000 {
        findings.ok(
            "inheritance",
            format!(
                "captured row by row, slower for bulk changes: {}",
                names(&inherits)
            ),
        );
    }
    let roots = scope.named(|t| t.kind == Kind::Partitioned);
    if !roots.is_empty() {
        let partitions = count(scope.partitions().count(), "partition");
        findings.ok(
            "partitioned tables",
            format!(
                "captured row by row at their root, {partitions}: {}",
                names(&roots)
            ),
        );
    }
}

fn say_lone_partitions(scope: &Scope, findings: &mut Findings) {
    for (table, obstacle) in &scope.obstacles {
        if *obstacle != Obstacle::LonePartition {
            continue;
        }
        let root = scope
            .tables
            .iter()
            .find(|t| Some(t.oid) == table.root)
            .map(Table::shown)
            .unwrap_or_default();
        findings.error(
            "0A000",
            subject(table),
            format!("a partition cannot be taken without its partitioned table {root}"),
            Some(format!(
                "-- add to tables => array[...]\n'{}'",
                root.replace('\'', "''")
            )),
        );
    }
}
