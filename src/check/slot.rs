//! Room for our connections on both sides, and for our workers on this server.

use super::finding::Findings;
use super::side::Side;
use crate::pg::spi;
use crate::quote::{ident, literal};

/// The apply worker has one connection to each side, each copy worker another; one more for `repl_stop` and the like.
pub fn check_connections(side: &mut Side, workers: i32, findings: &mut Findings) {
    let subject = side.subject("connections");
    let sql = include_str!("../../sql/check/connections.sql");
    let Some(rows) = side.look.rows(findings, &subject, sql, &[]) else {
        return;
    };
    let row = &rows[0];
    let needed = i64::from(workers) + 2;
    let (role, database) = (ident(&side.server.role), ident(&side.server.database));
    // ours of this moment will be closed again
    let maximum = row.int("maximum");
    let free = maximum - row.int("reserved") - row.int("used") + 1;
    let mut rooms = vec![(
        free,
        format!("max_connections is {maximum}"),
        format!(
            "ALTER SYSTEM SET max_connections = {}; -- then restart the server",
            maximum + needed - free
        ),
    )];
    for (kind, name, limit, used) in [
        ("ROLE", &role, row.int("role_limit"), row.int("role_used")),
        (
            "DATABASE",
            &database,
            row.int("database_limit"),
            row.int("database_used"),
        ),
    ] {
        let free = limit - used + 1;
        if limit >= 0 {
            rooms.push((
                free,
                format!("{} {name} has a limit of {limit}", kind.to_lowercase()),
                format!(
                    "ALTER {kind} {name} CONNECTION LIMIT {};",
                    limit + needed - free
                ),
            ));
        }
    }
    let (free, why, fix) = rooms
        .into_iter()
        .min_by_key(|(free, ..)| *free)
        .expect("max_connections is always one");
    let free = free.max(0);
    if free < needed {
        findings.error(
            "53300",
            subject,
            format!("{needed} are needed, {free} are free: {why}"),
            side.sql(fewer(fix, free - 2)),
        );
    } else {
        findings.ok(subject, format!("{needed} are needed, {free} are free"));
    }
}

/// Background worker slots, and whether the server brings our workers back after a restart.
pub fn check_workers(workers: i32, findings: &mut Findings) {
    let row = &spi::read(include_str!("../../sql/check/workers.sql"), &[])[0];
    let (maximum, needed) = (row.int("maximum"), i64::from(workers) + 1);
    let free = (maximum - row.int("running")).max(0);
    if free < needed {
        let fix = format!(
            "ALTER SYSTEM SET max_worker_processes = {}; -- then restart the server",
            maximum + needed - free
        );
        findings.error(
            "53400",
            "background workers",
            format!("{needed} are needed, {free} are free: max_worker_processes is {maximum}"),
            Some(format!("-- this server\n{}", fewer(fix, free - 1))),
        );
    } else {
        findings.ok(
            "background workers",
            format!("{needed} are needed, {free} are free"),
        );
    }
    if let Some(preloaded) = row.opt("preloaded") {
        say_preloaded(preloaded, findings);
    }
}

fn say_preloaded(setting: &str, findings: &mut Findings) {
    let mut libraries: Vec<&str> = setting
        .split(',')
        .map(|l| l.trim().trim_matches('"'))
        .filter(|l| !l.is_empty())
        .collect();
    if libraries
        .iter()
        .any(|l| l.rsplit('/').next() == Some("pg_decamp"))
    {
        findings.ok(
            "preload",
            "after a restart of this server the migration goes on by itself",
        );
        return;
    }
    libraries.push("pg_decamp");
    let list: Vec<String> = libraries
        .iter()
        .map(|l| literal(l).trim_start().to_owned())
        .collect();
    findings.warning(
        "preload",
        "pg_decamp is not in shared_preload_libraries: after a restart of this server SELECT repl_resume() is needed (by hand \
         or from pg_cron)",
        Some(format!(
            "-- this server\nALTER SYSTEM SET shared_preload_libraries = {}; -- then restart the server",
            list.join(", ")
        )),
    );
}

/// Fewer workers are a way out as well, if there is room for one.
fn fewer(fix: String, workers: i64) -> String {
    if workers >= 1 {
        format!("{fix}\n-- or\nworkers => {workers}")
    } else {
        fix
    }
}
