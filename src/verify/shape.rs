//! One table on one side: its key, in what ranges of it the table is read, and what is compared of a row. Pure.
//!
//! Ranges are of the key, in the order of that server: `(low, high]`, both ends from the source. Where the two servers
//! sort text differently, a row may be in one range here and in another there; then both ranges differ and are looked into,
//! key by key, where it turns out to be the same. Whatever the order, each row is in at least one range: none is overlooked.
//!
//! A table without a key is one range, its rows' digests are its keys, and how often one is there is compared.

use super::image::{self, Servers};
use crate::quote::ident;
use crate::table::{Column, Table};

/// A key's values, as text.
pub type Key = Vec<String>;

/// A piece of a table. `None`: from the beginning, to the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Range {
    pub low: Option<Key>,
    pub high: Option<Key>,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// only which rows there are
    Presence,
    /// and all of their content
    Content,
}

impl Range {
    /// The values to bind.
    pub fn ends(&self) -> Vec<Option<&str>> {
        let ends = self.low.iter().chain(&self.high);
        ends.flatten().map(|value| Some(value.as_str())).collect()
    }
}

/// Expression, type to cast its text to, and equality operator.
type KeyColumn = (String, String, String);

/// One table on one side.
#[derive(Clone, Debug)]
pub struct Shape {
    pub(super) from: String,
    pub(super) keys: Vec<KeyColumn>,
    /// how many of them ranges are cut by
    pub(super) ordered: usize,
    /// their values as text that is the same on both sides
    pub(super) key_image: String,
    /// a row, likewise
    pub(super) image: String,
    servers: Servers,
}

impl Shape {
    /// `key`: of the source, by name; the columns are those of `table`, and of `other` too.
    pub fn new(
        table: &Table,
        other: &Table,
        key: &[String],
        depth: Depth,
        servers: Servers,
    ) -> Self {
        let keys: Vec<KeyColumn> = key
            .iter()
            .map(|name| {
                let kind = table.column(name).map_or("text", |c| c.base_type.as_str());
                let own = table.key.iter().chain(&other.key).find(|k| k.name == *name);
                let equality = own.map_or("operator(pg_catalog.=)", |k| k.equality.as_str());
                let column = format!("t.{}", ident(name));
                (column, kind.to_owned(), equality.to_owned())
            })
            .collect();
        // operators of other schemas are not found by row comparison
        let ordered = keys
            .iter()
            .take_while(|(_, _, equality)| equality == "operator(pg_catalog.=)")
            .count();
        let columns: Vec<&Column> = key.iter().filter_map(|k| table.column(k)).collect();
        let key_image = image::of(&columns, servers);
        let image = match depth {
            Depth::Presence if !keys.is_empty() => key_image.clone(),
            // without a key what a row is, is all that tells it from another
            _ => image::of(&image::common(table, other), servers),
        };
        Self {
            from: format!("{} t", table.only()),
            keys,
            ordered,
            key_image,
            image,
            servers,
        }
    }

    pub fn has_key(&self) -> bool {
        !self.keys.is_empty()
    }

    /// There is an order to cut ranges by.
    pub fn is_cut(&self) -> bool {
        self.ordered > 0
    }

    /// How many columns of the key ranges are cut by.
    pub fn ordered(&self) -> usize {
        self.ordered
    }

    /// How many columns k1, k2 ... a key is read as.
    pub fn width(&self) -> usize {
        self.keys.len().max(1)
    }

    /// A key as it was read, the same whichever side it is from: PostgreSQL 10 and 11 write floating point numbers with more
    /// digits.
    pub fn normal(&self, key: Key) -> Key {
        if !self.servers.old_floats() {
            return key;
        }
        let number = |(value, (_, kind, _)): (String, &KeyColumn)| {
            let short = match kind.as_str() {
                "real" => value
                    .parse::<f32>()
                    .ok()
                    .map(|v| (v.is_finite(), format!("{v:?}"))),
                "double precision" => value
                    .parse::<f64>()
                    .ok()
                    .map(|v| (v.is_finite(), format!("{v:?}"))),
                _ => None,
            };
            short
                .filter(|(finite, _)| *finite)
                .map_or(value, |(_, short)| short)
        };
        if self.has_key() {
            key.into_iter().zip(&self.keys).map(number).collect()
        } else {
            key
        }
    }

    /// md5 of a text.
    pub(super) fn digest(&self, text: &str) -> String {
        if self.servers.same_encoding {
            format!("md5({text})")
        } else {
            format!("md5(convert_to({text}, 'UTF8'))")
        }
    }

    /// A text as a number, to be added up. md5 takes half of the time that a checksum takes, but is the same everywhere.
    pub(super) fn number(&self, text: &str) -> String {
        if self.servers.same_hash {
            format!("hashtextextended({text} collate \"C\", 0)")
        } else {
            format!(
                "('x' || substr({}, 1, 16))::bit(64)::int8",
                self.digest(text)
            )
        }
    }

    pub(super) fn list(&self, of: impl Fn(&KeyColumn) -> String) -> String {
        let items: Vec<String> = self.keys[..self.ordered].iter().map(of).collect();
        items.join(", ")
    }

    /// Parameters are the ends, low first.
    pub(super) fn condition(&self, range: &Range) -> String {
        let mut next = 0;
        let mut side = |operator: &str| {
            let values: Vec<String> = self.keys[..self.ordered]
                .iter()
                .map(|(_, kind, _)| {
                    next += 1;
                    format!("${next}::text::{kind}")
                })
                .collect();
            format!(
                "({}) {operator} ({})",
                self.list(|k| k.0.clone()),
                values.join(", ")
            )
        };
        let mut parts = Vec::new();
        if range.low.is_some() {
            parts.push(side(">"));
        }
        if range.high.is_some() {
            parts.push(side("<="));
        }
        if parts.is_empty() {
            "true".into()
        } else {
            parts.join(" and ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: Servers = Servers {
        source: 140_000,
        target: 150_000,
        same_encoding: true,
        same_hash: true,
    };

    fn table(columns: &[(&str, &str)], equality: &str) -> Table {
        let mut table = Table::sample();
        for (name, kind) in columns {
            table.columns.push(Column {
                attnum: 0,
                name: (*name).into(),
                type_name: (*kind).into(),
                base_type: (*kind).into(),
                not_null: true,
                has_default: false,
                generated: false,
                identity_always: false,
            });
        }
        table.key[0].equality = equality.into();
        table
    }

    fn shape(table: &Table, depth: Depth, servers: Servers) -> Shape {
        Shape::new(table, table, &["id".into()], depth, servers)
    }

    #[test]
    fn ranges_are_open_at_the_beginning_and_at_the_end() {
        let table = table(&[("id", "bigint")], "operator(pg_catalog.=)");
        let shape = shape(&table, Depth::Content, NEW);
        let end = |key: &str| Some(vec![key.to_owned()]);
        let condition = |low, high| shape.condition(&Range { low, high });
        assert_eq!(condition(None, None), "true");
        assert_eq!(
            condition(None, end("9")),
            "(t.\"id\") <= ($1::text::bigint)"
        );
        assert_eq!(
            condition(end("1"), end("9")),
            "(t.\"id\") > ($1::text::bigint) and (t.\"id\") <= ($2::text::bigint)"
        );
        let range = Range {
            low: end("1"),
            high: end("9"),
        };
        assert_eq!(range.ends(), [Some("1"), Some("9")]);
        assert!(shape.keys(&range, 5).contains("any ($3::text[]) limit 5"));
    }

    #[test]
    fn what_has_operators_elsewhere_is_one_range() {
        let table = table(&[("id", "public.citext")], "operator(public.=)");
        let shape = shape(&table, Depth::Content, NEW);
        assert!(shape.has_key() && !shape.is_cut());
        assert!(
            shape
                .named()
                .contains("t.\"id\" operator(public.=) v.k1::public.citext")
        );
    }

    #[test]
    fn to_count_only_keys_are_read() {
        let table = table(&[("id", "int"), ("pad", "text")], "operator(pg_catalog.=)");
        let total = |depth| shape(&table, depth, NEW).total(&Range::default());
        assert!(total(Depth::Content).contains("pad"));
        assert!(!total(Depth::Presence).contains("pad"));
    }

    #[test]
    fn floating_point_keys_are_the_same_from_both_sides() {
        let table = table(&[("id", "double precision")], "operator(pg_catalog.=)");
        let old = Servers {
            source: 100_023,
            target: 150_000,
            same_encoding: true,
            same_hash: true,
        };
        let shape = shape(&table, Depth::Content, old);
        let normal = |key: &str| shape.normal(vec![key.into()]);
        assert_eq!(normal("1.41421356237309515"), normal("1.4142135623730951"));
        assert_eq!(normal("Infinity"), ["Infinity"]);
    }
}
