//! What is told, in which order and words. Pure but for the template.

use askama::Template;

use super::figure::{self, Figure};
use super::reading::{Copied, Facts};
use super::scale::Unit;
use super::timeline::{self, Incident, Phase};
use super::words::{count, lasted, size, stamp};

/// Subjects of events that are steps of going over.
const STEPS: [&str; 17] = [
    "check",
    "catch up",
    "count",
    "estimate",
    "fence",
    "unfence",
    "barrier",
    "drain",
    "sequences",
    "verify",
    "validation",
    "triggers",
    "statistics",
    "materialized views",
    "reverse",
    "finished",
    "switchover",
];
/// So many tables are shown one by one, the largest.
const TABLES: usize = 200;

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    facts: &'a Facts,
    state: &'a str,
    summary: String,
    made: String,
    span: String,
    tiles: Vec<(&'static str, String)>,
    timeline: String,
    phases: Vec<[String; 4]>,
    replay: Vec<Figure>,
    copy: Vec<Figure>,
    copied: Vec<CopiedLine>,
    copied_left_out: usize,
    switchover: Vec<Line<'a>>,
    events: Vec<Line<'a>>,
}

struct CopiedLine {
    total: bool,
    table: String,
    cells: Vec<String>,
}

struct Line<'a> {
    at: String,
    severity: &'a str,
    subject: &'a str,
    message: &'a str,
    detail: Option<&'a str>,
}

pub fn render(facts: &Facts) -> String {
    let end = facts.stopped_at.unwrap_or(facts.now).max(facts.started_at);
    let phases = timeline::phases(&facts.states, end);
    let gaps = figure::gaps(&facts.samples, end);
    let state = match &facts.status {
        Some(status) => &status.state,
        None => "stopped",
    };
    let page = Page {
        facts,
        state,
        summary: match &facts.status {
            Some(status) => status.summary.clone(),
            None => "Ended by repl_stop; the target's data stays.".to_owned(),
        },
        made: stamp(facts.now),
        span: span(facts, end),
        tiles: tiles(facts, &phases),
        timeline: timeline::draw(&phases, &incidents(facts), facts.started_at, end),
        phases: phases
            .iter()
            .map(|p| {
                [
                    p.state.clone(),
                    stamp(p.from),
                    stamp(p.to),
                    lasted(p.to - p.from),
                ]
            })
            .collect(),
        replay: figure::replay(facts, &gaps, end),
        copy: figure::copy(facts, &phases, &gaps),
        copied: copied(&facts.copied),
        copied_left_out: facts.copied.len().saturating_sub(TABLES + 1),
        switchover: lines(facts, |subject| STEPS.contains(&subject)),
        events: lines(facts, |_| true),
    };
    page.render()
        .expect("the template fails at nothing but memory")
}

fn span(facts: &Facts, end: f64) -> String {
    let until = match facts.stopped_at {
        Some(at) => format!("stopped {}", stamp(at)),
        None => "still there".to_owned(),
    };
    format!(
        "started {}, {until}, {} in all",
        stamp(facts.started_at),
        lasted(end - facts.started_at)
    )
}

fn tiles(facts: &Facts, phases: &[Phase]) -> Vec<(&'static str, String)> {
    let mut tiles = Vec::new();
    if let Some(status) = &facts.status {
        tiles.push((
            "tables ready",
            format!("{} of {}", count(status.tables_ready), count(status.tables)),
        ));
        if status.bytes_copied < status.bytes_total {
            let (done, all) = (status.bytes_copied as f64, status.bytes_total as f64);
            tiles.push(("copied", format!("{} of {}", size(done), size(all))));
        }
        if let Some(lag) = status.lag {
            tiles.push(("lag now", lasted(lag)));
        }
        if let Some(backlog) = status.backlog {
            tiles.push(("backlog now", Unit::Deltas.told(backlog as f64)));
        }
    }
    if let Some(total) = facts.copied.last().filter(|total| total.complete) {
        tiles.push(("copied", size(total.bytes)));
        tiles.push(("rows copied", count(total.rows)));
        if let Some(seconds) = total.total_seconds {
            tiles.push(("copy and indexes", lasted(seconds)));
        }
    }
    let streaming = phases.iter().filter(|p| p.state == "streaming");
    let streaming: f64 = streaming.map(|p| p.to - p.from).sum();
    if streaming > 0.0 {
        tiles.push(("time streaming", lasted(streaming)));
    }
    let lags = facts.samples.iter().filter_map(|s| s.lag);
    if let Some(worst) = lags.max_by(f64::total_cmp) {
        tiles.push(("largest lag", lasted(worst)));
    }
    tiles
}

/// Marks above the bar.
fn incidents(facts: &Facts) -> Vec<Incident> {
    facts
        .events
        .iter()
        .filter(|e| e.severity != "info")
        .map(|e| Incident {
            at: e.at,
            grave: e.severity == "error",
        })
        .collect()
}

/// The largest, and the total.
fn copied(lines: &[Copied]) -> Vec<CopiedLine> {
    let Some((total, tables)) = lines.split_last() else {
        return Vec::new();
    };
    let time = |seconds: Option<f64>| seconds.map(lasted).unwrap_or_default();
    let line = |line: &Copied, total: bool| CopiedLine {
        total,
        table: line.table.clone(),
        cells: vec![
            size(line.bytes),
            count(line.rows),
            count(line.chunks),
            time(line.copy_seconds),
            match line.copy_seconds {
                Some(seconds) if seconds > 0.0 => format!("{}/s", size(line.bytes / seconds)),
                _ => String::new(),
            },
            count(line.indexes),
            time(line.index_seconds),
            if line.complete { "yes" } else { "not yet" }.to_owned(),
        ],
    };
    let mut told: Vec<CopiedLine> = tables.iter().take(TABLES).map(|t| line(t, false)).collect();
    told.push(line(total, true));
    told
}

fn lines(facts: &Facts, wanted: impl Fn(&str) -> bool) -> Vec<Line<'_>> {
    facts
        .events
        .iter()
        .filter(|e| wanted(&e.subject))
        .map(|e| Line {
            at: stamp(e.at),
            severity: &e.severity,
            subject: &e.subject,
            message: &e.message,
            detail: e.detail.as_deref(),
        })
        .collect()
}
