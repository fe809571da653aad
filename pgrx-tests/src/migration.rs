//! A migration driven by SQL on the target, as a user drives it.

use std::time::Duration;

use crate::compare;
use crate::pair::{Pair, TARGET_DATABASE};
use crate::source::DATABASE;

/// The subscription's name in most tests.
pub const NAME: &str = "heroku";

impl Pair {
    /// `repl_start('heroku', source => ...)` with further arguments such as `workers => 2`.
    pub fn migrate(&self, more: &str) -> String {
        let comma = if more.is_empty() { "" } else { ", " };
        self.query(&format!(
            "SELECT repl_start('{NAME}', source => '{}'{comma}{more})",
            self.source_uri()
        ))
    }

    /// Waits with `repl_wait`.
    pub fn wait_for(&self, until: &str, timeout: Duration) {
        let seconds = timeout.as_secs();
        let sql = format!("SELECT repl_wait('{NAME}', '{until}', timeout => '{seconds} seconds')");
        let mut client = self.target.connect(TARGET_DATABASE);
        if let Err(error) = client.simple_query(&sql) {
            panic!(
                "repl_wait for {until}: {}\n{}",
                crate::server::client::told(&error),
                self.tell()
            );
        }
    }

    /// Status, tables that are not ready, tasks that are not done, and the last events: for messages.
    pub fn tell(&self) -> String {
        let mut text = String::new();
        for sql in [
            "SELECT state, summary, error, hint FROM repl_status",
            "SELECT schema, \"table\", state, backlog, error, hint FROM repl_tables WHERE state <> 'ready'",
            "SELECT source_oid, kind, name, state, attempts, error, not_before FROM decamp.task \
             WHERE state <> 'done' ORDER BY id LIMIT 20",
            "SELECT at, severity, subject, message, detail FROM \
             (SELECT * FROM repl_events ORDER BY at DESC LIMIT 30) e ORDER BY at",
        ] {
            for row in self.target.rows(TARGET_DATABASE, sql) {
                text.push_str(&row.join(" | "));
                text.push('\n');
            }
        }
        text
    }

    /// Waits until the target has all that is on the source now, and compares everything.
    pub fn assert_migrated(&self) {
        self.wait_for("caught_up", Duration::from_secs(90));
        compare::assert_same(&self.source, DATABASE, &self.target, TARGET_DATABASE);
    }

    /// Stops the migration, its way back first, and checks that nothing of ours is left on the source.
    pub fn stop_migration(&self) {
        self.stop_way_back();
        self.query(&format!("SELECT repl_stop('{NAME}')"));
        self.assert_source_clean();
    }

    /// After a switchover: what is written to the target goes back.
    pub fn wait_until_way_back_streams(&self) {
        self.query(&format!(
            "SELECT repl_wait('{NAME}_reverse', 'streaming', timeout => '60 seconds')"
        ));
    }

    /// Ends the subscription that leads back, if there is one.
    pub fn stop_way_back(&self) {
        self.query(&format!(
            "SELECT max(repl_stop(name)) FROM repl_status WHERE name = '{NAME}_reverse'"
        ));
    }

    /// # Panics
    /// When the source has a schema, trigger or function of ours.
    pub fn assert_source_clean(&self) {
        let left = self.source.rows(
            DATABASE,
            "SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname LIKE 'decamp%' \
             UNION ALL SELECT 'trigger ' || tgname FROM pg_trigger WHERE tgname LIKE 'decamp%' \
             UNION ALL SELECT 'session ' || application_name FROM pg_stat_activity \
             WHERE application_name LIKE 'pg_decamp%' AND application_name NOT LIKE '%stop'",
        );
        assert!(left.is_empty(), "left on the source: {left:?}");
    }
}
