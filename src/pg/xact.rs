//! Transactions of a background worker on our own server, and the one place where an ERROR of that server is caught.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;

use pgrx::pg_sys::panic::CaughtError;
use pgrx::{PgTryBuilder, pg_sys};

use crate::failure::Failure;

/// Whether a transaction is open in this process.
pub fn is_open() -> bool {
    // SAFETY: reads process-local state.
    unsafe { pg_sys::IsTransactionState() }
}

/// Whether the caller is inside BEGIN .. COMMIT, where what we do elsewhere could not be rolled back with the rest.
pub fn in_block() -> bool {
    // SAFETY: reads process-local state.
    unsafe { pg_sys::IsTransactionBlock() }
}

/// Runs `body` in a transaction of its own. `Err` rolls back; an ERROR of the server leaves as a panic, to be caught by
/// [`guarded`] at the worker's top.
pub fn run<T>(body: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    assert!(!is_open(), "a worker's transactions do not nest");
    // SAFETY: no transaction is open (asserted), we are on the main thread of a connected worker; every path below ends
    // the transaction, and a panic is cleaned up by `guarded`.
    unsafe {
        pg_sys::SetCurrentStatementStartTimestamp();
        pg_sys::StartTransactionCommand();
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
    }
    let outcome = body();
    // SAFETY: the transaction and snapshot opened above are the current ones.
    unsafe {
        match &outcome {
            Ok(_) => {
                pg_sys::PopActiveSnapshot();
                pg_sys::CommitTransactionCommand();
            }
            Err(_) => pg_sys::AbortOutOfAnyTransaction(),
        }
        pg_sys::pgstat_report_stat(false);
    }
    outcome
}

/// Runs `body`, which does not fail, in the transaction that is open, a caller's; else, in a worker, in one of its own.
pub fn within<T>(body: impl FnOnce() -> T) -> T {
    if is_open() {
        return body();
    }
    run(|| Ok(body())).expect("a body that does not fail is committed")
}

/// Runs `body`; an ERROR of our own server (or a broken invariant) becomes a `Failure` and the open transaction is rolled
/// back. House rule: whoever gets such a failure records it in a fresh transaction and exits; the caches and temporary
/// state of a process that survived an ERROR are not to be relied on for long.
pub fn guarded<T>(body: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    let body = Cell::new(Some(body));
    PgTryBuilder::new(AssertUnwindSafe(|| {
        body.take().expect("the try block runs once")()
    }))
    .catch_others(|error| {
        let failure = describe(&error);
        // SAFETY: safe whether or not a transaction is open; then the error state is empty again.
        unsafe {
            pg_sys::AbortOutOfAnyTransaction();
            pg_sys::FlushErrorState();
        }
        Err(failure)
    })
    .catch_rust_panic(|error| {
        // SAFETY: as above.
        unsafe { pg_sys::AbortOutOfAnyTransaction() };
        Err(describe(&error))
    })
    .execute()
}

fn describe(error: &CaughtError) -> Failure {
    let (CaughtError::PostgresError(report)
    | CaughtError::ErrorReport(report)
    | CaughtError::RustPanic {
        ereport: report, ..
    }) = error;
    let mut failure = Failure::new(&sqlstate(report.sql_error_code() as i32), report.message());
    failure.detail = report.detail().map(str::to_owned);
    failure.hint = report.hint().map(str::to_owned);
    failure
}

/// The five characters of a packed SQLSTATE (`MAKE_SQLSTATE` in `utils/elog.h`: six bits each).
fn sqlstate(packed: i32) -> String {
    (0..5)
        .map(|i| char::from((((packed >> (6 * i)) & 0x3F) as u8) + b'0'))
        .collect()
}
