//! What went wrong, in the form everything here passes around: SQLSTATE, message, detail, hint. Pure.
//!
//! Errors of the source or target keep the SQLSTATE, message, detail and hint that server gave. What a failure means
//! for the migration (try again, stop one table, stop and ask) is decided in one place, `retry.rs`, by SQLSTATE.
//! A failure never holds a row's values or a password.

use std::fmt;

/// Where a failure came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Source,
    Target,
    /// the server the extension runs in, or our own code
    Here,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Target => "target",
            Self::Here => "here",
        })
    }
}

#[derive(Clone, Debug)]
pub struct Failure {
    /// the server that raised it
    pub origin: Origin,
    /// five characters
    pub sqlstate: String,
    /// lower case, no full stop
    pub message: String,
    pub detail: Option<String>,
    /// what to type next
    pub hint: Option<String>,
    /// of the table at hand, if it refused a row
    pub constraint: Option<String>,
    /// the column that refused a value; `k1`, `c1`: by its place in the staging table of a batch
    pub column: Option<String>,
    /// the connection was lost or never came up: nothing is known of the transaction that ran on it
    pub disconnected: bool,
}

impl Failure {
    pub fn new(sqlstate: &str, message: impl Into<String>) -> Self {
        debug_assert_eq!(sqlstate.len(), 5, "a SQLSTATE has five characters");
        Self {
            origin: Origin::Here,
            sqlstate: sqlstate.to_owned(),
            message: message.into(),
            detail: None,
            hint: None,
            constraint: None,
            column: None,
            disconnected: false,
        }
    }

    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn at(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// The connection is gone (SQLSTATE class 08).
    pub fn lost(origin: Origin, message: impl Into<String>) -> Self {
        let mut failure = Self::new("08006", message).at(origin);
        failure.disconnected = true;
        failure
    }

    /// A lock was not to be had in time.
    pub fn is_lock_timeout(&self) -> bool {
        matches!(self.sqlstate.as_str(), "55P03" | "57014" | "40P01")
    }

    /// Adds what was being done, as a sentence, in front of the detail.
    pub fn during(mut self, what: impl fmt::Display) -> Self {
        self.detail = Some(match self.detail {
            Some(detail) => format!("While {what}. {detail}"),
            None => format!("While {what}."),
        });
        self
    }

    /// One line for the status: which server, message, detail.
    pub fn line(&self) -> String {
        let mut line = match self.origin {
            Origin::Here => self.message.clone(),
            origin => format!("{origin}: {}", self.message),
        };
        if let Some(detail) = &self.detail {
            line = format!("{line} ({detail})");
        }
        line.replace('\n', " ")
    }
}
