//! How a table is cut into chunks. Pure.

/// Part of a table: what of it, and how much that is about.
#[derive(Debug, PartialEq)]
pub struct Range {
    /// for WHERE; `None`: everything
    pub condition: Option<String>,
    /// of the whole
    pub share: f64,
}

impl Range {
    pub fn whole() -> Self {
        Self {
            condition: None,
            share: 1.0,
        }
    }
}

/// Below this a chunk is not worth its round trips.
const SMALLEST: i64 = 16 << 20;
/// So that little is lost with an interrupted one, each worker gets about this many.
const PER_WORKER: i64 = 16;

/// How large chunks should be, in bytes, when `total` bytes are to be copied by `workers`: up to `largest` (the setting).
pub fn size(total: i64, workers: i64, largest: i64) -> i64 {
    (total / (workers * PER_WORKER).max(1)).clamp(SMALLEST.min(largest), largest)
}

/// How many chunks a table of `bytes` is cut into: a multiple of the workers, so that they end together.
pub fn count(bytes: i64, size: i64, workers: i64) -> i64 {
    let count = (bytes.max(0) + size - 1) / size.max(1);
    match count {
        0 | 1 => 1,
        _ => (count + workers - 1) / workers * workers,
    }
}

/// Ranges of `ctid` (sources from PostgreSQL 14 on read only their pages). `pages`: of the heap, as it is now. The last
/// range is open, for what the table grows by meanwhile.
pub fn by_page(pages: i64, count: i64) -> Vec<Range> {
    let count = count.clamp(1, pages.max(1));
    let start = |i: i64| pages * i / count;
    (0..count)
        .map(|i| {
            let from = (i > 0).then(|| format!("ctid >= '({},0)'", start(i)));
            let to = (i + 1 < count).then(|| format!("ctid < '({},0)'", start(i + 1)));
            let condition = [from, to].into_iter().flatten().collect::<Vec<_>>();
            Range {
                condition: (!condition.is_empty()).then(|| condition.join(" and ")),
                share: (start(i + 1) - start(i)) as f64 / pages.max(1) as f64,
            }
        })
        .collect()
}

/// A value of a column, by its statistics.
#[derive(Clone, Debug)]
pub struct Bound {
    /// as SQL, with its type
    pub value: String,
    /// share of the rows between the bound before and this one
    pub before: f64,
    /// share of the rows with just this value
    pub at: f64,
}

/// Ranges of a column, quoted and NOT NULL, along its `bounds`, ascending and distinct. A value that many rows have stays in
/// one range.
pub fn by_value(column: &str, bounds: &[Bound], count: i64) -> Vec<Range> {
    let wanted = 1.0 / count.max(1) as f64;
    let mut cuts: Vec<(&str, f64)> = Vec::new();
    let mut share = 0.0;
    for bound in bounds {
        share += bound.before;
        if share >= wanted || (share > 0.0 && share + bound.at > 1.5 * wanted) {
            cuts.push((&bound.value, share));
            share = 0.0;
        }
        share += bound.at;
    }
    let mut ranges = Vec::new();
    let mut from: Option<&str> = None;
    for (value, share) in cuts {
        let condition = match from {
            Some(from) => format!("{column} >= {from} and {column} < {value}"),
            None => format!("{column} < {value}"),
        };
        ranges.push(Range {
            condition: Some(condition),
            share,
        });
        from = Some(value);
    }
    ranges.push(Range {
        condition: from.map(|from| format!("{column} >= {from}")),
        share: if from.is_some() { share } else { 1.0 },
    });
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: i64 = 1 << 20;

    fn conditions(ranges: &[Range]) -> Vec<&str> {
        ranges
            .iter()
            .map(|r| r.condition.as_deref().unwrap_or("all"))
            .collect()
    }

    #[test]
    fn a_small_copy_has_smaller_chunks_and_a_large_one_the_largest() {
        assert_eq!(size(0, 4, 128 * MB), 16 * MB);
        assert_eq!(size(1024 * MB, 2, 128 * MB), 32 * MB);
        assert_eq!(size(1024 * 1024 * MB, 4, 128 * MB), 128 * MB);
        assert_eq!(size(1024 * 1024 * MB, 4, MB), MB, "the setting is obeyed");
    }

    #[test]
    fn workers_get_the_same_number_of_chunks() {
        assert_eq!(count(0, MB, 4), 1, "empty");
        assert_eq!(count(MB, MB, 4), 1);
        assert_eq!(count(MB + 1, MB, 4), 4);
        assert_eq!(count(9 * MB, MB, 2), 10);
    }

    #[test]
    fn pages_are_covered_once_and_the_end_is_open() {
        let ranges = by_page(1000, 3);
        assert_eq!(
            conditions(&ranges),
            [
                "ctid < '(333,0)'",
                "ctid >= '(333,0)' and ctid < '(666,0)'",
                "ctid >= '(666,0)'"
            ]
        );
        assert!((ranges.iter().map(|r| r.share).sum::<f64>() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn tables_without_pages_and_with_fewer_than_chunks() {
        assert_eq!(conditions(&by_page(0, 1)), ["all"]);
        assert_eq!(conditions(&by_page(0, 8)), ["all"], "its size is all toast");
        assert_eq!(
            conditions(&by_page(2, 8)),
            ["ctid < '(1,0)'", "ctid >= '(1,0)'"],
            "a small heap with much toast"
        );
    }

    fn even(n: usize) -> Vec<Bound> {
        (0..=n)
            .map(|i| Bound {
                value: i.to_string(),
                before: if i == 0 { 0.0 } else { 1.0 / n as f64 },
                at: 0.0,
            })
            .collect()
    }

    #[test]
    fn a_histogram_is_cut_evenly() {
        let ranges = by_value("k", &even(100), 4);
        assert_eq!(ranges.len(), 5, "{ranges:?}");
        assert_eq!(ranges[0].condition.as_deref(), Some("k < 25"));
        assert_eq!(ranges[1].condition.as_deref(), Some("k >= 25 and k < 50"));
        assert_eq!(
            ranges.last().and_then(|r| r.condition.as_deref()),
            Some("k >= 100"),
            "beyond the statistics"
        );
    }

    #[test]
    fn without_statistics_it_is_one_chunk() {
        assert_eq!(by_value("k", &[], 8), [Range::whole()]);
    }

    #[test]
    fn a_value_that_most_rows_have_gets_a_chunk_of_its_own() {
        let skewed = [
            Bound {
                value: "1".into(),
                before: 0.0,
                at: 0.0,
            },
            Bound {
                value: "2".into(),
                before: 0.1,
                at: 0.8,
            },
            Bound {
                value: "3".into(),
                before: 0.1,
                at: 0.0,
            },
        ];
        let ranges = by_value("k", &skewed, 4);
        assert_eq!(conditions(&ranges), ["k < 2", "k >= 2 and k < 3", "k >= 3"]);
        assert!(ranges[1].share > 0.8);
    }
}
