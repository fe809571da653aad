//! Who copies a database: pg_decamp and its peers, all with the same servers, the same jobs, the same two connections' ends.

pub mod bucardo;
pub mod decamp;
mod dump;
mod pgcopydb;
pub mod pglogical;
pub mod programs;
pub mod subscription;

use std::time::Duration;

use decamp_tests::Server;
use decamp_tests::server::client::told;
use decamp_tests::wait;

use super::settings::Settings;
use super::stage::{Stage, TARGET};

pub use decamp::NAME as DECAMP;
pub use pgcopydb::NAME as PGCOPYDB;

/// One copy to be made, into the empty target.
pub struct Run<'a> {
    pub stage: &'a Stage,
    /// The source's database.
    pub database: &'a str,
    /// Where the source is reached: its own port or the proxy's.
    pub port: u16,
    pub jobs: usize,
    pub timeout: Duration,
}

impl<'a> Run<'a> {
    pub fn new(stage: &'a Stage, database: &'a str, settings: &Settings) -> Self {
        Self {
            stage,
            database,
            port: stage.pair.source.port(),
            jobs: settings.jobs,
            timeout: settings.timeout,
        }
    }

    /// The same copy by way of the proxy.
    pub fn through_proxy(mut self) -> Self {
        self.port = self.stage.proxy().port();
        self
    }

    pub fn source(&self) -> String {
        self.stage.source_uri(self.database, self.port)
    }

    pub fn target(&self) -> &'a Server {
        &self.stage.pair.target
    }

    /// The target's database as its superuser, through the socket.
    pub fn target_conninfo(&self) -> String {
        self.target().socket_conninfo(TARGET)
    }
}

fn call(server: &Server, database: &str, sql: &str) -> Result<(), String> {
    server
        .try_rows(database, sql)
        .map(drop)
        .map_err(|error| told(&error))
}

/// Runs a statement on the source, as its superuser.
pub fn call_source(run: &Run, sql: &str) -> Result<(), String> {
    call(&run.stage.pair.source, run.database, sql)
}

/// Runs a statement on the target, as its superuser.
pub fn call_target(run: &Run, sql: &str) -> Result<(), String> {
    call(run.target(), TARGET, sql)
}

/// Drops the source's replication slots, those of a run that failed too; what is in use is let go in a moment.
fn drop_slots(run: &Run) -> Result<(), String> {
    let source = &run.stage.pair.source;
    let slots =
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active";
    wait::within(Duration::from_secs(10), || {
        let left = source
            .try_rows("postgres", slots)
            .and_then(|_| source.try_rows("postgres", "SELECT FROM pg_replication_slots"));
        left.is_ok_and(|left| left.is_empty()).then_some(())
    })
    .ok_or("a replication slot is left".into())
}

pub trait Contender {
    fn name(&self) -> &'static str;

    /// How it is used, for the report.
    fn about(&self, jobs: usize) -> String;

    /// What is missing on this machine, if anything.
    fn lacks(&self, stage: &Stage) -> Option<String>;

    /// Copies all and returns how long that took: from the first word to it until every row and every index is there.
    fn copy(&self, run: &Run) -> Result<Duration, String>;

    /// Removes what it needs on either side to go on working; the target's database is dropped by others.
    fn clean_up(&self, run: &Run) -> Result<(), String>;
}

/// All there are, pg_decamp first.
pub fn all() -> Vec<Box<dyn Contender>> {
    vec![
        Box::new(decamp::Decamp),
        Box::new(pgcopydb::Pgcopydb),
        Box::new(dump::Dump),
        Box::new(subscription::Subscription),
        Box::new(bucardo::Bucardo),
    ]
}

pub fn refuse_unknown(settings: &Settings) -> Result<(), String> {
    let all = all();
    let mut names: Vec<&str> = all.iter().map(|contender| contender.name()).collect();
    names.push(pglogical::NAME);
    match settings.unknown_contender(&names) {
        Some(name) => Err(format!(
            "BENCH_CONTENDERS: there is no {name}, but {}",
            names.join(", ")
        )),
        None => Ok(()),
    }
}

/// Those that are wanted and there; says loudly which are not there.
pub fn present(stage: &Stage, settings: &Settings) -> Vec<Box<dyn Contender>> {
    let wanted = all()
        .into_iter()
        .filter(|contender| settings.wants_contender(contender.name()));
    let present = wanted.filter(|contender| is_there(contender.as_ref(), stage));
    present.collect()
}

/// Says loudly if not.
pub fn is_there(contender: &dyn Contender, stage: &Stage) -> bool {
    let lack = contender.lacks(stage);
    if let Some(lack) = &lack {
        eprintln!("\nSKIPPED {}: {lack}: run `make bench`\n", contender.name());
    }
    lack.is_none()
}
