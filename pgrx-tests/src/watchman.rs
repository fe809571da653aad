//! What remains when a program with servers, the demo or the benchmark, is ended by Ctrl-C or killed: a process of its own,
//! which ends when we do, removes the servers.
//!
//! That process is this program again, with [`ARGUMENT`] and the servers' directories. It is in a process group of its
//! own, so that Ctrl-C does not reach it, and reads a pipe whose other end we hold and never write to: end of file means
//! that we are gone, in whatever way. When we could clean up ourselves there is nothing left for it to do.

use std::env;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use crate::wait;

const ARGUMENT: &str = "--clean-up-after-me";

/// The process that waits for our end. Dropping this, after the servers, lets it go.
pub struct Watchman(Child);

impl Watchman {
    pub fn guard(directories: &[&Path]) -> Self {
        let program = env::current_exe().expect("a program knows its file");
        let child = Command::new(program)
            .arg(ARGUMENT)
            .args(directories)
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("our own program can be run");
        Self(child)
    }
}

impl Drop for Watchman {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// The other process's part, if that is what this one is.
pub fn run_if_asked() -> Option<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    if arguments.next()? != ARGUMENT {
        return None;
    }
    let _ = io::copy(&mut io::stdin(), &mut io::sink());
    let left: Vec<_> = arguments
        .filter(|directory| Path::new(directory).exists())
        .collect();
    for directory in &left {
        remove(Path::new(directory));
    }
    if !left.is_empty() {
        eprintln!("\ninterrupted; the servers are stopped and their files removed");
    }
    Some(ExitCode::SUCCESS)
}

fn remove(directory: &Path) {
    let file = fs::read_to_string(directory.join("data/postmaster.pid")).unwrap_or_default();
    if let Some(pid) = file.lines().next() {
        let process = Path::new("/proc").join(pid);
        // SIGQUIT: an immediate shutdown
        let _ = Command::new("kill").args(["-QUIT", pid]).status();
        wait::within(Duration::from_secs(5), || (!process.exists()).then_some(()));
    }
    let _ = fs::remove_dir_all(directory);
}
