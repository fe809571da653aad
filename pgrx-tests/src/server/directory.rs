//! Where a throw-away server lives: a directory under /tmp, short enough for a socket's path, and a port of its own.
//!
//! A test run that was killed leaves servers behind; the next one removes them.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::installation::make_directory;

const PARENT: &str = "/tmp";
const PREFIX: &str = "pg_decamp-";
const KEPT_LOGS: &str = "/tmp/pg_decamp-logs";

/// Below the range that the kernel takes for outgoing connections, so that none of them sits on a stopped server's port.
const FIRST_PORT: u32 = 20_000;
const PORTS: u32 = 12_000;

/// A directory of the user who owns the servers, removed when dropped.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new() -> Self {
        static SWEPT: Once = Once::new();
        static NEXT: AtomicU32 = AtomicU32::new(1);
        SWEPT.call_once(remove_orphans);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(PARENT).join(format!("{PREFIX}{}-{number}", process::id()));
        make_directory(&path);
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A TCP port that nobody listens on and that no other server of this process was given.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = process::id().wrapping_mul(97);
    loop {
        let number = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS;
        let port = u16::try_from(FIRST_PORT + number).expect("the range is below 65536");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Adds text and a line end to a file.
pub fn append(file: &Path, text: &str) {
    let mut file = OpenOptions::new()
        .append(true)
        .open(file)
        .expect("our own files can be opened");
    writeln!(file, "{text}").expect("our own files can be written");
}

/// Keeps the log of a failed test's server; returns where.
pub fn keep_log(log: &Path, name: &str) -> Option<PathBuf> {
    let server = log.parent()?.file_name()?.to_str()?;
    fs::create_dir_all(KEPT_LOGS).ok()?;
    let kept =
        Path::new(KEPT_LOGS).join(format!("{}-{name}.log", server.trim_start_matches(PREFIX)));
    fs::copy(log, &kept).ok()?;
    Some(kept)
}

/// Ends and removes servers whose test process is no more.
fn remove_orphans() {
    for entry in fs::read_dir(PARENT).expect("/tmp can be read").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('-'))
            .and_then(|(pid, _)| pid.parse().ok());
        if let Some(owner) = owner
            && !is_alive(owner)
        {
            remove_orphan(&entry.path());
        }
    }
}

fn remove_orphan(directory: &Path) {
    let postmaster = fs::read_to_string(directory.join("data/postmaster.pid")).ok();
    let postmaster = postmaster.and_then(|text| text.lines().next()?.parse::<u32>().ok());
    if let Some(pid) = postmaster
        && fs::read_to_string(format!("/proc/{pid}/comm"))
            .is_ok_and(|name| name.trim() == "postgres")
    {
        // SIGQUIT: an immediate shutdown
        let _ = Command::new("kill")
            .args(["-QUIT", &pid.to_string()])
            .status();
        crate::wait::within(std::time::Duration::from_secs(5), || {
            (!is_alive(pid)).then_some(())
        });
    }
    let bouncer = fs::read_to_string(directory.join("bouncer/pid")).unwrap_or_default();
    let bouncer = bouncer.trim();
    if fs::read_to_string(format!("/proc/{bouncer}/comm")).is_ok_and(|n| n.trim() == "pgbouncer") {
        let _ = Command::new("kill").arg(bouncer).status();
    }
    let _ = fs::remove_dir_all(directory);
}

/// A process that has ended but that nobody has waited for has an empty command line.
fn is_alive(pid: u32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}
