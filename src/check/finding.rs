//! What a check says: one row of `repl_check`.

use crate::failure::Failure;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// looked at, nothing to do
    Ok,
    /// works, but the user should know
    Warning,
    /// `repl_start` refuses
    Error,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Finding {
    pub severity: Severity,
    /// what was looked at: a side, a concern, a table
    pub subject: String,
    pub message: String,
    /// SQL or a command to type; SQL starts with a comment that says on which side
    pub fix: Option<String>,
    /// what `repl_start` raises should this be the first error
    pub sqlstate: &'static str,
}

/// Findings in the order they were made.
#[derive(Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    pub fn into_vec(self) -> Vec<Finding> {
        self.0
    }

    pub fn ok(&mut self, subject: impl Into<String>, message: impl Into<String>) {
        self.add(Severity::Ok, "00000", subject.into(), message.into(), None);
    }

    pub fn warning(
        &mut self,
        subject: impl Into<String>,
        message: impl Into<String>,
        fix: Option<String>,
    ) {
        self.add(
            Severity::Warning,
            "01000",
            subject.into(),
            message.into(),
            fix,
        );
    }

    pub fn error(
        &mut self,
        sqlstate: &'static str,
        subject: impl Into<String>,
        message: impl Into<String>,
        fix: Option<String>,
    ) {
        self.add(
            Severity::Error,
            sqlstate,
            subject.into(),
            message.into(),
            fix,
        );
    }

    /// A failure without which the migration cannot go on.
    pub fn failure(&mut self, subject: impl Into<String>, failure: &Failure) {
        self.error(
            constant(&failure.sqlstate),
            subject,
            line(failure),
            failure.hint.clone(),
        );
    }

    /// A failure that only kept us from looking.
    pub fn unseen(&mut self, subject: impl Into<String>, failure: &Failure) {
        let message = format!("could not be looked at: {}", line(failure));
        self.warning(subject, message, failure.hint.clone());
    }

    /// A place to come back to with [`Findings::quiet_since`].
    pub fn mark(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing but `ok` was found since the mark.
    pub fn quiet_since(&self, mark: usize) -> bool {
        self.0[mark..].iter().all(|f| f.severity == Severity::Ok)
    }

    fn add(
        &mut self,
        severity: Severity,
        sqlstate: &'static str,
        subject: String,
        message: String,
        fix: Option<String>,
    ) {
        self.0.push(Finding {
            severity,
            subject,
            message,
            fix,
            sqlstate,
        });
    }
}

/// The subject already says which server, so unlike [`Failure::line`] this does not.
fn line(failure: &Failure) -> String {
    let line = match &failure.detail {
        Some(detail) => format!("{} ({detail})", failure.message),
        None => failure.message.clone(),
    };
    line.replace(['\n', '\t'], " ")
}

/// The SQLSTATEs a look at a server ends with; any other is told by its class.
fn constant(sqlstate: &str) -> &'static str {
    const KNOWN: [&str; 18] = [
        "08000", "08001", "08004", "08006", "08P01", "0A000", "22023", "28000", "28P01", "3D000",
        "42501", "42P01", "53000", "53300", "55000", "55P03", "57P01", "57P03",
    ];
    let known = |wanted: &str| KNOWN.into_iter().find(|k| *k == wanted);
    known(sqlstate)
        .or_else(|| known(&format!("{}000", &sqlstate[..2])))
        .unwrap_or("XX000")
}
