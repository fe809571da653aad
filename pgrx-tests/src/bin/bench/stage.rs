//! The two servers, the same for everybody, and the emptying of the target before each run.

use std::path::PathBuf;

use decamp_tests::Pair;
use decamp_tests::installation::make_directory;
use decamp_tests::source::{PASSWORD, ROLE};
use decamp_tests::watchman::Watchman;
use decamp_tests::{proxy::Proxy, server::uri};

use super::settings::Settings;

/// The target's database: dropped and made anew for each run.
pub const TARGET: &str = "bench";
/// Who may do all on the source, for the contender that needs it; its password is [`PASSWORD`].
const SUPERUSER: &str = "bench";

pub struct Stage {
    pub pair: Pair,
    /// For the contenders' files; emptied before each run.
    pub scratch: PathBuf,
    /// Last, so that the servers have been dropped before.
    _watchman: Watchman,
}

/// In both servers' postgresql.conf.
fn conf(jobs: usize) -> Vec<String> {
    let at_least = |least: usize| least.max(2 * jobs + 4);
    vec![
        "fsync = on".into(),
        "full_page_writes = on".into(),
        "shared_buffers = '1GB'".into(),
        "maintenance_work_mem = '256MB'".into(),
        "max_wal_size = '8GB'".into(),
        "checkpoint_timeout = '1h'".into(),
        // one contender does all of a thousand tables in one transaction
        "max_locks_per_transaction = 256".into(),
        // one contender is logical replication
        "wal_level = logical".into(),
        format!("max_wal_senders = {}", at_least(10)),
        format!("max_replication_slots = {}", at_least(10)),
        format!("max_logical_replication_workers = {}", at_least(4)),
        format!("max_sync_workers_per_subscription = {jobs}"),
    ]
}

impl Stage {
    pub fn set_up(settings: &Settings) -> Self {
        let conf = conf(settings.jobs);
        let builder = conf
            .iter()
            .fold(Pair::builder().without_extension(), |builder, line| {
                builder.source_conf(line).target_conf(line)
            });
        let pair = builder.proxy().start();
        let watchman = Watchman::guard(&[pair.source.directory(), pair.target.directory()]);
        pair.source.sql(
            "postgres",
            &format!("CREATE ROLE {SUPERUSER} LOGIN SUPERUSER PASSWORD '{PASSWORD}'"),
        );
        let scratch = pair.target.directory().join("scratch");
        Self {
            pair,
            scratch,
            _watchman: watchman,
        }
    }

    /// What the report says about the servers.
    pub fn about(settings: &Settings) -> String {
        conf(settings.jobs).join(", ")
    }

    /// How a contender reaches a database of the source: by TCP with TLS, as its owner.
    pub fn source_uri(&self, database: &str, port: u16) -> String {
        uri(ROLE, PASSWORD, port, database)
    }

    /// The same as a superuser.
    pub fn source_superuser_uri(&self, database: &str, port: u16) -> String {
        uri(SUPERUSER, PASSWORD, port, database)
    }

    pub fn proxy(&self) -> &Proxy {
        self.pair.proxy()
    }

    /// An empty database on the target, no dirty page on either side, no file of a former run.
    pub fn clear(&self) {
        let target = &self.pair.target;
        let _ = std::fs::remove_dir_all(&self.scratch);
        make_directory(&self.scratch);
        target.sql(
            "postgres",
            &format!("DROP DATABASE IF EXISTS {TARGET} WITH (FORCE)"),
        );
        target.sql(
            "postgres",
            &format!("CREATE DATABASE {TARGET} TEMPLATE template0"),
        );
        for server in [&*self.pair.source, target] {
            server.sql("postgres", "CHECKPOINT");
        }
    }
}
