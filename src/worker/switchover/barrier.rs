//! The barrier: waits for the transactions that had a captured table locked for writing when the fence was committed. After
//! them nobody is left who could write: whoever takes such a lock later finds the fenced function (`capture/segment.rs` says
//! why).

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::Errand;
use crate::capture::{Blocker, blockers, terminate as end};
use crate::failure::Failure;
use crate::pg::latch;

/// A transaction that ends by itself in this time, or a quarter of the timeout, is not terminated.
const GRACE: Duration = Duration::from_secs(1);
const SHORTEST: Duration = Duration::from_millis(2);
const LONGEST: Duration = Duration::from_millis(50);
/// The caller is looked after this often.
const CARE: Duration = Duration::from_millis(100);

impl Errand {
    /// How long it took. `timeout`: what `deadline` was made of, for the message. Errors: 57014 when it passes.
    pub(super) fn barrier(
        &mut self,
        deadline: Instant,
        timeout: Duration,
        terminate: bool,
    ) -> Result<Duration, Failure> {
        let began = Instant::now();
        let mut tables = self.captured();
        tables.extend(&self.others);
        let grace = began + GRACE.min(timeout / 4);
        let mut awaited: Option<HashSet<String>> = None;
        let mut asked: HashSet<String> = HashSet::new();
        let mut refused: Vec<Failure> = Vec::new();
        let mut cared = Instant::now();
        let mut pause = SHORTEST;
        loop {
            let mut left = blockers(self.source()?, &tables)?;
            if let Some(known) = &awaited {
                // who is prepared meanwhile goes under another name
                left.retain(|b| known.contains(&b.transaction) || b.is_prepared());
            }
            if left.is_empty() {
                return Ok(began.elapsed());
            }
            let now = Instant::now();
            if now >= deadline {
                return Err(timed_out(&left, timeout, terminate, refused));
            }
            if terminate && now >= grace {
                for blocker in &left {
                    if blocker.pid.is_some() && asked.insert(blocker.transaction.clone()) {
                        match end(self.source()?, blocker) {
                            Err(failure) if failure.sqlstate == "42501" => refused.push(failure),
                            other => other?,
                        }
                    }
                }
            }
            awaited = Some(left.into_iter().map(|b| b.transaction).collect());
            if cared.elapsed() >= CARE {
                cared = Instant::now();
                self.check_caller()?;
            }
            latch::wait(pause.min(deadline.saturating_duration_since(now)));
            pause = (pause * 2).min(LONGEST);
        }
    }
}

fn timed_out(
    left: &[Blocker],
    timeout: Duration,
    terminate: bool,
    refused: Vec<Failure>,
) -> Failure {
    const SHOWN: usize = 5;
    let who: Vec<&str> = left
        .iter()
        .take(SHOWN)
        .map(|b| b.in_words.as_str())
        .collect();
    let more = match left.len().saturating_sub(SHOWN) {
        0 => String::new(),
        n => format!("; and {n} more"),
    };
    let message = match left.len() {
        1 => "a transaction that may still write did not end".to_owned(),
        n => format!("{n} transactions that may still write did not end"),
    };
    let failure = Failure::new(
        "57014",
        format!("{message} within {:.1} s", timeout.as_secs_f64()),
    )
    .detail(format!("In the way: {}{more}.", who.join("; ")));
    match refused.into_iter().next() {
        Some(refusal) => failure.hint(format!(
            "{} {}",
            refusal.message,
            refusal.hint.unwrap_or_default()
        )),
        None if terminate => failure.hint("They were asked to end, or are prepared ones, which must be ended by hand. Then call it again."),
        None => failure.hint(
            "Wait for them or end them on the source, then call it again; repl_fence(..., terminate => true) ends them by itself.",
        ),
    }
}
