//! How many copy workers there are.

use crate::failure::Failure;
use crate::pg::worker::{self, COPY_CLASS, Kind};
use crate::pg::{server, xact};
use crate::subscription::Subscription;
use crate::task;

/// Starts copy workers as long as there is work for more. Errors: 53400 when not even one can be started.
pub fn start_workers(subscription: &Subscription) -> Result<(), Failure> {
    let id = subscription.id;
    let (claimable, running) =
        xact::run(|| Ok((task::open(id).claimable, worker::pids(COPY_CLASS, id).len())))?;
    let wanted = claimable.min(i64::from(subscription.workers));
    let free = i64::from(subscription.workers) - i64::try_from(running).unwrap_or(i64::MAX);
    for started in 0..wanted.min(free) {
        let database = server::database_oid();
        if let Err(failure) = worker::start(Kind::Copy, database, id, &subscription.name) {
            // with fewer workers than asked for it is slower, with none it stands still
            return if running == 0 && started == 0 {
                Err(failure)
            } else {
                Ok(())
            };
        }
    }
    Ok(())
}
