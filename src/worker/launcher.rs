//! After a server start: a scout per database, which starts the apply workers of the subscriptions there.

use std::time::Duration;

use crate::failure::Failure;
use crate::pg::worker::{self, Kind};
use crate::pg::{latch, liveness, server, xact};
use crate::subscription;

/// Run by the launcher, which is connected to no database. Waits for a free worker slot where there is none.
pub fn start_scouts() {
    let databases = xact::run(|| Ok(server::connectable_databases()))
        .expect("reading never fails otherwise than by ERROR");
    for database in databases {
        while worker::start(Kind::Scout, database, 0, &database.to_string()).is_err() {
            latch::wait(Duration::from_secs(1));
        }
    }
}

/// Run by a scout in its database.
pub fn start_apply_workers() -> Result<(), Failure> {
    let database = server::database_oid();
    let wanted: Vec<_> = xact::run(|| {
        if liveness::extension_oid().is_none() || server::in_recovery() {
            return Ok(Vec::new());
        }
        Ok(subscription::all())
    })?
    .into_iter()
    .filter(|s| s.enabled && !s.state.is_at_rest())
    .collect();
    for subscription in wanted {
        worker::start(Kind::Apply, database, subscription.id, &subscription.name)?;
    }
    Ok(())
}
