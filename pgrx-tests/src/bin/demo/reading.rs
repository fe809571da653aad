//! One reading of `repl_status`, and how it looks: a block for terminals, a line for everything else.

use decamp_tests::screen::{Screen, WIDTH, grouped, megabytes, wrapped};

/// The columns that [`Reading::parse`] wants.
pub const QUERY: &str = "SELECT state, tables, tables_ready, bytes_total, bytes_copied, progress, \
    ceil(extract(epoch from eta)), backlog, extract(epoch from lag), apply_rate, workers, summary \
    FROM repl_status WHERE name = 'heroku'";
const BAR: usize = 30;
/// Lines that the summary takes, so that the block's height does not change.
const SUMMARY_LINES: usize = 2;

#[derive(Clone, Debug)]
pub struct Reading {
    pub state: String,
    pub tables: u64,
    pub ready: u64,
    pub bytes: u64,
    pub copied: u64,
    pub progress: f64,
    pub eta: String,
    pub backlog: Option<u64>,
    pub lag: Option<f64>,
    pub rate: f64,
    pub workers: u64,
    pub summary: String,
    /// Transactions of the application since the demo began to watch, and per second now.
    pub commits: (u64, f64),
}

impl Reading {
    pub fn parse(row: &[String]) -> Self {
        let whole = |text: &String| text.parse().unwrap_or(0);
        Self {
            state: row[0].clone(),
            tables: whole(&row[1]),
            ready: whole(&row[2]),
            bytes: whole(&row[3]),
            copied: whole(&row[4]),
            progress: row[5].parse().unwrap_or(0.0),
            eta: row[6].clone(),
            backlog: row[7].parse().ok(),
            lag: row[8].parse().ok(),
            rate: row[9].parse().unwrap_or(0.0),
            workers: whole(&row[10]),
            summary: row[11].clone(),
            commits: (0, 0.0),
        }
    }

    /// The block that is drawn again and again.
    pub fn block(&self, screen: &Screen) -> Vec<String> {
        let filled = (self.progress / 100.0 * BAR as f64).round() as usize;
        let bar = format!(
            "{}{}",
            "█".repeat(filled.min(BAR)),
            "░".repeat(BAR - filled.min(BAR))
        );
        let state = match self.state.as_str() {
            "streaming" => screen.good(&self.state),
            "errored" => screen.bad(&self.state),
            "paused" | "pausing" => screen.attention(&self.state),
            _ => self.state.clone(),
        };
        let left = if self.eta.is_empty() {
            String::new()
        } else {
            format!(", {} s left", self.eta)
        };
        let pair = |a: &str, left: String, b: &str, right: String| {
            format!(
                "  {} {left:<26} {} {right}",
                screen.label(&format!("{a:<12}")),
                screen.label(&format!("{b:<12}"))
            )
        };
        let mut lines = vec![
            String::new(),
            format!("  {} {state}", screen.label("state       ")),
            format!(
                "  {} {} {:>5.1} %  {} of {}{left}",
                screen.label("copied      "),
                screen.good(&bar),
                self.progress,
                megabytes(self.copied),
                megabytes(self.bytes)
            ),
            pair(
                "tables ready",
                format!("{} of {}", self.ready, self.tables),
                "workers",
                self.workers.to_string(),
            ),
            pair(
                "backlog",
                self.backlog_shown(),
                "replayed",
                format!("{} rows/s", grouped(self.rate.round() as u64)),
            ),
            pair("lag", self.lag_shown(), "application", self.commits_shown()),
            String::new(),
        ];
        let mut summary = wrapped(&self.summary, WIDTH - 2);
        summary.resize(SUMMARY_LINES.max(summary.len()), String::new());
        lines.extend(summary.into_iter().map(|line| format!("  {line}")));
        lines
    }

    /// One line with the numbers.
    pub fn line(&self, seconds: f64) -> String {
        format!(
            "  {seconds:>5.1} s  {:<10}  copied {:>3.0} %  ready {}/{}  backlog {:>7}  lag {:>6}  {:>7} rows/s",
            self.state,
            self.progress,
            self.ready,
            self.tables,
            self.backlog.map_or("-".into(), grouped),
            self.lag.map_or("-".into(), |lag| format!("{lag:.1} s")),
            grouped(self.rate.round() as u64),
        )
    }

    /// The summary without its numbers: what it says, not how much.
    pub fn gist(&self) -> String {
        let letters = self.summary.chars().filter(|c| !c.is_ascii_digit());
        letters.collect()
    }

    fn backlog_shown(&self) -> String {
        match self.backlog {
            Some(backlog) => format!("{} changed rows", grouped(backlog)),
            None => "-".into(),
        }
    }

    fn lag_shown(&self) -> String {
        match self.lag {
            Some(lag) => format!("{lag:.1} s"),
            None => "- (not complete yet)".into(),
        }
    }

    fn commits_shown(&self) -> String {
        let (count, rate) = self.commits;
        format!("{} commits, {rate:.0}/s", grouped(count))
    }
}
