//! What the environment asks for: `BENCH_*`.

use std::env;
use std::fmt::Debug;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// The parts about copying, in the order they run: data sets that are copied, the one with thousands of files before anybody has
/// deleted any (see `Stage::keep_everything`); what else there is to a copy.
pub const COPYING: [&str; 6] = ["many", "pgbench", "mixed", "cut", "latency", "writes"];
/// The parts about going on after the copy.
pub const FOLLOWING: [&str; 5] = ["overhead", "catchup", "lag", "idle", "switchover"];

pub struct Settings {
    /// `BENCH_JOBS`: workers, table jobs, index jobs, whatever a contender calls them.
    pub jobs: usize,
    /// `BENCH_ROUNDS`: how often everybody has a turn.
    pub rounds: usize,
    /// `BENCH_SCALE`: a factor for the size of the data.
    pub scale: f64,
    /// `BENCH_ONLY`: names of [`COPYING`] and [`FOLLOWING`].
    only: Option<Vec<String>>,
    /// `BENCH_CONTENDERS`: their names.
    contenders: Option<Vec<String>>,
    /// `BENCH_REPORT`: the Markdown file.
    pub report: PathBuf,
    /// `BENCH_TIMEOUT`, seconds: a run that takes longer has failed, where the contender can be asked.
    pub timeout: Duration,
    /// `BENCH_QUIET`, seconds: how long to wait at most for a machine that does nothing else, before each run.
    pub quiet: Duration,
}

impl Settings {
    pub fn from_environment() -> Result<Self, String> {
        let settings = Self {
            jobs: value("BENCH_JOBS", 2)?,
            rounds: value("BENCH_ROUNDS", 3)?,
            scale: value("BENCH_SCALE", 1.0)?,
            only: list("BENCH_ONLY"),
            contenders: list("BENCH_CONTENDERS"),
            report: value("BENCH_REPORT", PathBuf::from("target/bench.md"))?,
            timeout: Duration::from_secs(value("BENCH_TIMEOUT", 3600)?),
            quiet: Duration::from_secs(value("BENCH_QUIET", 60)?),
        };
        let parts = [COPYING.as_slice(), FOLLOWING.as_slice()].concat();
        let unknown = settings
            .only
            .iter()
            .flatten()
            .find(|name| !parts.contains(&name.as_str()));
        match unknown {
            Some(name) => Err(format!(
                "BENCH_ONLY: there is no {name}, but {}",
                parts.join(", ")
            )),
            None if settings.jobs == 0 || settings.rounds == 0 || settings.scale <= 0.0 => {
                Err("BENCH_JOBS, BENCH_ROUNDS and BENCH_SCALE must be above zero".into())
            }
            None => Ok(settings),
        }
    }

    pub fn wants(&self, part: &str) -> bool {
        chosen(&self.only, part)
    }

    pub fn wants_contender(&self, name: &str) -> bool {
        chosen(&self.contenders, name)
    }

    /// Names given that are not among those there are.
    pub fn unknown_contender(&self, known: &[&str]) -> Option<&str> {
        let mut given = self.contenders.iter().flatten().map(String::as_str);
        given.find(|name| !known.contains(name))
    }
}

fn chosen(names: &Option<Vec<String>>, name: &str) -> bool {
    names
        .as_ref()
        .is_none_or(|names| names.iter().any(|wanted| wanted == name))
}

fn list(variable: &str) -> Option<Vec<String>> {
    let text = env::var(variable).ok()?;
    let names = text
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty());
    let names: Vec<String> = names.map(str::to_owned).collect();
    (!names.is_empty()).then_some(names)
}

fn value<T: FromStr + Debug>(variable: &str, default: T) -> Result<T, String> {
    match env::var(variable) {
        Ok(text) if !text.is_empty() => text
            .parse()
            .map_err(|_| format!("{variable}: {text:?} cannot be read")),
        _ => Ok(default),
    }
}
