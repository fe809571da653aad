//! The handle: one owner, closed once, never cloned; connecting and waiting on it.

use std::ffi::{CStr, CString, c_int};
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use pgrx::pg_sys;
use pq_sys::{ConnStatusType, PGTransactionStatusType, PGconn, PostgresPollingStatusType};

use super::opening::Awaited;
use super::{Conninfo, session};
use crate::failure::{Failure, Origin};
use crate::pg::{latch, liveness};

/// A libpq connection that is closed when dropped. At FATAL no destructor runs; the socket closes with the process.
pub struct Raw {
    conn: NonNull<PGconn>,
    /// the shortest wait for an answer while connecting: a round trip, and little else
    pub answer: Option<Duration>,
}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: the one owner closes it once, and gives back the descriptor reserved in `open`.
        unsafe {
            pq_sys::PQfinish(self.conn.as_ptr());
            pg_sys::ReleaseExternalFD();
        }
    }
}

/// Reserves a file descriptor of this process until it is handed over.
struct Reserved;

impl Reserved {
    fn new() -> Result<Self, Failure> {
        // SAFETY: counts only.
        if unsafe { pg_sys::AcquireExternalFD() } {
            Ok(Self)
        } else {
            Err(Failure::new(
                "53000",
                "this server process has no file descriptor left for a connection",
            )
            .hint("Increase max_files_per_process."))
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        // SAFETY: gives back what `new` took.
        unsafe { pg_sys::ReleaseExternalFD() };
    }
}

/// Connection attempts take no longer than this unless `connect_timeout` says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

impl Raw {
    /// Connects.
    pub fn open(
        info: &Conninfo,
        encoding: &str,
        name: &str,
        origin: Origin,
    ) -> Result<Self, Refusal> {
        let mut connecting = Self::begin(info, encoding, name, origin)?;
        while !connecting.step(Duration::from_secs(1))? {}
        Ok(connecting.into_raw())
    }

    /// Begins to connect.
    pub fn begin(
        info: &Conninfo,
        encoding: &str,
        name: &str,
        origin: Origin,
    ) -> Result<Connecting, Refusal> {
        let extra = session::parameters(encoding, name);
        let mut pairs: Vec<(&str, &str)> = info
            .pairs()
            .filter(|(k, _)| !extra.iter().any(|(e, _)| e == k))
            .collect();
        pairs.extend(extra.iter().map(|(k, v)| (*k, v.as_str())));
        let own = |s: &str| CString::new(s).expect("libpq gave or we wrote it: no NUL byte");
        let keywords: Vec<CString> = pairs.iter().map(|(k, _)| own(k)).collect();
        let values: Vec<CString> = pairs.iter().map(|(_, v)| own(v)).collect();
        let pointers = |list: &[CString]| -> Vec<*const std::ffi::c_char> {
            list.iter()
                .map(|s| s.as_ptr())
                .chain(std::iter::once(std::ptr::null()))
                .collect()
        };
        let (keyword_list, value_list) = (pointers(&keywords), pointers(&values));

        let reserved = Reserved::new().map_err(Refusal::Answered)?;
        // SAFETY: both arrays are null-terminated and outlive the call; the notice processor is a plain C function.
        let raw = unsafe {
            let conn = pq_sys::PQconnectStartParams(keyword_list.as_ptr(), value_list.as_ptr(), 0);
            let conn = NonNull::new(conn).ok_or_else(|| {
                Refusal::Answered(Failure::new("53200", "out of memory for a connection"))
            })?;
            pq_sys::PQsetNoticeProcessor(conn.as_ptr(), Some(ignore_notice), std::ptr::null_mut());
            Self { conn, answer: None }
        };
        std::mem::forget(reserved);
        let timeout = info
            .get("connect_timeout")
            .and_then(|t| t.parse::<u64>().ok())
            .filter(|t| *t > 0)
            .map_or(CONNECT_TIMEOUT, |t| Duration::from_secs(t.max(2)));
        Ok(Connecting {
            raw,
            poll: PostgresPollingStatusType::PGRES_POLLING_WRITING,
            since: Instant::now(),
            timeout,
            deadline: Instant::now() + timeout,
            origin,
        })
    }

    pub fn ptr(&self) -> *mut PGconn {
        self.conn.as_ptr()
    }

    pub fn status(&self) -> ConnStatusType {
        // SAFETY: a live connection.
        unsafe { pq_sys::PQstatus(self.ptr()) }
    }

    /// In a transaction that has failed.
    pub fn is_aborted(&self) -> bool {
        // SAFETY: a live connection.
        let status = unsafe { pq_sys::PQtransactionStatus(self.ptr()) };
        status == PGTransactionStatusType::PQTRANS_INERROR
    }

    /// libpq's message, on one line; it holds no password.
    pub fn message(&self) -> String {
        // SAFETY: libpq's own NUL-terminated buffer, copied at once.
        let text = unsafe { CStr::from_ptr(pq_sys::PQerrorMessage(self.ptr())) };
        text.to_string_lossy().trim().replace('\n', " ")
    }

    /// Negative when it is closed.
    pub fn socket(&self) -> c_int {
        // SAFETY: a live connection; the socket may change while connecting, so it is asked for each time.
        unsafe { pq_sys::PQsocket(self.ptr()) }
    }

    /// Waits for the socket; the liveness watch runs meanwhile. Returns whether it is ready.
    pub fn wait(&self, read: bool, write: bool, timeout: Duration) -> bool {
        let socket = self.socket();
        if socket < 0 {
            return true;
        }
        liveness::tick();
        latch::wait_socket(socket, read, write, timeout)
    }
}

/// A connection that is not up yet.
pub struct Connecting {
    raw: Raw,
    poll: PostgresPollingStatusType,
    /// it waits for that
    since: Instant,
    timeout: Duration,
    deadline: Instant,
    origin: Origin,
}

impl Connecting {
    pub fn awaits(&self) -> Awaited {
        Awaited {
            socket: self.raw.socket(),
            write: self.poll == PostgresPollingStatusType::PGRES_POLLING_WRITING,
        }
    }

    /// Waits so long for what it awaits, and goes on with it; whether it is up.
    pub fn step(&mut self, patience: Duration) -> Result<bool, Refusal> {
        if self.poll == PostgresPollingStatusType::PGRES_POLLING_OK {
            return Ok(true);
        }
        let failed = self.poll == PostgresPollingStatusType::PGRES_POLLING_FAILED;
        if failed || self.raw.status() == ConnStatusType::CONNECTION_BAD {
            return Err(Refusal::Answered(refused(self.origin, &self.raw.message())));
        }
        let Some(left) = self.deadline.checked_duration_since(Instant::now()) else {
            return Err(Refusal::Silent(Failure::lost(
                self.origin,
                format!(
                    "no answer within {} s while connecting",
                    self.timeout.as_secs()
                ),
            )));
        };
        let write = self.awaits().write;
        if self.raw.wait(!write, write, left.min(patience)) {
            if !write {
                let took = self.since.elapsed();
                self.raw.answer = Some(self.raw.answer.map_or(took, |least| least.min(took)));
            }
            // SAFETY: the connection is being made and its socket is ready.
            self.poll = unsafe { pq_sys::PQconnectPoll(self.raw.ptr()) };
            self.since = Instant::now();
        }
        Ok(self.poll == PostgresPollingStatusType::PGRES_POLLING_OK)
    }

    /// Once it is up.
    pub fn into_raw(self) -> Raw {
        self.raw
    }
}

/// Why a connection did not come up.
pub enum Refusal {
    /// somebody said no, or the network did
    Answered(Failure),
    /// nobody said anything in time
    Silent(Failure),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let (Refusal::Answered(failure) | Refusal::Silent(failure)) = refusal;
        failure
    }
}

/// libpq gives no SQLSTATE for a refused connection; what a wrong password or database looks like is told by the
/// server's untranslated routine only at verbosity we do not have, so these few English texts are matched, for the hint
/// alone and for not retrying; anything unknown is retried.
fn refused(origin: Origin, message: &str) -> Failure {
    let failure = Failure::lost(origin, format!("cannot connect: {message}"));
    let with = |mut failure: Failure, sqlstate: &str, hint: &str| {
        failure.sqlstate = sqlstate.to_owned();
        failure.hint(hint)
    };
    if message.contains("password authentication failed")
        || message.contains("no password supplied")
    {
        let side = match origin {
            Origin::Target => "target",
            _ => "source",
        };
        with(
            failure,
            "28P01",
            &format!(
                "Check user and password; : / @ % in a URI's password must be percent-encoded. For a running subscription: \
                 SELECT repl_alter(name, {side} => '...')."
            ),
        )
    } else if message.contains("pg_hba.conf") {
        let hint = if message.contains("no encryption") {
            "The server takes only encrypted connections: add sslmode=require to the connection string."
        } else {
            "The server lets this user in from here in no way: check user, database, sslmode and its access rules."
        };
        with(failure, "28000", hint)
    } else if message.contains("authentication failed") {
        with(
            failure,
            "28000",
            "Check the user and the server's access rules (pg_hba.conf).",
        )
    } else if message.contains("database \"") && message.contains("does not exist") {
        with(
            failure,
            "3D000",
            "Check the database name in the connection string.",
        )
    } else {
        failure.hint("Check host, port and that the server is up and can be reached from this one.")
    }
}

/// Notices of source and target are not for our server's stderr. Called from C: must neither panic nor raise.
unsafe extern "C" fn ignore_notice(_: *mut std::ffi::c_void, _: *const std::ffi::c_char) {}
