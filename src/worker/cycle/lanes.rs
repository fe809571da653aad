//! The lanes that catching up goes beside the apply worker's own connections.

use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::pg::worker::{self, COPY_CLASS};
use crate::pg::{report, xact};
use crate::replay::Lane;
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
    /// As many as make `worth` together with our own connections; never more, with the copy workers, than the subscription has
    /// workers. What cannot be opened is done without.
    pub(super) fn open(
        &mut self,
        subscription: &Subscription,
        worth: usize,
    ) -> Result<&mut [Lane], Failure> {
        if worth < 2 {
            self.close();
            return Ok(&mut []);
        }
        let copying = xact::run(|| Ok(worker::pids(COPY_CLASS, subscription.id).len()))?;
        let workers = usize::try_from(subscription.workers).unwrap_or(1);
        let most = workers.saturating_sub(copying).clamp(1, worth) - 1;
        self.connections.truncate(most);
        if self.later.is_some_and(|later| Instant::now() < later) {
            return Ok(&mut self.connections);
        }
        while self.connections.len() < most {
            match sides::open(subscription, "replay") {
                Ok(lane) => self.connections.push(lane),
                Err(failure) => {
                    report::log(&format!(
                        "subscription \"{}\" catches up without further connections, it has {} to each side: {}",
                        subscription.name,
                        self.connections.len() + 1,
                        failure.line()
                    ));
                    self.later = Some(Instant::now() + LATER);
                    break;
                }
            }
        }
        Ok(&mut self.connections)
    }

    pub(super) fn close(&mut self) {
        self.connections.clear();
    }
}
