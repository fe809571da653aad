//! Settings (`pg_decamp.*`) and the overrides our workers run under.

use std::ffi::CString;

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting, pg_sys};

static BINDIR: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static CHUNK_SIZE: GucSetting<i32> = GucSetting::<i32>::new(128);
static COPY_RATE_LIMIT: GucSetting<i32> = GucSetting::<i32>::new(0);
static MAINTENANCE_WORK_MEM: GucSetting<i32> = GucSetting::<i32>::new(256);
static SEGMENT_SIZE: GucSetting<i32> = GucSetting::<i32>::new(32 << 10);
static PARALLEL_WORKERS: GucSetting<i32> = GucSetting::<i32>::new(-1);

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
    GucRegistry::define_int_guc(
        c"pg_decamp.chunk_size",
        c"Largest piece of a table that the initial copy takes at once.",
        c"A snapshot on the source lives, and what an interruption costs is, as long as one piece takes.",
        &CHUNK_SIZE,
        1,
        1 << 20,
        GucContext::Suset,
        GucFlags::UNIT_MB,
    );
    GucRegistry::define_int_guc(
        c"pg_decamp.copy_rate_limit",
        c"Most that the initial copy reads from a source per second, in megabytes over all workers of a subscription.",
        c"0: no limit.",
        &COPY_RATE_LIMIT,
        0,
        1 << 20,
        GucContext::Suset,
        GucFlags::UNIT_MB,
    );
    GucRegistry::define_int_guc(
        c"pg_decamp.maintenance_work_mem",
        c"Memory for each index that is built on the target after the copy.",
        c"Up to as many are built at once as a subscription has workers.",
        &MAINTENANCE_WORK_MEM,
        1,
        1 << 20,
        GucContext::Suset,
        GucFlags::UNIT_MB,
    );
    GucRegistry::define_int_guc(
        c"pg_decamp.parallel_maintenance_workers",
        c"Parallel workers for each index that is built on the target after the copy.",
        c"-1: as many as copy workers have nothing to do.",
        &PARALLEL_WORKERS,
        -1,
        1024,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_decamp.segment_size",
        c"Size from which on a table's changed keys go to another segment on the source.",
        c"A segment that is no longer written to is dropped once it is replayed.",
        &SEGMENT_SIZE,
        16,
        1 << 20,
        GucContext::Suset,
        GucFlags::UNIT_KB,
    );
}

/// `pg_decamp.chunk_size`, in bytes.
pub fn chunk_bytes() -> i64 {
    i64::from(CHUNK_SIZE.get()) << 20
}

/// `pg_decamp.segment_size`, in bytes.
pub fn segment_bytes() -> i64 {
    i64::from(SEGMENT_SIZE.get()) << 10
}

/// `pg_decamp.copy_rate_limit`, in bytes per second.
pub fn copy_rate_limit() -> Option<f64> {
    let limit = COPY_RATE_LIMIT.get();
    (limit > 0).then(|| f64::from(limit) * f64::from(1 << 20))
}

/// `pg_decamp.maintenance_work_mem`, in megabytes.
pub fn maintenance_work_mem() -> i32 {
    MAINTENANCE_WORK_MEM.get()
}

/// `pg_decamp.parallel_maintenance_workers`, if set.
pub fn parallel_maintenance_workers() -> Option<i64> {
    let workers = PARALLEL_WORKERS.get();
    (workers >= 0).then(|| i64::from(workers))
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

/// For a process whose commits may be lost in a crash.
pub fn commit_without_waiting() {
    set("synchronous_commit", "off");
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
