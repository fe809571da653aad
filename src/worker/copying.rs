//! The copy as a whole: how many workers there are, which tables are through.

use crate::event::{self, Severity};
use crate::failure::Failure;
use crate::pg::worker::{self, COPY_CLASS, Kind};
use crate::pg::{server, spi, xact};
use crate::row::Row;
use crate::subscription::Subscription;
use crate::table::shown;
use crate::task;

/// Starts copy workers as long as there is work for more. Errors: 53400 when not even one can be started.
pub fn start_workers(subscription: &Subscription) -> Result<(), Failure> {
    let id = subscription.id;
    let claimable = xact::run(|| Ok(task::open(id).claimable))?;
    start_for(subscription, usize::try_from(claimable).unwrap_or(0))
}

/// Starts copy workers for so many tasks, which are there or about to be. Errors: 53400 when not even one can be started.
pub fn start_for(subscription: &Subscription, tasks: usize) -> Result<(), Failure> {
    let id = subscription.id;
    let pids = xact::run(|| Ok(worker::pids(COPY_CLASS, id)))?;
    let running = pids.len();
    if tasks > 0 {
        pids.into_iter().for_each(worker::wake);
    }
    let most = usize::try_from(subscription.workers).unwrap_or(0);
    for started in 0..tasks.min(most.saturating_sub(running)) {
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

/// Moves tables on whose tasks are done, and tells of it; whether there were any.
pub fn advance(subscription: &Subscription) -> bool {
    let moved = spi::write(
        include_str!("../../sql/state/advance.sql"),
        &[Some(&subscription.id.to_string())],
    );
    for row in &moved {
        tell(&subscription.name, row);
    }
    !moved.is_empty()
}

/// What happened to a table, for the history.
fn tell(subscription: &str, row: &Row) {
    let table = shown(row.text("schema"), row.text("name"));
    let message = match (row.text("state"), row.int("indexes")) {
        ("copying", 0) => format!(
            "copied {} rows in {} s",
            row.text("rows"),
            row.text("copying")
        ),
        ("copying", n) => format!(
            "copied {} rows in {} s, built {n} indexes and constraints in {} s",
            row.text("rows"),
            row.text("copying"),
            row.text("indexing")
        ),
        _ => return,
    };
    event::record(Severity::Info, subscription, &table, &message, None);
}
