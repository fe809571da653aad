//! Where sequences are, and where the target's is to be. Pure.

/// How a sequence counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Definition {
    pub increment: i64,
    pub min: i64,
    pub max: i64,
    pub cycles: bool,
}

/// `last_value` and `is_called`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub last: i64,
    pub called: bool,
}

/// Where a sequence of the target is to be set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Goal {
    pub position: Position,
    /// there exactly, not only if that is forward: a cycling sequence has no forward
    pub exactly: bool,
}

/// Why it is not set there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// this value is past its end
    Beyond(i128),
    /// it counts in the other direction than the source's
    Opposite,
    /// it cycles, and would come to its beginning again
    Wraps,
}

/// A goal, an obstacle, or both: the goal is then what can be done nevertheless.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub goal: Option<Goal>,
    pub obstacle: Option<Obstacle>,
}

impl Position {
    /// The value handed out last; for a fresh sequence the one that would have come before its first.
    pub fn reached(self, increment: i64) -> i128 {
        if self.called {
            i128::from(self.last)
        } else {
            i128::from(self.last) - i128::from(increment)
        }
    }
}

impl Definition {
    pub fn is_ascending(&self) -> bool {
        self.increment > 0
    }

    /// How many different ones it has.
    pub fn values(&self) -> i128 {
        (i128::from(self.max) - i128::from(self.min)) / i128::from(self.increment).abs() + 1
    }

    fn holds(&self, value: i64) -> bool {
        (self.min..=self.max).contains(&value)
    }

    /// Whether `value` comes after `other`.
    pub fn is_past(&self, value: i128, other: i128) -> bool {
        if self.is_ascending() {
            value > other
        } else {
            value < other
        }
    }

    /// The position further on: of the source's sequence, or of the value that the owning column has already.
    pub fn further(&self, source: Position, extreme: Option<i64>) -> Position {
        match extreme {
            Some(value) if self.is_past(i128::from(value), source.reached(self.increment)) => {
                Position {
                    last: value,
                    called: true,
                }
            }
            _ => source,
        }
    }
}

/// Where the target's sequence is to be when nobody writes on the source any more: exactly where the source's is, or past
/// the furthest value of the owning column (`extreme`) if that is further.
///
/// `theirs`: the source's definition, `ours`: the target's.
pub fn settled(
    source: Position,
    theirs: &Definition,
    ours: &Definition,
    extreme: Option<i64>,
) -> Plan {
    if theirs.is_ascending() != ours.is_ascending() {
        return Plan::hindered(Obstacle::Opposite);
    }
    if !ours.holds(source.last) {
        return Plan::hindered(Obstacle::Beyond(i128::from(source.last)));
    }
    let exact = Goal {
        position: source,
        exactly: ours.cycles,
    };
    if ours.cycles {
        return Plan::free(exact);
    }
    let position = ours.further(source, extreme);
    if ours.holds(position.last) {
        return Plan::free(Goal {
            position,
            exactly: false,
        });
    }
    Plan {
        goal: Some(exact),
        obstacle: Some(Obstacle::Beyond(i128::from(position.last))),
    }
}

impl Plan {
    pub fn free(goal: Goal) -> Self {
        Self {
            goal: Some(goal),
            obstacle: None,
        }
    }

    pub fn hindered(obstacle: Obstacle) -> Self {
        Self {
            goal: None,
            obstacle: Some(obstacle),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: Definition = Definition {
        increment: 1,
        min: 1,
        max: i64::MAX,
        cycles: false,
    };
    const DOWN: Definition = Definition {
        increment: -5,
        min: i64::MIN,
        max: -1,
        cycles: false,
    };

    fn at(last: i64) -> Position {
        Position { last, called: true }
    }

    fn goal(plan: Plan) -> Position {
        assert_eq!(plan.obstacle, None);
        plan.goal.expect("no obstacle, so a goal").position
    }

    #[test]
    fn settled_where_the_source_is() {
        assert_eq!(goal(settled(at(7), &UP, &UP, None)), at(7));
        let fresh = Position {
            last: 1,
            called: false,
        };
        assert_eq!(goal(settled(fresh, &UP, &UP, None)), fresh);
        assert_eq!(goal(settled(at(-50), &DOWN, &DOWN, Some(-20))), at(-50));
    }

    #[test]
    fn settled_past_what_the_column_has() {
        assert_eq!(goal(settled(at(7), &UP, &UP, Some(9))), at(9));
        assert_eq!(goal(settled(at(7), &UP, &UP, Some(7))), at(7));
        assert_eq!(goal(settled(at(-7), &DOWN, &DOWN, Some(-9))), at(-9));
        let fresh = Position {
            last: 1,
            called: false,
        };
        assert_eq!(goal(settled(fresh, &UP, &UP, Some(1))), at(1));
        assert_eq!(goal(settled(fresh, &UP, &UP, Some(0))), fresh);
    }

    #[test]
    fn settled_exactly_when_it_cycles() {
        let cycle = Definition {
            max: 10,
            cycles: true,
            ..UP
        };
        let plan = settled(at(3), &cycle, &cycle, Some(9));
        assert_eq!(
            plan.goal,
            Some(Goal {
                position: at(3),
                exactly: true
            })
        );
    }

    #[test]
    fn never_past_the_end() {
        let small = Definition { max: 100, ..UP };
        let plan = settled(at(101), &UP, &small, None);
        assert_eq!(plan, Plan::hindered(Obstacle::Beyond(101)));
        // a value that somebody wrote into the column
        let plan = settled(at(5), &small, &small, Some(1000));
        assert_eq!(plan.obstacle, Some(Obstacle::Beyond(1000)));
        assert_eq!(plan.goal.expect("what can be done").position, at(5));
        assert_eq!(
            settled(at(5), &UP, &DOWN, None),
            Plan::hindered(Obstacle::Opposite)
        );
    }

    #[test]
    fn at_the_ends_of_the_range() {
        assert_eq!(
            goal(settled(at(i64::MAX), &UP, &UP, Some(i64::MAX))),
            at(i64::MAX)
        );
        let first = Position {
            last: i64::MIN,
            called: false,
        };
        let whole = Definition {
            increment: i64::MAX,
            min: i64::MIN,
            max: i64::MAX,
            cycles: false,
        };
        assert_eq!(goal(settled(first, &whole, &whole, None)), first);
        assert!(first.reached(i64::MAX) < i128::from(i64::MIN));
    }
}
