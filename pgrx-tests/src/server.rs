//! One throw-away PostgreSQL cluster: its life, from a copy of a template to the removal of its directory.
//!
//! `server/builder.rs` says how it is configured, `server/client.rs` is SQL on it, `server/directory.rs` where it lives.

mod builder;
pub mod client;
mod directory;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use builder::Builder;
use directory::Directory;
pub use directory::free_port;

use crate::installation::{Installation, run};

const LOG_TAIL: usize = 60;

/// How a server is stopped, as `pg_ctl -m` has it.
#[derive(Clone, Copy, Debug)]
pub enum Mode {
    Smart,
    Fast,
    /// A crash: no checkpoint, recovery at the next start.
    Immediate,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Mode::Smart => "smart",
            Mode::Fast => "fast",
            Mode::Immediate => "immediate",
        }
    }
}

/// A running (or stopped) server. Dropping it stops it and removes its files; its log is shown when the test has failed.
pub struct Server {
    name: String,
    port: u16,
    installation: Installation,
    directory: Directory,
}

impl Server {
    /// A server of this installation, still to be configured and started.
    pub fn builder(installation: Installation) -> Builder {
        Builder::new(installation)
    }

    /// A server of Debian's PostgreSQL 15 with nothing special about it.
    pub fn start_plain() -> Self {
        let installation =
            Installation::target(15).expect("PostgreSQL 15 is installed: run `make setup`");
        Self::builder(installation).start()
    }

    /// Starts the server after a [`Self::stop`].
    pub fn start(&self) {
        let output = self
            .pg_ctl()
            .args(["start", "--log"])
            .arg(self.log_file())
            .output()
            .expect("pg_ctl can be run");
        assert!(
            output.status.success(),
            "{} does not start:\n{}",
            self.name,
            self.log_tail()
        );
    }

    /// Stops the server and returns how long that took.
    pub fn stop(&self, mode: Mode) -> Duration {
        let begin = Instant::now();
        run(self.pg_ctl().args(["stop", "--mode", mode.name()]));
        begin.elapsed()
    }

    /// Stops and starts the server.
    pub fn restart(&self, mode: Mode) {
        self.stop(mode);
        self.start();
    }

    /// Makes the server read its configuration files again.
    pub fn reload(&self) {
        run(self.pg_ctl().arg("reload"));
    }

    /// Adds a line to postgresql.conf; it takes effect at the next reload or restart.
    pub fn append_conf(&self, line: &str) {
        directory::append(&self.data().join("postgresql.conf"), line);
    }

    pub fn installation(&self) -> &Installation {
        &self.installation
    }

    /// The TCP port, on 127.0.0.1; also the number in the socket's name.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A directory that the server can read, removed with it.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A conninfo by which the superuser reaches a database through the server's socket.
    pub fn socket_conninfo(&self, database: &str) -> String {
        format!(
            "host={} port={} user=postgres dbname={database}",
            self.directory().display(),
            self.port
        )
    }

    /// A percent-encoded URI for a role that logs in by TCP with TLS.
    pub fn conninfo_uri(&self, role: &str, password: &str, database: &str) -> String {
        uri(role, password, self.port, database)
    }

    /// All that the server has logged.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.log_file()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub fn log_contains(&self, text: &str) -> bool {
        self.log().contains(text)
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        // the refusals that the churn provokes would push out everything else
        let lines: Vec<&str> = log
            .lines()
            .filter(|line| !line.contains("] churn: "))
            .collect();
        lines[lines.len().saturating_sub(LOG_TAIL)..].join("\n")
    }

    fn pg_ctl(&self) -> std::process::Command {
        let mut command = self.installation.command("pg_ctl");
        command
            .arg("--pgdata")
            .arg(self.data())
            .args(["--wait", "--timeout=60", "--silent"]);
        command
    }

    fn data(&self) -> PathBuf {
        self.directory().join("data")
    }

    fn log_file(&self) -> PathBuf {
        self.directory().join("log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "---- the end of the log of {}, port {}\n{}\n----",
                self.name,
                self.port,
                self.log_tail()
            );
            if let Some(kept) = directory::keep_log(&self.log_file(), &self.name) {
                eprintln!("all of it is in {}", kept.display());
            }
        }
        // a stopped server makes pg_ctl fail, which is fine
        let _ = self.pg_ctl().args(["stop", "--mode", "immediate"]).output();
    }
}

/// A percent-encoded URI for a role that logs in by TCP with TLS.
pub fn uri(role: &str, password: &str, port: u16, database: &str) -> String {
    format!(
        "postgres://{}:{}@127.0.0.1:{port}/{}?sslmode=require",
        percent_encoded(role),
        percent_encoded(password),
        percent_encoded(database)
    )
}

fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}
