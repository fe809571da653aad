//! What is taken off the number of a table's rows on each side at one moment: those that are still to be replayed.

use super::Errand;
use crate::failure::Failure;
use crate::quote::{ident, literal};
use crate::table::Table;

/// Keys of changed rows that are taken from one side to the other.
const MOST_KEYS: i64 = 20_000;

/// Terms that take off each side's number what is still to be replayed.
#[derive(Default)]
pub(super) struct Except {
    pub source: String,
    pub target: String,
}

impl Errand {
    /// What `segments` say of the rows that one side has at the moment and the other perhaps not; `None` for too many.
    pub(super) fn except(
        &mut self,
        (source, target): (&Table, &Table),
        segments: &[String],
    ) -> Result<Option<Except>, Failure> {
        if segments.is_empty() {
            return Ok(Some(Except::default()));
        }
        let all = |columns: &str| {
            let parts: Vec<String> = segments
                .iter()
                .map(|segment| format!("select {columns} from {segment}"))
                .collect();
            parts.join(" union all ")
        };
        if source.key.is_empty() {
            return Ok(Some(Except {
                source: format!(
                    " - (select coalesce(sum(sign), 0) from ({}) s)",
                    all("sign")
                ),
                target: String::new(),
            }));
        }
        let places = || 1..=source.key.len();
        let columns: Vec<String> = places().map(|i| format!("k{i}")).collect();
        let keys = format!(
            "select distinct {0} from ({1}) s",
            columns.join(", "),
            all(&columns.join(", "))
        );
        let (connection, _) = self.sides()?;
        let found = connection.query(
            &format!(
                "select json_agg(k)::text as keys, count(*) as n from ({keys} limit {}) k",
                MOST_KEYS + 1
            ),
            &[],
        )?;
        if found[0].int("n") > MOST_KEYS {
            return Ok(None);
        }
        let types: Vec<String> = places()
            .zip(&source.key)
            .map(|(i, key)| {
                let column = target
                    .column(&key.name)
                    .or_else(|| source.column(&key.name));
                let column = column.expect("a key consists of columns of its table");
                format!("k{i} {}", column.type_name)
            })
            .collect();
        let join: Vec<String> = places()
            .zip(&source.key)
            .map(|(i, key)| format!("t.{} {} k.k{i}", ident(&key.name), key.equality))
            .collect();
        let there = |keys: &str, table: &Table| {
            format!(
                " - (select count(*) from {keys} join {} t on {})",
                table.only(),
                join.join(" and ")
            )
        };
        Ok(Some(Except {
            source: there(&format!("({keys}) k"), source),
            target: there(
                &format!(
                    "json_to_recordset({}::json) as k({})",
                    literal(found[0].opt("keys").unwrap_or("[]")),
                    types.join(", ")
                ),
                target,
            ),
        }))
    }
}
