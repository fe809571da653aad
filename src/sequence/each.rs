//! One small query per sequence, many of them to a round trip, and one that fails fails alone.

use crate::failure::Failure;
use crate::libpq::{Connection, Question};
use crate::row::Row;

/// So many sequences are locked at a time: the lock table of a small server has room for a few thousand.
const LOCKED: usize = 200;
/// So many are asked for in one message.
const ASKED: usize = 2000;

/// Who sets sequences of the target does so one after the other, or two that compare and then set could set one back.
const SETTING: &str = "select 1 where (pg_catalog.pg_advisory_xact_lock(1684366083, 0)) is null;"; // 0x6465_6303

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Read,
    Set,
}

/// For each item the one row of the query `select <query of the item>`, or why there is none. What a failed attempt has set
/// stays set, and is set again: to the same.
///
/// Errors: the connection is lost.
pub fn each<T>(
    connection: &mut Connection,
    items: &[T],
    purpose: Purpose,
    query: &dyn Fn(&T) -> String,
) -> Result<Vec<Result<Row, Failure>>, Failure> {
    let mut outcomes = Vec::with_capacity(items.len());
    for part in items.chunks(ASKED) {
        outcomes.extend(together(connection, part, purpose, query)?);
    }
    Ok(outcomes)
}

fn together<T>(
    connection: &mut Connection,
    items: &[T],
    purpose: Purpose,
    query: &dyn Fn(&T) -> String,
) -> Result<Vec<Result<Row, Failure>>, Failure> {
    match connection.ask(&question(items, purpose, query)) {
        Ok(rows) => {
            let mut outcomes: Vec<Option<Row>> = vec![None; items.len()];
            for row in rows {
                let place = usize::try_from(row.int("place")).expect("we numbered them");
                outcomes[place] = Some(row);
            }
            Ok(outcomes
                .into_iter()
                .map(|row| Ok(row.expect("each query returns one row")))
                .collect())
        }
        Err(failure) if failure.disconnected => Err(failure),
        Err(failure) => {
            connection.rollback();
            if items.len() == 1 {
                return Ok(vec![Err(failure)]);
            }
            let (one, other) = items.split_at(items.len() / 2);
            let mut outcomes = together(connection, one, purpose, query)?;
            outcomes.extend(together(connection, other, purpose, query)?);
            Ok(outcomes)
        }
    }
}

/// What [`each`] asks first.
pub fn questions<T>(items: &[T], purpose: Purpose, query: &dyn Fn(&T) -> String) -> Vec<Question> {
    let parts = items.chunks(ASKED);
    parts.map(|part| question(part, purpose, query)).collect()
}

fn question<T>(items: &[T], purpose: Purpose, query: &dyn Fn(&T) -> String) -> Question {
    let numbered: Vec<String> = items
        .iter()
        .enumerate()
        .map(|(place, item)| format!("select {place}::int8 as place, {}", query(item)))
        .collect();
    let lock = if purpose == Purpose::Set { SETTING } else { "" };
    let groups = numbered.chunks(LOCKED);
    let answers = groups.len() * if lock.is_empty() { 1 } else { 2 };
    let list: Vec<String> = groups
        .map(|group| {
            format!(
                "begin; set local lock_timeout = '2s'; {lock} {}; commit",
                group.join(" union all ")
            )
        })
        .collect();
    Question::with_answers(list.join("; "), answers)
}
