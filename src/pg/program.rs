//! Runs client programs of Postgres (pg_dump, pg_restore) from a worker, obeying interrupts while they run.

use std::ffi::c_int;
use std::fs::File;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use super::{latch, liveness};
use crate::failure::Failure;

unsafe extern "C" {
    fn prctl(option: c_int, ...) -> c_int;
}

/// `PR_SET_PDEATHSIG` of `linux/prctl.h`.
const DIE_WITH_PARENT: c_int = 1;
const SIGTERM: std::ffi::c_ulong = 15;

pub struct Finished {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a program to its end. Its output goes through files beside `scratch`, which the caller removes with it. Should
/// this process end first, the program is terminated.
///
/// Errors: 58P01 when it cannot be started.
pub fn run(
    program: &Path,
    arguments: &[String],
    environment: &[(&str, &str)],
    scratch: &Path,
) -> Result<Finished, Failure> {
    run_while(program, arguments, environment, scratch, &mut || false)
}

/// The same, doing something else in the meantime: `meanwhile` is called again and again, false when it has nothing to do.
pub fn run_while(
    program: &Path,
    arguments: &[String],
    environment: &[(&str, &str)],
    scratch: &Path,
    meanwhile: &mut dyn FnMut() -> bool,
) -> Result<Finished, Failure> {
    let broken = |what: &str, error: std::io::Error| {
        Failure::new(
            "58P01",
            format!("cannot {what} {}: {error}", program.display()),
        )
        .hint("pg_decamp.pg_bindir must name the directory that holds pg_dump and pg_restore.")
    };
    let (out, err) = (scratch.with_extension("out"), scratch.with_extension("err"));
    let create = |path: &Path| File::create(path).map_err(|e| broken("write the output of", e));
    let mut command = Command::new(program);
    command
        .args(arguments)
        .envs(environment.iter().copied())
        .env("PGOPTIONS", "")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(create(&out)?)
        .stderr(create(&err)?);
    // SAFETY: between fork and exec only this one async-signal-safe system call is made.
    unsafe {
        command.pre_exec(|| {
            prctl(DIE_WITH_PARENT, SIGTERM);
            Ok(())
        });
    }
    let mut child = command.spawn().map_err(|e| broken("start", e))?;
    let mut pause = Duration::from_millis(1);
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|e| broken("wait for", e))? {
            break status;
        }
        liveness::tick();
        if meanwhile() {
            continue;
        }
        latch::wait(pause);
        pause = (pause * 3 / 2).min(Duration::from_millis(100));
    };
    let read = |path: &Path| -> Result<String, Failure> {
        let mut text = Vec::new();
        File::open(path)
            .and_then(|mut file| file.read_to_end(&mut text))
            .map_err(|e| broken("read the output of", e))?;
        std::fs::remove_file(path).ok();
        Ok(String::from_utf8_lossy(&text).into_owned())
    };
    Ok(Finished {
        status,
        stdout: read(&out)?,
        stderr: read(&err)?,
    })
}

/// A file name in the server's directory for temporary files; what a crash leaves there the server removes at its start.
pub fn scratch(name: &str) -> Result<std::path::PathBuf, Failure> {
    let directory = Path::new("base/pgsql_tmp");
    std::fs::create_dir_all(directory).map_err(|e| {
        Failure::new(
            "58030",
            format!("cannot make a directory for temporary files: {e}"),
        )
    })?;
    Ok(directory.join(format!("pgsql_tmp{}.{name}", std::process::id())))
}
