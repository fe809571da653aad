//! Which sequences there are on a side, and where they are.

use std::collections::HashMap;

use super::each::{self, Purpose, each};
use super::forecast::Look;
use super::position::{Definition, Position};
use crate::failure::Failure;
use crate::libpq::{Connection, Question};
use crate::quote;
use crate::row::Row;
use crate::selection::Choice;
use crate::table::shown;

/// A user sequence.
#[derive(Clone, Debug)]
pub struct Sequence {
    pub oid: u32,
    pub schema: String,
    pub name: String,
    /// smallint, integer, bigint
    pub type_name: String,
    pub definition: Definition,
    pub start: i64,
    pub cache: i64,
    /// by a column
    owned: bool,
    /// tables it serves
    ties: Vec<u32>,
    pub readable: bool,
    pub settable: bool,
}

impl Sequence {
    pub fn qualified(&self) -> String {
        quote::qualified(&self.schema, &self.name)
    }

    pub fn shown(&self) -> String {
        shown(&self.schema, &self.name)
    }

    /// Whether a subscription takes care of it: it serves a table that is taken, or it is wanted by name. The name of one
    /// that belongs to a column does not matter.
    pub fn is_followed(&self, choice: &Choice, taken: impl Fn(u32) -> bool) -> bool {
        let serves = self.ties.iter().any(|oid| taken(*oid));
        if self.owned {
            serves
        } else {
            choice.wants(&self.schema, &self.name)
                || (serves && !choice.excludes(&self.schema, &self.name))
        }
    }
}

/// Every user sequence, by schema and name.
pub fn listed(connection: &mut Connection) -> Result<Vec<Sequence>, Failure> {
    let rows = connection.ask(&question())?;
    Ok(rows.iter().map(sequence).collect())
}

/// What [`listed`] asks.
pub fn question() -> Question {
    Question::new(include_str!("../../sql/source/sequences.sql"))
}

fn sequence(row: &Row) -> Sequence {
    Sequence {
        oid: row.oid("oid"),
        schema: row.string("schema"),
        name: row.string("name"),
        type_name: row.string("type"),
        definition: Definition {
            increment: row.int("increment"),
            min: row.int("min"),
            max: row.int("max"),
            cycles: row.flag("cycles"),
        },
        start: row.int("start"),
        cache: row.int("cache"),
        owned: row.flag("owned"),
        ties: serde_json::from_str(row.text("ties")).expect("a json array of oids"),
        readable: row.flag("readable"),
        settable: row.flag("settable"),
    }
}

/// Where each of these is. Reads the sequences themselves: `pg_sequences` does not tell where one is that was never used.
pub fn positions(
    connection: &mut Connection,
    sequences: &[&Sequence],
) -> Result<Vec<Result<Look, Failure>>, Failure> {
    let look = |row: Row| Look {
        position: position(&row),
        at: row.int("at"),
    };
    let rows = each(connection, sequences, Purpose::Read, &where_it_is)?;
    Ok(rows.into_iter().map(|row| row.map(look)).collect())
}

/// What [`positions`] asks.
pub fn questions_of(sequences: &[&Sequence]) -> Vec<Question> {
    each::questions(sequences, Purpose::Read, &where_it_is)
}

fn where_it_is(sequence: &&Sequence) -> String {
    format!(
        "last_value, is_called, (extract(epoch from clock_timestamp()) * 1000000)::int8 as at from {}",
        sequence.qualified()
    )
}

pub fn position(row: &Row) -> Position {
    Position {
        last: row.int("last_value"),
        called: row.flag("is_called"),
    }
}

/// A column that a sequence belongs to.
pub struct OwningColumn {
    pub table: String,
    pub column: String,
    /// its furthest value is found at once
    pub measurable: bool,
}

/// The owning columns on the target that hold integers, by the sequence's oid.
pub fn owning_columns(target: &mut Connection) -> Result<HashMap<u32, OwningColumn>, Failure> {
    let rows = target.query(include_str!("../../sql/target/owning_columns.sql"), &[])?;
    let column = |row: &Row| OwningColumn {
        table: quote::qualified(row.text("schema"), row.text("name")),
        column: quote::ident(row.text("attribute")),
        measurable: row.flag("measurable"),
    };
    Ok(rows
        .iter()
        .map(|row| (row.oid("sequence"), column(row)))
        .collect())
}
