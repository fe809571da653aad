//! pg_dump into a directory, and pg_restore from there.

use std::time::{Duration, Instant};

use super::programs::{finish, program};
use super::{Contender, Run};
use crate::stage::Stage;

pub struct Dump;

impl Contender for Dump {
    fn name(&self) -> &'static str {
        "pg_dump"
    }

    fn about(&self, jobs: usize) -> String {
        format!(
            "pg_dump -Fd -Z0 --no-sync -j {jobs}, then pg_restore -j {jobs} (uncompressed, which is its fastest)"
        )
    }

    fn lacks(&self, _: &Stage) -> Option<String> {
        None
    }

    fn copy(&self, run: &Run) -> Result<Duration, String> {
        let jobs = run.jobs.to_string();
        let directory = run.stage.scratch.join("dump");
        let mut dump = program(run, "pg_dump");
        dump.args(["--format=directory", "--compress=0", "--no-sync", "--jobs"])
            .args([&jobs, "--dbname", &run.source(), "--file"])
            .arg(&directory);
        let mut restore = program(run, "pg_restore");
        restore
            .args(["--no-owner", "--no-acl", "--exit-on-error", "--jobs"])
            .args([&jobs, "--dbname", &run.target_conninfo()])
            .arg(&directory);
        let began = Instant::now();
        finish(&mut dump)?;
        finish(&mut restore)?;
        Ok(began.elapsed())
    }

    fn clean_up(&self, _: &Run) -> Result<(), String> {
        Ok(())
    }
}
