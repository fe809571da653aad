//! What other people can see of this session: keeps connection strings out of `pg_stat_activity` and the server log.

use std::ffi::CString;

use pgrx::pg_sys;

use super::settings;

/// Call it first thing in a function that takes a connection string. Puts `shown` in place of the statement in
/// `pg_stat_activity`, and keeps the statement's text out of the server log should it fail (until the transaction ends).
/// What `log_statement` or `log_min_duration_statement` write is beyond an extension's reach: README, "Passwords".
pub fn hide_statement(shown: &str) {
    let shown = CString::new(shown).expect("our own text has no NUL byte");
    // SAFETY: copies the string into this backend's status entry.
    unsafe { pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, shown.as_ptr()) };
    settings::set_locally("log_min_error_statement", "panic");
}

/// The activity line of a background worker; `None` when it is idle.
pub fn report(what: Option<&str>) {
    let text = what.map(|w| CString::new(w).expect("our own text has no NUL byte"));
    let state = if text.is_some() {
        pg_sys::BackendState::STATE_RUNNING
    } else {
        pg_sys::BackendState::STATE_IDLE
    };
    // SAFETY: as above; null leaves the last text.
    unsafe {
        pg_sys::pgstat_report_activity(
            state,
            text.as_ref().map_or(std::ptr::null(), |t| t.as_ptr()),
        );
    }
}
