//! Who would keep capture from being installed: long transactions, anti-wraparound vacuums, forgotten prepared ones.

use super::finding::Findings;
use super::scope::Scope;
use super::side::Side;
use super::wording::{age, count};
use crate::quote;
use crate::row::Row;

/// Transactions younger than this are over before a few tries are.
const PATIENCE_SECONDS: i64 = 60;

pub fn check(scope: &Scope, source: &mut Side, findings: &mut Findings) {
    let family = scope.family();
    let sql = include_str!("../../sql/source/holders.sql");
    let Some(rows) = source
        .look
        .rows(findings, "locks", sql, &[Some(&family), Some("false")])
    else {
        return;
    };
    let mark = findings.mark();
    for row in rows.iter().filter(|r| !r.flag("hidden")) {
        say_holder(row, source, findings);
    }
    let hidden = rows.iter().filter(|r| r.flag("hidden")).count();
    if hidden > 0 {
        findings.warning(
            "locks",
            format!(
                "locks on tables to take are held by {} of other roles; how old they are is hidden from role {} (an \
                 anti-wraparound vacuum may be among them)",
                count(hidden, "session"),
                quote::ident(&source.server.role),
            ),
            source.sql(format!("GRANT pg_read_all_stats TO {};", quote::ident(&source.server.role))),
        );
    }
    if findings.quiet_since(mark) {
        findings.ok(
            "locks",
            "no transaction older than a minute and no anti-wraparound vacuum holds one on a table to take",
        );
    }
}

fn say_holder(row: &Row, source: &Side, findings: &mut Findings) {
    let since = row.opt_int("age").unwrap_or(0);
    let on = match row.int("tables") {
        1 => row.string("example"),
        n => format!("{} and {} more", row.text("example"), n - 1),
    };
    if let Some(gid) = row.opt("gid") {
        if since >= PATIENCE_SECONDS {
            findings.warning(
                "locks",
                format!(
                    "prepared transaction {gid:?} of {}, {} old, holds locks on {on}: nothing can be installed there \
                     before it ends",
                    row.opt("user").unwrap_or("?"),
                    age(since),
                ),
                source.sql(format!("ROLLBACK PREPARED {}; -- or COMMIT PREPARED", quote::literal(gid))),
            );
        }
        return;
    }
    let Some(pid) = row.opt("pid") else { return };
    if row.flag("wraparound") {
        findings.warning(
            "locks",
            format!(
                "pid {pid}, an anti-wraparound vacuum running for {}, works on {on} and does not give way",
                age(since)
            ),
            source.sql(format!("SELECT * FROM pg_stat_progress_vacuum WHERE pid = {pid}; -- wait until it is done")),
        );
    } else if since >= PATIENCE_SECONDS {
        let who = row
            .opt("user")
            .map_or_else(|| "autovacuum".to_owned(), |user| format!("user {user}"));
        let application = row
            .opt("application")
            .filter(|a| !a.is_empty())
            .map_or(String::new(), |a| format!(", {a}"));
        findings.warning(
            "locks",
            format!(
                "pid {pid} ({who}{application}), in a transaction for {}, holds locks on {on}",
                age(since)
            ),
            source.sql(format!(
                "SELECT pg_terminate_backend({pid}); -- or wait until it is done"
            )),
        );
    }
}
