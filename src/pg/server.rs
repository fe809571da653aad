//! Facts about the server we run in.

use std::ffi::CStr;
use std::path::{Path, PathBuf};

use pgrx::pg_sys;

use super::{settings, spi};
use crate::failure::Failure;

/// The oid of the database this process is connected to.
pub fn database_oid() -> u32 {
    // SAFETY: set when the process connected, constant since.
    unsafe { pg_sys::MyDatabaseId }.to_u32()
}

/// The name of that database.
pub fn database_name() -> String {
    spi::read("select pg_catalog.current_database() as name", &[])[0].string("name")
}

/// Its encoding, as `client_encoding` wants it.
pub fn encoding() -> String {
    // SAFETY: returns a constant string of the server.
    unsafe { CStr::from_ptr(pg_sys::GetDatabaseEncodingName()) }
        .to_string_lossy()
        .into_owned()
}

/// Whether the current user may do everything here.
pub fn is_superuser() -> bool {
    // SAFETY: needs only an open transaction, which every SQL function has.
    unsafe { pg_sys::superuser() }
}

/// The role that logged in, whatever the function at hand runs as.
pub fn session_user() -> String {
    spi::read("select session_user as name", &[])[0].string("name")
}

/// Whether this server is a standby.
pub fn in_recovery() -> bool {
    // SAFETY: reads shared state.
    unsafe { pg_sys::RecoveryInProgress() }
}

/// Errors: 25006 if the caller's transaction may not write.
pub fn refuse_read_only(function: &str) -> Result<(), Failure> {
    // SAFETY: a flag of this process's transaction.
    if unsafe { !pg_sys::XactReadOnly } {
        return Ok(());
    }
    Err(Failure::new(
        "25006",
        format!("cannot execute {function}() in a read-only transaction"),
    )
    .hint("Call it on the primary, in a transaction that may write: SET default_transaction_read_only = off;"))
}

/// Where a local client reaches this server: the first socket directory, or localhost when there is none, and the port.
pub fn address() -> (String, i32) {
    // SAFETY: settings that cannot change while the server runs.
    let (directories, port) = unsafe {
        let raw = pg_sys::Unix_socket_directories;
        let text = if raw.is_null() {
            String::new()
        } else {
            CStr::from_ptr(raw).to_string_lossy().into_owned()
        };
        (text, pg_sys::PostPortNumber)
    };
    let first = directories
        .split(',')
        .next()
        .unwrap_or_default()
        .trim()
        .trim_matches('"')
        .to_owned();
    (
        if first.is_empty() {
            "localhost".to_owned()
        } else {
            first
        },
        port,
    )
}

/// Where pg_dump and pg_restore are: the setting, else the directory of the running server's own binary.
pub fn bindir() -> PathBuf {
    if let Some(dir) = settings::bindir() {
        return PathBuf::from(dir);
    }
    std::env::current_exe()
        .ok()
        .and_then(|path| path.parent().map(Path::to_path_buf))
        .unwrap_or_default()
}

/// Whether the files of a database are still there. A worker asks before it connects: to connect to a dropped database
/// is a FATAL that the postmaster would answer with a restart, for ever.
pub fn database_exists(oid: u32) -> bool {
    if Path::new(&format!("base/{oid}/PG_VERSION")).exists() {
        return true;
    }
    let tablespaces = std::fs::read_dir("pg_tblspc")
        .into_iter()
        .flatten()
        .flatten();
    tablespaces
        .filter_map(|space| std::fs::read_dir(space.path()).ok())
        .flatten()
        .flatten()
        .any(|version| version.path().join(format!("{oid}/PG_VERSION")).exists())
}

/// The databases a worker may connect to: no templates, none whose DROP was interrupted. Reads the shared catalog itself,
/// as the server's own launchers do: a process connected to no database has no SQL. Needs a transaction.
pub fn connectable_databases() -> Vec<u32> {
    let mut found = Vec::new();
    // SAFETY: a catalog scan inside a transaction, opened and closed in pairs (an ERROR ends the launcher, which releases
    // everything); pg_database's fixed-width part, all that is read, is never NULL.
    unsafe {
        let lock = pg_sys::AccessShareLock as i32;
        let catalog = pg_sys::table_open(pg_sys::DatabaseRelationId, lock);
        let scan = pg_sys::table_beginscan_catalog(catalog, 0, std::ptr::null_mut());
        loop {
            let tuple = pg_sys::heap_getnext(scan, pg_sys::ScanDirection::ForwardScanDirection);
            if tuple.is_null() {
                break;
            }
            let database = &*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_database>();
            // -2: DATCONNLIMIT_INVALID_DB of catalog/pg_database.h
            if database.datallowconn && !database.datistemplate && database.datconnlimit != -2 {
                found.push(database.oid.to_u32());
            }
        }
        pg_sys::table_endscan(scan);
        pg_sys::table_close(catalog, lock);
    }
    found
}

/// Ends this process cleanly. 0: the postmaster forgets a worker; 1: it starts the worker again after its restart time.
#[allow(
    unreachable_code,
    reason = "not every version's binding says that proc_exit never returns"
)]
pub fn exit(code: i32) -> ! {
    // SAFETY: runs the server's exit callbacks; never returns.
    unsafe { pg_sys::proc_exit(code) };
    unreachable!("proc_exit does not return")
}
