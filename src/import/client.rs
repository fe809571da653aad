//! The client programs that import the schema: where they are, and whether they are new enough.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Failure;
use crate::pg::server;
use crate::quote;

const PROGRAMS: [&str; 3] = ["pg_dump", "pg_restore", "psql"];

/// A directory that has all of them.
pub struct Client {
    pub directory: PathBuf,
    /// of each program, with its name
    pub versions: Vec<String>,
}

impl Client {
    /// Looks into `pg_decamp.pg_bindir`, then into the directory of this server's own programs. pg_dump refuses a server of
    /// a newer major than its own; pg_restore must read what pg_dump wrote.
    ///
    /// Errors: 58P01 when they are nowhere, 0A000 when they are too old; the detail says what was looked at, the hint is a
    /// fix as `repl_check` gives it.
    pub fn find(source_version: i32) -> Result<Self, Failure> {
        let wanted = source_version / 10_000;
        let mut looked_at = Vec::new();
        let mut too_old = false;
        for directory in directories() {
            match look(&directory, wanted) {
                Ok(versions) => {
                    return Ok(Self {
                        directory,
                        versions,
                    });
                }
                Err(problem) => {
                    too_old |= problem.too_old;
                    looked_at.push(format!("{}: {}", directory.display(), problem.text));
                }
            }
        }
        let sqlstate = if too_old { "0A000" } else { "58P01" };
        let message = format!(
            "importing the schema needs pg_dump, pg_restore and psql of PostgreSQL {wanted} or newer"
        );
        Err(Failure::new(sqlstate, message)
            .detail(format!("Looked into {}", looked_at.join("; ")))
            .hint(fix(wanted)))
    }

    pub fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

fn directories() -> Vec<PathBuf> {
    let own = std::env::current_exe()
        .ok()
        .and_then(|path| path.parent().map(Path::to_path_buf));
    let mut directories = vec![server::bindir()];
    directories.extend(own.filter(|own| *own != directories[0]));
    directories
}

struct Problem {
    too_old: bool,
    text: String,
}

/// The versions, or the first thing that is wrong.
fn look(directory: &Path, wanted: i32) -> Result<Vec<String>, Problem> {
    let mut versions = Vec::new();
    for program in PROGRAMS {
        let found = version(directory, program).map_err(|error| Problem {
            too_old: false,
            text: format!("{program} cannot be run ({error})"),
        })?;
        if major(&found) < Some(wanted) {
            return Err(Problem {
                too_old: true,
                text: format!("{program} {found} is too old"),
            });
        }
        versions.push(format!("{program} {found}"));
    }
    Ok(versions)
}

fn fix(wanted: i32) -> String {
    let dir = quote::literal(&format!("/usr/lib/postgresql/{wanted}/bin"));
    format!(
        "-- this server, after apt-get install postgresql-client-{wanted}\nALTER SYSTEM SET pg_decamp.pg_bindir = {dir}; \
         SELECT pg_reload_conf();"
    )
}

/// `15.4` of `pg_dump (PostgreSQL) 15.4 (Debian ...)`. Errors: why the program does not run, in words.
fn version(dir: &Path, program: &str) -> Result<String, String> {
    let output = Command::new(dir.join(program))
        .arg("--version")
        .output()
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text
        .split_once("(PostgreSQL) ")
        .and_then(|(_, rest)| rest.split_whitespace().next());
    version
        .map(str::to_owned)
        .ok_or_else(|| format!("--version said nothing useful, {}", output.status))
}

/// 15 of `15.4`, 19 of `19beta1`.
fn major(version: &str) -> Option<i32> {
    let end = version
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(version.len());
    version[..end].parse().ok()
}
