//! Capture of the tables that a statement changes, put on them as they are afterwards.

use super::Became;
use super::concerned::Concerned;
use crate::capture::{self, Names, segment};
use crate::catalog;
use crate::failure::Failure;
use crate::libpq::Connection;
use crate::relation::Relation;
use crate::table::Table;

/// Puts capture on the changed tables as they are now.
pub fn follow(
    source: &mut Connection,
    names: &Names,
    concerned: &[Concerned],
    before: &[Table],
) -> Result<Vec<(Relation, Became)>, Failure> {
    if before.is_empty() {
        return Ok(concerned
            .iter()
            .map(|c| (c.relation.clone(), Became::Changed))
            .collect());
    }
    let mut now = catalog::tables(source)?;
    let keyless: Vec<u32> = concerned
        .iter()
        .filter(|c| c.relation.keyless)
        .map(|c| c.relation.oid)
        .collect();
    catalog::forget_keys(&mut now, &keyless);
    let mut became = Vec::new();
    for Concerned {
        relation,
        exclusive,
    } in concerned
    {
        let was = before.iter().find(|t| t.oid == relation.oid);
        let is = now.iter().find(|t| t.oid == relation.oid);
        let change = match (was, is) {
            _ if !exclusive => Became::Changed,
            (None, _) | (_, None) => continue,
            (Some(was), Some(is)) => renewed(source, names, relation, was, is)?,
        };
        became.push((relation.clone(), change));
    }
    Ok(became)
}

fn renewed(
    source: &mut Connection,
    names: &Names,
    relation: &Relation,
    was: &Table,
    is: &Table,
) -> Result<Became, Failure> {
    if is.key.is_empty() && !relation.keyless {
        return Err(Failure::new(
            "0A000",
            format!("the statement takes the key of {} away", is.shown()),
        )
        .detail("Nothing has been changed on either side.")
        .hint("Make the new key in the same ALTER TABLE that drops the old one."));
    }
    let key = |table: &Table| -> Vec<(i64, String)> {
        let columns = table.key.iter().filter_map(|k| table.column(&k.name));
        columns.map(|c| (c.attnum, c.type_name.clone())).collect()
    };
    let (old, new) = (key(was), key(is));
    let same_columns = old.len() == new.len() && old.iter().zip(&new).all(|(o, n)| o.0 == n.0);
    let mut segments = segment::read(source, names)?;
    segments.retain(|s| s.table == is.oid);
    if !relation.keyless && !same_columns {
        // deltas of the old key are of no use; nothing that is known of a segment is believed of the one after it
        for one in &mut segments {
            source.batch(&format!(
                "drop table {}",
                names.segment(one.table, one.number)
            ))?;
            one.number += 1;
        }
        capture::renew(source, names, is, &segments)?;
        // whoever copies the table anew puts the triggers on. Should we die before that is noted, their absence is noticed
        capture::suspend(source, names, is)?;
        return Ok(Became::Another);
    }
    for (place, ((_, old), (_, new))) in old.iter().zip(&new).enumerate() {
        if old == new {
            continue;
        }
        for one in &segments {
            source.batch(&format!(
                "alter table {} alter k{n} type {new} using k{n}::{new}",
                names.segment(one.table, one.number),
                n = place + 1
            ))?;
        }
    }
    capture::renew(source, names, is, &segments)?;
    Ok(if relation.keyless {
        Became::Another
    } else {
        Became::Changed
    })
}
