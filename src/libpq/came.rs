//! What has come of a list's results, without waiting for the rest: who waits for two servers takes from both.

use pq_sys::ExecStatusType;

use super::Connection;
use super::connection::{affected, rows, status};
use super::copy::Piece;
use crate::failure::Failure;
use crate::row::Row;

/// A result of a list.
pub enum Came {
    Rows(Vec<Row>),
    /// of a statement without rows, or of a COPY after its last row: how many rows it concerned
    Done(u64),
    /// a COPY TO STDOUT begins; its rows come next
    CopyOut,
    /// nothing more comes
    End,
}

impl Connection {
    /// The next result of the list, `None` while it has not come.
    pub fn came(&mut self) -> Result<Option<Came>, Failure> {
        if self.is_busy() {
            self.consume()?;
            if self.is_busy() {
                return Ok(None);
            }
        }
        let Some(answer) = self.next_answer()? else {
            return Ok(Some(Came::End));
        };
        Ok(Some(match status(&answer) {
            ExecStatusType::PGRES_TUPLES_OK => Came::Rows(rows(&answer)),
            ExecStatusType::PGRES_COMMAND_OK => Came::Done(affected(&answer)),
            ExecStatusType::PGRES_COPY_OUT => Came::CopyOut,
            _ => return Err(self.failed(&answer)),
        }))
    }

    /// The next row of a COPY TO STDOUT, `Ok(None)` after the last one; `None` while it has not come.
    pub(super) fn piece_came(&mut self) -> Result<Option<Option<Piece>>, Failure> {
        let mut looked = false;
        loop {
            match self.piece()? {
                Some(came) => return Ok(Some(came)),
                None if looked => return Ok(None),
                None => {
                    self.consume()?;
                    looked = true;
                }
            }
        }
    }

    /// Waits until something comes.
    pub fn wait(&mut self) -> Result<(), Failure> {
        self.wait_once(false)
    }
}
