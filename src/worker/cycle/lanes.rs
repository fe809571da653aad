//! The lanes that catching up goes beside the apply worker's own connections.

use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::libpq::{Connection, Opened, Opening};
use crate::pg::worker::{self, COPY_CLASS};
use crate::pg::{report, xact};
use crate::replay::{Coming, Lane, Others};
use crate::subscription::Subscription;
use crate::worker::sides;

/// After one could not be opened.
const LATER: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct Lanes {
    connections: Vec<Lane>,
    /// the next one, while it is being opened: source, target
    coming: Option<(Opening, Connection)>,
    /// no more are to be opened before
    later: Option<Instant>,
}

impl Lanes {
    /// How many there are, with our own connections.
    pub(super) fn open(&self) -> usize {
        self.connections.len() + 1
    }

    /// For so many lanes, together with our own connections; never more, with the copy workers, than the subscription has workers.
    pub(super) fn prepare(
        &mut self,
        subscription: &Subscription,
        worth: usize,
    ) -> Result<usize, Failure> {
        let most = if worth < 2 {
            0
        } else {
            let copying = xact::run(|| Ok(worker::pids(COPY_CLASS, subscription.id).len()))?;
            let workers = usize::try_from(subscription.workers).unwrap_or(1);
            workers.saturating_sub(copying).clamp(1, worth) - 1
        };
        self.connections.truncate(most);
        if self.connections.len() == most {
            self.coming = None;
        }
        if self.later.is_some_and(|later| Instant::now() < later) {
            return Ok(self.connections.len());
        }
        Ok(most)
    }

    /// What cannot be opened is done without.
    pub(super) fn use_up_to<T>(
        &mut self,
        most: usize,
        subscription: &Subscription,
        use_them: impl FnOnce(&mut Others) -> T,
    ) -> T {
        let Self {
            connections,
            coming,
            later,
        } = self;
        let mut more = || match go_on(coming, subscription) {
            Ok(next) => next,
            Err(failure) => {
                report::log(&format!(
                    "subscription \"{}\" catches up without further connections: {}",
                    subscription.name,
                    failure.line()
                ));
                *later = Some(Instant::now() + LATER);
                Coming::Never
            }
        };
        use_them(&mut Others {
            open: connections,
            most,
            more: &mut more,
        })
    }

    pub(super) fn close(&mut self) {
        self.connections.clear();
        self.coming = None;
    }
}

/// Opens the next one as far as that goes without waiting for the source.
fn go_on(
    coming: &mut Option<(Opening, Connection)>,
    subscription: &Subscription,
) -> Result<Coming, Failure> {
    let (source, target) = match coming.take() {
        Some(both) => both,
        None => sides::begin(subscription, "replay")?,
    };
    Ok(match source.go_on()? {
        Opened::Yes(source) => Coming::Now(Box::new((source, target))),
        Opened::NotYet(source) => {
            let awaited = source.awaits();
            *coming = Some((source, target));
            Coming::Later(awaited)
        }
    })
}
