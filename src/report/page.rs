//! What is told, in which order and words. Pure but for the template.

use askama::Template;

use super::chart::{Chart, Point};
use super::reading::{Copied, Facts, Sample};
use super::scale::Unit;
use super::timeline::{self, Incident, Phase};
use super::words::{clock, count, lasted, size, stamp};

/// Without a sample for so long, nobody measured. Samples come every five seconds.
const SILENCE: f64 = 20.0;
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

/// A drawing with what it shows in words.
struct Figure {
    title: &'static str,
    explained: &'static str,
    svg: Option<String>,
    caption: String,
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
    let gaps = gaps(&facts.samples, end);
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
        replay: replay(facts, &gaps, end),
        copy: copy(facts, &phases, &gaps),
        copied: copied(&facts.copied),
        copied_left_out: facts.copied.len().saturating_sub(TABLES + 1),
        switchover: lines(facts, |subject| {
            matches!(subject, "switchover" | "fence" | "sequences")
        }),
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

/// When nothing was measured, though something had been before.
fn gaps(samples: &[Sample], end: f64) -> Vec<(f64, f64)> {
    let mut gaps: Vec<(f64, f64)> = samples
        .iter()
        .filter_map(|s| Some((s.at - s.silence?, s.at)))
        .collect();
    if let Some(last) = samples.last().filter(|s| end - s.at > SILENCE) {
        gaps.push((last.at, end));
    }
    gaps
}

fn replay(facts: &Facts, gaps: &[(f64, f64)], end: f64) -> Vec<Figure> {
    type Value = fn(&Sample) -> Option<f64>;
    let kinds: [(&'static str, &'static str, Unit, Value); 3] = [
        (
            "Lag",
            "How long ago the target was equal to the source, the largest between two samples. Measured while streaming.",
            Unit::Seconds,
            |s| s.lag,
        ),
        (
            "Backlog",
            "Keys of changed rows that wait on the source to be replayed.",
            Unit::Deltas,
            |s| s.backlog,
        ),
        (
            "Replay",
            "Rows per second written to the target because they changed on the source, average of ten seconds.",
            Unit::RowsPerSecond,
            |s| s.apply_rate,
        ),
    ];
    kinds
        .into_iter()
        .map(|(title, explained, unit, value)| {
            let points: Vec<Point> = facts
                .samples
                .iter()
                .map(|s| Point {
                    at: s.at,
                    value: value(s),
                })
                .collect();
            figure(
                title,
                explained,
                unit,
                &points,
                gaps,
                (facts.started_at, end),
            )
        })
        .collect()
}

fn copy(facts: &Facts, phases: &[Phase], gaps: &[(f64, f64)]) -> Vec<Figure> {
    let mut copies = phases.iter().filter(|p| p.state == "copying");
    let (Some(first), last) = (copies.clone().next(), copies.next_back()) else {
        return Vec::new();
    };
    let range = (first.from, last.unwrap_or(first).to);
    let samples: Vec<&Sample> = facts
        .samples
        .iter()
        .filter(|s| (range.0..=range.1).contains(&s.at))
        .collect();
    let mut done: Vec<Point> = samples
        .iter()
        .map(|s| Point {
            at: s.at,
            value: s.bytes_copied,
        })
        .collect();
    let is_over = phases.last().is_some_and(|p| p.to > range.1);
    if let Some(total) = facts
        .copied
        .last()
        .filter(|total| total.complete && is_over)
    {
        done.push(Point {
            at: range.1,
            value: Some(total.bytes),
        });
    }
    let rates: Vec<Point> = samples
        .windows(2)
        .map(|pair| Point {
            at: pair[1].at,
            value: rate(pair[0], pair[1]),
        })
        .collect();
    vec![
        figure(
            "Copied",
            "Of the tables' size on the source's disk.",
            Unit::Bytes,
            &done,
            gaps,
            range,
        ),
        figure(
            "Copy rate",
            "Bytes of the source's disk copied per second, between two samples.",
            Unit::BytesPerSecond,
            &rates,
            gaps,
            range,
        ),
    ]
}

/// A table that is begun anew takes away what it had.
fn rate(one: &Sample, next: &Sample) -> Option<f64> {
    let bytes = next.bytes_copied? - one.bytes_copied?;
    (next.silence.is_none() && next.at > one.at).then(|| (bytes / (next.at - one.at)).max(0.0))
}

fn figure(
    title: &'static str,
    explained: &'static str,
    unit: Unit,
    points: &[Point],
    gaps: &[(f64, f64)],
    (from, to): (f64, f64),
) -> Figure {
    let chart = Chart {
        title,
        unit,
        points,
        gaps,
        from,
        to,
    };
    let svg = chart.draw();
    let mut known = points.iter().filter_map(|p| Some((p.at, p.value?)));
    let most = known.clone().max_by(|a, b| a.1.total_cmp(&b.1));
    let caption = match (&svg, most, known.next_back()) {
        (Some(_), Some(most), Some(last)) => format!(
            "Largest: {} at {}. Last: {}.",
            unit.told(most.1),
            clock(most.0),
            unit.told(last.1)
        ),
        (None, _, Some(last)) => {
            format!(
                "Too little was measured to draw a line: {}.",
                unit.told(last.1)
            )
        }
        _ => "Nothing was measured.".to_owned(),
    };
    Figure {
        title,
        explained,
        svg,
        caption,
    }
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
