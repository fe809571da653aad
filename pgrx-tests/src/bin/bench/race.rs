//! The initial copy, side by side: everybody in turn, several rounds, each into an empty target, each result compared.

use std::thread;
use std::time::Duration;

use super::contender::{Contender, DECAMP, Run};
use super::data::{Data, Kind};
use super::figures::{Figures, range, ratio, seconds};
use super::quiet;
use super::report::Report;
use super::settings::Settings;
use super::stage::Stage;

/// What one contender did.
struct Lane<'a> {
    contender: &'a dyn Contender,
    seconds: Vec<f64>,
    /// Why it is out.
    failure: Option<String>,
}

/// An error is pg_decamp's; a peer that fails is left out of the following rounds.
pub fn run(
    stage: &Stage,
    data: &Data,
    contenders: &[Box<dyn Contender>],
    settings: &Settings,
    report: &mut Report,
) -> Result<(), String> {
    report.heading(&format!("Initial copy: {}", data.kind.name()));
    report.note(&data.about);
    if data.kind == Kind::Many {
        stage.keep_everything();
        report.note("each run has a copy of the source's database to itself, and what it leaves behind is not deleted before all have run");
    }
    let mut lanes: Vec<Lane> = contenders
        .iter()
        .map(|contender| Lane {
            contender: contender.as_ref(),
            seconds: Vec::new(),
            failure: None,
        })
        .collect();
    for round in 1..=settings.rounds {
        for lane in &mut lanes {
            if lane.failure.is_some() {
                continue;
            }
            let name = lane.contender.name();
            let database = stage.source_database(data.database);
            let run = Run::new(stage, &database, settings);
            match copy(lane.contender, &run, data, settings, report) {
                Ok(time) => {
                    report.progress(&format!(
                        "round {round}  {name:<12}  {}",
                        seconds(time.as_secs_f64())
                    ));
                    lane.seconds.push(time.as_secs_f64());
                }
                Err(error) => {
                    report.progress(&format!("round {round}  {name:<12}  FAILED: {error}"));
                    lane.failure = Some(error);
                }
            }
        }
    }
    stage.keep_nothing();
    tell(&lanes, report);
    match lanes.iter().find(|lane| lane.contender.name() == DECAMP) {
        Some(Lane {
            failure: Some(failure),
            ..
        }) => Err(failure.clone()),
        _ => Ok(()),
    }
}

/// One copy from an empty target to a compared one.
pub fn copy(
    contender: &dyn Contender,
    run: &Run,
    data: &Data,
    settings: &Settings,
    report: &Report,
) -> Result<Duration, String> {
    copy_while(contender, run, data, settings, report, || ())
}

/// The same while something else happens, which begins with the copy.
pub fn copy_while(
    contender: &dyn Contender,
    run: &Run,
    data: &Data,
    settings: &Settings,
    report: &Report,
    meanwhile: impl FnOnce() + Send,
) -> Result<Duration, String> {
    get_ready(run.stage, settings, report);
    let copied = thread::scope(|scope| {
        scope.spawn(meanwhile);
        contender.copy(run)
    });
    let verified = copied.and_then(|time| data.verify(run.stage).map(|()| time));
    let cleaned = contender.clean_up(run);
    let time = verified?;
    cleaned.map(|()| time)
}

/// An empty target, and a machine that does nothing else.
pub fn get_ready(stage: &Stage, settings: &Settings, report: &Report) {
    stage.clear();
    if let Some(used) = quiet::wait_for_idle(settings.quiet) {
        report.progress(&format!(
            "the machine is busy with something else ({:.0} %): take the next figure with care",
            used * 100.0
        ));
    }
}

fn tell(lanes: &[Lane], report: &mut Report) {
    let median = |lane: &Lane| Figures::of(&lane.seconds).map(|figures| figures.median());
    let fastest = lanes
        .iter()
        .filter(|lane| lane.contender.name() != DECAMP && lane.failure.is_none())
        .filter_map(median)
        .min_by(f64::total_cmp);
    let rows: Vec<Vec<String>> = lanes
        .iter()
        .map(|lane| {
            let mut row = vec![lane.contender.name().to_owned()];
            match Figures::of(&lane.seconds) {
                Some(figures) if lane.failure.is_none() => {
                    row.push(seconds(figures.median()));
                    row.push(range(&figures));
                    row.push(fastest.map_or("".into(), |best| ratio(figures.median() / best)));
                }
                _ => row.extend(["failed".into(), String::new(), String::new()]),
            }
            row
        })
        .collect();
    report.table(&["", "median", "range", "to the fastest peer"], &rows);
}
