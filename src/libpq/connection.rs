//! A connection to the source or the target: queries with bound parameters, statement lists, typed failures.

use std::ffi::{CStr, CString};
use std::rc::Rc;
use std::time::Duration;

use pq_sys::{ConnStatusType, ExecStatusType, PGresult};

use super::discretion::Told;
use super::probe::Probe;
use super::question::Foretold;
use super::raw::Raw;
use super::session::QUIET;
use super::{Conninfo, Question, Role};
use crate::failure::{Failure, Origin};
use crate::row::Row;

pub struct Connection {
    pub(super) raw: Raw,
    pub(super) probe: Probe,
    pub(super) foretold: Foretold,
    role: Role,
    version: i32,
    ordinary: bool,
}

/// A result that is cleared when dropped.
pub(super) struct Answer(*mut PGresult);

impl Drop for Answer {
    fn drop(&mut self) {
        // SAFETY: the one owner clears it once.
        unsafe { pq_sys::PQclear(self.0) };
    }
}

impl Connection {
    /// Connects and sets the session up.
    ///
    /// `encoding` is the client encoding for both sides of a subscription, `name` the `application_name`.
    /// Errors: class 08, 28 or 3D when it does not come up; what the server says to the settings otherwise.
    pub fn open(info: &Conninfo, role: Role, encoding: &str, name: &str) -> Result<Self, Failure> {
        Self::open_asking(info, role, encoding, name, Vec::new())
    }

    /// The same; `questions` are foretold, and sent with the settings.
    pub fn open_asking(
        info: &Conninfo,
        role: Role,
        encoding: &str,
        name: &str,
        questions: Vec<Question>,
    ) -> Result<Self, Failure> {
        let raw = Raw::open(info, encoding, name, role.origin())?;
        let mut connection = Self::over(raw, info, role, questions)?;
        connection.finish_set_up()?;
        Ok(connection)
    }

    /// Over a connection that is up; sends the settings.
    pub(super) fn over(
        raw: Raw,
        info: &Conninfo,
        role: Role,
        questions: Vec<Question>,
    ) -> Result<Self, Failure> {
        let origin = role.origin();
        // SAFETY: a live connection.
        let version = unsafe {
            pq_sys::PQsetnonblocking(raw.ptr(), 1);
            pq_sys::PQserverVersion(raw.ptr())
        };
        let mut connection = Self {
            raw,
            probe: Probe::new(info, origin),
            foretold: Foretold::default(),
            role,
            version,
            ordinary: false,
        };
        if version < 100_000 {
            return Err(Failure::new(
                "0A000",
                format!("PostgreSQL {} is too old", version / 10_000),
            )
            .at(origin)
            .hint("The oldest version pg_decamp works with is 10."));
        }
        let settings = connection.settings();
        connection.foretell(&[vec![settings], questions].concat())?;
        Ok(connection)
    }

    /// Whatever becomes of what is sent with them, the settings stay.
    fn settings(&self) -> Question {
        let settings = self.role.settings(self.version);
        // should we vanish in the middle of a long statement, it ends within a second and with it its locks; a server on a
        // system that cannot tell refuses the setting, and that is all
        let watchful = if self.version < 140_000 {
            ""
        } else {
            "set client_connection_check_interval = '1s';"
        };
        Question::new(format!("begin; {settings} {watchful} commit; select 1"))
    }

    /// Waits for the settings.
    pub(super) fn finish_set_up(&mut self) -> Result<(), Failure> {
        match self.ask(&self.settings()) {
            Err(failure) if failure.sqlstate == "22023" => {
                let settings = self.role.settings(self.version);
                self.batch(&format!("rollback; {settings}"))?;
            }
            set => drop(set?),
        }
        if self.role == Role::Target {
            self.ordinary = match self.batch(QUIET) {
                Ok(()) => false,
                Err(failure) if failure.sqlstate == "42501" => true,
                Err(failure) => return Err(failure),
            };
        }
        Ok(())
    }

    /// On the target: our role may not set session_replication_role, so that triggers, rules and foreign keys act on what is
    /// written here unless they are off.
    pub fn is_ordinary(&self) -> bool {
        self.ordinary
    }

    pub fn origin(&self) -> Origin {
        self.role.origin()
    }

    /// `server_version_num`.
    pub fn version(&self) -> i32 {
        self.version
    }

    /// About how long the server takes to answer anything, as it was while we connected.
    pub fn answer(&self) -> Duration {
        self.raw.answer.unwrap_or_default()
    }

    /// The process id the server told when we connected; a pooler tells one of its own.
    pub fn announced_pid(&self) -> i64 {
        // SAFETY: a live connection.
        i64::from(unsafe { pq_sys::PQbackendPID(self.raw.ptr()) })
    }

    /// TLS version and cipher, `None` on a plain connection.
    pub fn tls(&self) -> Option<String> {
        // SAFETY: a live connection; the attribute is null or a static string.
        unsafe {
            if pq_sys::PQsslInUse(self.raw.ptr()) == 0 {
                return None;
            }
            let protocol = pq_sys::PQsslAttribute(self.raw.ptr(), c"protocol".as_ptr());
            if protocol.is_null() {
                return Some("TLS".to_owned());
            }
            Some(CStr::from_ptr(protocol).to_string_lossy().into_owned())
        }
    }

    /// Runs one statement with parameters bound as text; its rows.
    pub fn query(&mut self, sql: &str, parameters: &[Option<&str>]) -> Result<Vec<Row>, Failure> {
        let answer = self.run(sql, Some(parameters))?;
        Ok(rows(&answer))
    }

    /// Runs one statement with parameters bound as text; how many rows it concerned.
    pub fn execute(&mut self, sql: &str, parameters: &[Option<&str>]) -> Result<u64, Failure> {
        let answer = self.run(sql, Some(parameters))?;
        Ok(affected(&answer))
    }

    /// Runs statements separated by semicolons, without parameters; stops at the first that fails.
    pub fn batch(&mut self, sql: &str) -> Result<(), Failure> {
        self.run(sql, None).map(drop)
    }

    /// Sends a query without parameters whose rows [`Self::finish`] waits for; others may be asked meanwhile.
    pub fn start(&mut self, sql: &str) -> Result<(), Failure> {
        self.send(sql, Some(&[]))
    }

    /// The rows of the query that was started.
    pub fn finish(&mut self) -> Result<Vec<Row>, Failure> {
        let answer = self.last_answer()?;
        Ok(rows(&answer))
    }

    /// Makes the server's own encoding the client encoding too; its name.
    pub fn adopt_server_encoding(&mut self) -> Result<String, Failure> {
        let rows = self.query(
            "select set_config('client_encoding', current_setting('server_encoding'), false) as name",
            &[],
        )?;
        Ok(rows[0].string("name"))
    }

    /// Rolls back whatever is open. A connection that cannot even do that is reported as lost by its next use.
    pub fn rollback(&mut self) {
        let _ = self.batch("rollback");
    }

    fn run(&mut self, sql: &str, parameters: Option<&[Option<&str>]>) -> Result<Answer, Failure> {
        self.send(sql, parameters)?;
        self.last_answer()
    }

    /// Sends one statement (with parameters) or a list (without).
    pub(super) fn send(
        &mut self,
        sql: &str,
        parameters: Option<&[Option<&str>]>,
    ) -> Result<(), Failure> {
        self.drop_foretold()?;
        let sql = CString::new(sql).expect("SQL contains no NUL byte");
        // SAFETY: all strings and arrays outlive the call, libpq copies them into its buffer.
        let sent = unsafe {
            match parameters {
                None => pq_sys::PQsendQuery(self.raw.ptr(), sql.as_ptr()),
                Some(parameters) => {
                    let owned: Vec<Option<CString>> = parameters
                        .iter()
                        .map(|p| {
                            p.map(|v| CString::new(v).expect("text values contain no NUL byte"))
                        })
                        .collect();
                    let pointers: Vec<*const std::ffi::c_char> = owned
                        .iter()
                        .map(|p| p.as_ref().map_or(std::ptr::null(), |v| v.as_ptr()))
                        .collect();
                    pq_sys::PQsendQueryParams(
                        self.raw.ptr(),
                        sql.as_ptr(),
                        pointers.len() as i32,
                        std::ptr::null(),
                        pointers.as_ptr(),
                        std::ptr::null(),
                        std::ptr::null(),
                        0,
                    )
                }
            }
        };
        if sent == 0 {
            return Err(self.lost());
        }
        self.probe.sign_of_life();
        self.flush()
    }

    /// Sends what libpq still has in its buffer.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        loop {
            // SAFETY: a live connection in non-blocking mode.
            match unsafe { pq_sys::PQflush(self.raw.ptr()) } {
                0 => return Ok(()),
                1 => self.wait_once(true)?,
                _ => return Err(self.lost()),
            }
        }
    }

    /// Waits until something can be read (or, if asked, written), takes in what came.
    pub(super) fn wait_once(&mut self, write: bool) -> Result<(), Failure> {
        if self.raw.wait(true, write, Duration::from_secs(1)) {
            self.probe.sign_of_life();
            return self.consume();
        }
        self.bear_silence()
    }

    /// After a wait in which nothing came.
    pub(super) fn bear_silence(&mut self) -> Result<(), Failure> {
        if !self.probe.still_there() {
            return Err(Failure::lost(self.origin(), "no sign of life for 25 seconds, connection given up")
                .hint("Reconnecting by itself; check the network between the servers if it does not come back."));
        }
        Ok(())
    }

    /// Takes in what has come, without waiting.
    pub(super) fn consume(&mut self) -> Result<(), Failure> {
        // SAFETY: a live connection in non-blocking mode.
        if unsafe { pq_sys::PQconsumeInput(self.raw.ptr()) } == 0 {
            return Err(self.lost());
        }
        Ok(())
    }

    /// The next result has not come yet.
    pub(super) fn is_busy(&self) -> bool {
        // SAFETY: a live connection.
        unsafe { pq_sys::PQisBusy(self.raw.ptr()) != 0 }
    }

    /// The next result, `None` after the last.
    pub(super) fn next_answer(&mut self) -> Result<Option<Answer>, Failure> {
        while self.is_busy() {
            self.wait_once(false)?;
        }
        // SAFETY: not busy, so this does not block; null means no more.
        let result = unsafe { pq_sys::PQgetResult(self.raw.ptr()) };
        Ok((!result.is_null()).then_some(Answer(result)))
    }

    /// Takes all results; the last one if none failed, else the first failure. The connection is idle afterwards.
    pub(super) fn last_answer(&mut self) -> Result<Answer, Failure> {
        let mut last = None;
        let mut failure = None;
        while let Some(answer) = self.next_answer()? {
            match status(&answer) {
                ExecStatusType::PGRES_COMMAND_OK
                | ExecStatusType::PGRES_TUPLES_OK
                | ExecStatusType::PGRES_EMPTY_QUERY => last = Some(answer),
                ExecStatusType::PGRES_COPY_IN
                | ExecStatusType::PGRES_COPY_OUT
                | ExecStatusType::PGRES_COPY_BOTH => {
                    // only `copy.rs` starts COPY, and takes these itself
                    return Ok(answer);
                }
                _ => failure = failure.or_else(|| Some(self.failure_of(&answer))),
            }
        }
        match (failure, last) {
            (Some(failure), _) => Err(failure),
            (None, Some(answer)) => Ok(answer),
            (None, None) => Err(self.lost()),
        }
    }

    pub(super) fn lost(&self) -> Failure {
        Failure::lost(
            self.origin(),
            format!("connection lost: {}", self.raw.message()),
        )
        .hint("Reconnecting by itself; nothing is lost meanwhile.")
    }

    pub(super) fn failure_of(&self, answer: &Answer) -> Failure {
        let field = |code: std::ffi::c_int| {
            // SAFETY: a live result; the field is null or a string that lives as long as the result.
            unsafe {
                let text = pq_sys::PQresultErrorField(answer.0, code);
                (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
            }
        };
        // codes of `postgres_ext.h`: C SQLSTATE, M primary message, D detail, H hint, W context, n constraint, c column
        let Some(sqlstate) = field(b'C' as i32) else {
            return self.lost();
        };
        let told = Told {
            sqlstate,
            message: field(b'M' as i32).unwrap_or_default(),
            detail: field(b'D' as i32),
            hint: field(b'H' as i32),
            context: field(b'W' as i32),
            constraint: field(b'n' as i32),
            column: field(b'c' as i32),
        };
        let mut failure = told.failure(self.role == Role::Target).at(self.origin());
        // SAFETY: a live connection.
        failure.disconnected = self.raw.status() == ConnStatusType::CONNECTION_BAD;
        failure
    }
}

pub(super) fn status(answer: &Answer) -> ExecStatusType {
    // SAFETY: a live result.
    unsafe { pq_sys::PQresultStatus(answer.0) }
}

pub(super) fn affected(answer: &Answer) -> u64 {
    // SAFETY: a live result; the text is empty or a number.
    let text = unsafe { CStr::from_ptr(pq_sys::PQcmdTuples(answer.0)) };
    text.to_str().ok().and_then(|t| t.parse().ok()).unwrap_or(0)
}

pub(super) fn rows(answer: &Answer) -> Vec<Row> {
    // SAFETY: a live result; indexes stay in its bounds; values are copied before it is cleared.
    unsafe {
        let copy = |p| CStr::from_ptr(p).to_string_lossy().into_owned();
        let width = pq_sys::PQnfields(answer.0);
        let names: Rc<[String]> = (0..width)
            .map(|i| copy(pq_sys::PQfname(answer.0, i)))
            .collect();
        (0..pq_sys::PQntuples(answer.0))
            .map(|r| {
                let value = |c| {
                    (pq_sys::PQgetisnull(answer.0, r, c) == 0)
                        .then(|| copy(pq_sys::PQgetvalue(answer.0, r, c)))
                };
                Row::new(names.clone(), (0..width).map(value).collect())
            })
            .collect()
    }
}
