//! Is the target the source? Every table by row count and by a hash of its content, every sequence by its position.
//!
//! To be asked when nobody writes. The hash does not depend on the order of rows or of columns, but on every byte of the
//! values' text form, so it sees what `=` does not: `1.0` and `1.00`, `-0` and `0`, the case of a citext.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Display};

use postgres::{Client, SimpleQueryMessage};

use crate::server::Server;
use crate::server::client::told;

/// How many differing rows of one table and one side are shown.
const SHOWN_ROWS: usize = 5;
/// Beyond so many rows the differing ones are not looked for.
const SEARCHED_ROWS: u64 = 2_000_000;
const SETTINGS: &str = "SET search_path = pg_catalog; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres'; \
    SET TimeZone = 'UTC'; SET extra_float_digits = 3; SET bytea_output = 'hex'; SET lc_monetary = 'C'; SET row_security = off; \
    SET jit = off";

/// What one table has on one side.
#[derive(Debug, PartialEq, Eq)]
pub struct Content {
    pub rows: u64,
    pub hash: String,
}

/// A table that is not the same on both sides. `None`: it is not there.
#[derive(Debug)]
pub struct Difference {
    pub table: String,
    pub source: Option<Content>,
    pub target: Option<Content>,
    /// Rows, as text, that only the source has; some of them.
    pub only_source: Vec<String>,
    /// Rows, as text, that only the target has; some of them.
    pub only_target: Vec<String>,
}

impl Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = |content: &Option<Content>| match content {
            Some(content) => format!("{} rows", content.rows),
            None => "not there".into(),
        };
        write!(
            f,
            "{}: source {}, target {}",
            self.table,
            rows(&self.source),
            rows(&self.target)
        )?;
        for (side, rows) in [("source", &self.only_source), ("target", &self.only_target)] {
            for row in rows {
                write!(f, "\n    only {side}: {row}")?;
            }
        }
        Ok(())
    }
}

/// Checks that both databases have the same tables with the same rows.
///
/// # Panics
/// When they differ; the message lists tables, counts and some of the differing rows.
pub fn assert_same(source: &Server, source_database: &str, target: &Server, target_database: &str) {
    assert_same_except(source, source_database, target, target_database, &[]);
}

/// Like [`assert_same`], without the tables named, as `quote_ident` would write them, with their schema.
pub fn assert_same_except(
    source: &Server,
    source_database: &str,
    target: &Server,
    target_database: &str,
    except: &[&str],
) {
    let mut found = differences(source, source_database, target, target_database);
    found.retain(|difference| !except.contains(&difference.table.as_str()));
    let listed: Vec<String> = found.iter().map(Difference::to_string).collect();
    assert!(
        found.is_empty(),
        "{} tables differ:\n{}",
        found.len(),
        listed.join("\n")
    );
}

/// The tables that differ.
///
/// # Panics
/// When there is no table at all: a comparison of nothing proves nothing.
pub fn differences(
    source: &Server,
    source_database: &str,
    target: &Server,
    target_database: &str,
) -> Vec<Difference> {
    let mut source = Side::open(source, source_database);
    let mut target = Side::open(target, target_database);
    assert!(
        !source.tables.is_empty(),
        "the source has tables to compare"
    );
    let names: Vec<String> = source
        .tables
        .keys()
        .chain(target.tables.keys())
        .cloned()
        .collect();
    let mut found: BTreeMap<String, Difference> = BTreeMap::new();
    for table in names {
        if found.contains_key(&table) {
            continue;
        }
        let (in_source, in_target) = (source.content(&table), target.content(&table));
        if in_source == in_target {
            continue;
        }
        let (only_source, only_target) = differing_rows(&mut source, &mut target, &table);
        let difference = Difference {
            table,
            source: in_source,
            target: in_target,
            only_source,
            only_target,
        };
        found.insert(difference.table.clone(), difference);
    }
    found.into_values().collect()
}

/// Every user table's content, by name; for summaries.
pub fn contents(server: &Server, database: &str) -> BTreeMap<String, Content> {
    let mut side = Side::open(server, database);
    let names: Vec<String> = side.tables.keys().cloned().collect();
    names
        .into_iter()
        .filter_map(|name| side.content(&name).map(|content| (name, content)))
        .collect()
}

/// Checks that every sequence of the source is on the target, at the source's position or beyond.
///
/// # Panics
/// When one is missing or behind; the message lists them.
pub fn assert_sequences_not_behind(
    source: &Server,
    source_database: &str,
    target: &Server,
    target_database: &str,
) {
    let (source, target) = (
        sequences(source, source_database),
        sequences(target, target_database),
    );
    assert!(!source.is_empty(), "the source has sequences to compare");
    let behind: Vec<String> = source
        .iter()
        .filter_map(|(name, position)| match target.get(name) {
            None => Some(format!("{name} is not on the target")),
            Some(reached) if reached.is_behind(position) => {
                Some(format!("{name}: source {position:?}, target {reached:?}"))
            }
            Some(_) => None,
        })
        .collect();
    assert!(
        behind.is_empty(),
        "sequences are behind:\n{}",
        behind.join("\n")
    );
}

#[derive(Debug)]
struct Position {
    last: i64,
    called: bool,
    increment: i64,
}

impl Position {
    fn is_behind(&self, other: &Position) -> bool {
        let own = (
            self.last.saturating_mul(other.increment.signum()),
            self.called,
        );
        own < (
            other.last.saturating_mul(other.increment.signum()),
            other.called,
        )
    }
}

fn sequences(server: &Server, database: &str) -> BTreeMap<String, Position> {
    let mut client = server.connect(database);
    let listed = query(&mut client, include_str!("../sql/sequences.sql"));
    let mut position = |name: &str, increment: &str| {
        let row = query(
            &mut client,
            &format!("select last_value, is_called from {name}"),
        )
        .remove(0);
        Position {
            last: row[0].parse().expect("a sequence is at a number"),
            called: row[1] == "t",
            increment: increment.parse().expect("an increment is a number"),
        }
    };
    listed
        .iter()
        .map(|row| (row[0].clone(), position(&row[0], &row[1])))
        .collect()
}

/// One of the two databases.
struct Side {
    client: Client,
    /// By quoted name: what to select from, and the expression for a row's text.
    tables: BTreeMap<String, (String, String)>,
}

impl Side {
    fn open(server: &Server, database: &str) -> Self {
        let mut client = server.connect(database);
        // jit is unknown before 11
        let settings = if server.major() < 11 {
            SETTINGS.replace("SET jit = off", "")
        } else {
            SETTINGS.into()
        };
        client
            .batch_execute(&settings)
            .expect("known settings can be set");
        let listed = query(&mut client, include_str!("../sql/tables.sql"));
        let tables = listed
            .into_iter()
            .map(|row| (row[0].clone(), (row[1].clone(), row[2].clone())))
            .collect();
        Self { client, tables }
    }

    fn content(&mut self, table: &str) -> Option<Content> {
        let (origin, image) = self.tables.get(table)?;
        // both halves of the md5, as numbers, added up: the order of rows does not matter, how often one is there does
        let sql = format!(
            "select count(*), coalesce(sum(('x' || left(h, 16))::bit(64)::bigint::numeric), 0) \
             || '/' || coalesce(sum(('x' || right(h, 16))::bit(64)::bigint::numeric), 0) \
             from (select md5({image}) as h from {origin}) as hashed"
        );
        let row = query(&mut self.client, &sql).remove(0);
        Some(Content {
            rows: row[0].parse().expect("count(*) is a number"),
            hash: row[1].clone(),
        })
    }

    /// How often each row's hash is there.
    fn hashes(&mut self, table: &str) -> HashMap<String, i64> {
        let Some((origin, image)) = self.tables.get(table) else {
            return HashMap::new();
        };
        let rows = query(
            &mut self.client,
            &format!("select md5({image}), count(*) from {origin} group by 1"),
        );
        rows.into_iter()
            .map(|row| {
                (
                    row[0].clone(),
                    row[1].parse().expect("count(*) is a number"),
                )
            })
            .collect()
    }

    fn rows_of(&mut self, table: &str, hashes: &[&String]) -> Vec<String> {
        let Some((origin, image)) = self.tables.get(table) else {
            return Vec::new();
        };
        if hashes.is_empty() {
            return Vec::new();
        }
        let list: Vec<String> = hashes.iter().map(|hash| format!("'{hash}'")).collect();
        let sql = format!(
            "select left({image}, 300) from {origin} where md5({image}) in ({})",
            list.join(", ")
        );
        query(&mut self.client, &sql)
            .into_iter()
            .map(|mut row| row.remove(0))
            .collect()
    }
}

/// Some of the rows that only the source has, and of those that only the target has.
fn differing_rows(source: &mut Side, target: &mut Side, table: &str) -> (Vec<String>, Vec<String>) {
    let most = [source.content(table), target.content(table)]
        .into_iter()
        .flatten()
        .map(|content| content.rows)
        .max();
    if most.unwrap_or(0) > SEARCHED_ROWS {
        return (Vec::new(), Vec::new());
    }
    let (in_source, in_target) = (source.hashes(table), target.hashes(table));
    let surplus = |one: &HashMap<String, i64>, other: &HashMap<String, i64>| -> Vec<String> {
        let more = one
            .iter()
            .filter(|(hash, count)| other.get(*hash).unwrap_or(&0) < count);
        more.map(|(hash, _)| hash.clone())
            .take(SHOWN_ROWS)
            .collect()
    };
    let (only_source, only_target) = (
        surplus(&in_source, &in_target),
        surplus(&in_target, &in_source),
    );
    (
        source.rows_of(table, &only_source.iter().collect::<Vec<_>>()),
        target.rows_of(table, &only_target.iter().collect::<Vec<_>>()),
    )
}

fn query(client: &mut Client, sql: &str) -> Vec<Vec<String>> {
    let messages = client
        .simple_query(sql)
        .unwrap_or_else(|error| panic!("{}\nin: {sql}", told(&error)));
    let row = |message| match message {
        SimpleQueryMessage::Row(row) => Some(
            (0..row.len())
                .map(|i| row.get(i).unwrap_or_default().to_owned())
                .collect(),
        ),
        _ => None,
    };
    messages.into_iter().filter_map(row).collect()
}
