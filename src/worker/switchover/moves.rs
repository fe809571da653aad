//! What replay has done to the tables until a moment: where nothing was done between two moments, a table that was equal still
//! is.

use std::collections::HashMap;

use super::Errand;
use crate::failure::Failure;
use crate::pg::worker::{self, APPLY_CLASS};
use crate::pg::{spi, xact};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Moves {
    inserted: i64,
    updated: i64,
    deleted: i64,
    truncated: i64,
    restarts: i64,
    /// What a worker has replayed just before it died may not be counted: another one makes another moment.
    replayers: Vec<i64>,
}

impl Moves {
    /// A table has as many rows as then.
    pub(super) fn leaves_number(&self, then: &Self) -> bool {
        let number = |moves: &Self| Self {
            updated: 0,
            ..moves.clone()
        };
        number(self) == number(then)
    }

    /// How many rows were replayed since then, if that is known; truncations count as one.
    pub(super) fn since(&self, then: &Self) -> Option<i64> {
        let sum = |moves: &Self| moves.inserted + moves.updated + moves.deleted + moves.truncated;
        let counted = self.restarts == then.restarts && self.replayers == then.replayers;
        counted.then(|| sum(self) - sum(then))
    }
}

impl Errand {
    /// By table. What a batch does is counted after it is on the target, and before it is told to be complete.
    pub(super) fn all_moves(&self) -> Result<HashMap<u32, Moves>, Failure> {
        let id = self.subscription.id;
        xact::run(|| {
            let replayers = worker::pids(APPLY_CLASS, id);
            let rows = spi::read(
                "select source_oid::int8 as oid, inserted, updated, deleted, truncated, restarts from decamp.relation \
                 where subscription_id = $1::int4",
                &[Some(&id.to_string())],
            );
            let moves = rows.iter().map(|row| Moves {
                inserted: row.int("inserted"),
                updated: row.int("updated"),
                deleted: row.int("deleted"),
                truncated: row.int("truncated"),
                restarts: row.int("restarts"),
                replayers: replayers.clone(),
            });
            Ok(rows.iter().map(|row| row.oid("oid")).zip(moves).collect())
        })
    }
}
