//! Replay of tables without a key. Their deltas are whole rows, +1 or -1; what a batch takes of them is summed up per row, and the
//! target's table gets so many copies more or less. Rows are compared by their text, column by column: not every type has an
//! equality, and what is equal need not be the same (1.0 and 1.00).
//!
//! Unlike a key, a row must not be replayed twice. A batch takes every delta that its snapshot shows, and that snapshot is noted
//! on the target in the batch's transaction: should the source's half of it be lost, [`settle`] deletes there what the snapshot
//! saw before anything else is taken.

use super::statement::Plan;
use crate::applied;
use crate::capture::{self, Names};
use crate::failure::Failure;
use crate::flush;
use crate::libpq::{Connection, Flow, pump};
use crate::quote::{ident, literal, qualified};
use crate::relation::Counts;
use crate::retry::DIFFERS;
use crate::table::{Kind, Table};
use crate::template::fill;

/// The statements of one table.
#[derive(Clone, Debug)]
pub struct Multiset {
    /// partitions that are taken care of; `None`: it is not partitioned
    known: Option<Vec<u32>>,
    /// no index helps: joined by the rows' text alone
    scans: bool,
    create: String,
    fill: String,
    found: String,
    stage: String,
    find: String,
    insert: String,
}

/// A column of the target with an index on it.
pub struct Indexed {
    pub name: String,
    pub equality: String,
}

/// Columns of the target's table that can be looked up by an index, the best first.
pub fn indexed(target: &mut Connection, table: &Table) -> Result<Vec<Indexed>, Failure> {
    let rows = target.query(
        include_str!("../../sql/target/keyless_index.sql"),
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
            include_str!("../../sql/target/keyless_find.sql"),
            &[
                ("found", &found),
                ("stage", &stage),
                ("staged", &image(&staged)),
                ("candidate", &candidate),
                ("group", if look_up.is_some() { ", 2" } else { "" }),
                ("matches", &matches),
            ],
        );
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
}

/// A row of the source's columns, of which images are read: partitions must have the root's.
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

/// Takes and merges everything that the batch's snapshot shows of one table. `truncated`: members that were truncated, and where
/// in the order of deltas.
pub fn replay(
    source: &mut Connection,
    target: &mut Connection,
    plan: &Plan,
    multiset: &Multiset,
    truncated: &[(u32, i64)],
    counts: &mut Counts,
) -> Result<Flow, Failure> {
    refuse_unknown(source, plan, multiset)?;
    target.batch(&multiset.create)?;
    source.copy_out(&fetch(plan, truncated))?;
    let flow = pump(source, target, &multiset.fill, |_| Ok(()))?;
    source.copy_done()?;
    if flow.rows == 0 {
        return Ok(flow);
    }
    let sums = format!(
        "select coalesce(-sum(n) filter (where n < 0), 0) as gone, coalesce(sum(n) filter (where n > 0), 0) as come from {}",
        multiset.stage
    );
    let sums = &target.query(&sums, &[])?[0];
    let (gone, come) = (unsigned(sums.int("gone")), unsigned(sums.int("come")));
    if gone > 0 {
        counts.deleted = delete(target, multiset)?;
        if counts.deleted != gone {
            return Err(differs(plan, gone - counts.deleted));
        }
    }
    if come > 0 {
        counts.inserted = target.execute(&multiset.insert, &[])?;
    }
    Ok(flow)
}

/// Deltas of a partition that has just come are not taken before it is seen to: the rows it came with have none. Errors: 40001.
fn refuse_unknown(
    source: &mut Connection,
    plan: &Plan,
    multiset: &Multiset,
) -> Result<(), Failure> {
    let Some(known) = &multiset.known else {
        return Ok(());
    };
    let known: Vec<String> = known.iter().map(u32::to_string).collect();
    let sql = format!(
        "select exists (select from {} where member <> all ('{{{}}}'::oid[])) as unknown",
        plan.segment,
        known.join(",")
    );
    if source.query(&sql, &[])?[0].flag("unknown") {
        return Err(Failure::new(
            "40001",
            format!("{} has got or lost a partition on the source", plan.shown),
        )
        .hint("Looked at again by itself."));
    }
    Ok(())
}

/// The COPY that takes all deltas, but for those of rows that a TRUNCATE did away with, and what they come to.
fn fetch(plan: &Plan, truncated: &[(u32, i64)]) -> String {
    let kept: Vec<String> = truncated
        .iter()
        .map(|(member, position)| {
            if *member == plan.oid {
                format!("position > {position}")
            } else {
                format!("(member <> {member} or position > {position})")
            }
        })
        .collect();
    let kept = match kept.as_slice() {
        [] => String::new(),
        kept => format!("where {}", kept.join(" and ")),
    };
    format!(
        "copy (with taken as (delete from {} returning member, position, sign, image) \
         select sum(sign), image from taken {kept} group by image having sum(sign) <> 0) to stdout",
        plan.segment
    )
}

/// Deletes the rows that went; how many there were.
fn delete(target: &mut Connection, multiset: &Multiset) -> Result<u64, Failure> {
    if multiset.scans {
        // the stage may be larger than it looks: the table is read once, not once per row
        target.batch(&format!(
            "set local enable_nestloop = off; {}; reset enable_nestloop",
            multiset.find
        ))?;
    } else {
        target.batch(&multiset.find)?;
    }
    let members = target.query(
        &format!(
            "select distinct member::int8 as oid, member::regclass::text as name from {}",
            multiset.found
        ),
        &[],
    )?;
    let mut deleted = 0;
    for member in &members {
        let sql = format!(
            "delete from only {} where ctid = any (array(select f.at from {} f where f.member = {}))",
            member.text("name"),
            multiset.found,
            member.oid("oid")
        );
        deleted += target.execute(&sql, &[])?;
    }
    Ok(deleted)
}

fn differs(plan: &Plan, missing: u64) -> Failure {
    Failure::new(
        DIFFERS,
        format!("{missing} rows that were changed or deleted on the source are not in the target's {}", plan.shown),
    )
    .detail("The table has no key, and the target's has other rows than the source's had. Nothing of this batch was applied.")
}

/// Whether the source's rows as they are known to the target are still made like that, and deletes what is applied already.
/// Errors: DC001 when the columns have changed since.
pub fn settle(
    source: &mut Connection,
    target: &mut Connection,
    names: &Names,
    uuid: &str,
    subscription: &str,
    table: &Table,
) -> Result<(), Failure> {
    let rows = source.query(
        include_str!("../../sql/source/fingerprint.sql"),
        &[Some(&format!("{{{}}}", table.oid))],
    )?;
    let layout = rows.first().map_or("", |row| row.text("layout"));
    let applied = applied::settled(target, uuid, table.oid, layout)?;
    if applied.layout != layout {
        return Err(capture::missed_table(
            "columns have changed on the source of a table without a key",
            subscription,
            &table.shown(),
        ));
    }
    let Some(snapshot) = applied.snapshot else {
        return Ok(());
    };
    source.batch(&format!(
        "begin; delete from {} where txid_visible_in_snapshot(txid, {snapshot}); \
         delete from {} where relation = {} and txid_visible_in_snapshot(txid, {snapshot}); commit",
        names.segment(table.oid),
        names.truncation(),
        table.oid,
        snapshot = literal(&snapshot),
    ))
}

/// What a batch has to know before it may be noted as applied.
pub struct Mark {
    snapshot: String,
    written: String,
}

impl Mark {
    /// The snapshot of the source's open transaction.
    pub fn of(source: &mut Connection) -> Result<Self, Failure> {
        let rows = source.query(
            "select txid_current_snapshot()::text as snapshot, pg_current_wal_insert_lsn()::text as written",
            &[],
        )?;
        Ok(Self {
            snapshot: rows[0].string("snapshot"),
            written: rows[0].string("written"),
        })
    }

    /// Notes it on the target for these tables, in the transaction that has what it saw.
    pub fn note(
        &self,
        source: &mut Connection,
        target: &mut Connection,
        uuid: &str,
        tables: &[u32],
    ) -> Result<(), Failure> {
        flush::wait(source, &self.written)?;
        applied::note_replayed(target, uuid, tables, &self.snapshot)
    }
}

fn unsigned(n: i64) -> u64 {
    u64::try_from(n).expect("a count is not negative")
}
