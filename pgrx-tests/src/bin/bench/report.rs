//! The results: printed as they come, and written as Markdown after each part, so that an interrupted run leaves something.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use decamp_tests::screen::Screen;

pub struct Report {
    screen: Screen,
    file: PathBuf,
    markdown: String,
}

impl Report {
    pub fn new(file: PathBuf) -> Self {
        Self {
            screen: Screen::of_stdout(),
            file,
            markdown: String::new(),
        }
    }

    pub fn title(&mut self, text: &str) {
        self.screen.title(text);
        let _ = writeln!(self.markdown, "## {text}\n");
    }

    pub fn heading(&mut self, text: &str) {
        self.screen.heading(text);
        let _ = writeln!(self.markdown, "### {text}\n");
    }

    pub fn facts(&mut self, facts: &[(&str, String)]) {
        self.screen.facts(facts);
        for (name, fact) in facts {
            let _ = writeln!(self.markdown, "* {name}: {fact}");
        }
        self.markdown.push('\n');
    }

    /// What happens now; not for the file.
    pub fn progress(&self, text: &str) {
        self.screen.note(text);
    }

    /// A sentence of the results.
    pub fn note(&mut self, text: &str) {
        self.screen.note(text);
        let _ = writeln!(self.markdown, "{text}\n");
    }

    /// All columns but the first are numbers.
    pub fn table(&mut self, header: &[&str], rows: &[Vec<String>]) {
        let right: Vec<usize> = (1..header.len()).collect();
        self.screen.table(header, &right, rows);
        let _ = writeln!(self.markdown, "| {} |", header.join(" | "));
        let _ = writeln!(self.markdown, "|---|{}", "--:|".repeat(header.len() - 1));
        for row in rows {
            let _ = writeln!(self.markdown, "| {} |", row.join(" | "));
        }
        self.markdown.push('\n');
    }

    /// Writes what there is so far.
    pub fn save(&self) -> Result<(), String> {
        let directory = self.file.parent().map_or(Ok(()), fs::create_dir_all);
        directory
            .and_then(|()| fs::write(&self.file, &self.markdown))
            .map_err(|error| format!("{}: {error}", self.file.display()))
    }

    pub fn file(&self) -> String {
        self.file.display().to_string()
    }
}
