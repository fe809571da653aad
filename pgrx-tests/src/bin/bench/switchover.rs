//! The switchover: for how long writes are refused, as it says itself and as those see it who write.

use std::time::{Duration, Instant};

use decamp_tests::load::Insistent;
use decamp_tests::server::client::told;
use decamp_tests::source::ROLE;

use super::contender::{Contender, Run, call_target, decamp};
use super::figures::{Figures, range, seconds};
use super::quiet;
use super::race::get_ready;
use super::report::Report;
use super::settings::Settings;
use super::stage::{Stage, TARGET};

const DATABASE: &str = "switchover";
const SQL: &str = include_str!("../../../bench/switchover.sql");
const TABLES: usize = 20;
/// Transactions a second, all writers together.
const RATE: u32 = 200;
const WRITERS: u32 = 4;
const WAYS: [(&str, &str); 4] = [
    ("verify => 'none'", "verify => 'none', reverse => false"),
    ("verify => 'count'", "verify => 'count', reverse => false"),
    (
        "verify => 'checksum'",
        "verify => 'checksum', reverse => false",
    ),
    ("by default: counted, with a way back", "verify => 'count'"),
];
/// What is aimed at.
const GOAL: f64 = 0.5;

/// The time writes were refused.
struct Refused {
    /// by its own account
    told: f64,
    /// from the first write that was refused to the call's return
    seen: f64,
}

pub fn run(stage: &Stage, settings: &Settings, report: &mut Report) -> Result<(), String> {
    report.heading("Switchover");
    let rows = load(stage, settings, report)?;
    report.note(&format!(
        "{TABLES} tables of {rows} rows, all written to: {WRITERS} writers, {RATE} transactions a second, each an insert, an update and a \
         delete in three of the tables. Refused: from the fence to `finished`, by the account of `repl_switchover`; seen: from the \
         first write that was refused to the return of the call."
    ));
    get_ready(stage, settings, report);
    let run = Run::new(stage, DATABASE, settings);
    let measured = decamp::Decamp
        .copy(&run)
        .and_then(|time| {
            report.progress(&format!("copied in {}", seconds(time.as_secs_f64())));
            decamp::wait(&run, "caught_up")
        })
        .and_then(|()| rounds(&run, settings, report));
    let cleaned = decamp::Decamp.clean_up(&run);
    let rows = measured?;
    report.table(&["", "refused", "range", "seen", "range", ""], &rows);
    cleaned
}

/// How many rows each table has.
fn load(stage: &Stage, settings: &Settings, report: &Report) -> Result<String, String> {
    let source = &stage.pair.source;
    report.progress("loading ...");
    source.create_database(DATABASE);
    let mut client = source.connect_as(ROLE, DATABASE);
    client
        .batch_execute(&format!("SET bench.scale = '{}'", settings.scale))
        .and_then(|()| client.batch_execute(SQL))
        .map_err(|error| told(&error))?;
    source.sql(DATABASE, "VACUUM ANALYZE");
    Ok(source.query_one_text(DATABASE, "SELECT count(*) FROM account_1"))
}

/// A line for each way.
fn rounds(run: &Run, settings: &Settings, report: &Report) -> Result<Vec<Vec<String>>, String> {
    let mut all: Vec<Vec<Refused>> = WAYS.iter().map(|_| Vec::new()).collect();
    for round in 1..=settings.rounds {
        for ((name, way), figures) in WAYS.iter().zip(&mut all) {
            quiet::wait_for_idle(settings.quiet);
            let refused = once(run, way, report)?;
            report.progress(&format!(
                "round {round}  {name}  refused {}  seen {}",
                seconds(refused.told),
                seconds(refused.seen)
            ));
            figures.push(refused);
        }
    }
    let line = |((name, _), figures): (&(&str, &str), &Vec<Refused>)| {
        let of = |one: fn(&Refused) -> f64| {
            let values: Vec<f64> = figures.iter().map(one).collect();
            Figures::of(&values).expect("there is a round")
        };
        let (told, seen) = (of(|r| r.told), of(|r| r.seen));
        let goal = if seen.median() < GOAL {
            "within"
        } else {
            "beyond"
        };
        vec![
            (*name).to_owned(),
            seconds(told.median()),
            range(&told),
            seconds(seen.median()),
            range(&seen),
            format!("{goal} {GOAL} s"),
        ]
    };
    Ok(WAYS.iter().zip(&all).map(line).collect())
}

fn once(run: &Run, way: &str, report: &Report) -> Result<Refused, String> {
    let source = &run.stage.pair.source;
    let clients = (0..WRITERS)
        .map(|_| source.connect_as(ROLE, DATABASE))
        .collect();
    let every = Duration::from_secs(1) * WRITERS / RATE;
    let rows: usize = source
        .query_one_text(DATABASE, "SELECT max(id) FROM account_1")
        .parse()
        .map_err(|_| "no rows")?;
    let load = Insistent::start(clients, every, move |writer, at| {
        transaction(writer, at, rows)
    });
    load.wait_until_busy();
    load.wait_until_busy();
    let call = format!(
        "SELECT step, message, round(extract(epoch FROM took) * 1000) FROM repl_switchover('{}', {way})",
        decamp::SUBSCRIPTION
    );
    let steps = run.target().try_rows(TARGET, &call);
    let returned = Instant::now();
    let first = load.first_refusal();
    load.end();
    let steps = steps.map_err(|error| told(&error))?;
    for step in &steps {
        report.progress(&format!("    {} ({} ms): {}", step[0], step[2], step[1]));
    }
    let told = steps
        .last()
        .and_then(|step| {
            step[1]
                .split("refused for ")
                .nth(1)?
                .split(' ')
                .next()?
                .parse::<f64>()
                .ok()
        })
        .ok_or("the last step does not say for how long")?;
    let name = decamp::SUBSCRIPTION;
    let back = format!("SELECT repl_stop(name) FROM repl_status WHERE name = '{name}_reverse'");
    call_target(run, &back)?;
    call_target(
        run,
        &format!("SELECT repl_unfence('{name}', force => true)"),
    )?;
    decamp::wait(run, "caught_up")?;
    Ok(Refused {
        told: told / 1000.0,
        seen: first.map_or(0.0, |at| returned.duration_since(at).as_secs_f64()),
    })
}

/// No two writers change the same row at a time.
fn transaction(writer: usize, at: usize, rows: usize) -> String {
    let table = |step: usize| 1 + (at * 3 + writer * 7 + step) % TABLES;
    let id = |step: usize| 1 + (at * 7919 + step * 104_729) * WRITERS as usize % rows + writer;
    format!(
        "begin; insert into account_{} (balance, note) values ({at}, 'new'); \
         update account_{} set balance = balance + 1 where id = {}; \
         delete from account_{} where id = {}; commit",
        table(0),
        table(1),
        id(1),
        table(2),
        id(2)
    )
}
