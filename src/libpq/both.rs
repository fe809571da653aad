//! Two servers at once, or more.

use std::ffi::c_int;
use std::time::Duration;

use super::connection::rows;
use super::{Awaited, Connection};
use crate::failure::Failure;
use crate::pg::{latch, liveness};
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

/// Waits until something comes from one of several connections, whose servers are all at work for us, or what else is awaited has come.
pub fn wait_for_any<'a>(
    connections: impl Iterator<Item = &'a mut Connection>,
    also: Option<Awaited>,
) -> Result<(), Failure> {
    const A_WHILE: Duration = Duration::from_millis(200);
    liveness::tick();
    let connections: Vec<&mut Connection> = connections.collect();
    let mut sockets: Vec<(c_int, bool)> = connections
        .iter()
        .map(|c| (c.raw.socket(), false))
        .collect();
    sockets.extend(also.map(|also| (also.socket, also.write)));
    let came = latch::wait_any(&sockets, A_WHILE);
    for (connection, came) in connections.into_iter().zip(came) {
        if came {
            connection.probe.sign_of_life();
            connection.consume()?;
        } else {
            connection.bear_silence()?;
        }
    }
    Ok(())
}
