//! Whether replay has passed a moment: whether all that a snapshot of the source saw of a table is on the target.
//!
//! A delta leaves the source after the target has committed what it stands for. So all deltas of transactions that began
//! before the moment being gone is proof, whatever the worker says of itself and whatever becomes of other tables.

use std::time::{Duration, Instant};

use super::sides::Sides;
use crate::capture::segment;
use crate::failure::Failure;
use crate::libpq::Connection;
use crate::pg::worker::{self, APPLY_CLASS};
use crate::pg::{latch, spi, xact};
use crate::template::fill;

/// How a wait for replay ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passage {
    Passed,
    /// It does not come, for this reason. Nobody waits for ever.
    Stuck(String),
}

/// Without a batch replayed nor the moment passed for so long, it is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// A worker that is being restarted is away for a moment.
const PATIENCE_WITHOUT_WORKER: Duration = Duration::from_secs(15);
/// The worker is asked to look at once, but not all the time: it looks at more than deltas then.
const WAKE_EVERY: Duration = Duration::from_secs(1);
const SHORTEST: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_millis(200);

/// The source's present moment.
pub fn moment(source: &mut Connection) -> Result<i64, Failure> {
    Ok(source.query(super::statement::MOMENT_NOW, &[])?[0].int("moment"))
}

/// Waits until replay of a table has passed `moment`; `meanwhile` is called again and again.
pub fn wait(
    sides: &mut Sides,
    subscription: i32,
    oid: u32,
    moment: i64,
    mut meanwhile: impl FnMut(&mut Sides) -> Result<(), Failure>,
) -> Result<Passage, Failure> {
    let mut pause = SHORTEST;
    let mut woken: Option<Instant> = None;
    let mut last_batch: Option<String> = None;
    let mut moved = Instant::now();
    let mut seen = Instant::now();
    while !has_passed(sides, oid, moment)? {
        meanwhile(sides)?;
        if woken.is_none_or(|at| at.elapsed() >= WAKE_EVERY) {
            woken = Some(Instant::now());
            let workers = xact::within(|| worker::pids(APPLY_CLASS, subscription));
            if !workers.is_empty() {
                seen = Instant::now();
            }
            workers.into_iter().for_each(worker::wake);
            let look = look(subscription, oid, seen.elapsed() > PATIENCE_WITHOUT_WORKER);
            if let Some(reason) = look.hopeless {
                return Ok(Passage::Stuck(reason));
            }
            if look.last_batch != last_batch {
                last_batch = look.last_batch;
                moved = Instant::now();
            }
        }
        if moved.elapsed() > PATIENCE {
            let reason = format!("nothing was replayed for {} s", PATIENCE.as_secs());
            return Ok(Passage::Stuck(reason));
        }
        latch::wait(pause);
        pause = (pause * 2).min(LONGEST);
    }
    Ok(Passage::Passed)
}

fn has_passed(sides: &mut Sides, oid: u32, moment: i64) -> Result<bool, Failure> {
    const TRIES: usize = 5;
    let mut tries = 0;
    loop {
        let segments: Vec<String> = segment::read(&mut sides.source, &sides.names)?
            .iter()
            .filter(|s| s.table == oid)
            .map(|s| {
                let name = sides.names.segment(s.table, s.number);
                format!("select s.xmin from {name} s")
            })
            .collect();
        if segments.is_empty() {
            return Err(
                Failure::new("55000", "the source has no segment for its deltas")
                    .hint("SELECT * FROM repl_tables tells what is wrong with the table."),
            );
        }
        let sql = fill(
            include_str!("../../sql/verify/older.sql"),
            &[
                ("segments", &segments.join(" union all ")),
                ("truncation", &sides.names.truncation()),
                ("oid", &oid.to_string()),
            ],
        );
        match sides.source.query(&sql, &[Some(&moment.to_string())]) {
            Ok(rows) => return Ok(!rows[0].flag("found")),
            // a segment was dropped in between, because it was replayed
            Err(failure) if failure.sqlstate == "42P01" && tries < TRIES => tries += 1,
            Err(failure) => return Err(failure),
        }
    }
}

struct Look {
    hopeless: Option<String>,
    last_batch: Option<String>,
}

/// Why the deltas of a table are not going to be replayed, if that is so.
fn look(subscription: i32, oid: u32, no_worker: bool) -> Look {
    const SQL: &str = "select s.enabled, s.state, s.last_batch_at::text as last_batch, r.state as table_state, \
            coalesce(r.error, s.error) as error \
     from decamp.subscription s join decamp.relation r on r.subscription_id = s.id \
     where s.id = $1::int4 and r.source_oid = $2::oid";
    let (subscription, oid) = (subscription.to_string(), oid.to_string());
    let rows = xact::within(|| spi::read_now(SQL, &[Some(&subscription), Some(&oid)]));
    let Some(row) = rows.first() else {
        return Look {
            hopeless: Some("the subscription is gone".into()),
            last_batch: None,
        };
    };
    let because = |what: &str| match row.opt("error") {
        Some(error) => format!("{what}: {error}"),
        None => what.to_owned(),
    };
    let hopeless = match (row.text("state"), row.text("table_state")) {
        ("errored", _) => Some(because("the subscription has stopped")),
        (_, "errored") => Some(because("the table has stopped")),
        (_, "init" | "copying" | "copied") => Some("the table is being copied anew".to_owned()),
        _ if !row.flag("enabled") => Some("the subscription is paused".to_owned()),
        _ if no_worker => Some("no worker is running".to_owned()),
        _ => None,
    };
    Look {
        hopeless,
        last_batch: row.opt("last_batch").map(str::to_owned),
    }
}
