//! pg_decamp itself.

use std::time::{Duration, Instant};

use decamp_tests::server::client::told;
use decamp_tests::wait as until;

use super::{Contender, Run};
use crate::stage::{Stage, TARGET};

pub const NAME: &str = "decamp";
/// The subscription's name.
pub const SUBSCRIPTION: &str = "bench";

pub struct Decamp;

/// Runs one statement on the target.
fn call(run: &Run, sql: &str) -> Result<(), String> {
    let mut client = run.target().connect(TARGET);
    client
        .simple_query(sql)
        .map(drop)
        .map_err(|error| told(&error))
}

/// `repl_start`, on a target that gets the extension now; returns how long the call took.
pub fn start(run: &Run) -> Result<Duration, String> {
    call(run, "CREATE EXTENSION pg_decamp")?;
    let mut client = run.target().connect(TARGET);
    let began = Instant::now();
    let started = client.simple_query(&format!(
        "SELECT repl_start('{SUBSCRIPTION}', source => '{}', workers => {})",
        run.source(),
        run.jobs
    ));
    started
        .map(|_| began.elapsed())
        .map_err(|error| told(&error))
}

/// `repl_wait`.
pub fn wait(run: &Run, until: &str) -> Result<(), String> {
    let waited = call(
        run,
        &format!(
            "SELECT repl_wait('{SUBSCRIPTION}', '{until}', timeout => '{} seconds')",
            run.timeout.as_secs()
        ),
    );
    waited.map_err(|error| {
        let status = "SELECT state, summary, error, hint FROM repl_status";
        format!(
            "{error}\nstatus: {}",
            run.target().rows(TARGET, status).concat().join(" | ")
        )
    })
}

/// `repl_pause`; returns when its workers have ended.
pub fn pause(run: &Run) -> Result<(), String> {
    call(run, &format!("SELECT repl_pause('{SUBSCRIPTION}')"))?;
    let workers = format!("SELECT workers FROM repl_status WHERE name = '{SUBSCRIPTION}'");
    let ended = until::within(run.timeout, || {
        (run.target().query_one_text(TARGET, &workers) == "0").then_some(())
    });
    ended.ok_or_else(|| format!("workers still run after {:?}", run.timeout))
}

/// `repl_resume`.
pub fn resume(run: &Run) -> Result<(), String> {
    call(run, &format!("SELECT repl_resume('{SUBSCRIPTION}')"))
}

impl Contender for Decamp {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self, jobs: usize) -> String {
        format!("pg_decamp: repl_start(workers => {jobs}), repl_wait('copied')")
    }

    fn lacks(&self, stage: &Stage) -> Option<String> {
        let there = stage.pair.target.rows(
            "postgres",
            "SELECT FROM pg_available_extensions WHERE name = 'pg_decamp'",
        );
        there
            .is_empty()
            .then(|| "the extension is not installed".into())
    }

    fn copy(&self, run: &Run) -> Result<Duration, String> {
        let starting = start(run)?;
        let began = Instant::now();
        wait(run, "copied")?;
        Ok(starting + began.elapsed())
    }

    fn clean_up(&self, run: &Run) -> Result<(), String> {
        call(
            run,
            &format!(
                "SELECT repl_stop('{SUBSCRIPTION}', drop_source_objects => {})",
                !run.stage.keeps_everything()
            ),
        )
    }
}
