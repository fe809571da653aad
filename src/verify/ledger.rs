//! What verifications found, kept in `decamp.verification` and `decamp.verified`.
//!
//! Written from a session of its own, so that it is committed whatever becomes of the caller's transaction. A verification
//! is over when it says so itself; one that does not, and whose session is gone, was interrupted: nobody has to be alive
//! to note that. Where this server cannot be reached by its own socket, as may be in helper mode, the caller's transaction
//! has to do: then an interrupted verification leaves nothing.

use std::collections::HashMap;
use std::time::Duration;

use crate::failure::Failure;
use crate::libpq::Connection;
use crate::pg::{spi, xact};
use crate::quote;
use crate::row::Row;
use crate::session;
use crate::subscription::Subscription;

/// What `repl_verify` returns of one table, or of one kind of objects.
#[derive(Clone, Debug)]
pub struct Line {
    pub table: String,
    pub source_rows: Option<i64>,
    pub target_rows: Option<i64>,
    pub equal: Option<bool>,
    /// JSON
    pub differing: Option<String>,
    pub how: String,
    /// microseconds
    pub took: i64,
    /// how long summing up the table takes; at most, of one that an interrupted call has read; `None`: it was not read
    pub summing: Option<Duration>,
    pub note: Option<String>,
}

pub struct Ledger {
    session: Option<Connection>,
    verification: i64,
}

/// What is verified.
pub struct Scope<'a> {
    pub subscription: &'a Subscription,
    pub mode: &'a str,
    pub tables: Option<&'a [String]>,
    pub repair: bool,
}

impl Ledger {
    /// Opens it with a line for each of `subjects`; and the lines of those that an interrupted verification of the same
    /// scope has found equal not long ago, which this one continues.
    pub fn begin(
        scope: &Scope,
        subjects: &[String],
    ) -> Result<(Self, HashMap<String, Line>), Failure> {
        let mut ledger = Self {
            session: session::own(scope.subscription, "verify ledger"),
            verification: 0,
        };
        let name = scope.subscription.name.as_str();
        let tables = scope.tables.map(quote::array);
        let repair = scope.repair.to_string();
        let found = ledger.run(
            include_str!("../../sql/verify/continue.sql"),
            &[
                Some(name),
                Some(scope.mode),
                tables.as_deref(),
                Some(&repair),
            ],
        )?;
        let mut done = HashMap::new();
        if let Some(row) = found.first() {
            ledger.verification = row.int("id");
            done = ledger.finished()?;
        } else {
            let made = ledger.run(
                "insert into decamp.verification (subscription, mode, tables, repair, pid, pid_since) \
                 select $1, $2, $3::text[], $4::bool, a.pid, a.backend_start \
                 from (select pg_catalog.pg_backend_pid()) me(pid) left join pg_catalog.pg_stat_activity a on a.pid = me.pid \
                 returning id",
                &[
                    Some(name),
                    Some(scope.mode),
                    tables.as_deref(),
                    Some(&repair),
                ],
            )?;
            ledger.verification = made[0].int("id");
        }
        let id = ledger.verification.to_string();
        ledger.run(
            "insert into decamp.verified (verification, \"table\") \
             select $1::int8, t from pg_catalog.unnest($2::text[]) t on conflict do nothing",
            &[Some(&id), Some(&quote::array(subjects))],
        )?;
        Ok((ledger, done))
    }

    fn finished(&mut self) -> Result<HashMap<String, Line>, Failure> {
        let id = self.verification.to_string();
        let rows = self.run(
            "select \"table\", source_rows, target_rows, how, note, \
                    (extract(epoch from finished_at - started_at) * 1000000)::int8 as took, \
                    pg_catalog.to_char(finished_at, 'HH24:MI:SS') as at \
             from decamp.verified where verification = $1::int8 and equal",
            &[Some(&id)],
        )?;
        let line = |row: &Row| Line {
            table: row.string("table"),
            source_rows: row.opt_int("source_rows"),
            target_rows: row.opt_int("target_rows"),
            equal: Some(true),
            differing: None,
            how: format!(
                "{}, at {} UTC, before the verification was interrupted",
                row.text("how"),
                row.text("at")
            ),
            took: row.int("took"),
            summing: Some(Duration::from_micros(row.int("took").unsigned_abs())),
            note: row.opt("note").map(str::to_owned),
        };
        Ok(rows
            .iter()
            .map(|row| (row.string("table"), line(row)))
            .collect())
    }

    /// Work on a table begins.
    pub fn start(&mut self, table: &str) -> Result<(), Failure> {
        let id = self.verification.to_string();
        self.run(
            "update decamp.verified set started_at = pg_catalog.clock_timestamp(), finished_at = null, source_rows = null, \
                    target_rows = null, equal = null, differing = null, how = null, note = null \
             where verification = $1::int8 and \"table\" = $2",
            &[Some(&id), Some(table)],
        )?;
        Ok(())
    }

    /// What was found.
    pub fn finish(&mut self, line: &Line) -> Result<(), Failure> {
        let id = self.verification.to_string();
        let text = |n: Option<i64>| n.map(|n| n.to_string());
        let (source, target) = (text(line.source_rows), text(line.target_rows));
        let equal = line.equal.map(|e| e.to_string());
        self.run(
            "update decamp.verified set finished_at = pg_catalog.clock_timestamp(), source_rows = $3::int8, \
                    target_rows = $4::int8, equal = $5::bool, differing = $6::jsonb, how = $7, note = $8 \
             where verification = $1::int8 and \"table\" = $2",
            &[
                Some(&id),
                Some(&line.table),
                source.as_deref(),
                target.as_deref(),
                equal.as_deref(),
                line.differing.as_deref(),
                Some(&line.how),
                line.note.as_deref(),
            ],
        )?;
        Ok(())
    }

    /// All tables were looked at.
    pub fn end(mut self) -> Result<(), Failure> {
        let id = self.verification.to_string();
        self.run(
            "update decamp.verification set finished_at = pg_catalog.clock_timestamp() where id = $1::int8",
            &[Some(&id)],
        )?;
        Ok(())
    }

    fn run(&mut self, sql: &'static str, parameters: &[Option<&str>]) -> Result<Vec<Row>, Failure> {
        match &mut self.session {
            Some(session) => session.query(sql, parameters),
            None => Ok(xact::within(|| spi::write(sql, parameters))),
        }
    }
}
