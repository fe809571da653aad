//! `make bench`: the initial copy, beside those who also do it, on two throw-away servers with the same settings.
//!
//! [`settings`] is what the environment asks for, [`contender`] who copies, [`data`] what, [`race`] how it is measured.
//! Ends with exit code 1 when pg_decamp has failed: its copy was not equal to its source, or there was none.

mod contender;
mod cut;
mod data;
mod figures;
mod latency;
mod quiet;
mod race;
mod report;
mod settings;
mod stage;
mod writes;

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use data::{Data, Kind};
use decamp_tests::watchman;
use report::Report;
use settings::{PARTS, Settings};
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
    let mut report = Report::new(settings.report.clone());
    let stage = Stage::set_up(&settings);
    let contenders = contender::present(&stage, &settings)?;
    report.title("Benchmark");
    let mut facts = vec![
        ("Machine", machine()),
        (
            "Servers",
            format!(
                "both PostgreSQL {}, on this machine; {}; the source is reached by TCP with TLS, the target by its socket",
                version(&stage),
                Stage::about(&settings)
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
    for contender in &contenders {
        facts.push((contender.name(), contender.about(settings.jobs)));
    }
    report.facts(&facts);

    let mut library = Library {
        stage: &stage,
        settings: &settings,
        loaded: Vec::new(),
    };
    let mut failures = Vec::new();
    for part in PARTS {
        if !settings.wants(part) {
            continue;
        }
        let data = library.get(data_of(part), &report);
        let outcome = match part {
            "cut" => cut::run(&stage, data, &contenders, &settings, &mut report),
            "latency" => latency::run(&stage, data, &contenders, &settings, &mut report),
            "writes" => writes::run(&stage, data, &contenders, &settings, &mut report),
            _ => race::run(&stage, data, &contenders, &settings, &mut report),
        };
        if let Err(failure) = outcome {
            report.progress(&format!("{part} FAILED: {failure}"));
            failures.push(part);
        }
        report.save()?;
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

fn data_of(part: &str) -> Kind {
    let same = Kind::ALL.into_iter().find(|kind| kind.name() == part);
    same.unwrap_or(if part == "writes" {
        Kind::Pgbench
    } else {
        Kind::Mixed
    })
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
