//! Walks over a table on both sides, range by range, and into ranges that differ.

use std::collections::HashMap;

use super::outcome::Rows;
use super::sides::Sides;
use super::statement::{Key, Range, Shape};
use super::suspect::Suspect;
use crate::failure::Failure;
use crate::row::Row;

/// Rows of a range. Each is one statement and so one snapshot on the source.
const ROWS: u64 = 50_000;
/// Keys of a range that are read at most; one that has grown so much on the target is another one anyway.
const MOST_KEYS: usize = 200_000;
/// So many keys are looked into; beyond that, the table is another one.
pub const MOST_SUSPECTS: usize = 10_000;

/// A table on both sides.
pub struct Shapes {
    pub source: Shape,
    pub target: Shape,
}

/// A walk over a table.
#[derive(Debug, Default)]
pub struct Walk {
    pub rows: Rows,
    pub ranges: usize,
    pub unequal: Vec<(Range, Rows)>,
    /// the last one was read then
    pub moment: i64,
}

/// Sums up all ranges, each on both sides at once.
pub fn walk(sides: &mut Sides, shapes: &Shapes) -> Result<Walk, Failure> {
    let mut walk = Walk::default();
    let mut low = None;
    loop {
        let high = end_of_range(sides, &shapes.source, low.as_ref())?;
        let range = Range { low, high };
        let (source, target) = sides.ask(
            &shapes.source.total(&range),
            &shapes.target.total(&range),
            &range.ends(),
        )?;
        let (source, target) = (&source[0], &target[0]);
        walk.ranges += 1;
        walk.moment = source.int("moment");
        let rows = Rows {
            source: source.int("rows"),
            target: target.int("rows"),
        };
        walk.rows.add(rows);
        if rows.source != rows.target || source.text("sum") != target.text("sum") {
            walk.unequal.push((range.clone(), rows));
        }
        sides.pay(u64::try_from(source.int("bytes")).expect("a length is not negative"));
        match range.high {
            None => return Ok(walk),
            high => low = high,
        }
    }
}

fn end_of_range(
    sides: &mut Sides,
    shape: &Shape,
    low: Option<&Key>,
) -> Result<Option<Key>, Failure> {
    if !shape.is_cut() {
        return Ok(None);
    }
    let low_values: Vec<Option<&str>> = low
        .into_iter()
        .flatten()
        .map(|v| Some(v.as_str()))
        .collect();
    let found = sides
        .source
        .query(&shape.boundary(low, ROWS), &low_values)?;
    Ok(found.first().map(|row| key_of(row, shape.ordered())))
}

fn key_of(row: &Row, columns: usize) -> Key {
    (1..=columns)
        .map(|at| row.string(&format!("k{at}")))
        .collect()
}

/// A range, looked into.
#[derive(Debug, Default)]
pub struct Inside {
    pub rows: Rows,
    pub suspects: Vec<Suspect>,
    /// there may be more of them
    pub cut_short: bool,
}

/// Reads the keys and row hashes of those parts of a range that still differ.
pub fn look_into(sides: &mut Sides, shapes: &Shapes, range: &Range) -> Result<Inside, Failure> {
    let ends = range.ends();
    let (source, target) = sides.ask(
        &shapes.source.buckets(range),
        &shapes.target.buckets(range),
        &ends,
    )?;
    let mut inside = Inside {
        rows: Rows {
            source: source.iter().map(|row| row.int("rows")).sum(),
            target: target.iter().map(|row| row.int("rows")).sum(),
        },
        ..Inside::default()
    };
    let sums = |rows: &[Row]| -> HashMap<String, (i64, String)> {
        rows.iter()
            .map(|row| (row.string("bucket"), (row.int("rows"), row.string("sum"))))
            .collect()
    };
    let unequal = different(&sums(&source), &sums(&target));
    if unequal.is_empty() {
        return Ok(inside);
    }
    let buckets = crate::quote::array(&unequal);
    let mut parameters = ends;
    parameters.push(Some(&buckets));
    let (source, target) = sides.ask(
        &shapes.source.keys(range, MOST_KEYS),
        &shapes.target.keys(range, MOST_KEYS),
        &parameters,
    )?;
    inside.cut_short = source.len() == MOST_KEYS || target.len() == MOST_KEYS;
    let width = shapes.source.width();
    let hashes = |rows: &[Row]| -> HashMap<Key, String> {
        rows.iter()
            .map(|row| (shapes.source.normal(key_of(row, width)), row.string("hash")))
            .collect()
    };
    let mut keys = different(&hashes(&source), &hashes(&target));
    keys.sort();
    inside.suspects = keys.into_iter().map(Suspect::new).collect();
    Ok(inside)
}

/// What only one has, or both have with another value.
fn different<K: Clone + Eq + std::hash::Hash, V: PartialEq>(
    one: &HashMap<K, V>,
    other: &HashMap<K, V>,
) -> Vec<K> {
    let mut found: Vec<K> = one
        .iter()
        .filter(|(key, value)| other.get(*key) != Some(value))
        .map(|(key, _)| key.clone())
        .collect();
    found.extend(other.keys().filter(|key| !one.contains_key(*key)).cloned());
    found
}
