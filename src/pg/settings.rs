//! Settings (`pg_decamp.*`) and the overrides our workers run under.

use std::ffi::CString;

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting, pg_sys};

static BINDIR: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);

/// Called once from `_PG_init`.
pub fn define() {
    GucRegistry::define_string_guc(
        c"pg_decamp.pg_bindir",
        c"Directory of the pg_dump and pg_restore that import the schema.",
        c"They must be of the source's major version or newer. Empty: those beside this server's own binary.",
        &BINDIR,
        GucContext::Suset,
        GucFlags::default(),
    );
}

/// `pg_decamp.pg_bindir`, if set.
pub fn bindir() -> Option<String> {
    BINDIR
        .get()
        .map(|dir| dir.to_string_lossy().into_owned())
        .filter(|dir| !dir.is_empty())
}

/// What a role or database setting must not impose on our workers' own short transactions.
pub fn override_for_worker(application_name: &str) {
    let fixed = [
        ("search_path", "pg_catalog, pg_temp"),
        ("default_transaction_read_only", "off"),
        ("default_transaction_isolation", "read committed"),
        ("statement_timeout", "0"),
        ("lock_timeout", "0"),
        ("idle_in_transaction_session_timeout", "0"),
        ("row_security", "off"),
        ("client_min_messages", "warning"),
        ("application_name", application_name),
    ];
    for (name, value) in fixed {
        set(name, value);
    }
    if cfg!(any(feature = "pg17", feature = "pg18")) {
        set("transaction_timeout", "0");
    }
}

fn set(name: &str, value: &str) {
    let name = CString::new(name).expect("a setting's name has no NUL byte");
    let value = CString::new(value).expect("a setting's value has no NUL byte");
    // SAFETY: both strings outlive the call, which copies them.
    unsafe {
        pg_sys::SetConfigOption(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_SESSION,
        );
    }
}

/// Until the transaction ends, whatever the caller may set himself.
pub fn set_locally(name: &str, value: &str) {
    let name = CString::new(name).expect("a setting's name has no NUL byte");
    let value = CString::new(value).expect("a setting's value has no NUL byte");
    // SAFETY: as in `set`; GUC_ACTION_LOCAL needs the open transaction that every SQL function has.
    unsafe {
        pg_sys::set_config_option(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_LOCAL,
            true,
            0,
            false,
        );
    }
}
