//! How much is to be moved, and whether there is room for it.

use std::process::Command;

use super::finding::Findings;
use super::scope::Scope;
use super::side::Side;
use super::wording::bytes;

pub fn check_source(scope: &Scope, source: &mut Side, findings: &mut Findings) -> i64 {
    let sql = include_str!("../../sql/check/index_bytes.sql");
    let rows = source
        .look
        .rows(findings, "size", sql, &[Some(&scope.family())]);
    let indexes = rows.map_or(0, |rows| rows[0].int("bytes"));
    findings.ok(
        "size",
        format!(
            "the source's database has {}; to take: {} of tables, {} of indexes",
            bytes(source.server.bytes),
            bytes(scope.bytes()),
            bytes(indexes)
        ),
    );
    scope.bytes() + indexes
}

/// Free space under this server's data directory, where a local target keeps its rows. Unknown: nothing is said.
/// A fifth on top for WAL and sorting.
pub fn check_disk(needed: i64, findings: &mut Findings) {
    let Some(free) = free_bytes() else { return };
    let wanted = needed.saturating_add(needed / 5);
    if free < wanted {
        findings.warning(
            "disk",
            format!(
                "{} are free in the data directory, about {} will be needed",
                bytes(free),
                bytes(wanted)
            ),
            Some("df -h \"$PGDATA\" # on this server; make room or grow the disk first".to_owned()),
        );
    } else {
        findings.ok(
            "disk",
            format!(
                "{} are free in the data directory, about {} will be needed",
                bytes(free),
                bytes(wanted)
            ),
        );
    }
}

/// A server process's working directory is its data directory.
fn free_bytes() -> Option<i64> {
    let output = Command::new("df")
        .args(["-Pk", "."])
        .env("LC_ALL", "C")
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let kilobytes: i64 = text
        .lines()
        .nth(1)?
        .split_whitespace()
        .nth(3)?
        .parse()
        .ok()?;
    Some(kilobytes * 1024)
}
