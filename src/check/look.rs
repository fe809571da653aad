//! A connection that only looks: everything runs in read-only transactions, and a query that fails costs one finding, not
//! the rest of the check.

use super::finding::Findings;
use crate::failure::Failure;
use crate::libpq::Connection;
use crate::row::Row;

/// Sizes need a table's weakest lock, and wait behind an ALTER TABLE for it.
const BEGIN: &str = "begin transaction isolation level read committed read only; \
     set local lock_timeout = '2s'; set local statement_timeout = '60s'";

pub struct Look {
    connection: Connection,
    lost: bool,
}

impl Look {
    /// Errors: the connection was lost.
    pub fn new(mut connection: Connection) -> Result<Self, Failure> {
        connection.batch(BEGIN)?;
        Ok(Self {
            connection,
            lost: false,
        })
    }

    /// `server_version_num`.
    pub fn version(&self) -> i32 {
        self.connection.version()
    }

    /// Rows of a query; `None` if it failed, which is then among the findings.
    pub fn rows(
        &mut self,
        findings: &mut Findings,
        subject: &str,
        sql: &str,
        parameters: &[Option<&str>],
    ) -> Option<Vec<Row>> {
        self.run(findings, subject, |connection| {
            connection.query(sql, parameters)
        })
    }

    /// The result of any reading; `None` if it failed, which is then among the findings.
    pub fn run<T>(
        &mut self,
        findings: &mut Findings,
        subject: &str,
        reading: impl FnOnce(&mut Connection) -> Result<T, Failure>,
    ) -> Option<T> {
        match self.attempt(reading)? {
            Ok(result) => Some(result),
            Err(failure) if failure.disconnected => {
                findings.failure(subject, &failure);
                None
            }
            Err(failure) => {
                findings.unseen(subject, &failure);
                None
            }
        }
    }

    /// As [`Look::run`] for what nothing can be started without: a failure is an error.
    pub fn need<T>(
        &mut self,
        findings: &mut Findings,
        subject: &str,
        reading: impl FnOnce(&mut Connection) -> Result<T, Failure>,
    ) -> Option<T> {
        let result = self.attempt(reading)?;
        result
            .map_err(|failure| findings.failure(subject, &failure))
            .ok()
    }

    /// As [`Look::run`], but a failure is the caller's to judge. `None`: the connection was lost before.
    pub fn attempt<T>(
        &mut self,
        reading: impl FnOnce(&mut Connection) -> Result<T, Failure>,
    ) -> Option<Result<T, Failure>> {
        if self.lost {
            return None;
        }
        let result = reading(&mut self.connection).map_err(explained);
        if let Err(failure) = &result {
            self.lost = failure.disconnected;
            self.renew();
        }
        Some(result)
    }

    /// Ends the transaction, and with it every lock it holds, and begins another.
    pub fn renew(&mut self) {
        if !self.lost {
            self.connection.rollback();
            self.lost = self.connection.batch(BEGIN).is_err();
        }
    }
}

fn explained(mut failure: Failure) -> Failure {
    if failure.sqlstate != "55P03" {
        return failure;
    }
    failure.message =
        "waited 2 s for a table that somebody has locked exclusively, and gave up".into();
    let side = failure.origin;
    failure.hint(format!(
        "-- {side}: who it is; try again when that is over\nSELECT l.pid, l.relation::regclass FROM pg_locks l \
         WHERE l.mode = 'AccessExclusiveLock' AND l.granted;",
    ))
}
