//! What following a thousand tables costs the source when nobody writes.

use std::time::Duration;

use decamp_tests::wait;

use super::contender::{Contender, Run, decamp};
use super::data::{Data, Kind};
use super::race::get_ready;
use super::report::Report;
use super::settings::Settings;
use super::stage::Stage;

/// For the polls to become rare.
const SETTLE: Duration = Duration::from_secs(10);
const WATCHED: Duration = Duration::from_secs(20);
/// proc(5): the kernel's tick.
const TICKS: f64 = 100.0;

pub fn run(stage: &Stage, settings: &Settings, report: &mut Report) -> Result<(), String> {
    report.heading("Idle");
    let data = Data::load(stage, Kind::Many, settings);
    get_ready(stage, settings, report);
    let run = Run::new(stage, data.database, settings);
    let measured = decamp::Decamp
        .copy(&run)
        .and_then(|_| decamp::wait(&run, "caught_up"))
        .and_then(|()| {
            wait::pause(SETTLE);
            watch(&run)
        });
    let cleaned = decamp::Decamp.clean_up(&run);
    let (processor, transactions) = measured?;
    cleaned?;
    report.note(&format!(
        "{} tables captured, nobody writes: {:.2} % of a processor and {transactions:.1} transactions a second on the source.",
        stage.pair.source.query_one_text(
            data.database,
            "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        ),
        processor * 100.0
    ));
    Ok(())
}

/// Share of a processor, and transactions a second, of our sessions on the source.
fn watch(run: &Run) -> Result<(f64, f64), String> {
    let source = &run.stage.pair.source;
    let pids: Vec<String> = source
        .rows(
            run.database,
            "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'pg_decamp %'",
        )
        .concat();
    if pids.is_empty() {
        return Err("pg_decamp has no session on the source".into());
    }
    let transactions = || -> f64 {
        let sql = format!(
            "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = '{}'",
            run.database
        );
        source
            .query_one_text("postgres", &sql)
            .parse()
            .unwrap_or_default()
    };
    let (ticks_before, transactions_before) = (ticks(&pids), transactions());
    wait::pause(WATCHED);
    let seconds = WATCHED.as_secs_f64();
    Ok((
        (ticks(&pids) - ticks_before) / TICKS / seconds,
        (transactions() - transactions_before) / seconds,
    ))
}

/// User and system time of these processes.
fn ticks(pids: &[String]) -> f64 {
    let of = |pid: &String| -> Option<f64> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |place: usize| fields.get(place)?.parse::<f64>().ok();
        Some(field(11)? + field(12)?)
    };
    pids.iter().filter_map(of).sum()
}
