//! Rows of a COPY that have come before anybody can take them.

use std::collections::VecDeque;

use super::Connection;
use super::copy::{BLOCK, Piece};
use crate::failure::Failure;

/// Rows of one COPY TO STDOUT, until they are handed on.
#[derive(Default)]
pub struct Early {
    blocks: VecDeque<Block>,
    held: usize,
    bytes: u64,
    ended: bool,
}

enum Block {
    Rows(Vec<u8>),
    /// as it came: a row may be as large as all that is to be held
    Row(Piece),
}

impl Early {
    /// Bytes of rows that wait to be handed on.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Bytes of all rows so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The last row has come.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Takes in what has come, about a block of it. False: nothing has.
    pub fn take_in(&mut self, from: &mut Connection) -> Result<bool, Failure> {
        let before = self.bytes;
        while self.bytes - before < BLOCK as u64 && !self.ended {
            match from.piece_came()? {
                Some(Some(piece)) => self.hold(piece),
                Some(None) => self.ended = true,
                None => break,
            }
        }
        Ok(self.ended || self.bytes > before)
    }

    fn hold(&mut self, piece: Piece) {
        self.held += piece.len();
        self.bytes += piece.len() as u64;
        if piece.len() >= BLOCK {
            self.blocks.push_back(Block::Row(piece));
            return;
        }
        match self.blocks.back_mut() {
            Some(Block::Rows(block)) if block.len() < BLOCK => {
                block.extend_from_slice(piece.bytes());
            }
            _ => {
                let mut block = Vec::with_capacity(2 * BLOCK);
                block.extend_from_slice(piece.bytes());
                self.blocks.push_back(Block::Rows(block));
            }
        }
    }

    /// Hands on what is held, into the COPY FROM STDIN that `to` is in.
    pub fn hand_on(&mut self, to: &mut Connection) -> Result<(), Failure> {
        self.held = 0;
        while let Some(block) = self.blocks.pop_front() {
            match &block {
                Block::Rows(rows) => to.put(rows)?,
                Block::Row(row) => {
                    for part in row.bytes().chunks(BLOCK) {
                        to.put(part)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Forgets what is held.
    pub fn drop_held(&mut self) {
        self.blocks.clear();
        self.held = 0;
    }
}
