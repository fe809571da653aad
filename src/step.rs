//! Steps of repl_fence and repl_switchover, in `decamp.step` and `decamp.event`: committed by the switchover worker as they
//! happen, read by the session that waits for them. Everything here needs an open transaction.

use crate::event::{self, Severity};
use crate::failure::Failure;
use crate::pg::spi;

/// One call.
#[derive(Clone, Debug)]
pub struct Run {
    pub subscription: i32,
    pub name: String,
    pub id: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Skipped,
    Failed,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
        }
    }

    fn severity(self) -> Severity {
        match self {
            Self::Done | Self::Skipped => Severity::Info,
            Self::Failed => Severity::Error,
        }
    }
}

/// A step that has ended, as it is read.
#[derive(Clone, Debug)]
pub struct Step {
    pub number: i64,
    pub name: String,
    pub state: String,
    pub last: bool,
    pub micros: i64,
    pub message: String,
    pub failure: Option<Failure>,
}

impl Run {
    pub fn begin(&self, number: i32, name: &str) {
        spi::update(
            "insert into decamp.step (subscription_id, run, number, name) values ($1::int4, $2::int8, $3::int4, $4)",
            &[
                Some(&self.subscription.to_string()),
                Some(&self.id.to_string()),
                Some(&number.to_string()),
                Some(name),
            ],
        );
    }

    /// `failure`: why, of one that failed. A step ends once.
    pub fn end(
        &self,
        number: i32,
        outcome: Outcome,
        message: &str,
        failure: Option<&Failure>,
        last: bool,
    ) {
        let rows = spi::write(
            "update decamp.step set state = $4, message = $5, detail = $6, hint = $7, sqlstate = $8, last = $9::bool, \
                    ended_at = pg_catalog.clock_timestamp() \
             where subscription_id = $1::int4 and run = $2::int8 and number = $3::int4 and state = 'running' \
             returning name, (extract(epoch from ended_at - began_at) * 1000)::int8 as millis",
            &[
                Some(&self.subscription.to_string()),
                Some(&self.id.to_string()),
                Some(&number.to_string()),
                Some(outcome.as_str()),
                Some(message),
                failure.and_then(|f| f.detail.as_deref()),
                failure.and_then(|f| f.hint.as_deref()),
                failure.map(|f| f.sqlstate.as_str()),
                Some(&last.to_string()),
            ],
        );
        // it had ended before
        let Some(row) = rows.first() else { return };
        let subject = row.string("name");
        let detail = failure.and_then(|f| f.hint.clone());
        event::record(
            outcome.severity(),
            &self.name,
            &subject,
            &format!("{message} (took {} ms)", row.int("millis")),
            detail.as_deref(),
        );
    }

    /// The worker is there, or was.
    pub fn has_begun(&self) -> bool {
        let found = spi::read_now(
            "select 1 from decamp.step where subscription_id = $1::int4 and run = $2::int8 limit 1",
            &[
                Some(&self.subscription.to_string()),
                Some(&self.id.to_string()),
            ],
        );
        !found.is_empty()
    }

    /// Those that have ended, after the one with this number.
    pub fn ended_after(&self, number: i64) -> Vec<Step> {
        spi::read_now(
            "select s.number, s.name, s.state, s.last, s.message, s.detail, s.hint, s.sqlstate, \
                    (extract(epoch from s.ended_at - s.began_at) * 1000000)::int8 as micros \
             from decamp.step s \
             where s.subscription_id = $1::int4 and s.run = $2::int8 and s.number > $3::int4 and s.state <> 'running' \
             order by s.number",
            &[
                Some(&self.subscription.to_string()),
                Some(&self.id.to_string()),
                Some(&number.to_string()),
            ],
        )
        .iter()
        .map(|row| Step {
            number: row.int("number"),
            name: row.string("name"),
            state: row.string("state"),
            last: row.flag("last"),
            micros: row.int("micros"),
            message: row.opt("message").unwrap_or_default().to_owned(),
            failure: row.opt("sqlstate").map(|sqlstate| {
                let mut failure = Failure::new(sqlstate, row.opt("message").unwrap_or_default());
                failure.detail = row.opt("detail").map(str::to_owned);
                failure.hint = row.opt("hint").map(str::to_owned);
                failure
            }),
        })
        .collect()
    }
}
