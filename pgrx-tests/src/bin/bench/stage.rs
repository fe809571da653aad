//! The two servers, the same for everybody, and the emptying of the target before each run.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use decamp_tests::Pair;
use decamp_tests::installation::make_directory;
use decamp_tests::source::{PASSWORD, ROLE};
use decamp_tests::wait;
use decamp_tests::watchman::Watchman;
use decamp_tests::{proxy::Proxy, server::uri};

use super::settings::Settings;

/// The target's database: made anew for each run.
pub const TARGET: &str = "bench";
/// Who may do all on the source, for the contender that needs it; its password is [`PASSWORD`].
const SUPERUSER: &str = "bench";

const SET_ASIDE: Duration = Duration::from_secs(60);
/// Debian's.
const PGLOGICAL: &str = "/usr/lib/postgresql/15/lib/pglogical.so";

pub struct Stage {
    pub pair: Pair,
    /// What the report says about the servers.
    pub about: String,
    /// For the contenders' files; emptied before each run.
    pub scratch: PathBuf,
    /// How many former runs' databases and files were set aside; `None`: they are dropped.
    aside: Mutex<Option<u32>>,
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
        // a subscription that is let go begins at once, not some seconds later
        "wal_retrieve_retry_interval = '100ms'".into(),
    ]
}

impl Stage {
    pub fn set_up(settings: &Settings) -> Self {
        Self::set_up_with(&conf(settings.jobs))
    }

    /// Servers with pglogical, where it is installed. It never answers what DROP DATABASE asks of every process: on them
    /// everything is kept.
    pub fn set_up_with_pglogical(settings: &Settings) -> Self {
        let mut conf = conf(settings.jobs);
        if Path::new(PGLOGICAL).exists() {
            conf.push("shared_preload_libraries = 'pglogical'".into());
            conf.push("output_plugin_libraries = 'pgoutput, pglogical_output'".into());
        }
        let stage = Self::set_up_with(&conf);
        stage.keep_everything();
        stage
    }

    fn set_up_with(conf: &[String]) -> Self {
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
            about: conf.join(", "),
            scratch,
            aside: Mutex::default(),
            _watchman: watchman,
        }
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

    fn aside(&self) -> MutexGuard<'_, Option<u32>> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on nothing that a run leaves behind is deleted. Where thousands of files have been deleted, ext4 makes new ones
    /// several times slower for minutes, to keep away from their inodes: who comes later would pay for who came before.
    pub fn keep_everything(&self) {
        *self.aside() = Some(0);
    }

    /// Whether what is left of a run need not be cleaned up.
    pub fn keeps_everything(&self) -> bool {
        self.aside().is_some()
    }

    pub fn keep_nothing(&self) {
        *self.aside() = None;
    }

    /// The source's database for a run: a copy of its own where everything is kept, for what one leaves in the catalogs is in the
    /// next one's way.
    pub fn source_database(&self, database: &str) -> String {
        let Some(number) = *self.aside() else {
            return database.to_owned();
        };
        let copy = format!("{database}_{number}");
        self.pair.source.sql(
            "postgres",
            &format!("CREATE DATABASE {copy} TEMPLATE {database} OWNER {ROLE}"),
        );
        copy
    }

    /// An empty database on the target, no dirty page on either side, no file of a former run.
    pub fn clear(&self) {
        let target = &self.pair.target;
        let aside = *self.aside();
        if let Some(number) = aside {
            self.set_aside(number);
            *self.aside() = Some(number + 1);
        } else {
            let _ = std::fs::remove_dir_all(&self.scratch);
            target.sql(
                "postgres",
                &format!("DROP DATABASE IF EXISTS {TARGET} WITH (FORCE)"),
            );
        }
        make_directory(&self.scratch);
        target.sql(
            "postgres",
            &format!("CREATE DATABASE {TARGET} TEMPLATE template0"),
        );
        for server in [&*self.pair.source, target] {
            server.sql("postgres", "CHECKPOINT");
        }
    }

    fn set_aside(&self, number: u32) {
        let target = &self.pair.target;
        // none, if this is the first run
        let _ = std::fs::rename(
            &self.scratch,
            self.scratch.with_extension(number.to_string()),
        );
        let there = format!("SELECT count(*) FROM pg_database WHERE datname = '{TARGET}'");
        if target.query_one_text("postgres", &there) == "0" {
            return;
        }
        // pglogical looks into every database now and then
        let end_sessions = format!(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{TARGET}'"
        );
        let rename = format!("ALTER DATABASE {TARGET} RENAME TO {TARGET}_{number}");
        wait::until_true(SET_ASIDE, "the last run's database is let go", || {
            target.sql("postgres", &end_sessions);
            target.try_rows("postgres", &rename).is_ok()
        });
    }
}
