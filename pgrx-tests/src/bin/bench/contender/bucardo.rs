//! Bucardo's `onetimecopy`, Debian's package. Its control database is on the target's server; that, its log and its pid files
//! are made anew for each run, which is not counted.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use decamp_tests::installation::make_directory;
use decamp_tests::server::client::told;
use decamp_tests::source::{PASSWORD, ROLE};
use decamp_tests::wait;

use super::programs::{copy_schema, exists, finish, package_version, program};
use super::{Contender, Run};
use crate::stage::{Stage, TARGET};

const NAME: &str = "bucardo";
/// The name is Bucardo's choice.
const CONTROL: &str = "bucardo";
const SYNC: &str = "bench";
const STOPPED: Duration = Duration::from_secs(60);

pub struct Bucardo;

fn directory(run: &Run) -> PathBuf {
    run.stage.scratch.join(NAME)
}

fn bucardo(run: &Run, arguments: &[&str]) -> Result<String, String> {
    finish(&mut command(run, arguments))
        .map_err(|error| format!("{}: {error}", arguments.join(" ")))
}

fn command(run: &Run, arguments: &[&str]) -> Command {
    let directory = directory(run);
    let mut command = program(run, NAME);
    command
        .args(["--no-bucardorc", "--dbname=bucardo", "--dbuser=bucardo"])
        .arg(format!("--dbhost={}", run.target().directory().display()))
        .arg(format!("--dbport={}", run.target().port()))
        .arg(format!("--piddir={}", directory.display()))
        .arg(format!("--log-dest={}", directory.display()))
        .args(arguments)
        .current_dir(&directory);
    command
}

/// The control database, with Bucardo's schema.
fn install(run: &Run) -> Result<(), String> {
    make_directory(&directory(run));
    // set aside: DROP DATABASE waits for all backends, and pglogical's supervisor never answers
    run.target().sql(
        "postgres",
        &format!("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{CONTROL}'"),
    );
    let aside = format!(
        "SELECT format('ALTER DATABASE {CONTROL} RENAME TO %I', '{CONTROL}_' || oid) FROM pg_database WHERE datname = '{CONTROL}'"
    );
    for row in run.target().rows("postgres", &aside) {
        run.target().sql("postgres", &row[0]);
    }
    bucardo(
        run,
        &[
            "install",
            "--batch",
            "--dbuser=postgres",
            "--dbname=postgres",
        ],
    )?;
    for file in ["reason_file", "warning_file", "log_conflict_file"] {
        let path = directory(run).join(file);
        bucardo(run, &["set", &format!("{file}={}", path.display())])?;
    }
    Ok(())
}

/// Both databases, all tables, the sync: what its users type.
fn configure(run: &Run) -> Result<(), String> {
    let (port, target_port) = (run.port.to_string(), run.target().port().to_string());
    bucardo(
        run,
        &[
            "add",
            "database",
            "old",
            &format!("dbname={}", run.database),
            "host=127.0.0.1",
            &format!("port={port}"),
            &format!("user={ROLE}"),
            &format!("pass={PASSWORD}"),
            "conn=sslmode=require",
        ],
    )?;
    bucardo(
        run,
        &[
            "add",
            "database",
            "new",
            &format!("dbname={TARGET}"),
            &format!("host={}", run.target().directory().display()),
            &format!("port={target_port}"),
            "user=postgres",
        ],
    )?;
    bucardo(run, &["add", "all", "tables", "--db=old", "--relgroup=all"])?;
    let sync = format!("add sync {SYNC} relgroup=all dbs=old:source,new:target onetimecopy=1");
    bucardo(run, &sync.split(' ').collect::<Vec<_>>()).map(drop)
}

/// Waits for the end of the first run.
fn wait_for_copy(run: &Run) -> Result<(), String> {
    let mut client = run.target().connect(CONTROL);
    let sql = format!(
        "SELECT lastgood, status FROM bucardo.syncrun WHERE sync = '{SYNC}' AND ended IS NOT NULL AND (lastgood OR lastbad)"
    );
    let ended = wait::within(run.timeout, || match client.query(&sql, &[]) {
        Err(error) => Some(Err(told(&error))),
        Ok(rows) => rows.first().map(|row| match row.get(0) {
            true => Ok(()),
            false => Err(format!(
                "the sync failed: {}",
                row.get::<_, Option<String>>(1).unwrap_or_default()
            )),
        }),
    });
    ended.unwrap_or_else(|| Err(format!("not copied within {:?}", run.timeout)))
}

/// Starts the daemon, which begins with what has been collected.
pub fn start(run: &Run) -> Result<(), String> {
    bucardo(run, &["start"]).map(drop)
}

/// Ends the daemon: its pid file goes with it.
pub fn stop(run: &Run) -> Result<(), String> {
    let pid_file = directory(run).join("bucardo.mcp.pid");
    let Ok(text) = fs::read_to_string(&pid_file) else {
        return Ok(());
    };
    bucardo(run, &["stop"])?;
    let pid = text.lines().next().unwrap_or_default().trim().to_owned();
    let process = PathBuf::from("/proc").join(&pid);
    wait::within(STOPPED, || (!process.exists()).then_some(()))
        .ok_or(format!("process {pid} is still there after {STOPPED:?}"))
}

impl Contender for Bucardo {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self, _: usize) -> String {
        format!(
            "Bucardo {}: pg_dump --schema-only into psql, add databases, all tables and a sync with onetimecopy=1, start; \
             it knows no jobs",
            package_version(NAME)
        )
    }

    fn lacks(&self, stage: &Stage) -> Option<String> {
        if !exists(NAME) {
            return Some("the program is not installed".into());
        }
        let plperl = stage.pair.target.rows(
            "postgres",
            "SELECT FROM pg_available_extensions WHERE name = 'plperlu'",
        );
        plperl.is_empty().then(|| "plperlu is not installed".into())
    }

    fn copy(&self, run: &Run) -> Result<Duration, String> {
        install(run)?;
        let began = Instant::now();
        copy_schema(run)?;
        configure(run)?;
        start(run)?;
        wait_for_copy(run)?;
        Ok(began.elapsed())
    }

    fn clean_up(&self, run: &Run) -> Result<(), String> {
        stop(run)?;
        if run.stage.keeps_everything() {
            return Ok(());
        }
        run.stage
            .pair
            .source
            .try_rows(run.database, "DROP SCHEMA IF EXISTS bucardo CASCADE")
            .map(drop)
            .map_err(|error| told(&error))
    }
}
