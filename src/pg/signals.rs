//! Signal handlers of our background workers: those of core's own workers, set before signals are unblocked.
//!
//! pgrx's SIGTERM handler only sets a flag of its own, so that a worker inside a long statement or lock wait would ignore
//! `pg_terminate_backend` and a fast shutdown. With `die` every wait that checks for interrupts ends with a clean FATAL.
//! SIGINT keeps the default of a database-connected worker (`StatementCancelHandler`).

use std::ffi::c_int;

use pgrx::pg_sys;

// pgrx wraps every bound function in a guard that does a `sigsetjmp`, which a signal handler must not: take the bare symbols.
unsafe extern "C-unwind" {
    fn die(signal: c_int);
    fn SignalHandlerForConfigReload(signal: c_int);
}

/// Installs the handlers and lets signals in. Call it first thing in a worker's main function.
pub fn install() {
    // SAFETY: both are async-signal-safe handlers of the server, made for exactly this use; called once, before any
    // other thread or handler exists in this process.
    unsafe {
        set(pg_sys::SIGTERM as c_int, die);
        set(pg_sys::SIGHUP as c_int, SignalHandlerForConfigReload);
        pg_sys::BackgroundWorkerUnblockSignals();
    }
}

type Handler = unsafe extern "C-unwind" fn(c_int);

/// SAFETY: `handler` must be async-signal-safe.
unsafe fn set(signal: c_int, handler: Handler) {
    // SAFETY: the caller vouches for the handler.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        pg_sys::pqsignal(signal, Some(handler));
        #[cfg(feature = "pg18")]
        pg_sys::pqsignal_be(signal, Some(handler));
    }
}
