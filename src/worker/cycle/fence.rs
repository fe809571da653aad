//! The fence, as the apply worker sees it: what is known here agrees with the source, and what a dead call has left is taken
//! back.

use std::time::Duration;

use super::Cycle;
use crate::capture::{Names, fence};
use crate::event::{self, Severity};
use crate::failure::Failure;
use crate::libpq::Connection;
use crate::pg::worker::{self, APPLY_CLASS, SWITCHOVER_CLASS};
use crate::pg::xact;
use crate::replay::Trouble;
use crate::subscription::{self, Fence, Subscription};
use crate::worker::apply::Session;
use crate::worker::switchover::disarm;

/// What is wrong between here and the source.
enum Finding {
    /// whoever was raising the fence is gone
    Abandoned,
    /// the source is fenced and nobody here has asked for it
    Unknown,
    /// it was fenced and is not any more
    Gone,
}

impl Cycle<'_> {
    /// What the fence is while somebody raises it or closes the subscription behind it; `None` when all is over.
    pub(super) fn passing_fence(&self) -> Result<Option<Option<Fence>>, Failure> {
        let id = self.id();
        let (fence, finished) =
            xact::run(|| Ok((subscription::fence_of(id), subscription::is_finished(id))))?;
        Ok((!finished).then(|| fence.filter(|fence| fence.is_passing())))
    }

    /// `unchanged`: the source is as it was when it was last looked at.
    pub(super) fn look_at_fence(&mut self, unchanged: bool) -> Result<(), Trouble> {
        let id = self.id();
        self.look_at_way_back()?;
        let known = xact::run(|| Ok(subscription::fence_of(id)))?;
        if unchanged && known.is_none() {
            return Ok(());
        }
        let session = &mut *self.session;
        let standing = fence::standing(&mut session.source, &session.names)?;
        let finding = match known {
            Some(Fence::Raising | Fence::Closing) => Finding::Abandoned,
            None if standing.is_felt() => Finding::Unknown,
            Some(Fence::Standing) if !standing.is_whole() => Finding::Gone,
            None | Some(Fence::Standing) => return Ok(()),
        };
        // a call that is at work knows what it does; none begins while we look
        if !worker::claim_at_once(SWITCHOVER_CLASS, id) {
            return Ok(());
        }
        let mended = self.mend_fence(known, &finding);
        worker::release(SWITCHOVER_CLASS, id);
        mended
    }

    /// One that a dead call has left armed: the target is to take writes again.
    fn look_at_way_back(&mut self) -> Result<(), Failure> {
        let id = self.id();
        let armed = || xact::run(|| Ok(subscription::armed_counterpart(id)));
        if armed()?.is_none() || !worker::claim_at_once(SWITCHOVER_CLASS, id) {
            return Ok(());
        }
        let disarmed = armed().and_then(|back| back.as_ref().map_or(Ok(()), disarm));
        worker::release(SWITCHOVER_CLASS, id);
        disarmed
    }

    fn mend_fence(&mut self, known: Option<Fence>, finding: &Finding) -> Result<(), Trouble> {
        let id = self.id();
        let session = &mut *self.session;
        if xact::run(|| Ok(subscription::fence_of(id)))? != known {
            return Ok(());
        }
        let name = session.subscription.name.clone();
        let (now, severity, message) = match finding {
            Finding::Abandoned => {
                lower(self.session)?;
                return Ok(());
            }
            // one that was lowered when we looked is none
            Finding::Unknown
                if !fence::standing(&mut session.source, &session.names)?.is_felt() =>
            {
                return Ok(());
            }
            Finding::Unknown => (
                Some(Fence::Standing),
                Severity::Warning,
                format!(
                    "the source is found fenced: it refuses writes; to let them: SELECT repl_unfence('{name}')"
                ),
            ),
            Finding::Gone => {
                let standing = fence::standing(&mut session.source, &session.names)?;
                if standing.is_whole() {
                    return Ok(());
                }
                let open = standing.functions - standing.fenced;
                if standing.fenced > 0 {
                    alone(session, fence::raise)?;
                    (
                        known,
                        Severity::Warning,
                        format!(
                            "{open} capture functions of the source, made anew, took writes; they are fenced again"
                        ),
                    )
                } else {
                    (
                        None,
                        Severity::Error,
                        "the fence has gone from the source, by other hands: it takes writes, which are replayed"
                            .to_owned(),
                    )
                }
            }
        };
        xact::run(|| {
            subscription::set_fence(id, now);
            event::record(severity, &name, "fence", &message, None);
            Ok(())
        })?;
        Ok(())
    }
}

/// A call has made this subscription work, or fenced its source, and has died before the source took writes again. Before
/// anything else, for they wait.
pub fn lower_abandoned(session: &mut Session) -> Result<(), Failure> {
    let id = session.subscription.id;
    let is_passing = xact::run(|| Ok(subscription::fence_of(id).is_some_and(Fence::is_passing)))?;
    if !is_passing || !worker::claim_at_once(SWITCHOVER_CLASS, id) {
        return Ok(());
    }
    let lowered = lower(session);
    worker::release(SWITCHOVER_CLASS, id);
    lowered
}

/// Not before the other direction's worker is gone, which may be writing there.
fn lower(session: &mut Session) -> Result<(), Failure> {
    let Subscription { id, name, .. } = session.subscription.clone();
    let is_awaited = xact::run(|| {
        let other = subscription::counterpart(id);
        Ok(other.is_some_and(|other| !worker::pids(APPLY_CLASS, other.id).is_empty()))
    })?;
    if is_awaited {
        return Ok(());
    }
    alone(session, fence::lower)?;
    xact::run(|| {
        subscription::set_fence(id, None);
        event::record(
            Severity::Warning,
            &name,
            "fence",
            "unfenced: the call that had fenced the source was interrupted; the source takes writes again, nothing is lost",
            None,
        );
        Ok(())
    })
}

/// With the fence's lock on the source: a dead call's last statement may still be on its way through it.
fn alone(
    session: &mut Session,
    change: fn(&mut Connection, &Names) -> Result<(), Failure>,
) -> Result<(), Failure> {
    const PATIENCE: Duration = Duration::from_secs(15);
    let uuid = &session.subscription.uuid;
    fence::lock(&mut session.source, uuid, PATIENCE)?;
    change(&mut session.source, &session.names)?;
    fence::unlock(&mut session.source, uuid)
}
