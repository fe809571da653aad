//! Who may still write behind the fence: transactions that had a captured table locked for writing when it was raised.

use crate::failure::Failure;
use crate::libpq::Connection;
use crate::quote;
use crate::row::Row;

#[derive(Clone, Debug)]
pub struct Blocker {
    /// virtual transaction
    pub transaction: String,
    /// `None`: prepared
    pub pid: Option<i64>,
    user: String,
    /// of the transaction, seconds; `None`: not for us to see
    pub age: Option<i64>,
    /// Never its statement.
    pub in_words: String,
}

impl Blocker {
    /// Prepared transactions have lost the name they had before.
    pub fn is_prepared(&self) -> bool {
        self.transaction.starts_with("-1/")
    }
}

/// Those of right now, the oldest first.
pub fn blockers(source: &mut Connection, tables: &[u32]) -> Result<Vec<Blocker>, Failure> {
    let oids: Vec<String> = tables.iter().map(u32::to_string).collect();
    let rows = source.query(
        include_str!("../../sql/source/blockers.sql"),
        &[Some(&quote::array(&oids))],
    )?;
    Ok(rows.iter().map(blocker).collect())
}

fn blocker(row: &Row) -> Blocker {
    let seconds = |name| {
        row.opt(name)
            .map_or_else(|| "unknown".to_owned(), |s| format!("{s} s"))
    };
    let user = row.opt("user").unwrap_or("unknown").to_owned();
    let (age, example) = (seconds("age"), row.text("example"));
    let in_words = match (row.opt("gid"), row.opt("pid")) {
        (Some(gid), _) => format!(
            "prepared transaction {} (user {user}, age {age}, has {example} locked; COMMIT PREPARED or ROLLBACK PREPARED ends it)",
            quote::literal(gid).trim()
        ),
        (None, Some(pid)) => format!(
            "pid {pid} (user {user}, application {:?}, transaction age {age}, its statement began {} ago, has {example} locked)",
            row.opt("application").unwrap_or_default(),
            seconds("running")
        ),
        (None, None) => format!("a prepared transaction (user {user}, has {example} locked)"),
    };
    Blocker {
        transaction: row.string("transaction"),
        pid: row.opt_int("pid"),
        age: row.opt_int("age"),
        user,
        in_words,
    }
}

/// Ends the session. Errors: 42501 when our role may not, with who may.
pub fn terminate(source: &mut Connection, blocker: &Blocker) -> Result<(), Failure> {
    let Some(pid) = blocker.pid else {
        return Ok(());
    };
    match source.query(
        "select pg_terminate_backend($1::int4)",
        &[Some(&pid.to_string())],
    ) {
        Err(failure) if failure.sqlstate == "42501" => {
            let role =
                source.query("select quote_ident(current_user) as role", &[])?[0].string("role");
            Err(Failure::new("42501", format!("role {role} may not end pid {pid} of user {}", blocker.user))
                .at(source.origin())
                .hint(format!(
                    "On the source, as an administrator: GRANT pg_signal_backend TO {role}; or GRANT {} TO {role}; only a superuser \
                     may end a superuser's session.",
                    quote::ident(&blocker.user)
                )))
        }
        Err(failure) => Err(failure),
        Ok(_) => Ok(()),
    }
}
