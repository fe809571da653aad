//! A row as text that is the same on every server from PostgreSQL 10 to 18 if the row is: what is summed up and compared.
//! Pure.
//!
//! The values of the columns that both sides have, in the order of their names, as `row(...)::text`, which tells NULL
//! from the empty string. With the settings of our sessions text output is the same everywhere, but for:
//! - floating point numbers, which PostgreSQL 10 and 11 write with other digits than those after: there as their bytes,
//!   NaN, of which there are many, as one. In composite types, ranges and geometric types of such servers only 15 digits
//!   (6 of a `real`) are compared ([`nested_digits`]).
//! - `"char"`, whose bytes above 127 look different from PostgreSQL 16 on: as a number.

use crate::quote::ident;
use crate::table::{Column, Table};

/// The servers of both sides.
#[derive(Clone, Copy, Debug)]
pub struct Servers {
    /// version
    pub source: i32,
    /// version
    pub target: i32,
    /// text has the same bytes on both
    pub same_encoding: bool,
    /// they compute the same `hashtextextended`
    pub same_hash: bool,
}

impl Servers {
    /// One of them writes floating point numbers the old way.
    pub fn old_floats(self) -> bool {
        self.source.min(self.target) < 120_000
    }
}

/// Columns that both sides have, by name, in their order; generated ones too.
pub fn common<'a>(one: &'a Table, other: &Table) -> Vec<&'a Column> {
    let mut columns: Vec<&Column> = one
        .columns
        .iter()
        .filter(|c| other.column(&c.name).is_some())
        .collect();
    columns.sort_by(|a, b| a.name.cmp(&b.name));
    columns
}

/// The expression for a row's text, of table alias `t`.
pub fn of(columns: &[&Column], servers: Servers) -> String {
    let values: Vec<String> = columns.iter().map(|c| value(c, servers)).collect();
    format!("row({})::text", values.join(", "))
}

fn value(column: &Column, servers: Servers) -> String {
    let name = format!("t.{}", ident(&column.name));
    match column.base_type.as_str() {
        "\"char\"" => format!("{name}::\"char\"::int4"),
        "real" if servers.old_floats() => bytes(&name, "float4"),
        "double precision" if servers.old_floats() => bytes(&name, "float8"),
        "real[]" if servers.old_floats() => elements(&name, "float4"),
        "double precision[]" if servers.old_floats() => elements(&name, "float8"),
        _ => name,
    }
}

fn bytes(value: &str, kind: &str) -> String {
    format!("case when {value} = 'NaN'::{kind} then '\\x'::bytea else {kind}send({value}) end")
}

/// Dimensions and elements of an array.
fn elements(value: &str, kind: &str) -> String {
    format!(
        "case when {value} is not null then row(array_dims({value}), (select array_agg({} order by u.at) from \
         unnest({value}) with ordinality u(e, at)))::text end",
        bytes("u.e", kind)
    )
}

/// `extra_float_digits` for both sessions. A key is read and asked for as text, which must be exact.
pub fn nested_digits(key: &[&Column], servers: Servers) -> i32 {
    let float_key = key
        .iter()
        .any(|c| matches!(c.base_type.as_str(), "real" | "double precision"));
    if servers.old_floats() && !float_key {
        0
    } else {
        3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, kind: &str) -> Column {
        Column {
            attnum: 0,
            name: name.into(),
            type_name: kind.into(),
            base_type: kind.into(),
            not_null: false,
            has_default: false,
            generated: false,
            identity_always: false,
        }
    }

    #[test]
    fn columns_are_matched_by_name_whatever_their_order() {
        let mut one = Table::sample();
        one.columns = vec![column("b", "text"), column("a", "int"), column("x", "int")];
        let mut other = Table::sample();
        other.columns = vec![column("a", "int"), column("B", "int"), column("b", "text")];
        let names = |t: &Table, o: &Table| -> Vec<String> {
            common(t, o).iter().map(|c| c.name.clone()).collect()
        };
        assert_eq!(names(&one, &other), ["a", "b"]);
        assert_eq!(names(&other, &one), ["a", "b"]);
    }

    #[test]
    fn floats_are_bytes_where_their_text_differs() {
        let new = Servers {
            source: 120_000,
            target: 180_000,
            same_encoding: true,
            same_hash: true,
        };
        let old = Servers {
            source: 110_022,
            target: 180_000,
            same_encoding: true,
            same_hash: true,
        };
        let kind = column("f", "double precision");
        assert_eq!(of(&[&kind], new), "row(t.\"f\")::text");
        assert!(of(&[&kind], old).contains("float8send(t.\"f\")"));
        assert_eq!(nested_digits(&[&column("id", "int")], old), 0);
        assert_eq!(nested_digits(&[&kind], old), 3, "a key is exact");
        assert_eq!(nested_digits(&[&column("id", "int")], new), 3);
    }
}
