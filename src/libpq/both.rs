//! The same question to two servers at once.

use super::Connection;
use super::connection::rows;
use crate::failure::Failure;
use crate::row::Row;

/// A statement and its parameters, bound as text.
pub type Question<'a> = (&'a str, &'a [Option<&'a str>]);

/// Sends both, then waits for both. After a failure of the one the other has been waited for as well.
pub fn both(
    one: (&mut Connection, Question),
    other: (&mut Connection, Question),
) -> Result<(Vec<Row>, Vec<Row>), Failure> {
    let ((one, (sql, parameters)), (other, (other_sql, other_parameters))) = (one, other);
    one.send(sql, Some(parameters))?;
    let sent = other.send(other_sql, Some(other_parameters));
    let answer = one.last_answer();
    sent?;
    let other_answer = other.last_answer();
    Ok((rows(&answer?), rows(&other_answer?)))
}
