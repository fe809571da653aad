//! `make bench`: the initial copy, beside those who also do it, on two throw-away servers with the same settings.
//!
//! [`settings`] is what the environment asks for, [`contender`] who copies, [`data`] what, [`race`] how it is measured.
//! Ends with exit code 1 when pg_decamp has failed: its copy was not equal to its source, or there was none.

mod catchup;
mod contender;
mod cut;
mod data;
mod figures;
mod follower;
mod fresh;
mod idle;
mod lag;
mod latency;
mod overhead;
mod quiet;
mod race;
mod report;
mod settings;
mod stage;
mod switchover;
mod writes;

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use data::{Data, Kind};
use decamp_tests::watchman;
use report::Report;
use settings::{COPYING, FOLLOWING, Settings};
use stage::Stage;

fn main() -> ExitCode {
    if let Some(code) = watchman::run_if_asked() {
        return code;
    }
    let outcome = panic::catch_unwind(AssertUnwindSafe(run));
    // a panic has said what it had to say
    match outcome.unwrap_or_else(|_| Err("could not go on, see above".into())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("\nFAILED: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let began = Instant::now();
    let settings = Settings::from_environment()?;
    contender::refuse_unknown(&settings)?;
    let mut report = Report::new(settings.report.clone());
    report.title("Benchmark");
    let mut failures = Vec::new();
    for (parts, measure) in [
        (COPYING.as_slice(), copy as Measure),
        (FOLLOWING.as_slice(), follow as Measure),
    ] {
        let wanted: Vec<&str> = parts
            .iter()
            .copied()
            .filter(|part| settings.wants(part))
            .collect();
        if !wanted.is_empty() {
            measure(&wanted, &settings, &mut report, &mut failures)?;
        }
    }
    report.progress(&format!(
        "{:.0} minutes; the tables are in {}",
        began.elapsed().as_secs_f64() / 60.0,
        report.file()
    ));
    if failures.is_empty() {
        Ok(())
    } else {
        Err(failures.join(", "))
    }
}

/// Measures these parts; the names of those that failed are added to the last.
type Measure = fn(&[&str], &Settings, &mut Report, &mut Vec<String>) -> Result<(), String>;

fn copy(
    parts: &[&str],
    settings: &Settings,
    report: &mut Report,
    failures: &mut Vec<String>,
) -> Result<(), String> {
    let stage = Stage::set_up(settings);
    let contenders = contender::present(&stage, settings);
    let who = contenders
        .iter()
        .map(|c| (c.name(), c.about(settings.jobs)));
    report.facts(&facts(&stage, settings, who));
    let mut library = Library {
        stage: &stage,
        settings,
        loaded: Vec::new(),
    };
    for part in parts {
        let kind = match *part {
            "writes" => Kind::Pgbench,
            "cut" | "latency" => Kind::Mixed,
            name => *Kind::ALL
                .iter()
                .find(|kind| kind.name() == name)
                .expect("the other parts are data sets"),
        };
        let data = library.get(kind, report);
        let outcome = match *part {
            "cut" => cut::run(&stage, data, &contenders, settings, report),
            "latency" => latency::run(&stage, data, &contenders, settings, report),
            "writes" => writes::run(&stage, data, &contenders, settings, report),
            _ => race::run(&stage, data, &contenders, settings, report),
        };
        close(part, outcome, report, failures)?;
    }
    Ok(())
}

fn follow(
    parts: &[&str],
    settings: &Settings,
    report: &mut Report,
    failures: &mut Vec<String>,
) -> Result<(), String> {
    let stage = Stage::set_up_with_pglogical(settings);
    let followers = follower::present(&stage, settings);
    let who = followers.iter().map(|f| (f.name(), f.about(settings.jobs)));
    report.facts(&facts(&stage, settings, who));
    for part in parts {
        let outcome = match *part {
            "overhead" => overhead::run(&stage, &followers, settings, report),
            "catchup" => catchup::run(&stage, &followers, settings, report),
            "lag" => lag::run(&stage, &followers, settings, report),
            "switchover" => switchover::run(&stage, settings, report),
            _ => idle::run(&stage, settings, report),
        };
        close(part, outcome, report, failures)?;
    }
    Ok(())
}

fn close(
    part: &str,
    outcome: Result<(), String>,
    report: &Report,
    failures: &mut Vec<String>,
) -> Result<(), String> {
    if let Err(failure) = outcome {
        report.progress(&format!("{part} FAILED: {failure}"));
        failures.push(part.to_owned());
    }
    report.save()
}

/// What there is to know about the servers, the runs and those who take part.
fn facts<'a>(
    stage: &Stage,
    settings: &Settings,
    who: impl Iterator<Item = (&'a str, String)>,
) -> Vec<(&'a str, String)> {
    let mut facts = vec![
        ("Machine", machine()),
        (
            "Servers",
            format!(
                "both PostgreSQL {}, on this machine; {}; the source is reached by TCP with TLS, the target by its socket",
                version(stage),
                stage.about
            ),
        ),
        (
            "Runs",
            format!(
                "{} rounds, everybody in turn, each into an empty database after a checkpoint of both servers",
                settings.rounds
            ),
        ),
    ];
    facts.extend(who);
    facts
}

/// The data sets on the source, loaded when first wanted.
struct Library<'a> {
    stage: &'a Stage,
    settings: &'a Settings,
    loaded: Vec<Data>,
}

impl Library<'_> {
    fn get(&mut self, kind: Kind, report: &Report) -> &Data {
        let found = self.loaded.iter().position(|data| data.kind == kind);
        let place = found.unwrap_or_else(|| {
            report.progress(&format!("loading {} ...", kind.name()));
            let began = Instant::now();
            self.loaded
                .push(Data::load(self.stage, kind, self.settings));
            report.progress(&format!(
                "loaded {} in {:.0} s",
                kind.name(),
                began.elapsed().as_secs_f64()
            ));
            self.loaded.len() - 1
        });
        &self.loaded[place]
    }
}

fn machine() -> String {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes = memory
        .split_whitespace()
        .nth(1)
        .and_then(|word| word.parse::<u64>().ok())
        .unwrap_or_default();
    format!(
        "{processors} processors, {} GB memory",
        (kilobytes + 524_288) / 1_048_576
    )
}

fn version(stage: &Stage) -> String {
    let version = stage
        .pair
        .target
        .query_one_text("postgres", "SHOW server_version");
    version.split(' ').next().unwrap_or_default().to_owned()
}
