//! While tables are being copied: copy workers started, tables moved on.

use super::Cycle;
use crate::event::{self, Severity};
use crate::pg::xact;
use crate::relation::{self, Relation};
use crate::replay::Trouble;
use crate::subscription::{self, State};
use crate::task;
use crate::worker::copying;

impl Cycle<'_> {
    /// Starts copy workers while there is work for them; moves tables and the subscription on when it is done.
    pub(super) fn supervise_copy(&mut self) -> Result<(), Trouble> {
        let id = self.id();
        self.begin_anew()?;
        self.take_out()?;
        let moved = xact::run(|| {
            task::reclaim(id);
            Ok(copying::advance(&self.session.subscription))
        })?;
        copying::start_workers(&self.session.subscription)?;
        if moved {
            self.relations = xact::run(|| Ok(relation::of(id)))?;
            self.plan()?;
        }
        self.end_copying()
    }

    /// Nothing is left to copy but what has stopped.
    fn end_copying(&mut self) -> Result<(), Trouble> {
        let copying = |r: &Relation| {
            matches!(
                r.state,
                relation::State::Init | relation::State::Copying | relation::State::Copied
            )
        };
        if self.session.subscription.state != State::Copying || self.relations.iter().any(copying) {
            return Ok(());
        }
        xact::run(|| {
            // not while somebody is just sending a table back
            let name = self.session.subscription.name.clone();
            if subscription::by_name_locked(&name).is_err()
                || relation::is_any_incomplete(self.id())
                || !self.session.subscription.enter(State::Catchup)
            {
                return Ok(());
            }
            event::record(Severity::Info, &name, "subscription", "copy finished", None);
            Ok(())
        })?;
        Ok(())
    }
}
