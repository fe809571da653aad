//! pgcopydb, Debian's package.

use std::time::{Duration, Instant};

use super::programs::{exists, finish, package_version, program};
use super::{Contender, Run};
use crate::stage::Stage;

pub const NAME: &str = "pgcopydb";

pub struct Pgcopydb;

impl Contender for Pgcopydb {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self, jobs: usize) -> String {
        format!(
            "pgcopydb {}, clone --table-jobs {jobs} --index-jobs {jobs} --no-owner --no-acl",
            package_version(NAME)
        )
    }

    fn lacks(&self, _: &Stage) -> Option<String> {
        (!exists(NAME)).then(|| "the program is not installed".into())
    }

    fn copy(&self, run: &Run) -> Result<Duration, String> {
        let jobs = run.jobs.to_string();
        let mut command = program(run, NAME);
        command
            .args(["clone", "--source", &run.source()])
            .args(["--target", &run.target_conninfo()])
            .args(["--table-jobs", &jobs, "--index-jobs", &jobs])
            .args(["--no-owner", "--no-acl", "--no-comments", "--dir"])
            .arg(run.stage.scratch.join(NAME));
        let began = Instant::now();
        finish(&mut command)?;
        Ok(began.elapsed())
    }

    fn clean_up(&self, _: &Run) -> Result<(), String> {
        Ok(())
    }
}
