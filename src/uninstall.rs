//! Every trace of a subscription removed from its source.

use std::time::{Duration, Instant};

use crate::capture::{self, Names, Purpose};
use crate::failure::Failure;
use crate::libpq::Connection;
use crate::pg::latch;
use crate::retry::Backoff;
use crate::subscription::Subscription;

const PATIENCE: Duration = Duration::from_secs(120);

/// Triggers first, one table per transaction, then our schema. How many tables. Errors: 55P03 when a lock was not to be had in
/// time, 57P03 when another session works there; what is left can be removed by another try.
pub fn run(source: &mut Connection, subscription: &Subscription) -> Result<usize, Failure> {
    let names = Names::of(&subscription.name);
    if !capture::own(source, &names, &subscription.uuid)? {
        return Ok(0);
    }
    lock_patiently(source, subscription)?;
    let tables = capture::triggers_by_table(source, &names)?;
    // partitions carry only a TRUNCATE trigger of their own
    let count = tables
        .iter()
        .filter(|(_, _, triggers)| triggers.len() > 1)
        .count();
    for (oid, table, triggers) in tables {
        remove_patiently(source, oid, &table, &triggers)?;
    }
    // rights that are revoked go back to whom they belong
    capture::fence::lower(source, &names)?;
    capture::drop_schema(source, &names)?;
    Ok(count)
}

/// The source may take a moment to notice that our worker is gone; a copy of this database that streams from there keeps
/// its lock, and is not to lose its capture.
fn lock_patiently(source: &mut Connection, subscription: &Subscription) -> Result<(), Failure> {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        match capture::lock_origin(source, &subscription.uuid) {
            Ok(()) => return Ok(()),
            Err(failure) if failure.disconnected => return Err(failure),
            Err(_) if Instant::now() < deadline => {}
            Err(failure) => {
                return Err(failure.hint(format!(
                    "If another database has taken this subscription over, a copy of this one for instance, then forget it \
                     here without touching the source: SELECT repl_stop('{}', drop_source_objects => false); else call \
                     repl_stop again in a minute.",
                    subscription.name
                )));
            }
        }
        latch::wait(Duration::from_millis(200));
    }
}

fn remove_patiently(
    source: &mut Connection,
    oid: u32,
    table: &str,
    triggers: &[String],
) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    let mut backoff = Backoff::default();
    loop {
        let failure = match capture::remove(source, table, triggers) {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        if !failure.is_lock_timeout() {
            return Err(failure);
        }
        if Instant::now() >= deadline {
            let who = capture::holders(source, oid, Purpose::Remove)?;
            return Err(Failure::new(
                "55P03",
                format!("cannot lock {table} to drop its capture triggers"),
            )
            .at(source.origin())
            .detail(format!(
                "In the way: {}.",
                if who.is_empty() { "unknown" } else { &who }
            ))
            .hint("End those transactions or wait for them, then call repl_stop again."));
        }
        latch::wait(backoff.next());
    }
}
