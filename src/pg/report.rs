//! From `Failure` to an error of the server, keeping SQLSTATE, detail and hint.

use pgrx::pg_sys::errcodes::PgSqlErrorCode;
use pgrx::pg_sys::panic::ErrorReport;

use crate::failure::{Failure, Origin};

impl From<Failure> for ErrorReport {
    fn from(failure: Failure) -> Self {
        let message = match failure.origin {
            Origin::Here => failure.message,
            origin => format!("{origin}: {}", failure.message),
        };
        let mut report = ErrorReport::new(code(&failure.sqlstate), message, "");
        if let Some(detail) = failure.detail {
            report = report.set_detail(detail);
        }
        if let Some(hint) = failure.hint {
            report = report.set_hint(hint);
        }
        report
    }
}

/// pgrx knows the SQLSTATEs of PostgreSQL's own list; any other (an extension's) becomes XX000.
fn code(sqlstate: &str) -> PgSqlErrorCode {
    let packed = sqlstate.bytes().enumerate().fold(0i32, |acc, (i, c)| {
        acc | (((c.wrapping_sub(b'0')) & 0x3F) as i32) << (6 * i)
    });
    PgSqlErrorCode::from(packed)
}

/// A line in the server's log.
pub fn log(message: &str) {
    pgrx::log!("pg_decamp: {message}");
}

/// A notice to the client.
pub fn notice(message: &str) {
    pgrx::notice!("{message}");
}
