//! How far a sequence of the source will be after a while, from two looks at it. Pure.

use std::time::Duration;

use super::position::{Definition, Goal, Obstacle, Plan, Position};

/// At least so many values are left free in front of a sequence, however quiet it was: writers come in bursts.
const MARGIN: i128 = 1000;

/// One look at a sequence of the source.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub position: Position,
    /// microseconds, the source's clock
    pub at: i64,
}

/// What two looks tell.
#[derive(Clone, Copy, Debug)]
pub struct Forecast {
    /// change of the value per second; negative for a sequence that counts down
    pub per_second: f64,
    pub plan: Plan,
}

/// Where the target's sequence is to be so that whatever the source hands out within `skip` is behind it: further on than
/// the source, and than the furthest value of the owning column (`extreme`), by `skip` at the rate between the two looks, at
/// least by a margin. The margin is 1000 values, or half of what the sequence has left if that is less.
///
/// A cycling sequence that would come to its beginning meanwhile is left alone. One that went backwards has been restarted:
/// nothing is known of its rate.
pub fn forecast(
    first: Look,
    second: Look,
    theirs: &Definition,
    ours: &Definition,
    extreme: Option<i64>,
    skip: Duration,
) -> Forecast {
    let used = used(first.position, second.position, theirs);
    let elapsed = i128::from(second.at.saturating_sub(first.at).max(1));
    let per_second = used as f64 * theirs.increment as f64 * 1e6 / elapsed as f64;
    let plan = if theirs.is_ascending() == ours.is_ascending() {
        ahead(
            ours.further(second.position, extreme),
            ours,
            scaled(used, skip, elapsed),
        )
    } else {
        Plan::hindered(Obstacle::Opposite)
    };
    Forecast { per_second, plan }
}

/// How many values were handed out in between.
fn used(first: Position, second: Position, definition: &Definition) -> i128 {
    let step = i128::from(definition.increment);
    let (from, to) = (
        first.reached(definition.increment),
        second.reached(definition.increment),
    );
    if !definition.is_past(from, to) {
        return (to - from) / step;
    }
    if !definition.cycles {
        return 0;
    }
    let (end, beginning) = if step > 0 {
        (definition.max, definition.min)
    } else {
        (definition.min, definition.max)
    };
    (i128::from(end) - from) / step + 1 + (to - i128::from(beginning)) / step
}

/// `used * skip / elapsed`, rounded up; at most what an `i128` holds.
fn scaled(used: i128, skip: Duration, elapsed: i128) -> i128 {
    let skip = i128::try_from(skip.as_micros()).unwrap_or(i128::MAX);
    match used.checked_mul(skip) {
        Some(product) => product.div_euclid(elapsed) + i128::from(product.rem_euclid(elapsed) > 0),
        None => i128::MAX,
    }
}

/// `values` further on than `base`.
fn ahead(base: Position, definition: &Definition, values: i128) -> Plan {
    let step = i128::from(definition.increment);
    let reached = base.reached(definition.increment);
    let end = if step > 0 {
        definition.max
    } else {
        definition.min
    };
    let left = (i128::from(end) - reached) / step;
    // how often a short one has come round between two looks cannot be told
    let short = definition.cycles && definition.values() <= MARGIN;
    if left < values || short {
        return Plan::hindered(if definition.cycles {
            Obstacle::Wraps
        } else {
            Obstacle::Beyond(reached.saturating_add(values.saturating_mul(step)))
        });
    }
    let distance = values.max(MARGIN.min(left / 2));
    let position = match i64::try_from(reached + distance * step) {
        Ok(last) if distance > 0 => Position { last, called: true },
        _ => base,
    };
    Plan::free(Goal {
        position,
        exactly: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const UP: Definition = Definition {
        increment: 1,
        min: 1,
        max: i64::MAX,
        cycles: false,
    };
    const INT: Definition = Definition {
        max: i32::MAX as i64,
        ..UP
    };

    fn look(last: i64, seconds: i64) -> Look {
        Look {
            position: Position { last, called: true },
            at: seconds * 1_000_000,
        }
    }

    fn between(first: i64, second: i64, definition: &Definition) -> Forecast {
        let (first, second) = (look(first, 0), look(second, 10));
        forecast(first, second, definition, definition, None, HOUR)
    }

    fn last(forecast: Forecast) -> i64 {
        assert_eq!(forecast.plan.obstacle, None);
        forecast.plan.goal.expect("no obstacle").position.last
    }

    #[test]
    fn the_rate_times_the_time_to_skip() {
        let busy = between(1000, 1500, &UP);
        assert!((busy.per_second - 50.0).abs() < 1e-9);
        assert_eq!(last(busy), 1500 + 50 * 3600);
        let down = Definition {
            increment: -2,
            min: i64::MIN,
            max: -1,
            cycles: false,
        };
        let busy = between(-1001, -2001, &down);
        assert!((busy.per_second + 100.0).abs() < 1e-9);
        assert_eq!(last(busy), -2001 - 100 * 3600);
    }

    #[test]
    fn a_margin_for_the_quiet_ones() {
        assert_eq!(last(between(7, 7, &UP)), 1007);
        assert_eq!(last(between(7, 8, &UP)), 1008);
        let tens = Definition {
            increment: 10,
            ..UP
        };
        assert_eq!(last(between(11, 11, &tens)), 10_011);
        let fresh = Look {
            position: Position {
                last: 1,
                called: false,
            },
            at: 0,
        };
        let forecast = forecast(fresh, fresh, &UP, &UP, None, HOUR);
        assert_eq!(last(forecast), 1000);
    }

    #[test]
    fn a_margin_never_uses_a_small_sequence_up() {
        let small = Definition { max: 32_767, ..UP };
        assert_eq!(last(between(32_000, 32_000, &small)), 32_383);
        assert_eq!(last(between(32_766, 32_766, &small)), 32_766);
        assert_eq!(last(between(32_767, 32_767, &small)), 32_767);
    }

    #[test]
    fn past_its_end_it_is_left_alone() {
        let plan = between(2_147_000_000, 2_147_010_000, &INT).plan;
        assert_eq!(
            plan,
            Plan::hindered(Obstacle::Beyond(2_147_010_000 + 1000 * 3600))
        );
        let plan = between(
            i64::MIN + 2,
            i64::MAX - 1,
            &Definition {
                min: i64::MIN,
                ..UP
            },
        )
        .plan;
        assert!(
            matches!(plan.obstacle, Some(Obstacle::Beyond(past)) if past > i128::from(i64::MAX))
        );
        let always = Duration::from_secs(u64::MAX);
        let (first, second) = (look(1, 0), look(i64::MAX, 1));
        let plan = forecast(first, second, &UP, &UP, None, always).plan;
        assert!(plan.goal.is_none());
    }

    #[test]
    fn past_what_the_column_has() {
        let forecast = forecast(look(5, 0), look(5, 10), &UP, &UP, Some(70_000), HOUR);
        assert_eq!(last(forecast), 71_000);
    }

    #[test]
    fn a_restarted_one_has_no_rate() {
        let restarted = between(5000, 3, &UP);
        assert!(restarted.per_second.abs() < f64::EPSILON);
        assert_eq!(last(restarted), 1003);
    }

    #[test]
    fn a_cycling_one_is_counted_round_and_never_wrapped() {
        let cycle = Definition {
            min: 1,
            max: 100,
            cycles: true,
            ..UP
        };
        // 98, 99, 100, 1, 2: four values after 98
        let round = between(98, 2, &cycle);
        assert!((round.per_second - 0.4).abs() < 1e-9);
        assert_eq!(round.plan, Plan::hindered(Obstacle::Wraps));
        let still = between(50, 50, &cycle);
        assert_eq!(still.plan, Plan::hindered(Obstacle::Wraps));
        let large = Definition {
            max: i64::MAX,
            ..cycle
        };
        assert_eq!(last(between(10, 20, &large)), 20 + 3600);
    }

    #[test]
    fn the_clock_of_the_source_may_stand_still() {
        let (first, second) = (look(1, 5), look(2, 5));
        let forecast = forecast(first, second, &UP, &UP, None, Duration::from_secs(1));
        assert_eq!(last(forecast), 2 + 1_000_000);
    }
}
