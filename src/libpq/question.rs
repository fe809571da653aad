//! Questions: queries that can be sent before they are asked. Those that are known to come one after the other go out together,
//! and a long line is felt once, not once a question.
//!
//! Who asks need not know. A question in the same words as the first that was foretold takes the answer to that one; any other
//! statement drops what is left. The server answers in the order of the questions, each in a snapshot of its own: they might as
//! well have been asked one by one, but when they were sent ([`Connection::as_of`]). So only what changes nothing is foretold,
//! or what is asked for in any case.

use std::collections::VecDeque;

use super::Connection;
use crate::failure::Failure;
use crate::meter;
use crate::row::Row;
use crate::template::bind;

/// Statements separated by semicolons, without parameters; how many of them have rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    sql: String,
    answers: usize,
}

impl Question {
    /// One of the statements has rows.
    pub fn new(sql: impl Into<String>) -> Self {
        Self::with_answers(sql, 1)
    }

    /// One query, with what is bound to its parameters.
    pub fn bound(sql: &str, parameters: &[&str]) -> Self {
        Self::new(bind(sql, parameters))
    }

    pub fn with_answers(sql: impl Into<String>, answers: usize) -> Self {
        let sql = sql.into();
        Self { sql, answers }
    }
}

/// What was sent and is not asked yet.
#[derive(Default)]
pub(super) struct Foretold {
    questions: VecDeque<Question>,
    /// when, in microseconds since 1970, this server's clock
    sent: i64,
}

impl Connection {
    /// Sends these, each of which will be asked next after the one before. The first that fails ends the list, and with it what it
    /// had begun is rolled back; those after it are sent anew when they are asked.
    pub fn foretell(&mut self, questions: &[Question]) -> Result<(), Failure> {
        let mut known = self.foretold.questions.iter();
        if questions
            .iter()
            .all(|question| known.next() == Some(question))
        {
            return Ok(());
        }
        let sent = meter::now();
        let list: Vec<&str> = questions.iter().map(|q| q.sql.as_str()).collect();
        self.send_list(&list.join("\n;\n"))?;
        self.foretold = Foretold {
            questions: questions.iter().cloned().collect(),
            sent,
        };
        Ok(())
    }

    /// The rows of all its answers.
    pub fn ask(&mut self, question: &Question) -> Result<Vec<Row>, Failure> {
        self.foretell(std::slice::from_ref(question))?;
        let mut all = Vec::new();
        for _ in 0..question.answers {
            match self.rows_next() {
                Ok(rows) => all.extend(rows),
                Err(failure) => {
                    // nothing more comes
                    self.foretold.questions.clear();
                    return Err(failure);
                }
            }
        }
        self.foretold.questions.pop_front();
        if self.foretold.questions.is_empty() {
            self.list_done()?;
        }
        Ok(all)
    }

    /// Asks them one after the other; the rows of each.
    pub fn ask_all<const N: usize>(
        &mut self,
        questions: &[Question; N],
    ) -> Result<[Vec<Row>; N], Failure> {
        self.foretell(questions)?;
        let mut all = [const { Vec::new() }; N];
        for (rows, question) in all.iter_mut().zip(questions) {
            *rows = self.ask(question)?;
        }
        Ok(all)
    }

    /// What is asked next is answered as of this moment or a later one: in microseconds since 1970, this server's clock.
    pub fn as_of(&self) -> i64 {
        if self.foretold.questions.is_empty() {
            meter::now()
        } else {
            self.foretold.sent
        }
    }

    /// Nobody asks for the rest.
    pub(super) fn drop_foretold(&mut self) -> Result<(), Failure> {
        if self.foretold.questions.is_empty() {
            return Ok(());
        }
        while self.next_answer()?.is_some() {}
        self.foretold.questions.clear();
        // one that failed has left its transaction open
        if self.raw.is_aborted() {
            self.batch("rollback")?;
        }
        Ok(())
    }
}
