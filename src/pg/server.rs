//! Facts about the server we run in.

use std::ffi::CStr;
use std::path::{Path, PathBuf};

use pgrx::pg_sys;

use super::{settings, spi};

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

/// Whether this server is a standby.
pub fn in_recovery() -> bool {
    // SAFETY: reads shared state.
    unsafe { pg_sys::RecoveryInProgress() }
}

/// Raises 25006 if the caller's transaction may not write.
pub fn refuse_read_only(function: &str) {
    let name =
        std::ffi::CString::new(format!("{function}()")).expect("a function's name has no NUL byte");
    // SAFETY: the string outlives the call; the ERROR it raises leaves as a panic to the function's guard.
    unsafe { pg_sys::PreventCommandIfReadOnly(name.as_ptr()) };
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
