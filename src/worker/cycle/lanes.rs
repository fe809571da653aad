//! The lanes that catching up goes beside the apply worker's own connections.

use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::pg::worker::{self, COPY_CLASS};
use crate::pg::{report, xact};
use crate::replay::{Lane, Others};
use crate::subscription::Subscription;
use crate::worker::sides;

/// After one could not be opened.
const LATER: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct Lanes {
    connections: Vec<Lane>,
    /// no more are to be opened before
    later: Option<Instant>,
}

impl Lanes {
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
        let Self { connections, later } = self;
        let mut more = || match sides::open(subscription, "replay") {
            Ok(lane) => Some(lane),
            Err(failure) => {
                report::log(&format!(
                    "subscription \"{}\" catches up without further connections: {}",
                    subscription.name,
                    failure.line()
                ));
                *later = Some(Instant::now() + LATER);
                None
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
    }
}
