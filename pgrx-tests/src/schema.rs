//! Is the target's schema the source's? What pg_dump makes of both sides, and the definition of every object; and what was
//! told of its import.

use std::collections::BTreeSet;

use crate::installation::run;
use crate::pair::{Pair, TARGET_DATABASE};
use crate::server::Server;
use crate::source::DATABASE;

/// A schema as text, to be compared with another's.
#[derive(Debug, PartialEq, Eq)]
pub struct Schema {
    /// by pg_dump: statements with what they need around them, in its order
    pub dump: Vec<String>,
    /// kind, name and definition of every object
    pub definitions: BTreeSet<String>,
}

impl Schema {
    /// Both read by the programs of one installation, the target's. What is by design not carried over is left out.
    pub fn of_source(pair: &Pair) -> Self {
        Self::read(pair, &pair.source, DATABASE)
    }

    pub fn of_target(pair: &Pair) -> Self {
        Self::read(pair, &pair.target, TARGET_DATABASE)
    }

    fn read(pair: &Pair, server: &Server, database: &str) -> Self {
        let output = run(pair
            .target
            .installation()
            .command("pg_dump")
            .args(["--schema-only", "--no-owner", "--no-privileges"])
            .args(["--no-publications", "--no-subscriptions"])
            .args(["--exclude-schema=decamp*", "--exclude-schema=_heroku"])
            .arg(server.socket_conninfo(database)));
        let definitions = server
            .rows(database, include_str!("../sql/definitions.sql"))
            .into_iter()
            .map(|row| row.join(" "))
            .collect();
        Self {
            dump: statements(&String::from_utf8_lossy(&output.stdout)),
            definitions,
        }
    }

    /// # Panics
    /// When they differ; the message has what only one side has.
    pub fn assert_same(&self, target: &Self) {
        let (source_only, target_only) = (
            self.definitions.difference(&target.definitions),
            target.definitions.difference(&self.definitions),
        );
        assert!(
            self.definitions == target.definitions,
            "definitions only on the source: {:#?}\nonly on the target: {:#?}",
            source_only.collect::<Vec<_>>(),
            target_only.collect::<Vec<_>>()
        );
        let only = |one: &Self, other: &Self| -> Vec<String> {
            let lacks = |statement: &&String| !other.dump.contains(statement);
            one.dump.iter().filter(lacks).cloned().collect()
        };
        assert!(
            self.dump == target.dump,
            "statements only on the source: {:#?}\nonly on the target: {:#?}",
            only(self, target),
            only(target, self)
        );
    }
}

/// pg_dump puts each object under a heading; the script's frame and what is not carried over are dropped.
fn statements(dump: &str) -> Vec<String> {
    dump.split("--\n-- Name: ")
        .skip(1)
        .filter(|entry| !entry.contains("; Type: EVENT TRIGGER;"))
        .filter(|entry| !entry.starts_with("pg_decamp; ") && !entry.starts_with("EXTENSION "))
        .map(|entry| {
            let text = entry.split_once("--\n").map_or(entry, |(_, text)| text);
            let text = text
                .split("--\n-- PostgreSQL database dump complete")
                .next();
            text.unwrap_or_default().trim().to_owned()
        })
        // of schema public, when it has another owner than usual
        .filter(|text| !text.starts_with("-- *not* creating schema"))
        .collect()
}

/// Events of the import, as `severity: message`, oldest first.
pub fn told(pair: &Pair, condition: &str) -> Vec<String> {
    let sql = format!(
        "SELECT severity || ': ' || message FROM repl_events WHERE subject = 'schema import' AND {condition} ORDER BY at"
    );
    let rows = pair.target.rows(TARGET_DATABASE, &sql);
    rows.into_iter().map(|mut row| row.remove(0)).collect()
}

/// The detail of the one event whose message begins so.
pub fn detail(pair: &Pair, beginning: &str) -> String {
    let sql = format!(
        "SELECT detail FROM repl_events WHERE subject = 'schema import' AND starts_with(message, '{beginning}')"
    );
    let rows = pair.target.rows(TARGET_DATABASE, &sql);
    assert_eq!(rows.len(), 1, "{beginning}: {}", pair.tell());
    rows[0][0].clone()
}

pub fn refused(pair: &Pair) -> Vec<String> {
    told(pair, "message LIKE '% refused by the target: %'")
}
