//! Axes: where their marks are and what is written there. Pure.

use super::words;

/// A mark on an axis.
#[derive(Debug, PartialEq)]
pub struct Mark {
    pub at: f64,
    pub label: String,
}

/// What values are, and so how they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Seconds,
    Bytes,
    BytesPerSecond,
    Deltas,
    RowsPerSecond,
}

impl Unit {
    /// One value in words.
    pub fn told(self, value: f64) -> String {
        match self {
            Self::Seconds => words::lasted(value),
            Self::Bytes => words::size(value),
            Self::BytesPerSecond => format!("{}/s", words::size(value)),
            Self::Deltas => format!("{} deltas", words::count(value.round() as i64)),
            Self::RowsPerSecond => format!("{} rows/s", words::count(value.round() as i64)),
        }
    }

    /// What the axis counts in when it goes up to `most`: the name and how much one of it is.
    fn scaled(self, most: f64) -> (&'static str, f64) {
        let of = |steps: &[(&'static str, f64)]| {
            *steps
                .iter()
                .find(|(_, one)| most >= *one)
                .unwrap_or(&steps[steps.len() - 1])
        };
        const GIGA: f64 = 1024.0 * 1024.0 * 1024.0;
        match self {
            Self::Seconds => of(&[
                ("days", 86_400.0),
                ("hours", 3600.0),
                ("minutes", 60.0),
                ("seconds", 1.0),
                ("milliseconds", 0.001),
            ]),
            Self::Bytes => of(&[
                ("TB", GIGA * 1024.0),
                ("GB", GIGA),
                ("MB", GIGA / 1024.0),
                ("kB", 1024.0),
                ("bytes", 1.0),
            ]),
            Self::BytesPerSecond => of(&[
                ("GB/s", GIGA),
                ("MB/s", GIGA / 1024.0),
                ("kB/s", 1024.0),
                ("bytes/s", 1.0),
            ]),
            Self::Deltas => of(&[
                ("million deltas", 1e6),
                ("thousand deltas", 1e3),
                ("deltas", 1.0),
            ]),
            Self::RowsPerSecond => of(&[
                ("million rows/s", 1e6),
                ("thousand rows/s", 1e3),
                ("rows/s", 1.0),
            ]),
        }
    }
}

/// Marks from zero to at least `most`, at 1, 2 or 5 times a power of ten; the unit they are in.
pub fn values(most: f64, unit: Unit) -> (Vec<Mark>, &'static str) {
    let most = if most > 0.0 { most } else { 1.0 };
    let (name, one) = unit.scaled(most);
    let most = (most / one).max(1e-9);
    let power = 10f64.powf((most / 4.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| most / step <= 4.0)
        .unwrap_or(10.0 * power);
    let whole = matches!(unit, Unit::Deltas) && (one - 1.0).abs() < f64::EPSILON;
    let step = if whole { step.max(1.0) } else { step };
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    let last = (most / step - 1e-9).ceil().max(1.0) as u32;
    let mark = |n: u32| Mark {
        at: f64::from(n) * step * one,
        label: format!("{:.decimals$}", f64::from(n) * step),
    };
    ((0..=last).map(mark).collect(), name)
}

/// Marks of a time axis, at most eight; the first, and the first of each day, say which day it is.
pub fn times(from: f64, to: f64) -> Vec<Mark> {
    const STEPS: [f64; 22] = [
        1.0,
        2.0,
        5.0,
        10.0,
        15.0,
        30.0,
        60.0,
        120.0,
        300.0,
        600.0,
        900.0,
        1800.0,
        3600.0,
        7200.0,
        10_800.0,
        21_600.0,
        43_200.0,
        86_400.0,
        172_800.0,
        604_800.0,
        1_209_600.0,
        2_592_000.0,
    ];
    let step = STEPS
        .into_iter()
        .find(|step| (to - from) / step <= 8.0)
        .unwrap_or(((to - from) / 8.0 / 86_400.0).ceil() * 86_400.0);
    let mut marks = Vec::new();
    let mut day = String::new();
    let mut at = (from / step).ceil() * step;
    while at <= to {
        let clock = words::clock(at);
        let clock = if step < 60.0 { &clock } else { &clock[..5] };
        let date = words::date(at);
        let label = if step >= 86_400.0 {
            date.clone()
        } else if date == day {
            clock.to_owned()
        } else {
            format!("{} {clock}", &date[5..])
        };
        marks.push(Mark { at, label });
        day = date;
        at += step;
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(most: f64, unit: Unit) -> String {
        let (marks, name) = values(most, unit);
        let labels: Vec<&str> = marks.iter().map(|m| m.label.as_str()).collect();
        format!("{} {name}", labels.join(" "))
    }

    #[test]
    fn values_are_round() {
        assert_eq!(labels(0.4, Unit::Seconds), "0 100 200 300 400 milliseconds");
        assert_eq!(labels(7.3, Unit::Seconds), "0 2 4 6 8 seconds");
        assert_eq!(labels(150.0, Unit::Seconds), "0 1 2 3 minutes");
        assert_eq!(labels(3.0, Unit::Deltas), "0 1 2 3 deltas");
        assert_eq!(labels(1.0, Unit::Deltas), "0 1 deltas");
        assert_eq!(labels(0.0, Unit::Deltas), "0 1 deltas");
        assert_eq!(labels(0.0, Unit::RowsPerSecond), "0.0 0.5 1.0 rows/s");
        assert_eq!(labels(0.0, Unit::Seconds), "0.0 0.5 1.0 seconds");
        assert_eq!(
            labels(1_300_000.0, Unit::RowsPerSecond),
            "0.0 0.5 1.0 1.5 million rows/s"
        );
        assert!(labels(93.0 * 1048576.0, Unit::BytesPerSecond).ends_with("100 MB/s"));
    }

    #[test]
    fn every_value_is_below_the_last_mark() {
        for exponent in -8..14 {
            for factor in [1.0, 1.37, 2.0, 4.99, 7.5] {
                let most = factor * 10f64.powi(exponent);
                let (marks, _) = values(most, Unit::Bytes);
                assert!((2..=7).contains(&marks.len()), "{most}: {marks:?}");
                assert!(marks[marks.len() - 1].at >= most * 0.999_999, "{most}");
            }
        }
    }

    #[test]
    fn times_say_which_day_it_is() {
        let noon = 1_795_219_200.0; // a midnight
        let marks = times(noon - 5400.0, noon + 3600.0);
        let labels: Vec<&str> = marks.iter().map(|m| m.label.as_str()).collect();
        assert_eq!(
            labels,
            [
                "11-20 22:30",
                "23:00",
                "23:30",
                "11-21 00:00",
                "00:30",
                "01:00"
            ]
        );
        let marks = times(0.0, 86_400.0 * 2000.0);
        assert!((2..=9).contains(&marks.len()));
    }
}
