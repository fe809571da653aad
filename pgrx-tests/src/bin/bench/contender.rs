//! Who copies a database: pg_decamp and its peers, all with the same servers, the same jobs, the same two connections' ends.

mod bucardo;
pub mod decamp;
mod dump;
mod pgcopydb;
pub mod programs;
mod subscription;

use std::time::Duration;

use decamp_tests::Server;

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

/// Those that are wanted and there; says loudly which are not there.
pub fn present(stage: &Stage, settings: &Settings) -> Result<Vec<Box<dyn Contender>>, String> {
    let all = all();
    let names: Vec<&str> = all.iter().map(|contender| contender.name()).collect();
    if let Some(name) = settings.unknown_contender(&names) {
        return Err(format!(
            "BENCH_CONTENDERS: there is no {name}, but {}",
            names.join(", ")
        ));
    }
    let wanted = all
        .into_iter()
        .filter(|contender| settings.wants_contender(contender.name()));
    let present = wanted.filter(|contender| match contender.lacks(stage) {
        Some(lack) => {
            eprintln!("\nSKIPPED {}: {lack}: run `make bench`\n", contender.name());
            false
        }
        None => true,
    });
    Ok(present.collect())
}
