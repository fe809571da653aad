//! Capture on the source: triggers that write the keys of changed rows into segments (of tables without a key, the rows). Installed and removed one table
//! per transaction, under a lock timeout, so that the application never waits longer than that for us.
//!
//! Invariant: once `install` has committed, every later change of the table leaves its key in a segment. The lock that
//! CREATE TRIGGER takes (SHARE ROW EXCLUSIVE) waits out the transactions that have already written to the table.

mod blocker;
pub mod fence;
mod gap;
mod holder;
mod install;
mod key;
mod keyless;
pub mod partition;
mod removal;
pub mod revocation;
pub mod segment;

pub use blocker::{Blocker, blockers, terminate};
pub use gap::{Watch, question as watch_question, watch};
pub use holder::{Purpose, holders};
pub use install::{
    install, install_fenced, installed, members, reinstall, renew, renew_fenced, settle, suspend,
};
pub use key::{Change as KeyChange, changes as key_changes, question as key_question, renaming};
pub use partition::Partition;
pub use removal::{drop_schema, remove, take_off, triggers_by_table};

use std::time::Duration;

use crate::failure::Failure;
use crate::libpq::{Connection, Question};
use crate::quote::{ident, literal, qualified};
use crate::retry::MISSED;
use crate::template::fill;

/// No lock that could block the application is waited for longer.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// Names of a subscription's objects on the source.
#[derive(Clone, Debug)]
pub struct Names {
    subscription: String,
}

impl Names {
    pub fn of(subscription: &str) -> Self {
        Self {
            subscription: subscription.to_owned(),
        }
    }

    /// Unquoted.
    pub fn schema(&self) -> String {
        format!("decamp_{}", self.subscription)
    }

    /// The sequence that puts the deltas of a table without a key in order.
    fn positions(&self, oid: u32) -> String {
        qualified(&self.schema(), &format!("position_{oid}"))
    }

    pub fn truncation(&self) -> String {
        qualified(&self.schema(), "truncation")
    }

    fn function(&self, oid: u32, suffix: &str) -> String {
        qualified(&self.schema(), &format!("capture_{oid}{suffix}"))
    }

    fn trigger(&self, event: &str) -> String {
        format!("decamp_{}_{event}", self.subscription)
    }
}

const EVENTS: [&str; 5] = ["insert", "update", "delete", "rekey", "truncate"];

fn enable_always(table: &str, triggers: &[String]) -> String {
    let enable: Vec<String> = triggers
        .iter()
        .map(|trigger| format!("enable always trigger {}", ident(trigger)))
        .collect();
    fill(
        include_str!("../sql/source/enable_always.sql"),
        &[("table", table), ("enable", &enable.join(", "))],
    )
}

/// Makes our schema on the source, or recognises it as ours. Errors: 55000 when it belongs to somebody else.
pub fn prepare(source: &mut Connection, names: &Names, uuid: &str) -> Result<(), Failure> {
    // somebody's pg_dump may have these tables locked for hours, and who writes behind a fence reads them
    if own(source, names, uuid)? {
        return Ok(());
    }
    let sql = fill(
        include_str!("../sql/source/schema.sql"),
        &[
            ("schema", &ident(&names.schema())),
            ("uuid", &literal(uuid)),
        ],
    );
    source.batch(&format!("begin; {sql} commit"))?;
    own(source, names, uuid).map(|_| ())
}

/// Whether our schema is on the source. Errors: 55000 when a schema of that name has another origin.
pub fn own(source: &mut Connection, names: &Names, uuid: &str) -> Result<bool, Failure> {
    let [present, origin] = origin_questions(names);
    if !source.ask(&present)?[0].flag("present") {
        return Ok(false);
    }
    let origin = source.ask(&origin)?;
    if origin.iter().any(|row| row.text("uuid") == uuid) {
        return Ok(true);
    }
    let schema = names.schema();
    Err(Failure::new("55000", format!("schema {schema:?} on the source belongs to another subscription"))
        .detail("Its deltas are not ours to read or to delete.")
        .hint(format!(
            "If no other pg_decamp uses it any more, run on the source: DROP SCHEMA {schema} CASCADE; it drops the \
             capture triggers too."
        )))
}

/// What [`own`] asks.
pub fn origin_questions(names: &Names) -> [Question; 2] {
    let origin = qualified(&names.schema(), "origin");
    [
        Question::bound("select to_regclass($1) is not null as present", &[&origin]),
        Question::new(format!("select subscription::text as uuid from {origin}")),
    ]
}

/// Holds the subscription's advisory lock on the source for as long as the connection lives. Errors: 55006 when another
/// session holds it (a restored copy of the target that works on the same source, or our own previous connection, which
/// the source has not yet noticed to be gone).
pub fn lock_origin(source: &mut Connection, uuid: &str) -> Result<(), Failure> {
    if source.ask(&lock_question(uuid))?[0].flag("got") {
        return Ok(());
    }
    Err(Failure::new("57P03", "another session works on this subscription's deltas")
        .at(source.origin())
        .detail("Either our previous connection, which the source has not yet noticed to be gone, or a copy of this target.")
        .hint("Goes on by itself when the other session ends; see pg_stat_activity on the source for application_name pg_decamp."))
}

/// What [`lock_origin`] asks.
pub fn lock_question(uuid: &str) -> Question {
    let sql = "select pg_try_advisory_lock(('x' || substr(replace($1, '-', ''), 1, 16))::bit(64)::int8) as got";
    Question::bound(sql, &[uuid])
}

/// The failure of a whole subscription whose capture is not complete.
pub fn missed(what: &str, subscription: &str) -> Failure {
    Failure::new(MISSED, format!("{what}: changes were missed")).hint(format!(
        "The target can no longer be brought up to date. SELECT repl_stop('{subscription}'), empty the target's tables \
         and start again."
    ))
}

/// The failure of a table whose capture is not complete.
pub fn missed_table(what: &str, subscription: &str, table: &str) -> Failure {
    Failure::new(MISSED, format!("{what}: changes were missed")).hint(format!(
        "Only a new copy of the table brings it up to date: SELECT repl_resync({}, {});",
        literal(subscription),
        literal(table)
    ))
}
