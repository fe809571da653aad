//! What is asked of one side about one table. Pure.

use super::shape::{Key, Range, Shape};

/// When a snapshot was taken: transactions from this one on it cannot see.
const MOMENT: &str = "txid_snapshot_xmax(txid_current_snapshot())";

/// The present moment, in transaction ids.
pub const MOMENT_NOW: &str = "select txid_snapshot_xmax(txid_current_snapshot()) as moment";

impl Shape {
    /// Where the range of `rows` rows after `low` ends, if there is anything behind it. Columns k1, k2 ...
    pub fn boundary(&self, low: Option<&Key>, rows: u64) -> String {
        let range = Range {
            low: low.cloned(),
            high: None,
        };
        let ends: Vec<String> = (1..=self.ordered)
            .zip(&self.keys)
            .map(|(at, (column, _, _))| format!("{column}::text as k{at}"))
            .collect();
        format!(
            "select {} from {} where {} order by {} offset {} limit 1",
            ends.join(", "),
            self.from,
            self.condition(&range),
            self.list(|k| k.0.clone()),
            rows - 1
        )
    }

    /// Count, sum and bytes of a range, and when.
    pub fn total(&self, range: &Range) -> String {
        format!(
            "select count(*) as rows, coalesce(sum({}), 0)::text as sum, coalesce(sum(octet_length(r)), 0)::int8 as bytes, \
             {MOMENT} as moment from (select {} as r from {} where {} offset 0) i",
            self.number("r"),
            self.image,
            self.from,
            self.condition(range)
        )
    }

    /// The digests by which a row is put into a bucket, and compared, of rows `r` with key `k`.
    fn image_and_key(&self, range: &Range) -> String {
        format!(
            "select {} as k, {} as r{} from {} where {} offset 0",
            if self.has_key() {
                self.digest(&self.key_image)
            } else {
                self.digest(&self.image)
            },
            if self.has_key() {
                self.digest(&self.image)
            } else {
                "''::text".into()
            },
            self.key_columns(),
            self.from,
            self.condition(range)
        )
    }

    fn key_columns(&self) -> String {
        (1..)
            .zip(&self.keys)
            .map(|(at, (column, _, _))| format!(", {column}::text as k{at}"))
            .collect()
    }

    /// The same by bucket of the key.
    pub fn buckets(&self, range: &Range) -> String {
        let summed = if self.has_key() { "(k || r)" } else { "k" };
        format!(
            "select substr(k, 1, 2) as bucket, count(*) as rows, sum({})::text as sum from ({}) i group by 1",
            self.number(summed),
            self.image_and_key(range)
        )
    }

    /// Keys k1, k2 ... and hashes of the rows of some buckets, at most so many. The buckets are the last parameter.
    pub fn keys(&self, range: &Range, most: usize) -> String {
        let ends = usize::from(range.low.is_some()) + usize::from(range.high.is_some());
        let buckets = ends * self.ordered + 1;
        let inner = self.image_and_key(range);
        if self.has_key() {
            let names: Vec<String> = (1..=self.keys.len()).map(|at| format!("k{at}")).collect();
            format!(
                "select {}, r as hash from ({inner}) i where substr(k, 1, 2) = any (${buckets}::text[]) limit {most}",
                names.join(", ")
            )
        } else {
            format!(
                "select k as k1, count(*)::text as hash from ({inner}) i where substr(k, 1, 2) = any (${buckets}::text[]) \
                 group by k limit {most}"
            )
        }
    }

    /// Hash and version of the rows with these keys, whether they are present, and the moment. One array parameter for
    /// each column of the key; column n is the place in them. Without a key: how often rows with these digests are there.
    pub fn named(&self) -> String {
        if !self.has_key() {
            return format!(
                "select v.n, c.hash, c.hash as version, c.k is not null as present, {MOMENT} as moment from unnest($1::text[]) with ordinality v(k1, n) \
                 left join (select {0} as k, count(*)::text as hash from {1} where {0} = any ($1::text[]) group by 1) c \
                 on c.k = v.k1",
                self.digest(&self.image),
                self.from
            );
        }
        let count = self.keys.len();
        let arrays: Vec<String> = (1..=count).map(|at| format!("${at}::text[]")).collect();
        let names: Vec<String> = (1..=count).map(|at| format!("k{at}")).collect();
        let matches: Vec<String> = (1..)
            .zip(&self.keys)
            .map(|(at, (column, kind, equality))| format!("{column} {equality} v.k{at}::{kind}"))
            .collect();
        format!(
            "select v.n, {} as hash, concat(t.tableoid, ' ', t.xmin, ' ', t.ctid) as version, t.tableoid is not null as present, \
             {MOMENT} as moment from unnest({}) with ordinality v({}, n) left join {} on {}",
            self.digest(&self.image),
            arrays.join(", "),
            names.join(", "),
            self.from,
            matches.join(" and ")
        )
    }
}
