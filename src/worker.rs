//! The background workers' main functions. What a worker is and how it begins is in `pg/worker.rs`.

mod apply;
mod copy;
mod copying;
mod cycle;
mod firing;
mod launcher;
mod outset;
mod preparation;
mod setup;
mod sides;
mod switchover;

use pgrx::pg_guard;
use pgrx::pg_sys::Datum;

use crate::event;
use crate::failure::Failure;
use crate::pg::{latch, liveness, report, server, worker, xact};
use crate::subscription;

#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_decamp_launcher_main(_argument: Datum) {
    worker::begin_without_database();
    launcher::start_scouts();
    server::exit(0);
}

#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_decamp_scout_main(argument: Datum) {
    worker::begin(argument);
    let failed = xact::guarded(launcher::start_apply_workers).is_err();
    // with code 1 the postmaster lets it try again
    server::exit(i32::from(failed));
}

#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_decamp_apply_main(argument: Datum) {
    let orders = worker::begin(argument);
    let outcome = xact::guarded(|| apply::live(orders.subscription));
    server::exit(epilogue(orders.subscription, outcome));
}

#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_decamp_copy_main(argument: Datum) {
    let orders = worker::begin(argument);
    let outcome = xact::guarded(|| copy::live(orders.subscription));
    server::exit(epilogue(orders.subscription, outcome));
}

#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_decamp_switchover_main(argument: Datum) {
    let orders = worker::begin(argument);
    let outcome = xact::guarded(|| switchover::live(orders.subscription, &orders.task));
    if let Err(failure) = outcome {
        // the caller notices that we are gone, and the apply worker lowers the fence
        report::log(&format!("switchover worker: {}", failure.line()));
    }
    server::exit(0);
}

/// Records an ERROR of our own server that ended a worker, in a fresh transaction; the exit code. When the extension is
/// gone, the error is only that its tables are.
fn epilogue(subscription: i32, outcome: Result<(), Failure>) -> i32 {
    let Err(failure) = outcome else { return 0 };
    let recorded = xact::guarded(|| {
        xact::run(|| {
            if liveness::extension_oid().is_none() {
                return Ok(false);
            }
            if let Some(known) = subscription::by_id(subscription) {
                // a worker that fails again and again the same way says it once
                if subscription::noted_failure(subscription).as_deref()
                    != Some(failure.line().as_str())
                {
                    event::record_failure(&known.name, "worker", &failure);
                }
                subscription::note_failure(subscription, &failure, Some(2000));
            }
            Ok(true)
        })
    });
    match recorded {
        Ok(false) => return 0,
        Ok(true) => {}
        Err(_) => report::log(&format!("subscription {subscription}: {}", failure.line())),
    }
    latch::check_for_interrupts();
    1
}
