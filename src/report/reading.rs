//! What the page is made of, read in one snapshot. Texts come out without what XML cannot hold; escaping is the template's.

use super::verification::{self, Verification};
use super::words::clean;
use crate::failure::Failure;
use crate::pg::spi;
use crate::row::Row;

/// All times in seconds since 1970.
pub struct Facts {
    pub name: String,
    pub source: String,
    pub target: String,
    pub started_at: f64,
    /// by repl_stop
    pub stopped_at: Option<f64>,
    pub now: f64,
    pub version: String,
    /// while it exists
    pub status: Option<Status>,
    /// of decamp.phase
    pub states: Vec<(f64, String)>,
    pub samples: Vec<Sample>,
    pub copied: Vec<Copied>,
    pub stopped_tables: Vec<StoppedTable>,
    pub verification: Option<Verification>,
    pub events: Vec<Event>,
    /// more than are shown
    pub events_left_out: i64,
}

pub struct Status {
    pub state: String,
    pub summary: String,
    pub error: Option<String>,
    pub hint: Option<String>,
    pub tables: i64,
    pub tables_ready: i64,
    pub bytes_total: i64,
    pub bytes_copied: i64,
    pub lag: Option<f64>,
    pub backlog: Option<i64>,
}

pub struct Sample {
    pub at: f64,
    pub lag: Option<f64>,
    pub backlog: Option<f64>,
    pub apply_rate: Option<f64>,
    pub bytes_copied: Option<f64>,
    pub silence: Option<f64>,
}

/// A line of repl_copy_report; the last one is the total.
pub struct Copied {
    pub table: String,
    pub bytes: f64,
    pub rows: i64,
    pub chunks: i64,
    pub copy_seconds: Option<f64>,
    pub indexes: i64,
    pub index_seconds: Option<f64>,
    pub total_seconds: Option<f64>,
    pub complete: bool,
}

pub struct StoppedTable {
    pub table: String,
    pub error: String,
    pub hint: Option<String>,
}

pub struct Event {
    pub at: f64,
    pub severity: String,
    pub subject: String,
    pub message: String,
    pub detail: Option<String>,
}

/// Errors: 42704.
pub fn read(name: &str) -> Result<Facts, Failure> {
    let rows = spi::read(include_str!("../../sql/report/subject.sql"), &[Some(name)]);
    let Some(subject) = rows.first() else {
        return Err(unknown(name));
    };
    let since = subject.text("started_at");
    let live = subject.opt("stopped_at").is_none();
    Ok(Facts {
        name: name.to_owned(),
        source: text(subject, "source"),
        target: text(subject, "target"),
        started_at: number(subject, "started_at"),
        stopped_at: optional(subject, "stopped_at"),
        now: number(subject, "now"),
        version: text(subject, "version"),
        status: if live { status(name) } else { None },
        states: states(name, since),
        samples: samples(name, since),
        copied: serde_json::from_str::<Vec<serde_json::Value>>(subject.text("copied"))
            .expect("decamp.copy_report makes an array")
            .iter()
            .map(copied)
            .collect(),
        stopped_tables: if live {
            stopped_tables(name)
        } else {
            Vec::new()
        },
        verification: verification::read(name, number(subject, "started_at")),
        events: events(name, since),
        events_left_out: spi::read(
            include_str!("../../sql/report/events_left_out.sql"),
            &[Some(name), Some(since)],
        )[0]
        .int("left_out"),
    })
}

fn unknown(name: &str) -> Failure {
    Failure::new("42704", format!("subscription {name:?} does not exist, nor has it existed"))
        .hint("SELECT name FROM repl_status; or, for those that repl_stop has ended: SELECT DISTINCT subscription FROM repl_events;")
}

fn text(row: &Row, column: &str) -> String {
    clean(row.text(column))
}

fn opt_text(row: &Row, column: &str) -> Option<String> {
    row.opt(column).map(clean)
}

fn optional(row: &Row, column: &str) -> Option<f64> {
    row.opt(column)
        .map(|v| v.parse().expect("our SQL returns a number"))
}

fn number(row: &Row, column: &str) -> f64 {
    optional(row, column).expect("our SQL never leaves it NULL")
}

fn status(name: &str) -> Option<Status> {
    let rows = spi::read(
        "select state, summary, error, hint, tables, tables_ready, bytes_total, bytes_copied, backlog, \
                extract(epoch from lag)::float8 as lag from repl_status where name = $1",
        &[Some(name)],
    );
    let row = rows.first()?;
    Some(Status {
        state: text(row, "state"),
        summary: text(row, "summary"),
        error: opt_text(row, "error"),
        hint: opt_text(row, "hint"),
        tables: row.int("tables"),
        tables_ready: row.int("tables_ready"),
        bytes_total: row.int("bytes_total"),
        bytes_copied: row.int("bytes_copied"),
        lag: optional(row, "lag"),
        backlog: row.opt_int("backlog"),
    })
}

fn states(name: &str, since: &str) -> Vec<(f64, String)> {
    spi::read(
        "select extract(epoch from p.at)::float8 as at, p.state from decamp.phase p \
         where p.subscription = $1 and extract(epoch from p.at)::float8 >= $2::float8 - 0.001 order by p.id",
        &[Some(name), Some(since)],
    )
    .iter()
    .map(|row| (number(row, "at"), text(row, "state")))
    .collect()
}

fn samples(name: &str, since: &str) -> Vec<Sample> {
    spi::read(
        "select extract(epoch from s.at)::float8 as at, s.lag, s.backlog, s.apply_rate, s.bytes_copied, s.silence \
         from decamp.sample s \
         where s.subscription = $1 and s.at >= 'epoch'::timestamptz + $2::float8 * interval '1 second' order by s.at",
        &[Some(name), Some(since)],
    )
    .iter()
    .map(|row| Sample {
        at: number(row, "at"),
        lag: optional(row, "lag"),
        backlog: optional(row, "backlog"),
        apply_rate: optional(row, "apply_rate"),
        bytes_copied: optional(row, "bytes_copied"),
        silence: optional(row, "silence"),
    })
    .collect()
}

fn copied(line: &serde_json::Value) -> Copied {
    let int = |key: &str| line[key].as_i64().unwrap_or(0);
    Copied {
        table: clean(line["table"].as_str().unwrap_or_default()),
        bytes: line["bytes"].as_f64().unwrap_or(0.0),
        rows: int("rows"),
        chunks: int("chunks"),
        copy_seconds: line["copy_seconds"].as_f64(),
        indexes: int("indexes"),
        index_seconds: line["index_seconds"].as_f64(),
        total_seconds: line["total_seconds"].as_f64(),
        complete: line["complete"].as_bool().unwrap_or(false),
    }
}

fn stopped_tables(name: &str) -> Vec<StoppedTable> {
    spi::read(
        "select pg_catalog.format('%I.%I', t.schema, t.\"table\") as \"table\", t.error, t.hint \
         from repl_tables t where t.subscription = $1 and t.error is not null order by 1 limit 100",
        &[Some(name)],
    )
    .iter()
    .map(|row| StoppedTable {
        table: text(row, "table"),
        error: text(row, "error"),
        hint: opt_text(row, "hint"),
    })
    .collect()
}

fn events(name: &str, since: &str) -> Vec<Event> {
    spi::read(
        include_str!("../../sql/report/events.sql"),
        &[Some(name), Some(since)],
    )
    .iter()
    .map(|row| Event {
        at: number(row, "at"),
        severity: text(row, "severity"),
        subject: text(row, "subject"),
        message: text(row, "message"),
        detail: opt_text(row, "detail"),
    })
    .collect()
}
