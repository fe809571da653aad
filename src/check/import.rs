//! The programs that import the schema: are they there, are they new enough.

use std::path::Path;
use std::process::Command;

use super::finding::Findings;
use crate::pg::server;
use crate::quote;

/// pg_dump refuses a server of a newer major than its own; pg_restore must read what pg_dump wrote.
pub fn check_programs(source_version: i32, findings: &mut Findings) {
    let dir = server::bindir();
    let wanted = source_version / 10_000;
    let mark = findings.mark();
    let mut found = Vec::new();
    for program in ["pg_dump", "pg_restore", "psql"] {
        match version(&dir, program) {
            Ok(version) if major(&version) >= Some(wanted) => found.push(format!("{program} {version}")),
            Ok(version) => findings.error(
                "0A000",
                program,
                format!(
                    "version {version} in {} cannot import the schema of a source of PostgreSQL {wanted}",
                    dir.display()
                ),
                fix(wanted),
            ),
            Err(error) => findings.error(
                "58P01",
                program,
                format!("needed to import the schema, cannot be run in {}: {error}", dir.display()),
                fix(wanted),
            ),
        }
    }
    if findings.quiet_since(mark) {
        findings.ok(
            "schema import",
            format!("{} in {}", found.join(", "), dir.display()),
        );
    }
}

fn fix(wanted: i32) -> Option<String> {
    let dir = quote::literal(&format!("/usr/lib/postgresql/{wanted}/bin"));
    Some(format!(
        "-- this server, after apt-get install postgresql-client-{wanted}\nALTER SYSTEM SET pg_decamp.pg_bindir = {dir}; \
         SELECT pg_reload_conf();"
    ))
}

/// `15.4` of `pg_dump (PostgreSQL) 15.4 (Debian ...)`. Errors: why the program does not run, in words.
fn version(dir: &Path, program: &str) -> Result<String, String> {
    let output = Command::new(dir.join(program))
        .arg("--version")
        .output()
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text
        .split_once("(PostgreSQL) ")
        .and_then(|(_, rest)| rest.split_whitespace().next());
    version
        .map(str::to_owned)
        .ok_or_else(|| format!("--version said nothing useful, {}", output.status))
}

/// 15 of `15.4`, 19 of `19beta1`.
fn major(version: &str) -> Option<i32> {
    let end = version
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(version.len());
    version[..end].parse().ok()
}
