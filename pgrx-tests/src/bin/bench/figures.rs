//! Median, range and ratio, and how they are written.

/// What several runs gave; never empty.
#[derive(Clone)]
pub struct Figures(Vec<f64>);

impl Figures {
    /// `None` without a value.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        (!sorted.is_empty()).then_some(Self(sorted))
    }

    pub fn median(&self) -> f64 {
        let middle = self.0.len() / 2;
        if self.0.len() % 2 == 1 {
            self.0[middle]
        } else {
            f64::midpoint(self.0[middle - 1], self.0[middle])
        }
    }

    pub fn range(&self) -> (f64, f64) {
        (self.0[0], self.0[self.0.len() - 1])
    }
}

/// A time, to three digits or so.
pub fn seconds(value: f64) -> String {
    if value.abs() < 1.0 {
        format!("{value:.3} s")
    } else if value.abs() < 100.0 {
        format!("{value:.2} s")
    } else {
        format!("{value:.1} s")
    }
}

pub fn range(figures: &Figures) -> String {
    let (least, most) = figures.range();
    format!("{} .. {}", seconds(least), seconds(most))
}

pub fn ratio(value: f64) -> String {
    format!("{value:.2}")
}

/// How much more one is than the other.
pub fn percent(value: f64, base: f64) -> String {
    format!("{:+.1} %", (value / base - 1.0) * 100.0)
}
