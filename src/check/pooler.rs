//! Is there a connection pooler in between, and does it hand our session to others between transactions?
//!
//! A pooler announces a process id of its own when a client connects. In transaction mode two of our connections get the
//! same server process one after the other, which in session mode cannot happen. (A session-mode pool of a single
//! connection makes the second one wait until the pooler refuses it; two are too few to migrate with anyway.)

use super::finding::Findings;
use crate::failure::Failure;
use crate::libpq::{Connection, Conninfo, Role};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    Direct,
    SessionPooler,
    TransactionPooler,
}

/// Errors: those of connecting once more.
pub fn look(
    connection: &mut Connection,
    info: &Conninfo,
    role: Role,
    encoding: &str,
) -> Result<Path, Failure> {
    let first = backend(connection)?;
    if first == connection.announced_pid() {
        return Ok(Path::Direct);
    }
    let mut other = Connection::open(info, role, encoding, super::APPLICATION)?;
    other.batch("begin read only")?;
    let shared = backend(&mut other)? == first || backend(connection)? != first;
    if !shared {
        return Ok(Path::SessionPooler);
    }
    // the settings made on connecting are now those of server sessions that the application shares
    other.batch("reset all; commit")?;
    connection.batch("reset all")?;
    Ok(Path::TransactionPooler)
}

fn backend(connection: &mut Connection) -> Result<i64, Failure> {
    Ok(connection.query("select pg_catalog.pg_backend_pid() as pid", &[])?[0].int("pid"))
}

impl Path {
    pub fn say(self, side: &str, findings: &mut Findings) {
        let subject = format!("{side} pooler");
        let fix = Some(format!(
            "-- {side}: use the direct connection string (port 5432, not the pooler's)"
        ));
        match self {
            Self::Direct => findings.ok(subject, "none in between"),
            Self::SessionPooler => findings.warning(
                subject,
                "a connection pooler is in between, in session mode as it seems: it may cut connections and limit their number",
                fix,
            ),
            Self::TransactionPooler => findings.error(
                "0A000",
                subject,
                "a connection pooler in transaction mode is in between: sessions with settings and locks of their own are \
                 not possible through it",
                fix,
            ),
        }
    }
}
