//! An application that goes on when it is refused: each writer tries its next transaction.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use postgres::Client;

use crate::observe::SOON;
use crate::wait;

#[derive(Default)]
struct Tally {
    stop: AtomicBool,
    accepted: AtomicU64,
    refused: AtomicU64,
    first_refusal: OnceLock<Instant>,
}

/// Writers at work until [`Insistent::end`].
pub struct Insistent {
    tally: Arc<Tally>,
    writers: Vec<JoinHandle<()>>,
}

impl Insistent {
    /// Each of `clients` writes what `transaction` says, its number and a count being given, one every `every`. Refused by the
    /// fence (25006) or a deadlock it goes on; any other error fails the test.
    pub fn start(
        clients: Vec<Client>,
        every: Duration,
        transaction: impl Fn(usize, usize) -> String + Clone + Send + 'static,
    ) -> Self {
        let tally = Arc::new(Tally::default());
        let writers = clients
            .into_iter()
            .enumerate()
            .map(|(writer, client)| {
                let (tally, transaction) = (Arc::clone(&tally), transaction.clone());
                thread::spawn(move || write(client, &tally, every, |at| transaction(writer, at)))
            })
            .collect();
        Self { tally, writers }
    }

    pub fn refused(&self) -> u64 {
        self.tally.refused.load(Ordering::Relaxed)
    }

    /// When the first one of them was refused.
    pub fn first_refusal(&self) -> Option<Instant> {
        self.tally.first_refusal.get().copied()
    }

    pub fn wait_until_busy(&self) {
        let accepted = || self.tally.accepted.load(Ordering::Relaxed);
        let before = accepted();
        wait::until_true(SOON, "they write", || accepted() > before + 100);
    }

    pub fn wait_until_refused(&self) {
        let before = self.refused();
        wait::until_true(SOON, "they are refused", || self.refused() > before + 20);
    }

    /// How many transactions the source has accepted.
    pub fn end(self) -> u64 {
        self.tally.stop.store(true, Ordering::Relaxed);
        for writer in self.writers {
            writer
                .join()
                .expect("a writer is refused by the fence only");
        }
        self.tally.accepted.load(Ordering::Relaxed)
    }
}

fn write(
    mut client: Client,
    tally: &Tally,
    every: Duration,
    transaction: impl Fn(usize) -> String,
) {
    let began = Instant::now();
    for at in 1.. {
        if tally.stop.load(Ordering::Relaxed) {
            return;
        }
        match client.batch_execute(&transaction(at)) {
            Ok(()) => {
                tally.accepted.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                let code = error.code().map(|c| c.code().to_owned());
                let refused = code.as_deref() == Some("25006");
                assert!(refused || code.as_deref() == Some("40P01"), "{error}");
                if refused {
                    tally.first_refusal.get_or_init(Instant::now);
                    tally.refused.fetch_add(1, Ordering::Relaxed);
                }
                let _ = client.batch_execute("rollback");
            }
        }
        // a writer that was held up does not make up for it
        let due = every * u32::try_from(at).unwrap_or(u32::MAX);
        wait::pause(due.saturating_sub(began.elapsed()).clamp(every / 10, every));
    }
}
