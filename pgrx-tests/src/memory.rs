//! How much memory processes of the target's server take for themselves: what they share, buffers above all, does not count.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::pair::Pair;
use crate::wait;

/// Watches workers until [`Watch::peak`].
pub struct Watch {
    stop: Arc<AtomicBool>,
    peak: Arc<AtomicU64>,
    samples: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Those of this target, as they come and go.
    pub fn copy_workers(pair: &Pair) -> Self {
        Self::on(pair, "pg_decamp copy ")
    }

    pub fn apply_worker(pair: &Pair) -> Self {
        Self::on(pair, "pg_decamp apply ")
    }

    /// By how the title begins that PostgreSQL gives its processes.
    fn on(pair: &Pair, title: &'static str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let peak = Arc::new(AtomicU64::new(0));
        let samples = Arc::new(AtomicU64::new(0));
        let postmaster = pair.postmaster();
        let (flag, most, count) = (Arc::clone(&stop), Arc::clone(&peak), Arc::clone(&samples));
        let thread = thread::spawn(move || {
            while !flag.load(Ordering::Relaxed) {
                for pid in children(postmaster) {
                    if !is_titled(pid, title) {
                        continue;
                    }
                    if let Some(bytes) = private_bytes(pid) {
                        most.fetch_max(bytes, Ordering::Relaxed);
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                }
                wait::pause(Duration::from_millis(5));
            }
        });
        Self {
            stop,
            peak,
            samples,
            thread: Some(thread),
        }
    }

    /// The most bytes that one of them had at a time.
    ///
    /// # Panics
    /// When there was hardly anything to watch.
    pub fn peak(mut self) -> u64 {
        self.end();
        let samples = self.samples.load(Ordering::Relaxed);
        assert!(samples > 20, "watched {samples} times only");
        self.peak.load(Ordering::Relaxed)
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end();
    }
}

impl Pair {
    fn postmaster(&self) -> u32 {
        let file = self.target.directory().join("data/postmaster.pid");
        let text = fs::read_to_string(file).expect("the target runs");
        let first = text.lines().next().unwrap_or_default();
        first.parse().expect("its first line is the process id")
    }
}

fn children(parent: u32) -> Vec<u32> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

fn is_titled(pid: u32, title: &str) -> bool {
    fs::read(format!("/proc/{pid}/cmdline"))
        .is_ok_and(|whole| String::from_utf8_lossy(&whole).contains(title))
}

fn private_bytes(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find(|line| line.starts_with("RssAnon:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}
