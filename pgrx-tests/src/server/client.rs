//! SQL on a server: as the superuser, through its socket, one connection per call unless a test wants to keep one.

use std::error::Error;
use std::time::Duration;

use postgres::error::DbError;
use postgres::{Client, Config, NoTls, SimpleQueryMessage};

use super::Server;
use crate::wait;

impl Server {
    /// A connection of the superuser.
    pub fn connect(&self, database: &str) -> Client {
        self.connect_as("postgres", database)
    }

    /// A connection of any role, through the socket, where no password is asked for.
    pub fn connect_as(&self, role: &str, database: &str) -> Client {
        self.try_connect_as(role, database).unwrap_or_else(|error| {
            panic!(
                "{}: cannot connect: {}\n{}",
                self.name,
                told(&error),
                self.log_tail()
            )
        })
    }

    /// Like [`Self::connect_as`], for servers that may be down.
    pub fn try_connect_as(&self, role: &str, database: &str) -> Result<Client, postgres::Error> {
        Config::new()
            .host_path(self.directory())
            .port(self.port)
            .user(role)
            .dbname(database)
            .application_name("test")
            .connect_timeout(Duration::from_secs(10))
            .connect(NoTls)
    }

    /// Runs statements. Several in one text are one transaction, as the protocol has it.
    pub fn sql(&self, database: &str, sql: &str) {
        self.rows(database, sql);
    }

    /// All rows of a query (of the last one, when there are several), each value as text, NULL as an empty one.
    pub fn rows(&self, database: &str, sql: &str) -> Vec<Vec<String>> {
        self.try_rows(database, sql)
            .unwrap_or_else(|error| panic!("{}: {}\nin: {sql}", self.name, told(&error)))
    }

    /// Like [`Self::rows`], with the server's error where it has one.
    pub fn try_rows(&self, database: &str, sql: &str) -> Result<Vec<Vec<String>>, postgres::Error> {
        let mut client = self.try_connect_as("postgres", database)?;
        client.simple_query(sql).map(texts)
    }

    /// The first value of the first row, as text, NULL as an empty one.
    ///
    /// # Panics
    /// When there is no row.
    pub fn query_one_text(&self, database: &str, sql: &str) -> String {
        let first = self.rows(database, sql).into_iter().next();
        let value = first.and_then(|row| row.into_iter().next());
        value.unwrap_or_else(|| panic!("{}: no row from: {sql}", self.name))
    }

    /// The error that this SQL must end with.
    ///
    /// # Panics
    /// When it does not fail, or fails without a word of the server.
    pub fn fails(&self, database: &str, sql: &str) -> DbError {
        match self.try_rows(database, sql) {
            Ok(_) => panic!("{}: should have failed: {sql}", self.name),
            Err(error) => error
                .as_db_error()
                .unwrap_or_else(|| panic!("{}: {}", self.name, told(&error)))
                .clone(),
        }
    }

    /// Repeats a query until its first value is true. Lost connections are waited out too.
    ///
    /// # Panics
    /// After `deadline`, with the query, its last result and the end of the server's log.
    pub fn poll_until(&self, database: &str, sql: &str, deadline: Duration) {
        let mut last = String::new();
        let found = wait::within(deadline, || {
            last = match self.try_rows(database, sql) {
                Ok(rows) => rows
                    .into_iter()
                    .flatten()
                    .next()
                    .unwrap_or_else(|| "no row".into()),
                Err(error) => told(&error),
            };
            (last == "t").then_some(())
        });
        if found.is_none() {
            panic!(
                "{}: not true within {deadline:?}: {sql}\nlast result: {last}\n{}",
                self.name,
                self.log_tail()
            );
        }
    }

    /// The major version.
    pub fn major(&self) -> u32 {
        self.installation.major
    }
}

/// An error with all that the server said.
pub fn told(error: &postgres::Error) -> String {
    match error.as_db_error() {
        Some(error) => {
            let more = |label: &str, text: Option<&str>| {
                text.map(|text| format!("\n{label}: {text}"))
                    .unwrap_or_default()
            };
            format!(
                "{}: {}{}{}{}",
                error.code().code(),
                error.message(),
                more("detail", error.detail()),
                more("hint", error.hint()),
                more("where", error.where_())
            )
        }
        None => match error.source() {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        },
    }
}

fn texts(messages: Vec<SimpleQueryMessage>) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for message in messages {
        match message {
            SimpleQueryMessage::RowDescription(_) => rows.clear(),
            SimpleQueryMessage::Row(row) => {
                rows.push(
                    (0..row.len())
                        .map(|i| row.get(i).unwrap_or_default().to_owned())
                        .collect(),
                );
            }
            _ => {}
        }
    }
    rows
}
