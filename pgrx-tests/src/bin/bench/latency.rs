//! What a long line costs: the copy through the proxy, without and with a delay, and what of it is spent on definitions.

use std::time::{Duration, Instant};

use super::contender::programs::{finish, program};
use super::contender::{Contender, DECAMP, PGCOPYDB, Run, decamp};
use super::data::Data;
use super::figures::{Figures, range, seconds};
use super::race::{copy, get_ready};
use super::report::Report;
use super::settings::Settings;
use super::stage::Stage;

/// In each direction.
const DELAY: Duration = Duration::from_millis(20);

/// What is measured, at both delays.
struct Line {
    name: String,
    short: Vec<f64>,
    long: Vec<f64>,
}

impl Line {
    fn row(&self) -> Option<Vec<String>> {
        let (short, long) = (Figures::of(&self.short)?, Figures::of(&self.long)?);
        let more = long.median() - short.median();
        Some(vec![
            self.name.clone(),
            seconds(short.median()),
            range(&short),
            seconds(long.median()),
            range(&long),
            seconds(more),
            format!("{:.0}", more / (2 * DELAY).as_secs_f64()),
        ])
    }
}

pub fn run(
    stage: &Stage,
    data: &Data,
    contenders: &[Box<dyn Contender>],
    settings: &Settings,
    report: &mut Report,
) -> Result<(), String> {
    report.heading(&format!("A long line: {}", data.kind.name()));
    report.note(&format!(
        "Through a proxy, without a delay and with {} ms in each direction. The last column is the difference in round trips.",
        DELAY.as_millis()
    ));
    let copying: Vec<&dyn Contender> = contenders
        .iter()
        .map(|contender| contender.as_ref())
        .filter(|contender| [DECAMP, PGCOPYDB].contains(&contender.name()))
        .collect();
    let mut names: Vec<String> = copying
        .iter()
        .map(|contender| format!("{}: copy", contender.name()))
        .collect();
    names.push("pg_dump --schema-only".into());
    if copying.iter().any(|contender| contender.name() == DECAMP) {
        names.push("repl_start: the call".into());
    }
    let mut lines: Vec<Line> = names
        .into_iter()
        .map(|name| Line {
            name,
            short: Vec::new(),
            long: Vec::new(),
        })
        .collect();

    for round in 1..=settings.rounds {
        for delay in [Duration::ZERO, DELAY] {
            stage.proxy().delay(delay);
            let figures = once(stage, data, &copying, settings, report);
            stage.proxy().delay(Duration::ZERO);
            for (line, figure) in lines.iter_mut().zip(figures?) {
                report.progress(&format!(
                    "round {round}  {:>2} ms  {:<24}  {}",
                    delay.as_millis(),
                    line.name,
                    seconds(figure)
                ));
                let values = if delay.is_zero() {
                    &mut line.short
                } else {
                    &mut line.long
                };
                values.push(figure);
            }
        }
    }
    let rows: Vec<Vec<String>> = lines.iter().filter_map(Line::row).collect();
    let long = format!("{} ms", DELAY.as_millis());
    report.table(
        &["", "0 ms", "range", &long, "range", "more", "round trips"],
        &rows,
    );
    Ok(())
}

/// Everything once, in the order of the lines.
fn once(
    stage: &Stage,
    data: &Data,
    copying: &[&dyn Contender],
    settings: &Settings,
    report: &Report,
) -> Result<Vec<f64>, String> {
    let run = Run::new(stage, data.database, settings).through_proxy();
    let mut figures = Vec::new();
    for &contender in copying {
        figures.push(copy(contender, &run, data, settings, report)?);
    }
    get_ready(stage, settings, report);
    figures.push(dump_definitions(&run)?);
    if copying.iter().any(|contender| contender.name() == DECAMP) {
        figures.push(decamp::start(&run)?);
        decamp::Decamp.clean_up(&run)?;
    }
    Ok(figures.iter().map(Duration::as_secs_f64).collect())
}

fn dump_definitions(run: &Run) -> Result<Duration, String> {
    let mut command = program(run, "pg_dump");
    command.args(["--schema-only", "--dbname", &run.source()]);
    let began = Instant::now();
    finish(&mut command)?;
    Ok(began.elapsed())
}
