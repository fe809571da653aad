//! The append-only history: table `decamp.event`, view `repl_events`. Each event also goes to the server's log.

use crate::failure::Failure;
use crate::pg::{report, spi};

#[derive(Clone, Copy, Debug)]
pub enum Severity {
    Info,
    Warning,
    Error,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Records in the current transaction.
pub fn record(
    severity: Severity,
    subscription: &str,
    subject: &str,
    message: &str,
    detail: Option<&str>,
) {
    spi::update(
        "insert into decamp.event (subscription, severity, subject, message, detail) values ($1, $2, $3, $4, $5)",
        &[
            Some(subscription),
            Some(severity.as_str()),
            Some(subject),
            Some(message),
            detail,
        ],
    );
    report::log(&format!("{subscription}: {subject}: {message}"));
}

/// Records a failure in the current transaction.
pub fn record_failure(subscription: &str, subject: &str, failure: &Failure) {
    let mut detail = format!("SQLSTATE {}", failure.sqlstate);
    if let Some(hint) = &failure.hint {
        detail = format!("{detail}. {hint}");
    }
    record(
        Severity::Error,
        subscription,
        subject,
        &failure.line(),
        Some(&detail),
    );
}
