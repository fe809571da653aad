//! Calls of repl_ddl that ended before they could say what they had done: what they have done is told.

use super::Cycle;
use super::anew::is_locked;
use crate::ddl::{self, trace};
use crate::event::{self, Severity};
use crate::failure::Failure;
use crate::pg::xact;
use crate::replay::Trouble;
use crate::retry::DRIFT;
use crate::worker::apply::Session;

/// A table that differs while a call of repl_ddl is between its two commits is looked at again once that is over.
pub(super) fn not_yet(session: &mut Session, trouble: Trouble) -> Trouble {
    let differs = trouble.table.is_some() && trouble.failure.sqlstate == DRIFT;
    let id = session.subscription.id;
    let Ok(calls) = xact::run(|| Ok(trace::untold(id))) else {
        return trouble;
    };
    if !differs || calls.is_empty() {
        return trouble;
    }
    session.source.rollback();
    let is_under_way = |call: i64| {
        let on_source = trace::is_on_source(&mut session.source, &session.names, call);
        on_source.is_err_and(|failure| is_locked(&failure))
    };
    if !calls.into_iter().any(is_under_way) {
        return trouble;
    }
    Failure::new("40001", "a call of repl_ddl is not over on the source")
        .hint("Looked at again by itself.")
        .into()
}

impl Cycle<'_> {
    pub(super) fn settle_calls(&mut self) -> Result<(), Trouble> {
        let id = self.id();
        let ended = xact::run(|| {
            // in this order: what is found after the lock belongs to no call that is still under way
            let any = !trace::untold(id).is_empty() && ddl::is_settled(id);
            Ok(if any { trace::untold(id) } else { Vec::new() })
        })?;
        for call in ended {
            match self.settle_call(call) {
                // a transaction of it has not ended yet
                Err(failure) if is_locked(&failure) => return Ok(()),
                settled => settled?,
            }
        }
        Ok(())
    }

    fn settle_call(&mut self, call: i64) -> Result<(), Failure> {
        let session = &mut *self.session;
        let subscription = &session.subscription;
        let on_target = trace::is_on_target(&mut session.target, &subscription.uuid, call)?;
        let on_source =
            on_target && trace::is_on_source(&mut session.source, &session.names, call)?;
        xact::run(|| {
            let tell = |severity, message: &str, detail: Option<&str>| {
                event::record(
                    severity,
                    &subscription.name,
                    "subscription",
                    message,
                    detail,
                );
            };
            match (on_target, on_source) {
                (false, _) => trace::forget(call),
                (true, true) => {
                    tell(
                        Severity::Info,
                        "repl_ddl was interrupted when its statement was done on both sides",
                        None,
                    );
                    trace::forget(call);
                }
                (true, false) => {
                    tell(
                        Severity::Warning,
                        "repl_ddl was interrupted: its statement was done on the target and not on the source",
                        Some(&format!(
                            "SELECT statement FROM decamp.ddl WHERE id = {call}; shows it. Run it on the source too; or, should \
                             that refuse it, as with the type of a key, take back on the target what it did, and call repl_ddl \
                             again."
                        )),
                    );
                    trace::keep(call);
                }
            }
            Ok(())
        })
    }
}
