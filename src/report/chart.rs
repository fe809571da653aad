//! A line over time, as SVG. Pure. Colours are classes of the page's style sheet.

use std::fmt::Write;

use super::scale::{self, Unit};

/// What was measured; `None`: nothing to tell at that time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub at: f64,
    pub value: Option<f64>,
}

pub struct Chart<'a> {
    /// for those who cannot see it; our own words
    pub title: &'a str,
    pub unit: Unit,
    pub points: &'a [Point],
    /// when nothing was measured
    pub gaps: &'a [(f64, f64)],
    pub from: f64,
    pub to: f64,
}

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 210.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 26.0;

/// Where a moment is on a time axis from the left to the right edge of all drawings of the page.
pub fn across(at: f64, from: f64, to: f64) -> f64 {
    let part = (at - from) / (to - from).max(1e-6);
    LEFT + part.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
}

/// The edges of the drawings, left and right.
pub const EDGES: (f64, f64) = (LEFT, WIDTH - RIGHT);

impl Chart<'_> {
    /// `None` without two values.
    pub fn draw(&self) -> Option<String> {
        if self.points.iter().filter(|p| p.value.is_some()).count() < 2 {
            return None;
        }
        let lines = self.lines();
        let most = self.points.iter().filter_map(|p| p.value);
        let (marks, unit) = scale::values(most.fold(0.0, f64::max), self.unit);
        let top = marks.last().map_or(1.0, |mark| mark.at);
        let down = |value: f64| TOP + (1.0 - value / top) * (HEIGHT - TOP - BOTTOM);
        let bottom = HEIGHT - BOTTOM;
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\"><text class=\"unit\" x=\"{LEFT}\" y=\"12\">{unit}</text>",
            self.title
        );
        let within = |gap: &&(f64, f64)| gap.1 > self.from && gap.0 < self.to;
        for (from, to) in self.gaps.iter().filter(within) {
            let (x, end) = (self.x(*from), self.x(*to));
            let _ = write!(
                svg,
                "<rect class=\"gap\" x=\"{x:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\"><title>not measured</title></rect>",
                (end - x).max(1.0),
                bottom - TOP
            );
            if end - x > 90.0 {
                let _ = write!(
                    svg,
                    "<text class=\"time\" x=\"{:.1}\" y=\"{:.1}\">not measured</text>",
                    f64::midpoint(x, end),
                    f64::midpoint(TOP, bottom)
                );
            }
        }
        for mark in &marks {
            let y = down(mark.at);
            let _ = write!(
                svg,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{}\"/><text class=\"value\" x=\"{}\" y=\"{:.1}\">{}</text>",
                EDGES.1,
                LEFT - 6.0,
                y + 4.0,
                mark.label
            );
        }
        svg.push_str(&time_axis(self.from, self.to, bottom));
        for line in lines.iter().filter(|line| !line.is_empty()) {
            if let [(x, value)] = line.as_slice() {
                let y = down(*value);
                let _ = write!(
                    svg,
                    "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2\"/>"
                );
                continue;
            }
            let mut path = String::new();
            for (place, (x, value)) in line.iter().enumerate() {
                let command = if place == 0 { 'M' } else { 'L' };
                let _ = write!(path, "{command}{x:.1} {:.1}", down(*value));
            }
            let (first, last) = (line[0].0, line[line.len() - 1].0);
            let _ = write!(
                svg,
                "<path class=\"area\" d=\"{path}L{last:.1} {bottom}L{first:.1} {bottom}Z\"/><path class=\"line\" d=\"{path}\"/>"
            );
        }
        svg.push_str("</svg>");
        Some(svg)
    }

    fn x(&self, at: f64) -> f64 {
        across(at, self.from, self.to)
    }

    /// Pieces to connect, in pixels across: broken where nothing was measured. Of values that share a pixel the largest
    /// stays.
    fn lines(&self) -> Vec<Vec<(f64, f64)>> {
        let mut lines: Vec<Vec<(f64, f64)>> = vec![Vec::new()];
        let mut last: Option<f64> = None;
        for point in self.points {
            let crosses = |from: f64| self.gaps.iter().any(|gap| gap.0 < point.at && from < gap.1);
            if last.is_some_and(crosses) || point.value.is_none() {
                lines.push(Vec::new());
            }
            last = Some(point.at);
            let Some(value) = point.value else {
                continue;
            };
            let x = self.x(point.at);
            let line = lines.last_mut().expect("there is always one");
            match line.last_mut() {
                Some((there, most)) if x - *there < 1.0 => *most = most.max(value),
                _ => line.push((x, value)),
            }
        }
        lines
    }
}

/// The line at the bottom, with its marks.
pub fn time_axis(from: f64, to: f64, y: f64) -> String {
    let mut svg = format!("<path class=\"axis\" d=\"M{LEFT} {y}H{}\"/>", EDGES.1);
    for mark in scale::times(from, to) {
        let x = across(mark.at, from, to);
        let anchor = if x > EDGES.1 - 30.0 {
            " style=\"text-anchor:end\""
        } else if x < LEFT + 30.0 {
            " style=\"text-anchor:start\""
        } else {
            ""
        };
        let _ = write!(
            svg,
            "<path class=\"axis\" d=\"M{x:.1} {y}v4\"/><text class=\"time\"{anchor} x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
            y + 17.0,
            mark.label
        );
    }
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart<'a>(points: &'a [Point], gaps: &'a [(f64, f64)]) -> Chart<'a> {
        Chart {
            title: "lag",
            unit: Unit::Seconds,
            points,
            gaps,
            from: 0.0,
            to: 100.0,
        }
    }

    fn points(values: &[(f64, f64)]) -> Vec<Point> {
        let point = |(at, value): &(f64, f64)| Point {
            at: *at,
            value: Some(*value),
        };
        values.iter().map(point).collect()
    }

    #[test]
    fn a_gap_breaks_the_line() {
        let points = points(&[(0.0, 1.0), (10.0, 2.0), (60.0, 1.0), (70.0, 3.0)]);
        let whole = chart(&points, &[]).draw().expect("four points");
        assert_eq!(whole.matches("class=\"line\"").count(), 1);
        let broken = chart(&points, &[(10.0, 60.0)]).draw().expect("two and two");
        assert_eq!(broken.matches("class=\"line\"").count(), 2);
        assert_eq!(broken.matches("<title>not measured").count(), 1);
    }

    #[test]
    fn gaps_elsewhere_are_not_drawn() {
        let points = points(&[(0.0, 1.0), (10.0, 2.0)]);
        let svg = chart(&points, &[(200.0, 300.0)])
            .draw()
            .expect("two points");
        assert!(!svg.contains("not measured"), "{svg}");
    }

    #[test]
    fn what_shares_a_pixel_is_a_dot() {
        let points = points(&[(0.0, 1.0), (0.01, 4.0), (90.0, 1.0), (99.0, 1.0)]);
        let svg = chart(&points, &[(0.01, 90.0)]).draw().expect("four points");
        assert_eq!(svg.matches("<circle").count(), 1);
        assert_eq!(svg.matches("class=\"line\"").count(), 1);
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        assert_eq!(chart(&[], &[]).draw(), None);
        assert_eq!(chart(&points(&[(1.0, 1.0)]), &[]).draw(), None);
        let unknown = [Point {
            at: 1.0,
            value: None,
        }; 3];
        assert_eq!(chart(&unknown, &[]).draw(), None);
    }

    #[test]
    fn peaks_survive_crowds() {
        let crowd: Vec<(f64, f64)> = (0..100_000)
            .map(|n| (f64::from(n) / 1000.0, if n == 777 { 9.0 } else { 1.0 }))
            .collect();
        let points = points(&crowd);
        let chart = chart(&points, &[]);
        let lines = chart.lines();
        assert!(lines[0].len() <= 960, "{}", lines[0].len());
        assert!(lines[0].iter().any(|(_, value)| *value > 8.9));
    }

    #[test]
    fn a_flat_zero_is_a_line() {
        let svg = chart(&points(&[(0.0, 0.0), (100.0, 0.0)]), &[])
            .draw()
            .expect("two points");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
