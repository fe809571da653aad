//! The statements that replay one table. Pure.
//!
//! Source: one COPY takes deltas out of the segments and reads the rows they point to, in one snapshot. Target: into a
//! staging table, then merged.

use std::time::Duration;

use super::ladder::Mode;
use super::multiset::Multiset;
use super::part::Part;
use crate::drift;
use crate::quote::{ident, literal, qualified};
use crate::table::{Kind, Table};

/// Everything needed to replay one table.
#[derive(Clone, Debug)]
pub struct Plan {
    pub oid: u32,
    /// for messages
    pub shown: String,
    /// the lowest rung this table can use
    pub lowest: Mode,
    /// rows a batch may take from this table; adapted to the rows' width
    pub limit: u64,
    pub target: String,
    pub schema: String,
    pub name: String,
    pub create_stage: String,
    pub fill_stage: String,
    pub delete_gone: String,
    pub upsert: String,
    pub delete_all: String,
    pub insert_all: String,
    /// of a table without a key, which has none of the statements above
    pub multiset: Option<Multiset>,
    keys: String,
    fetch_tail: String,
    /// which of the keys taken are left alone: a condition, or nothing
    left_out: String,
}

/// So many tables give a batch what each would alone; of more each gives less.
const USUAL_CROWD: u64 = 5;

/// Batches take at most this many keys of one table.
pub const MOST_KEYS: u64 = 20_000;

/// The merge, with inserted and updated rows told apart. A fresh row has no xmax; a partitioned table does not show its
/// rows' system columns, so there the keys that are known already are counted first (both see the same snapshot).
fn counted(merge: &str, target: &Table, stage: &str, on_key: &str) -> String {
    if target.kind != Kind::Partitioned {
        return format!(
            "with merged as ({merge} returning t.xmax = 0 as fresh) \
             select count(*) filter (where fresh) as inserted, count(*) filter (where not fresh) as updated from merged"
        );
    }
    format!(
        "with fresh as (select count(*) as n from {stage} s where s.present \
                        and not exists (select 1 from {} t where {on_key})), \
              merged as ({merge} returning 1) \
         select fresh.n as inserted, (select count(*) from merged) - fresh.n as updated from fresh",
        target.qualified(),
    )
}

impl Plan {
    /// `source` and `target`: the table on both sides, known to match (no fatal drift).
    pub fn new(source: &Table, target: &Table) -> Self {
        let list = |items: Vec<String>| items.join(", ");
        let keys: Vec<String> = (1..=source.key.len()).map(|i| format!("k{i}")).collect();
        let columns: Vec<String> = source.stored().map(|c| ident(&c.name)).collect();
        let staged: Vec<String> = (1..=columns.len()).map(|i| format!("c{i}")).collect();
        let stage_name = format!("stage_{}", source.oid);
        let stage = qualified("pg_temp", &stage_name);

        let matches: Vec<String> = source
            .key
            .iter()
            .zip(&keys)
            .map(|(k, alias)| format!("t.{} {} keys.{alias}", ident(&k.name), k.equality))
            .collect();
        let fetch_tail = format!(
            "select {}, t.tableoid is not null, {} from keys left join {} t on {}) to stdout",
            list(keys.iter().map(|k| format!("keys.{k}")).collect()),
            list(columns.iter().map(|c| format!("t.{c}")).collect()),
            source.only(),
            matches.join(" and "),
        );

        let definitions = source
            .key
            .iter()
            .zip(&keys)
            .map(|(k, alias)| (alias.clone(), k.name.as_str()))
            .chain(
                source
                    .stored()
                    .zip(&staged)
                    .map(|(c, alias)| (alias.clone(), c.name.as_str())),
            )
            .map(|(alias, name)| {
                let column = target
                    .column(name)
                    .expect("the target has every stored column of the source");
                format!("{alias} {}", column.base_type)
            });
        let create_stage = format!(
            "create temp table if not exists {} ({}, present boolean) on commit delete rows",
            ident(&stage_name),
            list(definitions.collect()),
        );
        let fill_stage = format!(
            "copy {stage} ({}, present, {}) from stdin",
            list(keys.clone()),
            list(staged.clone())
        );

        let on_key: Vec<String> = source
            .key
            .iter()
            .zip(&keys)
            .map(|(k, alias)| {
                let same = target.key.iter().find(|t| t.name == k.name);
                let equality = same.map_or(k.equality.as_str(), |t| t.equality.as_str());
                format!("t.{} {equality} s.{alias}", ident(&k.name))
            })
            .collect();
        let on_key = on_key.join(" and ");
        let insert = format!(
            "insert into {} as t ({}) overriding system value select {} from {stage} where present",
            target.qualified(),
            list(columns.clone()),
            list(staged),
        );
        let settable: Vec<String> = source
            .stored()
            .filter(|c| !target.column(&c.name).is_some_and(|t| t.identity_always))
            .map(|c| format!("{0} = excluded.{0}", ident(&c.name)))
            .collect();
        let image = |prefix: &str| {
            format!(
                "row({})::record",
                list(columns.iter().map(|c| format!("{prefix}.{c}")).collect())
            )
        };
        let merge = format!(
            "{insert} on conflict ({}) do update set {} where {} operator(pg_catalog.*<>) {}",
            list(source.key.iter().map(|k| ident(&k.name)).collect()),
            list(settable.clone()),
            image("t"),
            image("excluded"),
        );
        let upsert = counted(&merge, target, &stage, &on_key);
        let delete_gone = format!(
            "delete from {} t using {stage} s where not s.present and {on_key}",
            target.only()
        );
        let delete_all = format!(
            "with gone as (delete from {} t using {stage} s where {on_key} returning s.present) \
             select count(*) filter (where present) as back, count(*) filter (where not present) as deleted from gone",
            target.only(),
        );
        let identity_off_key = source.stored().any(|c| {
            target.column(&c.name).is_some_and(|t| t.identity_always)
                && !source.key.iter().any(|k| k.name == c.name)
        });
        let upsertable = !target.deferrable_key
            && !target.update_rule
            && !settable.is_empty()
            && !identity_off_key
            && drift::same_key(source, target);
        Self {
            oid: source.oid,
            shown: source.shown(),
            lowest: if upsertable {
                Mode::Upsert
            } else {
                Mode::Replace
            },
            limit: MOST_KEYS,
            target: match target.kind {
                Kind::Partitioned => target.qualified(),
                _ => target.only(),
            },
            schema: source.schema.clone(),
            name: source.name.clone(),
            create_stage,
            fill_stage,
            delete_gone,
            upsert,
            delete_all,
            insert_all: insert,
            multiset: None,
            keys: list(keys),
            fetch_tail,
            left_out: String::new(),
        }
    }

    /// For a table without a key.
    pub fn whole_rows(source: &Table, target: &Table, multiset: Multiset) -> Self {
        Self {
            oid: source.oid,
            shown: source.shown(),
            lowest: Mode::Upsert,
            limit: MOST_KEYS,
            target: match target.kind {
                Kind::Partitioned => target.qualified(),
                _ => target.only(),
            },
            schema: source.schema.clone(),
            name: source.name.clone(),
            create_stage: String::new(),
            fill_stage: String::new(),
            delete_gone: String::new(),
            upsert: String::new(),
            delete_all: String::new(),
            insert_all: String::new(),
            multiset: Some(multiset),
            keys: String::new(),
            fetch_tail: String::new(),
            left_out: String::new(),
        }
    }

    /// Takes the deltas of these keys without replaying them. `source`: as for `new`; the values as text, in the key's order.
    pub fn leave_out(&mut self, source: &Table, skipped: &[Vec<String>]) {
        let one = |values: &Vec<String>| {
            let parts: Vec<String> = source
                .key
                .iter()
                .zip(values)
                .enumerate()
                .map(|(i, (k, value))| {
                    let column = source.column(&k.name).expect("a key is of columns");
                    let value = literal(value);
                    format!("k{} {} {value}::{}", i + 1, k.equality, column.type_name)
                })
                .collect();
            format!("({})", parts.join(" and "))
        };
        self.left_out = if skipped.is_empty() {
            String::new()
        } else {
            let all: Vec<String> = skipped.iter().map(one).collect();
            format!(" where not ({})", all.join(" or "))
        };
    }

    /// The COPY that takes these deltas and reads their rows.
    pub fn fetch(&self, parts: &[Part]) -> String {
        self.copy(parts.iter().map(|part| part.take(&self.keys)))
    }

    /// The COPY that reads them and leaves the deltas where they are.
    pub fn read(&self, parts: &[Part]) -> String {
        self.copy(parts.iter().map(|part| part.read(&self.keys)))
    }

    fn copy(&self, parts: impl ExactSizeIterator<Item = String>) -> String {
        let keys = &self.keys;
        let count = parts.len();
        let taken: Vec<String> = parts
            .enumerate()
            .map(|(at, part)| format!("taken{at} as ({part})"))
            .collect();
        let all: Vec<String> = (0..count)
            .map(|at| format!("select {keys} from taken{at}"))
            .collect();
        format!(
            "copy (with {}, keys as (select distinct {keys} from ({}) taken{}) {}",
            taken.join(", "),
            all.join(" union all "),
            self.left_out,
            self.fetch_tail,
        )
    }

    /// The most deltas that a batch with `crowd` tables takes from this one.
    pub fn share(&self, crowd: u64) -> u64 {
        let least = self.limit.min(1000);
        (self.limit * USUAL_CROWD / crowd.max(USUAL_CROWD)).max(least)
    }

    /// Adapts the next batch to what this one was like: about 32 MB of rows a table. `deltas`: about as many as it took, if
    /// there were more; if those were few rows changed over and over, the next takes more deltas for as many rows.
    /// `answer`: how long the source takes to answer anything; over a long line batches are larger, for there are waits in each.
    pub fn adapt(&mut self, rows: u64, bytes: u64, deltas: Option<u64>, answer: Duration) {
        const BATCH_BYTES: u64 = 32 << 20;
        const MOST_REPEATS: u64 = 10;
        const LONG_LINE: u128 = 10;
        let Some(width) = bytes.checked_div(rows) else {
            return;
        };
        let larger = u64::try_from(answer.as_millis() / LONG_LINE)
            .unwrap_or(u64::MAX)
            .clamp(1, 5);
        let keys = (larger * BATCH_BYTES / width.max(1)).clamp(50, larger * MOST_KEYS);
        let repeats = deltas.map_or(1, |n| (n / rows).clamp(1, MOST_REPEATS));
        self.limit = keys * repeats;
    }
}
