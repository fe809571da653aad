//! What a copy costs the application that writes on the source meanwhile: its throughput and its latency.

mod log;

use std::time::{Duration, SystemTime};

use decamp_tests::compare;
use decamp_tests::installation::make_directory;
use decamp_tests::source::DATABASE;
use decamp_tests::wait;

use super::contender::{Contender, DECAMP, PGCOPYDB, Run, decamp};
use super::data::Data;
use super::figures::{Figures, percent, seconds};
use super::race::get_ready;
use super::report::Report;
use super::settings::Settings;
use super::stage::{Stage, TARGET};
use log::Window;

const RATE: u32 = 200;
const CLIENTS: usize = 4;
/// Before anything is measured.
const WARM_UP: Duration = Duration::from_secs(3);
const BASELINE: Duration = Duration::from_secs(20);
/// pgbench keeps the last lines of its log for a while.
const LOGGED: Duration = Duration::from_secs(3);
const SCRIPT: &str = include_str!("../../../bench/writes.sql");

/// What one kind of run gave, a value per round.
struct Lane<'a> {
    /// None: nobody copies.
    contender: Option<&'a dyn Contender>,
    windows: Vec<Window>,
    copies: Vec<f64>,
}

pub fn run(
    stage: &Stage,
    data: &Data,
    contenders: &[Box<dyn Contender>],
    settings: &Settings,
    report: &mut Report,
) -> Result<(), String> {
    report.heading(&format!("Writes meanwhile: {}", data.kind.name()));
    report.note(&format!(
        "The application: pgbench, {CLIENTS} clients, {RATE} transactions a second, TPC-B without its insert. Latency is from \
         the moment a transaction was due. pg_decamp's copy is compared after the writes have ended and are replayed; pgcopydb's \
         cannot be compared with a source that went on: its indexes are.",
    ));
    let mut lanes = vec![Lane {
        contender: None,
        windows: Vec::new(),
        copies: Vec::new(),
    }];
    let copying = contenders.iter().map(|contender| contender.as_ref());
    lanes.extend(
        copying
            .filter(|contender| [DECAMP, PGCOPYDB].contains(&contender.name()))
            .map(|contender| Lane {
                contender: Some(contender),
                windows: Vec::new(),
                copies: Vec::new(),
            }),
    );
    for round in 1..=settings.rounds {
        for lane in &mut lanes {
            let (window, copy) = once(stage, data, lane.contender, settings, report)?;
            report.progress(&format!(
                "round {round}  {:<12}  {:.1} tps  {:.1} ms  p99 {:.1} ms  copy {}",
                name(lane),
                window.tps,
                window.average,
                window.p99,
                copy.map_or("-".into(), seconds)
            ));
            lane.windows.push(window);
            lane.copies.extend(copy);
        }
    }
    tell(&lanes, report);
    Ok(())
}

fn name(lane: &Lane) -> &'static str {
    lane.contender
        .map_or("nobody", |contender| contender.name())
}

/// Writes, and a copy meanwhile or none.
fn once(
    stage: &Stage,
    data: &Data,
    contender: Option<&dyn Contender>,
    settings: &Settings,
    report: &Report,
) -> Result<(Window, Option<f64>), String> {
    get_ready(stage, settings, report);
    let source = &stage.pair.source;
    let directory = stage.scratch.join("load");
    make_directory(&directory);
    let scale = source.query_one_text(DATABASE, "SELECT count(*) FROM pgbench_branches");
    let load = source
        .pgbench()
        .clients(CLIENTS)
        .rate(RATE)
        .script(&SCRIPT.replace(":scale", &scale))
        .log(&directory.join("log"))
        .start();
    wait::pause(WARM_UP);

    let run = Run::new(stage, data.database, settings);
    let began = SystemTime::now();
    let copied = match contender {
        Some(contender) => contender.copy(&run).map(|time| Some(time.as_secs_f64())),
        None => {
            wait::pause(BASELINE);
            Ok(None)
        }
    };
    let ended = SystemTime::now();
    wait::pause(LOGGED);
    load.stop(source);

    let verified = copied.and_then(|time| {
        if let Some(contender) = contender {
            verify(contender, &run, data)?;
        }
        Ok(time)
    });
    let cleaned = contender.map_or(Ok(()), |contender| contender.clean_up(&run));
    let time = verified?;
    cleaned?;
    Ok((log::read(&directory, began, ended)?, time))
}

fn verify(contender: &dyn Contender, run: &Run, data: &Data) -> Result<(), String> {
    data.verify_indexes(run.stage)?;
    if contender.name() != DECAMP {
        return Ok(());
    }
    decamp::wait(run, "caught_up")?;
    let pair = &run.stage.pair;
    let found = compare::differences(&pair.source, DATABASE, &pair.target, TARGET);
    match found.first() {
        None => Ok(()),
        Some(first) => Err(format!("not as on the source: {first}")),
    }
}

fn tell(lanes: &[Lane], report: &mut Report) {
    let median = |lane: &Lane, figure: fn(&Window) -> f64| {
        let values: Vec<f64> = lane.windows.iter().map(figure).collect();
        Figures::of(&values).map(|figures| figures.median())
    };
    let against_base = |lane: &Lane, figure: fn(&Window) -> f64| {
        let (value, base) = (median(lane, figure), median(&lanes[0], figure));
        match (value, base) {
            (Some(value), Some(base)) if lane.contender.is_some() => percent(value, base),
            _ => String::new(),
        }
    };
    let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.1}"));
    let rows: Vec<Vec<String>> = lanes
        .iter()
        .map(|lane| {
            vec![
                name(lane).to_owned(),
                number(median(lane, |window| window.tps)),
                against_base(lane, |window| window.tps),
                number(median(lane, |window| window.average)),
                against_base(lane, |window| window.average),
                number(median(lane, |window| window.p99)),
                against_base(lane, |window| window.p99),
                Figures::of(&lane.copies).map_or("".into(), |figures| seconds(figures.median())),
            ]
        })
        .collect();
    report.table(
        &[
            "copying",
            "tps",
            "",
            "average, ms",
            "",
            "p99, ms",
            "",
            "copy",
        ],
        &rows,
    );
}
