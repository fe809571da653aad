//! Looks at `repl_status` several times a second, shows it, and remembers what the closing summary tells.

use std::time::{Duration, Instant};

use decamp_tests::server::client::told;
use decamp_tests::source::DATABASE;
use decamp_tests::wait;
use postgres::Client;

use super::PATIENCE;
use super::reading::{QUERY, Reading};
use super::session::texts;
use super::stage::{Stage, TARGET_DATABASE};
use decamp_tests::screen::{Screen, wrapped};

const LOOK_EVERY: Duration = Duration::from_millis(150);
const LINE_EVERY: Duration = Duration::from_secs(1);
/// A line of numbers is as long.
const PLAIN_WIDTH: usize = 90;
const PLAIN_INDENT: usize = 11;
const RATE_OVER: Duration = Duration::from_secs(1);
/// As sequences count them, which costs nothing; the closing summary counts rows.
const COMMITS: &str = "SELECT (SELECT last_value FROM public.pgbench_history_id_seq) \
    + (SELECT last_value FROM shop.events_id_seq)";
/// Statements that count what waits on the source, while nobody else counts.
const COUNTS: &str = "SELECT format('SELECT count(*) FROM %I.%I', n.nspname, c.relname) \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname = 'decamp_heroku' AND c.relname LIKE 'delta\\_%' AND c.relkind = 'r'";

/// What the whole migration looked like.
#[derive(Default)]
pub struct Record {
    pub bytes: u64,
    pub lag: Option<f64>,
    pub lag_of_pause: Option<f64>,
    copy_began: Option<Instant>,
    copy_ended: Option<Instant>,
}

impl Record {
    pub fn copy_time(&self) -> Option<Duration> {
        Some(self.copy_ended? - self.copy_began?)
    }

    fn remember(&mut self, reading: &Reading, pausing: bool) {
        self.bytes = self.bytes.max(reading.bytes);
        match reading.state.as_str() {
            "copying" => {
                self.copy_began.get_or_insert_with(Instant::now);
            }
            "catchup" | "streaming" => {
                self.copy_ended.get_or_insert_with(Instant::now);
            }
            _ => {}
        }
        let longest = if pausing {
            &mut self.lag_of_pause
        } else {
            &mut self.lag
        };
        *longest = [*longest, reading.lag]
            .into_iter()
            .flatten()
            .reduce(f64::max);
    }
}

pub struct Watch<'a> {
    screen: &'a Screen,
    target: Client,
    source: Client,
    began: Instant,
    /// Lag is of our own making.
    pub pausing: bool,
    record: Record,
    commits_at_first: Option<u64>,
    /// When, how many, and how many per second that made.
    commits: (Instant, u64, f64),
    line_at: Option<Instant>,
    gist: String,
    state: String,
}

impl<'a> Watch<'a> {
    pub fn new(stage: &Stage, screen: &'a Screen) -> Self {
        Self {
            screen,
            target: stage.pair.target.connect(TARGET_DATABASE),
            source: stage.pair.source.connect(DATABASE),
            began: Instant::now(),
            pausing: false,
            record: Record::default(),
            commits_at_first: None,
            commits: (Instant::now(), 0, 0.0),
            line_at: None,
            gist: String::new(),
            state: String::new(),
        }
    }

    /// Looks and shows until `done`, which is also told for how long.
    pub fn until(
        &mut self,
        what: &str,
        mut done: impl FnMut(&Reading, Duration) -> bool,
    ) -> Result<(), String> {
        let began = Instant::now();
        loop {
            let reading = self.look()?;
            let done = done(&reading, began.elapsed());
            self.show(&reading, done);
            if reading.state == "errored" {
                return Err(format!("the migration has stopped: {}", reading.summary));
            }
            if done {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                return Err(format!(
                    "not within {} s: {what}. The last word of repl_status: {}",
                    PATIENCE.as_secs(),
                    reading.summary
                ));
            }
            wait::pause(LOOK_EVERY);
        }
    }

    /// What follows is printed below.
    pub fn leave(&mut self) {
        self.screen.leave();
        self.gist.clear();
    }

    pub fn into_record(self) -> Record {
        self.record
    }

    fn look(&mut self) -> Result<Reading, String> {
        let rows = rows(&mut self.target, QUERY)?;
        let row = rows
            .first()
            .ok_or("repl_status has no row for the subscription")?;
        let mut reading = Reading::parse(row);
        if reading.state == "paused" {
            reading.backlog = self.count_backlog().or(reading.backlog);
        }
        self.record.remember(&reading, self.pausing);
        reading.commits = self.count_commits()?;
        Ok(reading)
    }

    /// The apply worker counts the backlog, and while paused there is none; so we count. `None` when a segment went away.
    fn count_backlog(&mut self) -> Option<u64> {
        let counts = rows(&mut self.source, COUNTS).ok()?;
        let mut sum = 0;
        for sql in counts.iter().flatten() {
            sum += number(&rows(&mut self.source, sql).ok()?);
        }
        Some(sum)
    }

    fn count_commits(&mut self) -> Result<(u64, f64), String> {
        let count = number(&rows(&mut self.source, COMMITS)?);
        let first = *self.commits_at_first.get_or_insert(count);
        let (at, before, rate) = self.commits;
        if before == 0 {
            self.commits = (Instant::now(), count, 0.0);
        } else if at.elapsed() >= RATE_OVER {
            let rate_now = (count - before) as f64 / at.elapsed().as_secs_f64();
            self.commits = (Instant::now(), count, rate_now);
        }
        Ok((count - first, rate))
    }

    fn show(&mut self, reading: &Reading, last: bool) {
        if self.screen.is_terminal() {
            self.screen.draw(&reading.block(self.screen));
            return;
        }
        let due = self.line_at.is_none_or(|at| at.elapsed() >= LINE_EVERY);
        if due || last || reading.state != self.state {
            let seconds = self.began.elapsed().as_secs_f64();
            self.screen.line(&reading.line(seconds));
            if reading.gist() != self.gist {
                for line in wrapped(&reading.summary, PLAIN_WIDTH - PLAIN_INDENT) {
                    self.screen.line(&format!("{:PLAIN_INDENT$}{line}", ""));
                }
                self.gist = reading.gist();
            }
            self.state.clone_from(&reading.state);
            self.line_at = Some(Instant::now());
        }
    }
}

fn rows(client: &mut Client, sql: &str) -> Result<Vec<Vec<String>>, String> {
    let messages = client.simple_query(sql).map_err(|error| told(&error))?;
    Ok(texts(&messages))
}

fn number(rows: &[Vec<String>]) -> u64 {
    let value = rows.first().and_then(|row| row.first());
    value.and_then(|text| text.parse().ok()).unwrap_or(0)
}
