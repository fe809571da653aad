//! What tests look at: one value of a status view, an error and what it comes with, and that an error changed nothing.

use std::time::Duration;

use postgres::error::DbError;

use crate::migration::NAME;
use crate::pair::{Pair, TARGET_DATABASE};
use crate::source::{DATABASE, PASSWORD};

/// Long enough for anything that is a matter of a moment, on a busy machine too.
pub const SOON: Duration = Duration::from_secs(30);

impl Pair {
    /// One column of the subscription's row in `repl_status`.
    pub fn status(&self, column: &str) -> String {
        self.query(&format!(
            "SELECT {column} FROM repl_status WHERE name = '{NAME}'"
        ))
    }

    /// One column of a table's row in `repl_tables`.
    pub fn table(&self, table: &str, column: &str) -> String {
        self.query(&format!(
            "SELECT {column} FROM repl_tables WHERE subscription = '{NAME}' AND \"table\" = '{table}'"
        ))
    }

    /// Waits until a query on the target is true; says where the migration stands if it never is.
    pub fn poll(&self, sql: &str) {
        let found = crate::wait::within(SOON, || (self.query(sql) == "t").then_some(()));
        assert!(
            found.is_some(),
            "not true within {SOON:?}: {sql}\n{}",
            self.tell()
        );
    }

    /// Cancels what a session on the target is at, and waits until it has given up.
    pub fn cancel(&self, pid: i32) {
        self.sql(&format!("SELECT pg_cancel_backend({pid})"));
        self.poll(&format!(
            "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = {pid} AND state = 'active'"
        ));
    }

    /// Waits until a condition on the subscription's row in `repl_status` is true.
    pub fn poll_status(&self, condition: &str) {
        self.poll(&format!(
            "SELECT coalesce(bool_and({condition}), false) FROM repl_status WHERE name = '{NAME}'"
        ));
    }

    /// Waits until a condition on a table's row in `repl_tables` is true.
    pub fn poll_table(&self, table: &str, condition: &str) {
        self.poll(&format!(
            "SELECT coalesce(bool_and({condition}), false) FROM repl_tables \
             WHERE subscription = '{NAME}' AND \"table\" = '{table}'"
        ));
    }

    /// Starts the migration and waits until it streams.
    pub fn stream(&self, more: &str) {
        self.migrate(more);
        self.wait_for("streaming", Duration::from_secs(60));
    }

    /// Deltas that wait on the source, all tables together.
    pub fn deltas(&self) -> u64 {
        let sql = "SELECT coalesce(sum((xpath('/row/n/text()', query_to_xml(format( \
                   'SELECT count(*) AS n FROM %s', c.oid::regclass), false, true, '')))[1]::text::bigint), 0) \
                   FROM pg_class c WHERE c.relnamespace::regnamespace::text LIKE 'decamp_%' AND c.relname LIKE 'delta_%'";
        self.source
            .query_one_text(DATABASE, sql)
            .parse()
            .expect("a sum of counts is a number")
    }

    /// The error that SQL on the target must end with. Every error must help: it has a hint or a detail, and no password.
    pub fn refused(&self, sql: &str) -> DbError {
        let error = self.target.fails(TARGET_DATABASE, sql);
        assert_helpful(&error);
        error
    }

    /// `repl_start` with these arguments is refused so, and nothing has changed.
    pub fn start_refused(&self, arguments: &str, sqlstate: &str, parts: &[&str]) {
        let error = self.refused(&format!("SELECT repl_start('{NAME}', {arguments})"));
        assert_says(&error, sqlstate, parts);
        self.assert_nothing_started();
        assert_eq!(self.query("SELECT count(*) FROM repl_events"), "0");
    }

    /// What `repl_check` says is an error, as `subject: message`. It changes nothing either.
    pub fn check_errors(&self, arguments: &str) -> Vec<String> {
        let sql = format!(
            "SELECT subject || ': ' || message FROM repl_check({arguments}) WHERE severity = 'error'"
        );
        let rows = self.target.rows(TARGET_DATABASE, &sql);
        self.assert_nothing_started();
        rows.into_iter().map(|mut row| row.remove(0)).collect()
    }

    /// What `repl_check` tells to type on the source about its errors, typed there by a superuser: then nothing is wrong.
    pub fn mend_on_source(&self, arguments: &str, database: &str) {
        let sql = format!("SELECT fix FROM repl_check({arguments}) WHERE severity = 'error'");
        for row in self.target.rows(TARGET_DATABASE, &sql) {
            self.source.sql(database, &row[0]);
        }
        assert_eq!(self.check_errors(arguments), [""; 0], "the fixes help");
    }

    /// Checks that a refused `repl_start` has left nothing.
    pub fn assert_nothing_started(&self) {
        assert_eq!(self.query("SELECT count(*) FROM decamp.subscription"), "0");
        assert_eq!(self.query("SELECT count(*) FROM decamp.relation"), "0");
        assert_eq!(self.our_workers(), "0", "workers are running");
        self.assert_source_clean();
    }

    /// How many background workers of ours run on the target's server.
    pub fn our_workers(&self) -> String {
        self.query(
            "SELECT count(*) FROM pg_stat_activity \
             WHERE backend_type LIKE 'pg_decamp%' AND backend_type <> 'pg_decamp launcher'",
        )
    }
}

/// Everything an error says.
pub fn words(error: &DbError) -> String {
    [
        Some(error.message()),
        error.detail(),
        error.hint(),
        error.where_(),
    ]
    .into_iter()
    .flatten()
    .collect::<Vec<_>>()
    .join("\n")
}

/// Checks an error's SQLSTATE and that each of `parts` is somewhere in its message, detail or hint.
pub fn assert_says(error: &DbError, sqlstate: &str, parts: &[&str]) {
    let words = words(error);
    assert_eq!(error.code().code(), sqlstate, "{words}");
    for part in parts {
        assert!(words.contains(part), "{part:?} is not in: {words}");
    }
}

/// Checks that an error has a hint or a detail, is no internal one, and keeps the password for itself.
pub fn assert_helpful(error: &DbError) {
    let words = words(error);
    assert!(
        error.hint().is_some() || error.detail().is_some(),
        "no hint and no detail: {words}"
    );
    assert_ne!(error.code().code(), "XX000", "{words}");
    assert_no_password(&words);
}

/// Checks that a text has the password in none of its forms.
pub fn assert_no_password(text: &str) {
    let encoded = "p%3Aw%40d%2F100%25";
    for secret in [PASSWORD, encoded] {
        if let Some(at) = text.find(secret) {
            let line = text[..at].lines().count();
            panic!("the password is in line {line} of {} bytes", text.len());
        }
    }
}
