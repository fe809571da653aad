//! Walks over a table on both sides, range by range, and into ranges that differ.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::outcome::Rows;
use super::shape::{Key, Range, Shape};
use super::sides::Sides;
use super::suspect::Suspect;
use crate::failure::Failure;
use crate::row::Row;

/// What a range has at most. Each is one statement and so one snapshot on the source.
const MOST_ROWS: u64 = 50_000;
const MOST_BYTES: u64 = 32 << 20;
const FEWEST_ROWS: u64 = 100;
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
    /// what the sums took, without finding the ends of ranges and without what `pg_decamp.copy_rate_limit` has it wait
    pub summing: Duration,
}

/// Sums up all ranges, each on both sides at once.
pub fn walk(sides: &mut Sides, shapes: &Shapes, oid: u32) -> Result<Walk, Failure> {
    let mut walk = Walk::default();
    let mut low = None;
    let mut length = rows_of(width(sides, oid)?);
    loop {
        let high = end_of_range(sides, &shapes.source, low.as_ref(), length)?;
        let range = Range { low, high };
        let began = Instant::now();
        let sum = sum_up(sides, shapes, &range)?;
        walk.summing += began.elapsed();
        walk.ranges += 1;
        walk.moment = sum.moment;
        walk.rows.add(sum.rows);
        if !sum.equal {
            walk.unequal.push((range.clone(), sum.rows));
        }
        sides.pay(sum.bytes);
        if let Some(width) = sum.bytes.checked_div(sum.rows.source.unsigned_abs()) {
            length = rows_of(width).min(length * 10);
        }
        match range.high {
            None => return Ok(walk),
            high => low = high,
        }
    }
}

/// A range, summed up.
pub struct Sum {
    pub rows: Rows,
    pub equal: bool,
    /// that the source has read
    bytes: u64,
    /// of the source's snapshot
    moment: i64,
}

pub fn sum_up(sides: &mut Sides, shapes: &Shapes, range: &Range) -> Result<Sum, Failure> {
    let (source, target) = sides.ask(
        &shapes.source.total(range),
        &shapes.target.total(range),
        &range.ends(),
    )?;
    let (source, target) = (&source[0], &target[0]);
    let rows = Rows {
        source: source.int("rows"),
        target: target.int("rows"),
    };
    Ok(Sum {
        rows,
        equal: rows.source == rows.target && source.text("sum") == target.text("sum"),
        bytes: u64::try_from(source.int("bytes")).expect("a length is not negative"),
        moment: source.int("moment"),
    })
}

/// How many rows of so many bytes are a range.
fn rows_of(width: u64) -> u64 {
    (MOST_BYTES / width.max(1)).clamp(FEWEST_ROWS, MOST_ROWS)
}

/// Bytes of a row, by the source's statistics; without any it is taken to be large, which the first range mends.
fn width(sides: &mut Sides, oid: u32) -> Result<u64, Failure> {
    let rows = sides.source.query(
        "select (pg_table_size(c.oid) / greatest(c.reltuples, 1))::int8 as width from pg_class c where c.oid = $1::oid",
        &[Some(&oid.to_string())],
    )?;
    let width = rows.first().map_or(0, |row| row.int("width"));
    Ok(u64::try_from(width).expect("a size is not negative"))
}

fn end_of_range(
    sides: &mut Sides,
    shape: &Shape,
    low: Option<&Key>,
    length: u64,
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
        .query(&shape.boundary(low, length), &low_values)?;
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
