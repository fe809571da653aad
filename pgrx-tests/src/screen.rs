//! All that the demo and the benchmark print: headings, facts, SQL, tables, and on a terminal one block that is drawn anew in place.
//!
//! [`WIDTH`] columns, whatever the terminal has. Colours and redrawing only when stdout is a terminal.

use std::cell::Cell;
use std::io::{self, IsTerminal, Write};

pub const WIDTH: usize = 80;
const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const CYAN: &str = "36";
/// A terminal narrower than a line cuts it instead of wrapping it, so that a block's height is known.
const WRAP_OFF: &str = "\x1b[?7l";
const WRAP_ON: &str = "\x1b[?7h";
const CLEAR_LINE: &str = "\x1b[K";

pub struct Screen {
    terminal: bool,
    /// Lines of the block that is being drawn in place.
    drawn: Cell<usize>,
}

impl Screen {
    pub fn of_stdout() -> Self {
        Self {
            terminal: io::stdout().is_terminal(),
            drawn: Cell::new(0),
        }
    }

    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    pub fn title(&self, text: &str) {
        println!("{}", self.paint(BOLD, text));
    }

    pub fn heading(&self, text: &str) {
        println!("\n{}", self.paint(BOLD, text));
        println!("{}", self.paint(DIM, &"─".repeat(text.chars().count())));
    }

    /// A sentence of our own.
    pub fn note(&self, text: &str) {
        for line in wrapped(text, WIDTH - 2) {
            println!("  {line}");
        }
    }

    /// What one name means, in one or more lines.
    pub fn facts(&self, facts: &[(&str, String)]) {
        let labels = facts.iter().map(|(label, _)| label.chars().count());
        let indent = labels.max().unwrap_or(0).max(6) + 4;
        for (label, text) in facts {
            for (i, line) in wrapped(text, WIDTH - indent).iter().enumerate() {
                let label = if i == 0 { *label } else { "" };
                let padded = format!("{label:<width$}", width = indent - 2);
                println!("  {}{line}", self.paint(CYAN, &padded));
            }
        }
    }

    /// SQL as psql shows it.
    pub fn typed(&self, database: &str, sql: &str) {
        println!();
        for (i, line) in sql.lines().enumerate() {
            let prompt = format!("{database}{}# ", if i == 0 { "=" } else { "-" });
            println!("{prompt}{}", self.paint(BOLD, line));
        }
    }

    /// What the server answered.
    pub fn answer(&self, text: &str) {
        for line in wrapped(text, WIDTH - 2) {
            println!("  {}", self.paint(GREEN, &line));
        }
    }

    /// A table; columns that `right` names by number are numbers.
    pub fn table(&self, header: &[&str], right: &[usize], rows: &[Vec<String>]) {
        let width = |column: usize| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.chain([header[column].len()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..header.len()).map(width).collect();
        let line = |cells: &[String]| {
            let padded = cells.iter().enumerate().map(|(i, cell)| {
                let width = widths[i];
                if right.contains(&i) {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                }
            });
            let joined: Vec<String> = padded.collect();
            joined.join("  ").trim_end().to_owned()
        };
        let header: Vec<String> = header.iter().map(|&cell| cell.to_owned()).collect();
        println!("\n  {}", self.paint(CYAN, &line(&header)));
        for row in rows {
            println!("  {}", line(row));
        }
        println!();
    }

    pub fn line(&self, text: &str) {
        println!("{text}");
    }

    /// Draws the block, over the one drawn before if there is one. For terminals.
    pub fn draw(&self, lines: &[String]) {
        let mut text = String::from(WRAP_OFF);
        if self.drawn.get() > 0 {
            text.push_str(&format!("\x1b[{}A", self.drawn.get()));
        }
        for line in lines {
            text.push_str(line);
            text.push_str(CLEAR_LINE);
            text.push('\n');
        }
        // what a taller block has left below
        text.push_str("\x1b[J");
        text.push_str(WRAP_ON);
        self.drawn.set(lines.len());
        let mut out = io::stdout().lock();
        // a terminal that has gone away does not stop the demo
        let _ = out.write_all(text.as_bytes());
        let _ = out.flush();
    }

    /// Leaves the block as it is; what follows is printed below.
    pub fn leave(&self) {
        self.drawn.set(0);
    }

    /// The last word when it went wrong.
    pub fn failure(&self, message: &str) {
        let text = format!("FAILED: {message}");
        if io::stderr().is_terminal() {
            eprintln!("\n\x1b[{RED}m{text}\x1b[0m");
        } else {
            eprintln!("\n{text}");
        }
    }

    pub fn label(&self, text: &str) -> String {
        self.paint(CYAN, text)
    }

    pub fn good(&self, text: &str) -> String {
        self.paint(GREEN, text)
    }

    pub fn attention(&self, text: &str) -> String {
        self.paint(YELLOW, text)
    }

    pub fn bad(&self, text: &str) -> String {
        self.paint(RED, text)
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.terminal {
            format!("\x1b[{colour}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Lines of at most `width` characters, broken at spaces; line ends of the text are kept.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut line));
            } else if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

/// A number with its thousands apart.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// As the server's `pg_size_pretty` has it.
pub fn megabytes(bytes: u64) -> String {
    format!("{:.0} MB", bytes as f64 / 1_048_576.0)
}
