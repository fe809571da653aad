//! A list of words left by a session for a worker it starts, when they are too long for what a worker is told at its start. In
//! a file for temporary files, which the server removes after a crash.

use std::fs;
use std::path::PathBuf;

use crate::failure::Failure;

fn path(process: i64) -> PathBuf {
    PathBuf::from(format!("base/pgsql_tmp/pgsql_tmp{process}.decamp_note"))
}

fn broken(error: std::io::Error) -> Failure {
    Failure::new(
        "58030",
        format!("cannot pass a note between processes: {error}"),
    )
    .hint("Is there space left for temporary files of this server?")
}

/// Of this process, until a worker takes it.
pub fn leave(words: &[String]) -> Result<(), Failure> {
    let path = path(i64::from(std::process::id()));
    fs::create_dir_all("base/pgsql_tmp").map_err(broken)?;
    let text = serde_json::to_string(words).expect("strings are JSON");
    fs::write(path, text).map_err(broken)
}

/// The note that a process has left.
pub fn take(process: i64) -> Result<Vec<String>, Failure> {
    let path = path(process);
    let text = fs::read_to_string(&path).map_err(broken)?;
    fs::remove_file(path).map_err(broken)?;
    serde_json::from_str(&text).map_err(|error| broken(error.into()))
}
