//! For going over without stopping the writers: sets the target's sequences past what the source will hand out meanwhile.

use std::time::{Duration, Instant};

use super::forecast::{Forecast, Look, forecast};
use super::line::{self, Line};
use super::position::{Plan, Position};
use crate::failure::Failure;
use crate::libpq::Connection;
use crate::pg::latch;
use crate::selection::Choice;

/// One sequence, and what was done.
pub struct Forwarded {
    /// `schema.name`
    pub sequence: String,
    /// at the second look; `None`: it could not be read
    pub source: Option<Position>,
    /// change of the value per second
    pub per_second: Option<f64>,
    pub before: Option<Position>,
    pub after: Option<Position>,
    pub problem: Option<Failure>,
}

/// How long to look, and how far to go.
pub struct Horizon {
    pub sample: Duration,
    pub skip: Duration,
}

/// Looks at all sequences of the source twice, `sample` apart, and sets the target's past where they will be after `skip`;
/// never backwards. What is wrong with one is in its line. The wait between the looks obeys cancel.
///
/// Errors: a connection is lost, a catalog cannot be read.
pub fn forward(
    source: &mut Connection,
    target: &mut Connection,
    choice: &Choice,
    taken: &[u32],
    horizon: &Horizon,
) -> Result<Vec<Forwarded>, Failure> {
    let mut lines = line::pair(source, target, choice, taken)?;
    let first = line::look(source, &mut lines)?;
    wait(horizon.sample);
    let second = line::look(source, &mut lines)?;
    line::read_extremes(target, &mut lines)?;
    let forecasts: Vec<Option<Forecast>> = lines
        .iter()
        .zip(first.iter().zip(&second))
        .map(|(line, (first, second))| foresee(line, (*first)?, (*second)?, horizon.skip))
        .collect();
    let plans: Vec<Option<Plan>> = forecasts.iter().map(|f| Some(f.as_ref()?.plan)).collect();
    line::carry_out(target, &mut lines, &plans)?;
    let forwarded =
        |(line, (second, forecast)): (Line, (Option<Look>, Option<Forecast>))| Forwarded {
            sequence: line.source.shown(),
            source: second.map(|look| look.position),
            per_second: forecast.map(|f| f.per_second),
            before: line.before,
            after: line.after,
            problem: line.problem,
        };
    let seen = second.into_iter().zip(forecasts);
    Ok(lines.into_iter().zip(seen).map(forwarded).collect())
}

fn foresee(line: &Line, first: Look, second: Look, skip: Duration) -> Option<Forecast> {
    let ours = &line.target.as_ref()?.definition;
    Some(forecast(
        first,
        second,
        &line.source.definition,
        ours,
        line.extreme,
        skip,
    ))
}

fn wait(time: Duration) {
    let deadline = Instant::now() + time;
    while let Some(left) = deadline.checked_duration_since(Instant::now()) {
        latch::wait(left);
    }
}
