//! Lag: from a commit on the source to the row's being visible on the target, while the source is written to.

use std::time::{Duration, Instant};

use decamp_tests::wait;

use super::contender::{Run, call_source};
use super::follower::{self, Follower, IN_STEP};
use super::fresh::Fresh;
use super::report::Report;
use super::settings::Settings;
use super::stage::{Stage, TARGET};

/// Transactions a second.
const RATE: u32 = 200;
const CLIENTS: usize = 4;
const PROBES: usize = 200;
/// Who takes longer is asked less often.
const MOST: Duration = Duration::from_secs(60);
/// Between two probes: no multiple of anybody's polling.
const PAUSE: Duration = Duration::from_millis(37);
const DELAY: Duration = Duration::from_millis(20);

pub fn run(
    stage: &Stage,
    followers: &[Box<dyn Follower>],
    settings: &Settings,
    report: &mut Report,
) -> Result<(), String> {
    report.heading("Lag");
    report.note(&format!(
        "From the return of a commit on the source to the row's being visible on the target, {PROBES} times or for a minute, while pgbench \
         writes {RATE} transactions a second.",
    ));
    let mut rows = Vec::new();
    for follower in followers {
        let own = follower.name() == super::contender::DECAMP;
        for delay in [Duration::ZERO, DELAY] {
            if !delay.is_zero() && !own {
                continue;
            }
            let name = if delay.is_zero() {
                follower.name().to_owned()
            } else {
                format!("{}, {} ms each way", follower.name(), delay.as_millis())
            };
            let lags = match once(stage, follower.as_ref(), delay, settings, report) {
                Ok(lags) => lags,
                Err(error) if own => return Err(error),
                Err(error) => {
                    report.progress(&format!("{name}  FAILED: {error}"));
                    continue;
                }
            };
            let figure = |share: f64| format!("{:.1} ms", percentile(&lags, share) * 1000.0);
            let row = vec![name, figure(0.5), figure(0.99), figure(1.0)];
            report.progress(&row.join("  "));
            rows.push(row);
        }
    }
    report.table(&["", "p50", "p99", "longest"], &rows);
    Ok(())
}

fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len());
    sorted[place - 1]
}

fn once(
    stage: &Stage,
    follower: &dyn Follower,
    delay: Duration,
    settings: &Settings,
    report: &Report,
) -> Result<Vec<f64>, String> {
    let fresh = Fresh::make(stage, settings, report);
    let mut run = fresh.run(settings);
    if !delay.is_zero() {
        run = run.through_proxy();
    }
    run.timeout = IN_STEP;
    let measured = follower::follow(follower, &run).and_then(|()| {
        stage.proxy().delay(delay);
        let load = stage
            .pair
            .source
            .pgbench()
            .database(run.database)
            .clients(CLIENTS)
            .rate(RATE)
            .start();
        let lags = probe(&run);
        load.stop(&stage.pair.source);
        lags
    });
    stage.proxy().delay(Duration::ZERO);
    let cleaned = follower.clean_up(&run);
    let lags = measured?;
    cleaned.map(|()| lags)
}

fn probe(run: &Run) -> Result<Vec<f64>, String> {
    call_source(run, "UPDATE marker SET n = 0")?;
    let mut source = run.stage.pair.source.connect(run.database);
    let mut target = run.target().connect(TARGET);
    let write = source
        .prepare("UPDATE marker SET n = $1")
        .map_err(|error| error.to_string())?;
    let look = target
        .prepare("SELECT n FROM marker")
        .map_err(|error| error.to_string())?;
    let mut lags = Vec::new();
    let start = Instant::now();
    for number in 1..=PROBES as i64 {
        if start.elapsed() > MOST {
            break;
        }
        source
            .execute(&write, &[&number])
            .map_err(|error| error.to_string())?;
        let began = Instant::now();
        loop {
            let row = target
                .query_one(&look, &[])
                .map_err(|error| error.to_string())?;
            if row.get::<_, i64>(0) == number {
                break;
            }
            if began.elapsed() > run.timeout {
                return Err(format!("a row was not there after {:?}", run.timeout));
            }
            wait::pause(Duration::from_micros(500));
        }
        lags.push(began.elapsed().as_secs_f64());
        wait::pause(PAUSE);
    }
    Ok(lags)
}
