//! The source's tables as the user's choice sorts them.

use super::finding::Findings;
use super::side::Side;
use super::wording;
use crate::catalog;
use crate::quote;
use crate::selection::{self, Choice, Obstacle};
use crate::table::{Kind, Table};

pub struct Scope {
    pub tables: Vec<Table>,
    /// what the subscription would take
    pub taken: Vec<Table>,
    /// wanted but not to be taken, and why in the first place
    pub obstacles: Vec<(Table, Obstacle)>,
}

impl Scope {
    /// `None` when the source's catalogs could not be read.
    pub fn read(source: &mut Side, choice: &Choice, findings: &mut Findings) -> Option<Self> {
        let mut tables = source.look.need(findings, "tables", catalog::tables)?;
        source.look.run(findings, "table sizes", |connection| {
            catalog::measure(connection, &mut tables)
        });
        let selection = selection::select(&tables, choice);
        let taken = selection.taken.into_iter().cloned().collect();
        let obstacles = selection
            .obstacles
            .into_iter()
            .map(|(table, obstacle)| (table.clone(), obstacle))
            .collect();
        Some(Self {
            tables,
            taken,
            obstacles,
        })
    }

    /// Taken or in want of something.
    pub fn wanted(&self) -> impl Iterator<Item = &Table> {
        self.taken
            .iter()
            .chain(self.obstacles.iter().map(|(table, _)| table))
    }

    /// The partitions below the taken tables.
    pub fn partitions(&self) -> impl Iterator<Item = &Table> {
        let roots: Vec<u32> = self
            .taken
            .iter()
            .filter(|t| t.kind == Kind::Partitioned)
            .map(|t| t.oid)
            .collect();
        self.tables
            .iter()
            .filter(move |t| t.root.is_some_and(|root| roots.contains(&root)))
    }

    /// `oid[]` of the taken tables and their partitions.
    pub fn family(&self) -> String {
        oids(self.taken.iter().chain(self.partitions()))
    }

    pub fn bytes(&self) -> i64 {
        self.taken.iter().map(|t| t.bytes).sum()
    }

    /// Shown names of the taken tables that are such.
    pub fn named(&self, such: impl Fn(&Table) -> bool) -> Vec<String> {
        self.taken
            .iter()
            .filter(|t| such(t))
            .map(Table::shown)
            .collect()
    }
}

/// The text form of an `oid[]` value.
pub fn oids<'a>(tables: impl Iterator<Item = &'a Table>) -> String {
    quote::array(&tables.map(|t| t.oid.to_string()).collect::<Vec<_>>())
}

/// The subject of a finding on one table.
pub fn subject(table: &Table) -> String {
    format!("table {}", table.shown())
}

/// Is the choice sensible, and what comes of it.
pub fn check(scope: &Scope, source: &Side, choice: &Choice, findings: &mut Findings) {
    let mark = findings.mark();
    for pattern in choice.unmatched(&scope.tables) {
        findings.error(
            "42P01",
            "tables",
            format!("pattern {pattern:?} matches no table of the source"),
            source.sql("\\dt *.* -- in psql lists what is there"),
        );
    }
    if scope.taken.is_empty() && scope.obstacles.is_empty() && findings.quiet_since(mark) {
        findings.error(
            "42P01",
            "tables",
            format!("there is no table to take in database {}", quote::ident(&source.server.database)),
            source.sql("\\dt *.* -- in psql lists what is there; check the database in the connection string"),
        );
    }
    if !scope.taken.is_empty() {
        findings.ok(
            "tables",
            format!(
                "{} to take, {} on disk without indexes",
                wording::count(scope.taken.len(), "table"),
                wording::bytes(scope.bytes()),
            ),
        );
    }
}
