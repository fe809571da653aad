//! The statements that replay a table without a key.

use crate::failure::Failure;
use crate::libpq::Connection;
use crate::quote::{ident, qualified};
use crate::replay::part::Part;
use crate::table::{Kind, Table};
use crate::template::fill;

/// The statements of one table.
#[derive(Clone, Debug)]
pub struct Multiset {
    /// partitions that are taken care of; `None`: it is not partitioned
    known: Option<Vec<u32>>,
    /// no index helps: joined by the rows' text alone
    pub(super) scans: bool,
    pub create: String,
    pub fill: String,
    pub(super) found: String,
    pub(super) stage: String,
    /// before and after the number of rows to be found
    pub(super) find: (String, String),
    pub insert: String,
}

/// A column of the target with an index on it.
pub struct Indexed {
    pub name: String,
    pub equality: String,
}

/// Columns of the target's table that can be looked up by an index, the best first.
pub fn indexed(target: &mut Connection, table: &Table) -> Result<Vec<Indexed>, Failure> {
    let rows = target.query(
        include_str!("../../../sql/target/keyless_index.sql"),
        &[Some(&table.oid.to_string())],
    )?;
    Ok(rows
        .iter()
        .map(|row| Indexed {
            name: row.string("name"),
            equality: row.string("equality"),
        })
        .collect())
}

impl Multiset {
    /// `source` and `target`: the table on both sides, known to match; `known`: partitions whose deltas may be taken.
    pub fn new(source: &Table, target: &Table, indexed: &[Indexed], known: &[u32]) -> Self {
        let name = |what: &str| qualified("pg_temp", &format!("{what}_{}", source.oid));
        let (row, stage, found) = (name("row"), name("stage"), name("found"));
        let mut definitions = Vec::new();
        let mut columns = Vec::new();
        let mut staged = Vec::new();
        // the image has every column of the source's table, in its order
        for (at, column) in source.columns.iter().enumerate() {
            let alias = format!("c{}", at + 1);
            let other = target.column(&column.name).filter(|_| !column.generated);
            definitions.push(format!(
                "{alias} {}",
                other.map_or("text", |o| o.base_type.as_str())
            ));
            if other.is_some() {
                columns.push(ident(&column.name));
                staged.push(format!("(s.r).{alias}"));
            }
        }
        let image = |columns: &[String]| format!("row({})::text collate \"C\"", columns.join(", "));
        let prefixed: Vec<String> = columns.iter().map(|c| format!("t.{c}")).collect();
        let look_up = indexed.iter().find_map(|index| {
            let quoted = ident(&index.name);
            let at = columns.iter().position(|c| *c == quoted)?;
            Some((quoted, staged[at].clone(), index.equality.clone()))
        });
        let from = match target.kind {
            Kind::Partitioned => target.qualified(),
            _ => target.only(),
        };
        let matching = |condition: &str| {
            format!(
                "select t.tableoid as member, t.ctid as at, g.image, g.n from gone g join {from} t \
                 on {condition}{} = g.image",
                image(&prefixed)
            )
        };
        let (candidate, matches) = match &look_up {
            None => (String::new(), matching("")),
            Some((column, staged, equality)) => (
                format!(", {staged} as candidate"),
                format!(
                    "{} union all {}",
                    matching(&format!("t.{column} {equality} g.candidate and ")),
                    matching(&format!("g.candidate is null and t.{column} is null and "))
                ),
            ),
        };
        let find = fill(
            include_str!("../../../sql/target/keyless_find.sql"),
            &[
                ("found", &found),
                ("stage", &stage),
                ("staged", &image(&staged)),
                ("candidate", &candidate),
                ("group", if look_up.is_some() { ", 2" } else { "" }),
                ("matches", &matches),
                ("rows", "\0"),
            ],
        );
        let (before, after) = find.split_once('\0').expect("the rows are asked for");
        let find = (before.to_owned(), after.to_owned());
        let list = match columns.as_slice() {
            [] => String::new(),
            columns => format!("({})", columns.join(", ")),
        };
        Self {
            known: (source.kind == Kind::Partitioned).then(|| known.to_vec()),
            scans: look_up.is_none(),
            create: format!(
                "create temp table if not exists {} ({}); \
                 create temp table if not exists {} (n bigint, r {row}) on commit delete rows; \
                 create temp table if not exists {} (member oid, at tid) on commit delete rows",
                ident(&format!("row_{}", source.oid)),
                definitions.join(", "),
                ident(&format!("stage_{}", source.oid)),
                ident(&format!("found_{}", source.oid)),
            ),
            fill: format!("copy {stage} (n, r) from stdin"),
            find,
            insert: format!(
                "insert into {} {list} overriding system value select {} from {stage} s \
                 cross join lateral generate_series(1, s.n) where s.n > 0",
                target.qualified(),
                staged.join(", "),
            ),
            found,
            stage,
        }
    }

    /// The query whether there are deltas of partitions that have just come, which are not taken before those are seen to: the rows
    /// they came with have none.
    pub fn unknown(&self, parts: &[Part]) -> Option<String> {
        let known: Vec<String> = self.known.as_ref()?.iter().map(u32::to_string).collect();
        let unknown: Vec<String> = parts
            .iter()
            .map(|part| {
                format!(
                    "exists (select from {} where member <> all ('{{{}}}'::oid[]))",
                    part.segment,
                    known.join(",")
                )
            })
            .collect();
        Some(format!("select {} as unknown", unknown.join(" or ")))
    }
}

/// Images are read with the root's columns: its partitions must have them in the same order. Errors: 0A000.
pub fn refuse_other_order(root: &Table, tables: &[Table]) -> Result<(), Failure> {
    let names = |t: &Table| t.columns.iter().map(|c| c.name.clone()).collect::<Vec<_>>();
    let own = names(root);
    let Some(other) = tables
        .iter()
        .find(|t| t.root == Some(root.oid) && names(t) != own)
    else {
        return Ok(());
    };
    Err(Failure::new(
        "0A000",
        format!(
            "partition {} has its columns in another order than {}, which has no key",
            other.shown(),
            root.shown()
        ),
    ))
}
