//! What following costs the source: throughput of its application, bulk statements, WAL.

use std::time::Instant;

use super::contender::{DECAMP, Run, call_source};
use super::figures::{Figures, ratio};
use super::follower::{self, Follower};
use super::fresh::Fresh;
use super::report::Report;
use super::settings::Settings;
use super::stage::Stage;

const CLIENTS: usize = 4;
/// Of pgbench at full speed.
const SECONDS: u32 = 15;
const BULK: f64 = 500_000.0;

/// Who follows, and whether it is held.
struct Lane<'a> {
    follower: Option<&'a dyn Follower>,
    held: bool,
    tps: Vec<f64>,
    update: Vec<f64>,
    insert: Vec<f64>,
    /// bytes a row of the update
    wal: Vec<f64>,
}

impl Lane<'_> {
    fn name(&self) -> String {
        match self.follower {
            None => "nobody".into(),
            Some(follower) if self.held => format!("{}, held", follower.name()),
            Some(follower) => follower.name().into(),
        }
    }
}

pub fn run(
    stage: &Stage,
    followers: &[Box<dyn Follower>],
    settings: &Settings,
    report: &mut Report,
) -> Result<(), String> {
    report.heading("What it costs the source");
    report.note(&format!(
        "pgbench, TPC-B, {CLIENTS} clients at full speed for {SECONDS} s; one UPDATE and one INSERT .. SELECT of {:.0} rows. Held: \
         only what is on the source is at work. The servers and pgbench share the machine.",
        BULK * settings.scale
    ));
    let mut lanes = Vec::new();
    let mut lane = |follower, held| {
        lanes.push(Lane {
            follower,
            held,
            tps: Vec::new(),
            update: Vec::new(),
            insert: Vec::new(),
            wal: Vec::new(),
        });
    };
    lane(None, false);
    for follower in followers {
        if matches!(follower.name(), DECAMP | "bucardo") {
            lane(Some(follower.as_ref()), true);
        }
        lane(Some(follower.as_ref()), false);
    }
    for round in 1..=settings.rounds {
        for lane in &mut lanes {
            match once(stage, lane, settings, report) {
                Ok(()) => report.progress(&format!(
                    "round {round}  {:<16}  {:.0} tps  update {:.2} s  insert {:.2} s  {:.0} bytes of WAL a row",
                    lane.name(),
                    lane.tps.last().copied().unwrap_or_default(),
                    lane.update.last().copied().unwrap_or_default(),
                    lane.insert.last().copied().unwrap_or_default(),
                    lane.wal.last().copied().unwrap_or_default(),
                )),
                Err(error) if lane.follower.is_none_or(|f| f.name() == DECAMP) => return Err(error),
                Err(error) => {
                    report.progress(&format!("round {round}  {}  FAILED: {error}", lane.name()));
                }
            }
        }
    }
    tell(&lanes, report);
    Ok(())
}

fn once(
    stage: &Stage,
    lane: &mut Lane,
    settings: &Settings,
    report: &Report,
) -> Result<(), String> {
    let fresh = Fresh::make(stage, settings, report);
    let run = fresh.run(settings);
    if let Some(follower) = lane.follower {
        let begun = follower::follow(follower, &run);
        let held = begun.and_then(|()| {
            if lane.held {
                follower.pause(&run)
            } else {
                Ok(())
            }
        });
        let measured = held.and_then(|()| measure(&run, lane, settings));
        let cleaned = follower.clean_up(&run);
        measured.and(cleaned)
    } else {
        measure(&run, lane, settings)
    }
}

fn measure(run: &Run, lane: &mut Lane, settings: &Settings) -> Result<(), String> {
    let source = &run.stage.pair.source;
    source.sql("postgres", "CHECKPOINT");
    lane.tps.push(
        source
            .pgbench()
            .database(run.database)
            .clients(CLIENTS)
            .measure(SECONDS),
    );
    if let (Some(follower), false) = (lane.follower, lane.held) {
        follower.wait_until_drained(run)?;
    }
    let rows = BULK * settings.scale;
    source.sql("postgres", "CHECKPOINT");
    let position = || -> f64 {
        let sql = "SELECT pg_current_wal_insert_lsn() - '0/0'";
        source
            .query_one_text("postgres", sql)
            .parse()
            .unwrap_or_default()
    };
    let before = position();
    let began = Instant::now();
    call_source(
        run,
        &format!("UPDATE counted SET n = n + 1 WHERE id <= {rows}"),
    )?;
    lane.update.push(began.elapsed().as_secs_f64());
    if lane.follower.is_none() || lane.held {
        lane.wal.push((position() - before) / rows);
    }
    source.sql("postgres", "CHECKPOINT");
    let began = Instant::now();
    call_source(
        run,
        &format!(
            "INSERT INTO event SELECT n, now() + n * interval '1 second', n % 1000, md5(n::text) \
             FROM generate_series(1, {rows}) AS n"
        ),
    )?;
    lane.insert.push(began.elapsed().as_secs_f64());
    Ok(())
}

fn tell(lanes: &[Lane], report: &mut Report) {
    let median = |values: &[f64]| Figures::of(values).map(|figures| figures.median());
    let rows: Vec<Vec<String>> = lanes
        .iter()
        .map(|lane| {
            let mut row = vec![lane.name()];
            for (own, base, digits) in [
                (&lane.tps, &lanes[0].tps, 0),
                (&lane.update, &lanes[0].update, 2),
                (&lane.insert, &lanes[0].insert, 2),
                (&lane.wal, &lanes[0].wal, 0),
            ] {
                match (median(own), median(base)) {
                    (Some(own), Some(base)) => {
                        row.push(format!("{own:.digits$}"));
                        row.push(ratio(own / base));
                    }
                    _ => row.extend([String::new(), String::new()]),
                }
            }
            row
        })
        .collect();
    report.table(
        &[
            "",
            "tps",
            "",
            "update, s",
            "",
            "insert, s",
            "",
            "WAL a row",
            "",
        ],
        &rows,
    );
}
