//! Catching up: changes are collected while the follower is held; from letting it go to the last of them on the target.

use std::time::{Duration, Instant};

use decamp_tests::compare;

use super::contender::{DECAMP, Run, call_source};
use super::figures::{Figures, range, ratio, seconds};
use super::follower::{self, Follower};
use super::fresh::Fresh;
use super::report::Report;
use super::settings::Settings;
use super::stage::{Stage, TARGET};

/// In each direction, for the lane behind a long line. The one before it goes through the same proxy without a delay.
const DELAY: Duration = Duration::from_millis(20);
const CLIENTS: usize = 4;
/// Rows for each table.
const SPREAD: f64 = 250_000.0;

/// What is collected.
#[derive(Clone, Copy)]
enum Load {
    Transactions,
    Update,
    Inserts,
    Spread,
}

impl Load {
    /// Last what some do not live through.
    const ALL: [Load; 4] = [
        Load::Transactions,
        Load::Inserts,
        Load::Spread,
        Load::Update,
    ];

    fn name(self, scale: f64) -> String {
        let count = |whole: f64| (whole * scale).round();
        match self {
            Self::Transactions => {
                format!(
                    "{:.0} TPC-B transactions",
                    f64::from(each(scale)) * CLIENTS as f64
                )
            }
            Self::Update => format!("one update of {:.0} rows", count(1e6)),
            Self::Inserts => format!("{:.0} inserts, three indexes", count(5e5)),
            Self::Spread => format!("{:.0} inserts into each of four such tables", count(SPREAD)),
        }
    }

    fn write(self, run: &Run, round: usize, scale: f64) -> Result<(), String> {
        match self {
            Self::Transactions => {
                run.stage
                    .pair
                    .source
                    .pgbench()
                    .database(run.database)
                    .options("-c synchronous_commit=off")
                    .clients(CLIENTS)
                    .run_transactions(each(scale));
                Ok(())
            }
            Self::Update => call_source(run, "UPDATE counted SET n = n + 1"),
            Self::Inserts => call_source(run, &inserts("event", 5e5 * scale, round)),
            Self::Spread => (1..=4).try_for_each(|n| {
                call_source(run, &inserts(&format!("event_{n}"), SPREAD * scale, round))
            }),
        }
    }
}

fn inserts(table: &str, rows: f64, round: usize) -> String {
    let rows = rows.round();
    format!(
        "INSERT INTO {table} SELECT n + {rows} * {round}, now() + n * interval '1 second', n % 1000, md5(n::text) \
         FROM generate_series(1, {rows}) AS n"
    )
}

/// Transactions of each client.
fn each(scale: f64) -> u32 {
    (200_000.0 * scale / CLIENTS as f64).round().max(1.0) as u32
}

struct Lane<'a> {
    follower: &'a dyn Follower,
    /// of the proxy that the source is reached through, if it is
    delay: Option<Duration>,
    figures: [Vec<f64>; Load::ALL.len()],
    failure: Option<String>,
}

impl Lane<'_> {
    fn name(&self) -> String {
        let name = self.follower.name();
        match self.delay {
            None => name.into(),
            Some(delay) => format!("{name}, {} ms each way", delay.as_millis()),
        }
    }
}

pub fn run(
    stage: &Stage,
    followers: &[Box<dyn Follower>],
    settings: &Settings,
    report: &mut Report,
) -> Result<(), String> {
    report.heading("Catching up");
    report.note(
        "Changes are written while the follower is held (pg_decamp: repl_pause; a subscription: disabled; Bucardo: stopped). \
         Measured: from letting it go to the last change on the target; every table compared afterwards. Where a delay is given the \
         source is reached through a proxy, which takes its part of the processors whatever the delay.",
    );
    let mut lanes: Vec<Lane> = Vec::new();
    for follower in followers {
        let mut lane = |delay| {
            lanes.push(Lane {
                follower: follower.as_ref(),
                delay,
                figures: Default::default(),
                failure: None,
            });
        };
        lane(None);
        if follower.name() == DECAMP {
            lane(Some(Duration::ZERO));
            lane(Some(DELAY));
        }
    }
    for round in 1..=settings.rounds {
        for lane in &mut lanes {
            if lane.failure.is_some() {
                continue;
            }
            if let Err(error) = once(stage, lane, round, settings, report) {
                report.progress(&format!(
                    "round {round}  {:<12}  FAILED: {error}",
                    lane.name()
                ));
                lane.failure = Some(error);
            }
        }
    }
    tell(&lanes, settings, report);
    let own = lanes.iter().filter(|lane| lane.follower.name() == DECAMP);
    own.filter_map(|lane| lane.failure.clone())
        .next()
        .map_or(Ok(()), Err)
}

fn once(
    stage: &Stage,
    lane: &mut Lane,
    round: usize,
    settings: &Settings,
    report: &Report,
) -> Result<(), String> {
    let fresh = Fresh::make(stage, settings, report);
    let mut run = fresh.run(settings);
    if let Some(delay) = lane.delay {
        run = run.through_proxy();
        stage.proxy().delay(delay);
    }
    let measured = measure(&run, lane, round, settings, report);
    stage.proxy().delay(Duration::ZERO);
    let cleaned = lane.follower.clean_up(&run);
    measured.and(cleaned)
}

fn measure(
    run: &Run,
    lane: &mut Lane,
    round: usize,
    settings: &Settings,
    report: &Report,
) -> Result<(), String> {
    follower::follow(lane.follower, run)?;
    for (place, load) in Load::ALL.into_iter().enumerate() {
        lane.follower.pause(run)?;
        load.write(run, round, settings.scale)?;
        run.stage.pair.source.sql("postgres", "CHECKPOINT");
        let began = Instant::now();
        lane.follower.resume(run)?;
        lane.follower.wait_until_drained(run)?;
        let took = began.elapsed().as_secs_f64();
        report.progress(&format!(
            "round {round}  {:<24}  {:<32}  {}",
            lane.name(),
            load.name(settings.scale),
            seconds(took)
        ));
        lane.figures[place].push(took);
    }
    let pair = &run.stage.pair;
    let found = compare::differences(&pair.source, run.database, &pair.target, TARGET);
    let users = found.iter().find(|difference| !is_own(&difference.table));
    users.map_or(Ok(()), |first| {
        Err(format!("not as on the source: {first}"))
    })
}

/// A follower's own table.
fn is_own(table: &str) -> bool {
    table.starts_with("bucardo.") || table.starts_with("pglogical.")
}

fn tell(lanes: &[Lane], settings: &Settings, report: &mut Report) {
    for (place, load) in Load::ALL.into_iter().enumerate() {
        let median = |lane: &Lane| Figures::of(&lane.figures[place]).map(|f| f.median());
        let fastest = lanes
            .iter()
            .filter(|lane| lane.follower.name() != DECAMP && lane.failure.is_none())
            .filter_map(median)
            .min_by(f64::total_cmp);
        let rows: Vec<Vec<String>> = lanes
            .iter()
            .map(|lane| match Figures::of(&lane.figures[place]) {
                Some(figures) if lane.failure.is_none() => vec![
                    lane.name(),
                    seconds(figures.median()),
                    range(&figures),
                    fastest.map_or(String::new(), |best| ratio(figures.median() / best)),
                ],
                _ => vec![lane.name(), "failed".into(), String::new(), String::new()],
            })
            .collect();
        report.note(&load.name(settings.scale));
        report.table(&["", "median", "range", "to the fastest peer"], &rows);
    }
}
