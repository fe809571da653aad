//! The user's psql, as it were: SQL on the target, shown as typed, with the password masked.

use decamp_tests::server::client::told;
use postgres::{Client, SimpleQueryMessage};

use super::stage::{Stage, TARGET_DATABASE};
use decamp_tests::screen::{Screen, WIDTH, wrapped};

/// Stands for the source's URI in the SQL to run.
const PLACEHOLDER: &str = "{source}";
const MASK: &str = "********";

pub struct Session {
    client: Client,
    uri: String,
}

impl Session {
    pub fn open(stage: &Stage) -> Self {
        Self {
            client: stage.pair.target.connect(TARGET_DATABASE),
            uri: stage.pair.source_uri(),
        }
    }

    pub fn prompt(&self) -> &'static str {
        TARGET_DATABASE
    }

    /// Runs a statement and shows it with its answer.
    pub fn run(&mut self, screen: &Screen, sql: &str) -> Result<(), String> {
        let rows = self.rows(screen, sql)?;
        for value in rows.iter().flatten() {
            screen.answer(value);
        }
        if rows.is_empty() {
            let words: Vec<&str> = sql.split_whitespace().take(2).collect();
            screen.answer(&words.join(" "));
        }
        Ok(())
    }

    /// Runs `repl_check` and shows how much is well, and all that is not.
    pub fn check(&mut self, screen: &Screen) -> Result<(), String> {
        let rows = self.rows(
            screen,
            "SELECT * FROM repl_check(\n    source => '{source}');",
        )?;
        let well = rows.iter().filter(|row| row[0] == "ok").count();
        screen.line(&format!(
            "  {}  {well} checks passed",
            screen.good("ok     ")
        ));
        for row in rows.iter().filter(|row| row[0] != "ok") {
            let severity = format!("{:<7}", row[0]);
            let severity = match row[0].as_str() {
                "warning" => screen.attention(&severity),
                _ => screen.bad(&severity),
            };
            let finding = wrapped(&format!("{}: {}", row[1], row[2]), WIDTH - 11);
            labelled(screen, &severity, &finding);
            labelled(
                screen,
                &screen.label("fix    "),
                &wrapped(&row[3], WIDTH - 11),
            );
        }
        Ok(())
    }

    fn rows(&mut self, screen: &Screen, sql: &str) -> Result<Vec<Vec<String>>, String> {
        screen.typed(self.prompt(), &sql.replace(PLACEHOLDER, &masked(&self.uri)));
        let messages = self
            .client
            .simple_query(&sql.replace(PLACEHOLDER, &self.uri))
            .map_err(|error| told(&error))?;
        Ok(texts(&messages))
    }
}

/// Lines with a label, seven columns wide, before the first.
fn labelled(screen: &Screen, label: &str, lines: &[String]) {
    for (i, line) in lines.iter().enumerate() {
        let label = if i == 0 { label } else { "       " };
        screen.line(&format!("  {label}  {line}"));
    }
}

/// The rows of a query, each value as text, NULL as an empty one.
pub fn texts(messages: &[SimpleQueryMessage]) -> Vec<Vec<String>> {
    let row = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => Some(
            (0..row.len())
                .map(|i| row.get(i).unwrap_or_default().to_owned())
                .collect(),
        ),
        _ => None,
    };
    messages.iter().filter_map(row).collect()
}

/// A URI without its password.
fn masked(uri: &str) -> String {
    let Some((before, host)) = uri.split_once('@') else {
        return uri.to_owned();
    };
    match before.rsplit_once(':') {
        Some((user, _)) => format!("{user}:{MASK}@{host}"),
        None => uri.to_owned(),
    }
}
