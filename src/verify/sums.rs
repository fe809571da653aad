//! Whole tables, summed up in one statement on each side: behind the fence, when nobody writes and all is replayed.

use std::time::Duration;

use super::range;
use super::shape::{Depth, Range};
use super::sides::Sides;
use super::table;
use crate::failure::Failure;
use crate::subscription::Subscription;
use crate::table::Table;

pub struct Sums {
    sides: Sides,
}

impl Sums {
    pub fn open(subscription: &Subscription) -> Result<Self, Failure> {
        Sides::open(subscription).map(|sides| Self { sides })
    }

    /// No statement takes longer from now on.
    pub fn limit(&mut self, most: Duration) -> Result<(), Failure> {
        let sql = format!("set statement_timeout = '{}ms'", most.as_millis().max(1));
        self.sides.source.batch(&sql)?;
        self.sides.target.batch(&sql)
    }

    /// Whether both sides have the same rows.
    pub fn are_equal(&mut self, source: &Table, target: &Table) -> Result<bool, Failure> {
        let (shapes, _) = table::shapes(&mut self.sides, source, target, Depth::Content)?;
        Ok(range::sum_up(&mut self.sides, &shapes, &Range::default())?.equal)
    }
}
