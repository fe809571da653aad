//! While chunks are being copied: copy workers started, tables moved on.

use super::Cycle;
use crate::event::{self, Severity};
use crate::pg::worker::{self, COPY_CLASS, Kind};
use crate::pg::{server, xact};
use crate::relation;
use crate::replay::Trouble;
use crate::subscription::State;
use crate::task;

impl Cycle<'_> {
    /// Starts copy workers while there is work for them; moves tables and the subscription on when it is done.
    pub(super) fn supervise_copy(&mut self) -> Result<(), Trouble> {
        if self.session.subscription.state != State::Copying {
            return Ok(());
        }
        let id = self.id();
        let (done, open, claimable, running) = xact::run(|| {
            task::reclaim(id);
            Ok((
                task::finished_tables(id),
                task::open(id),
                task::claimable(id),
                worker::pids(COPY_CLASS, id).len(),
            ))
        })?;
        if !done.is_empty() {
            xact::run(|| {
                for oid in &done {
                    relation::enter(id, *oid, relation::State::Catchup);
                }
                Ok(())
            })?;
        }
        let wanted = usize::try_from(claimable.min(i64::from(self.session.subscription.workers)))
            .unwrap_or(0);
        let free = usize::try_from(self.session.subscription.workers)
            .unwrap_or(0)
            .saturating_sub(running);
        for started in 0..wanted.min(free) {
            let name = &self.session.subscription.name;
            if let Err(failure) = worker::start(Kind::Copy, server::database_oid(), id, name) {
                // with fewer workers than asked for it is slower, with none it stands still
                if running + started == 0 {
                    return Err(failure.into());
                }
                break;
            }
        }
        if open == 0 {
            xact::run(|| {
                self.session.subscription.enter(State::Catchup);
                event::record(
                    Severity::Info,
                    &self.session.subscription.name,
                    "subscription",
                    "copy finished",
                    None,
                );
                Ok(())
            })?;
        }
        if !done.is_empty() || open == 0 {
            self.relations = xact::run(|| Ok(relation::of(id)))?;
            self.plan()?;
        }
        Ok(())
    }
}
