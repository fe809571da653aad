//! The phases of a migration, and gates that hold one open for as long as a test needs it to be hit.
//!
//! Nothing here depends on how fast the machine is: the target's own triggers wait while a file is there (which outlives
//! a restart of the server), a transaction on the source keeps a table's capture from being installed, and the proxy
//! makes pg_dump slow. All tables but one, `held`, pass the gates of the copy and the replay.

use std::cell::RefCell;
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::Duration;

use postgres::Client;

use crate::migration::NAME;
use crate::pair::{Pair, TARGET_DATABASE};
use crate::source::DATABASE;

/// How long a migration may take to get to the next phase on a busy machine, back-off after an interruption included.
const PATIENCE: Duration = Duration::from_secs(60);
/// Their indexes too: else the replay, which stops at its gate, is reached before the end of the copy.
const OTHERS_COPIED: &str =
    "SELECT count(*) = 1 FROM repl_tables WHERE state NOT IN ('catchup', 'ready')";
const SLOW: Duration = Duration::from_millis(150);

/// Where a migration is, finer than its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// importing: pg_dump reads the source. Only where there is a proxy to slow it down.
    Dumping,
    /// importing: pg_restore is about to make the first table.
    Restoring,
    /// importing: the tables are there, pg_restore is about to make the first key.
    Indexing,
    /// One table, `held`, cannot get its triggers, the others have got them.
    Installing,
    /// `held` is in the middle of being copied, the other tables are copied and perhaps replayed.
    Copying,
    /// Everything is copied, a batch with deltas of `held` is in the middle of being replayed.
    Catchup,
    Streaming,
}

impl Phase {
    pub const ALL: [Phase; 7] = [
        Phase::Dumping,
        Phase::Restoring,
        Phase::Indexing,
        Phase::Installing,
        Phase::Copying,
        Phase::Catchup,
        Phase::Streaming,
    ];

    /// What `repl_status` shows.
    pub fn state(self) -> &'static str {
        match self {
            Phase::Dumping | Phase::Restoring | Phase::Indexing => "importing",
            Phase::Installing => "installing",
            Phase::Copying => "copying",
            Phase::Catchup => "catchup",
            Phase::Streaming => "streaming",
        }
    }

    /// The file that closes its gate.
    fn file(self) -> Option<&'static str> {
        match self {
            Phase::Restoring => Some("importing"),
            Phase::Indexing => Some("indexing"),
            Phase::Copying => Some("copying"),
            Phase::Catchup => Some("catchup"),
            Phase::Dumping | Phase::Installing | Phase::Streaming => None,
        }
    }
}

/// The gates of one migration. All open at first; the last phase has none.
pub struct Gates<'a> {
    pair: &'a Pair,
    database: String,
    lock: RefCell<Option<Client>>,
}

impl<'a> Gates<'a> {
    /// Puts the gates up in the target's usual database. The source must have the table `held`, see [`crate::load::Busy`].
    pub fn on(pair: &'a Pair) -> Self {
        Self::in_database(pair, TARGET_DATABASE)
    }

    /// Puts the gates up in a database of the target's server.
    pub fn in_database(pair: &'a Pair, database: &str) -> Self {
        let sql = include_str!("../sql/gates.sql");
        let directory = pair.target.directory().display().to_string();
        pair.target
            .sql(database, &sql.replace("{directory}", &directory));
        Self {
            pair,
            database: database.into(),
            lock: RefCell::new(None),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.pair.target.directory().join(format!("gate.{name}"))
    }

    /// Holds the migration up when it comes to this phase.
    pub fn close(&self, phase: Phase) {
        if let Some(name) = phase.file() {
            File::create(self.file(name)).expect("the server's directory can be written");
        }
        match phase {
            Phase::Dumping => self.pair.proxy().delay(SLOW),
            Phase::Installing => {
                let mut client = self.pair.source.connect_as_app();
                client
                    .batch_execute("BEGIN; LOCK TABLE held IN ROW EXCLUSIVE MODE")
                    .expect("nobody locks that table for long");
                self.lock.replace(Some(client));
            }
            _ => {}
        }
    }

    /// Lets the migration go on.
    pub fn open(&self, phase: Phase) {
        if let Some(name) = phase.file() {
            // one that was never closed is open
            let _ = fs::remove_file(self.file(name));
        }
        match phase {
            Phase::Dumping => self.pair.proxy().delay(Duration::ZERO),
            Phase::Installing => drop(self.lock.take()),
            _ => {}
        }
    }

    /// Waits until the migration stands at the closed gate of this phase, or streams.
    pub fn wait_for(&self, phase: Phase) {
        let target = &self.pair.target;
        let state = format!(
            "SELECT count(*) = 1 FROM repl_status WHERE name = '{NAME}' AND state = '{}'",
            phase.state()
        );
        target.poll_until(&self.database, &state, PATIENCE);
        let waiting = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        match phase {
            Phase::Dumping => self.pair.source.poll_until(
                DATABASE,
                "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name LIKE '% import'",
                PATIENCE,
            ),
            Phase::Restoring => target.poll_until(
                &self.database,
                &format!("{waiting} AND query LIKE '%CREATE TABLE %'"),
                PATIENCE,
            ),
            Phase::Indexing => target.poll_until(
                &self.database,
                &format!("{waiting} AND query LIKE '%ADD CONSTRAINT %'"),
                PATIENCE,
            ),
            Phase::Installing => self.pair.source.poll_until(
                DATABASE,
                "SELECT count(*) > 0 FROM pg_stat_activity \
                 WHERE application_name = 'pg_decamp heroku apply' AND wait_event_type = 'Lock'",
                PATIENCE,
            ),
            Phase::Copying => {
                target.poll_until(
                    &self.database,
                    &format!("{waiting} AND application_name LIKE '% copy'"),
                    PATIENCE,
                );
                target.poll_until(&self.database, OTHERS_COPIED, PATIENCE);
            }
            Phase::Catchup => target.poll_until(
                &self.database,
                &format!("{waiting} AND application_name LIKE '% apply'"),
                PATIENCE,
            ),
            Phase::Streaming => {}
        }
    }

    /// Starts the migration and lets it pass gate after gate; at each, with the gate still closed, `visit` is called, and at the
    /// end while it streams.
    pub fn walk(&self, more: &str, mut visit: impl FnMut(Phase)) {
        let closed = |phase: &Phase| *phase != Phase::Dumping && *phase != Phase::Streaming;
        Phase::ALL
            .into_iter()
            .filter(closed)
            .for_each(|phase| self.close(phase));
        self.pair.migrate(more);
        if self.pair.proxy.is_some() {
            // only now: the checks of repl_start need not be slow too
            self.close(Phase::Dumping);
        }
        for phase in Phase::ALL {
            if phase == Phase::Dumping && self.pair.proxy.is_none() {
                continue;
            }
            self.wait_for(phase);
            visit(phase);
            if matches!(phase, Phase::Dumping | Phase::Restoring | Phase::Indexing) {
                // the one gate that a restart of the source opens
                self.close(Phase::Installing);
            }
            self.open(phase);
        }
    }
}
