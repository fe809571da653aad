//! The extension's background workers, seen and ended from outside.

use std::process::Command;
use std::time::Duration;

use crate::migration::NAME;
use crate::pair::{Pair, TARGET_DATABASE};
use crate::source::DATABASE;
use crate::wait;

/// Long enough for the postmaster to start a worker again, which it does after two seconds.
const RESTART: Duration = Duration::from_secs(20);

/// The kinds of worker that a subscription has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worker {
    Apply,
    Copy,
}

impl Worker {
    fn backend_type(self) -> &'static str {
        match self {
            Worker::Apply => "pg_decamp apply",
            Worker::Copy => "pg_decamp copy",
        }
    }
}

impl Pair {
    /// The process ids of the target's workers of one kind, in all databases.
    pub fn pids(&self, worker: Worker) -> Vec<String> {
        let sql = format!(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = '{}' ORDER BY pid",
            worker.backend_type()
        );
        let rows = self.target.rows(TARGET_DATABASE, &sql);
        rows.into_iter().flatten().collect()
    }

    /// How many workers of any kind the target's server has.
    pub fn count_workers(&self) -> usize {
        self.pids(Worker::Apply).len() + self.pids(Worker::Copy).len()
    }

    /// Terminates the workers of one kind, as an administrator would; returns who they were.
    pub fn terminate(&self, worker: Worker) -> Vec<String> {
        let pids = self.pids(worker);
        for pid in &pids {
            self.sql(&format!("SELECT pg_terminate_backend({pid})"));
        }
        pids
    }

    /// Kills the workers of one kind as the kernel does when memory runs out, upon which the server ends all sessions and
    /// recovers as after a crash; returns who they were.
    pub fn kill(&self, worker: Worker) -> Vec<String> {
        let pids = self.pids(worker);
        if pids.is_empty() {
            return pids;
        }
        let crashes = || {
            let log = self.target.log();
            log.matches("all server processes terminated; reinitializing")
                .count()
        };
        let before = crashes();
        // one of them may have ended, or been ended with the first, meanwhile
        let _ = Command::new("kill").arg("-KILL").args(&pids).output();
        wait::within(Duration::from_secs(5), || {
            (crashes() > before).then_some(())
        });
        self.target
            .poll_until(TARGET_DATABASE, "SELECT true", RESTART);
        pids
    }

    /// Waits until the subscription has an apply worker that is none of `old`, and that has got hold of the subscription.
    pub fn wait_for_apply_worker(&self, old: &[String]) {
        let sql = format!(
            "SELECT a.pid FROM pg_stat_activity a JOIN pg_locks l USING (pid) \
             WHERE a.backend_type = '{}' AND l.locktype = 'advisory' AND l.granted",
            Worker::Apply.backend_type()
        );
        wait::until_true(RESTART, "a new apply worker is at work", || {
            let rows = self.target.try_rows(TARGET_DATABASE, &sql);
            let pids = rows.unwrap_or_default().into_iter().flatten();
            pids.into_iter().any(|pid| !old.contains(&pid))
        });
    }

    /// Ends our sessions on the source, from there; returns how many there were.
    pub fn terminate_on_source(&self) -> usize {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'pg_decamp %'";
        self.source.rows(DATABASE, sql).len()
    }

    /// Waits until the status says that the migration is interrupted and will go on by itself; returns the error.
    pub fn wait_for_interruption(&self, deadline: Duration) -> String {
        let sql = format!(
            "SELECT error FROM repl_status WHERE name = '{NAME}' AND error IS NOT NULL AND summary LIKE '%trying again%'"
        );
        let shown = wait::within(deadline, || {
            let rows = self.target.rows(TARGET_DATABASE, &sql);
            rows.into_iter().flatten().next()
        });
        shown.unwrap_or_else(|| panic!("no error shown within {deadline:?}\n{}", self.tell()))
    }

    /// Waits until the status has no error any more, but for a lock that is waited for.
    pub fn wait_for_recovery(&self, deadline: Duration) {
        let sql = format!(
            "SELECT error IS NULL OR error LIKE '%waiting for a lock%' FROM repl_status WHERE name = '{NAME}'"
        );
        let gone = wait::within(deadline, || (self.query(&sql) == "t").then_some(()));
        assert!(
            gone.is_some(),
            "not recovered within {deadline:?}\n{}",
            self.tell()
        );
    }
}
