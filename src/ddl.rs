//! A change of the schema made on both sides while the migration runs: on the target, then on the source, capture following in the
//! source's transaction, then both commits. Deltas hold keys and nothing else, so those that wait lead to the rows as they are
//! afterwards; the apply worker sees that the tables have changed and plans anew. A table without a key is the exception, its
//! deltas are images of rows: it is copied anew.
//!
//! Should the source's commit fail when the target's has succeeded, the sides differ, and that is what the apply worker says: that
//! it came to this, by what the call has left behind (`trace.rs`), and where replay cannot go on, the tables stop with the SQL that
//! makes them match.

mod concerned;
mod renewal;
pub mod trace;

use std::time::{Duration, Instant};

use self::concerned::concerned;
use self::renewal::follow;
use crate::capture::{self, Names, fence};
use crate::catalog;
use crate::failure::Failure;
use crate::libpq::{Connection, Role};
use crate::pg::{latch, spi};
use crate::quote::{self, ident};
use crate::relation::Relation;
use crate::session;
use crate::subscription::Subscription;
use crate::table::Table;

/// How long the application's writes may queue behind us for a lock on the source.
const PATIENCE: &str = "set local lock_timeout = '1s';";
/// On the target only batches are in the way.
const PATIENCE_ON_TARGET: &str = "set local lock_timeout = '5s';";
const PAUSE: Duration = Duration::from_millis(200);

/// What a statement has made of a table that the subscription follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Became {
    /// replay goes on
    Changed,
    /// its deltas are of no use any more: it is to be copied anew
    Another,
    Gone,
}

pub struct Ddl<'a> {
    pub subscription: &'a Subscription,
    pub relations: &'a [Relation],
    /// root and qualified name
    pub partitions: &'a [(u32, String)],
    pub sql: &'a str,
}

/// The class of our advisory locks: "decm".
const LOCK_CLASS: &str = "1684366189";

/// From here to the end of the transaction the two sides of a table may differ without being told of.
pub fn unsettle(subscription: i32) {
    spi::write(
        "select pg_catalog.pg_advisory_xact_lock($1::int4, $2::int4)::text as locked",
        &[Some(LOCK_CLASS), Some(&subscription.to_string())],
    );
}

/// No [`run`] is between its first commit and its end.
pub fn is_settled(subscription: i32) -> bool {
    spi::write(
        "select pg_catalog.pg_try_advisory_xact_lock_shared($1::int4, $2::int4) as settled",
        &[Some(LOCK_CLASS), Some(&subscription.to_string())],
    )[0]
    .flag("settled")
}

struct Sides {
    source: Connection,
    target: Connection,
    names: Names,
    path: String,
    call: Option<i64>,
}

/// What a call has done.
pub struct Done {
    pub became: Vec<(Relation, Became)>,
    /// its number, to be forgotten when that is noted
    pub call: Option<i64>,
}

/// Runs the statement on both sides, trying again until `deadline` while locks are in the way.
pub fn run(ddl: &Ddl, deadline: Instant) -> Result<Done, Failure> {
    let mut sides = Sides {
        source: session::open(ddl.subscription, Role::Source, "ddl")?,
        target: session::open(ddl.subscription, Role::Target, "ddl")?,
        names: Names::of(&ddl.subscription.name),
        path: String::new(),
        call: trace::begin(ddl.subscription, ddl.sql)?,
    };
    sides.path = search_path(&mut sides.source)?;
    let mut known = Vec::new();
    loop {
        match attempt(ddl, &mut sides, &mut known) {
            Ok(became) => {
                return Ok(Done {
                    became,
                    call: sides.call,
                });
            }
            Err(failure) => {
                sides.source.rollback();
                sides.target.rollback();
                if !is_locked(&failure) {
                    return Err(failure);
                }
                if Instant::now() >= deadline {
                    return Err(failure.detail("Nothing has been changed on either side.").hint(
                        "Somebody has a table locked, on that server: see pg_stat_activity and pg_blocking_pids there; or give it a longer timeout.",
                    ));
                }
            }
        }
        latch::wait(PAUSE);
        latch::check_for_interrupts();
    }
}

/// Where the source's sessions look for names without a schema: the statement is to mean the same on both sides.
fn search_path(source: &mut Connection) -> Result<String, Failure> {
    source.batch("begin; set local search_path to default")?;
    let rows = source.query("select unnest(current_schemas(false)) as schema", &[])?;
    source.batch("rollback")?;
    let schemas: Vec<String> = rows.iter().map(|row| ident(row.text("schema"))).collect();
    Ok(match schemas.as_slice() {
        [] => "pg_catalog".to_owned(),
        schemas => schemas.join(", "),
    })
}

/// `known`: the tables that an attempt before found concerned. Those are locked on the source first then: a batch that waits for
/// the target's lock while we wait for its lock on the source would never end.
fn attempt(
    ddl: &Ddl,
    sides: &mut Sides,
    known: &mut Vec<Table>,
) -> Result<Vec<(Relation, Became)>, Failure> {
    let Sides {
        source,
        target,
        names,
        path,
        call,
    } = sides;
    source.batch(&format!("begin; {PATIENCE} {}", fence::alone(names)))?;
    if fence::standing(source, names)?.is_felt() {
        return Err(fence::refusal(&ddl.subscription.name));
    }
    for table in known.iter() {
        source.batch(&format!(
            "lock table {} in access exclusive mode",
            table.qualified()
        ))?;
    }
    target.batch(&format!(
        "begin; {PATIENCE_ON_TARGET} set local search_path = {path}"
    ))?;
    statement(target, ddl.sql).map_err(|failure| {
        with_default_detail(failure, "Nothing has been changed on either side.")
    })?;
    let concerned = concerned(ddl, target)?;
    let before: Vec<Table> = match concerned.iter().any(|c| c.exclusive) {
        true => catalog::tables(source)?,
        false => Vec::new(),
    };
    let taken_off: Vec<&Table> = concerned
        .iter()
        .filter(|c| c.exclusive)
        .filter_map(|c| before.iter().find(|t| t.oid == c.relation.oid))
        .collect();
    *known = taken_off.iter().map(|&t| t.clone()).collect();
    for table in &taken_off {
        capture::suspend(source, names, table)?;
    }
    source.batch(&format!("set local search_path = {path}"))?;
    statement(source, ddl.sql).map_err(|failure| {
        with_default_detail(
            failure,
            "It was done on the target and is taken back: nothing has been changed on either side.",
        )
    })?;
    source.batch("set local search_path = pg_catalog")?;
    let mut became = follow(source, names, &concerned, &before)?;
    became.extend(gone(source, ddl.relations)?);
    if let Some(call) = *call {
        trace::leave_on_target(target, &ddl.subscription.uuid, call)?;
        trace::leave_on_source(source, names, call)?;
    }
    target.batch("commit")?;
    source.batch("commit").map_err(|failure| {
        failure
            .detail("The target has the change already. If the source has it too, all is well; if not, that is told, and the tables concerned stop. Nothing is lost meanwhile.")
            .hint("In a few seconds: SELECT * FROM repl_events WHERE message LIKE 'repl_ddl was interrupted%' ORDER BY at DESC; SELECT * FROM repl_tables WHERE state = 'errored';")
    })?;
    Ok(became)
}

/// The followed tables that are not there any more.
fn gone(
    source: &mut Connection,
    relations: &[Relation],
) -> Result<Vec<(Relation, Became)>, Failure> {
    let oids: Vec<String> = relations.iter().map(|r| r.oid.to_string()).collect();
    let there = source.query(
        "select oid::int8 as oid from pg_class where oid = any ($1::oid[])",
        &[Some(&quote::array(&oids))],
    )?;
    let gone = |relation: &&Relation| !there.iter().any(|row| row.oid("oid") == relation.oid);
    Ok(relations
        .iter()
        .filter(gone)
        .map(|relation| (relation.clone(), Became::Gone))
        .collect())
}

fn with_default_detail(mut failure: Failure, detail: &str) -> Failure {
    failure.detail = Some(match failure.detail.take() {
        Some(told) => format!("{told} {detail}"),
        None => detail.to_owned(),
    });
    failure
}

/// One statement, which must not end the transaction.
fn statement(side: &mut Connection, sql: &str) -> Result<(), Failure> {
    side.batch("savepoint decamp_ddl")?;
    side.execute(sql, &[]).map_err(|failure| {
        if failure.sqlstate == "25001" {
            failure.hint(
                "It cannot be taken back, so it cannot be done on both sides at once. Run it by hand, on the target first; where \
                 the sides differ meanwhile, tables stop and go on by themselves.",
            )
        } else if failure.sqlstate == "42601" && failure.message.contains("multiple commands") {
            failure.hint("One statement a call; several changes of one table go into one ALTER TABLE.")
        } else if failure.sqlstate == "0A000" && failure.detail.as_ref().is_some_and(|d| d.contains("trigger decamp_")) {
            failure.hint(
                "The way back has capture there, which holds on to the types of a key: they can be changed before the first switchover, \
                 or when both subscriptions are stopped.",
            )
        } else {
            failure
        }
    })?;
    side.batch("release savepoint decamp_ddl").map_err(|_| {
        Failure::new("0A000", "the statement ends the transaction it is run in")
            .hint("BEGIN, COMMIT and ROLLBACK are done by repl_ddl itself.")
    })
}

fn is_locked(failure: &Failure) -> bool {
    matches!(failure.sqlstate.as_str(), "55P03" | "40P01")
}
