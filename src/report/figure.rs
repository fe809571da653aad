//! The charts of the page: what each shows, in a drawing and in words. Pure.

use super::chart::{Chart, Point};
use super::reading::{Facts, Sample};
use super::scale::Unit;
use super::timeline::Phase;
use super::words::clock;

/// Without a sample for so long, nobody measured. Samples come every five seconds.
const SILENCE: f64 = 20.0;

/// A drawing with what it shows in words.
pub struct Figure {
    pub title: &'static str,
    pub explained: &'static str,
    pub svg: Option<String>,
    pub caption: String,
}

/// When nothing was measured, though something had been before.
pub fn gaps(samples: &[Sample], end: f64) -> Vec<(f64, f64)> {
    let mut gaps: Vec<(f64, f64)> = samples
        .iter()
        .filter_map(|s| Some((s.at - s.silence?, s.at)))
        .collect();
    if let Some(last) = samples.last().filter(|s| end - s.at > SILENCE) {
        gaps.push((last.at, end));
    }
    gaps
}

pub fn replay(facts: &Facts, gaps: &[(f64, f64)], end: f64) -> Vec<Figure> {
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

pub fn copy(facts: &Facts, phases: &[Phase], gaps: &[(f64, f64)]) -> Vec<Figure> {
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
