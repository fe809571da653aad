//! Background workers: how they are registered, what they are told, how they begin, who is alive.
//!
//! A worker started inside a transaction runs before that transaction commits. It is therefore told the transaction's id
//! and waits for its end before it looks for its rows.

use std::time::Duration;

use pgrx::bgworkers::{BackgroundWorker, BackgroundWorkerBuilder, BgWorkerStartTime};
use pgrx::{IntoDatum, pg_sys};

use super::{latch, liveness, server, settings, signals, spi, xact};
use crate::failure::Failure;

/// Advisory lock classes: who holds (class, subscription id) in this database is that subscription's worker. Visible to
/// everybody in pg_locks, released by the server however the process ends.
pub const APPLY_CLASS: i32 = 0x6465_6301;
pub const COPY_CLASS: i32 = 0x6465_6302;
pub const SWITCHOVER_CLASS: i32 = 0x6465_6303;
/// Held by the session that called repl_fence or repl_switchover, for as long as it waits.
pub const CALLER_CLASS: i32 = 0x6465_6304;

/// The kinds of worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// one per database at server start: starts that database's apply workers
    Scout,
    /// one per subscription
    Apply,
    /// some per subscription, while there is something to copy
    Copy,
    /// one per call of repl_fence or repl_switchover
    Switchover,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Scout => "scout",
            Self::Apply => "apply",
            Self::Copy => "copy",
            Self::Switchover => "switchover",
        }
    }

    fn function(self) -> &'static str {
        match self {
            Self::Scout => "pg_decamp_scout_main",
            Self::Apply => "pg_decamp_apply_main",
            Self::Copy => "pg_decamp_copy_main",
            Self::Switchover => "pg_decamp_switchover_main",
        }
    }

    /// The postmaster restarts an apply worker or scout that dies; copy workers are replaced by their apply worker.
    fn restart(self) -> Option<Duration> {
        match self {
            Self::Scout | Self::Apply => Some(Duration::from_secs(2)),
            // the apply worker takes back what a dead one has left
            Self::Copy | Self::Switchover => None,
        }
    }
}

/// What a worker is told at its start.
pub struct Orders {
    /// the subscription, 0 for a scout
    pub subscription: i32,
    database: u32,
    /// full transaction id of the starter, whose end is to be waited for; empty if none
    starter: String,
    /// what else it is told
    pub task: String,
}

/// Registers a dynamic worker. Errors: 53400 when `max_worker_processes` is used up.
pub fn start(kind: Kind, database: u32, subscription: i32, title: &str) -> Result<(), Failure> {
    start_for(kind, database, subscription, title, "")
}

/// The same with a task, of no more than 80 bytes.
pub fn start_for(
    kind: Kind,
    database: u32,
    subscription: i32,
    title: &str,
    task: &str,
) -> Result<(), Failure> {
    assert!(task.len() <= 80, "bgw_extra has 128 bytes");
    let starter = if xact::is_open() {
        starter()
    } else {
        String::new()
    };
    let mut name = format!("pg_decamp {} {title}", kind.name());
    name.truncate(90);
    BackgroundWorkerBuilder::new(&name)
        .set_type(&format!("pg_decamp {}", kind.name()))
        .set_library("pg_decamp")
        .set_function(kind.function())
        .set_argument(subscription.into_datum())
        .set_extra(&format!("{database};{starter};{task}"))
        .set_restart_time(kind.restart())
        .set_start_time(BgWorkerStartTime::RecoveryFinished)
        .enable_spi_access()
        .load_dynamic()
        .map(drop)
        .map_err(|_| {
            Failure::new("53400", "no background worker slot is free")
                .detail("Nothing is lost; the subscription waits until a worker can be started.")
                .hint("Increase max_worker_processes and restart this server, then SELECT repl_resume().")
        })
}

/// Registers the launcher. Only while the server loads its preloaded libraries.
pub fn register_launcher() {
    BackgroundWorkerBuilder::new("pg_decamp launcher")
        .set_type("pg_decamp launcher")
        .set_library("pg_decamp")
        .set_function("pg_decamp_launcher_main")
        .set_restart_time(Some(Duration::from_secs(5)))
        .enable_spi_access()
        .load();
}

/// Whether the server is loading its preloaded libraries right now.
pub fn is_preloading() -> bool {
    // SAFETY: a flag of the postmaster's start.
    unsafe { pg_sys::process_shared_preload_libraries_in_progress }
}

/// The id of our own transaction if it has written something that a worker must wait for.
fn starter() -> String {
    spi::write(
        "select pg_catalog.pg_current_xact_id_if_assigned()::text as xid",
        &[],
    )[0]
    .opt("xid")
    .unwrap_or_default()
    .to_owned()
}

/// A worker's first steps: signals, connection to its database, settings, wait for the starter. Exits when there is
/// nothing to do any more.
pub fn begin(argument: pg_sys::Datum) -> Orders {
    signals::install();
    let extra = BackgroundWorker::get_extra().to_owned();
    let mut parts = extra.splitn(3, ';');
    let mut part = || parts.next().expect("start() writes three parts").to_owned();
    let (database, starter, task) = (part(), part(), part());
    let orders = Orders {
        subscription: argument.value() as i32,
        database: database.parse().expect("start() writes an oid"),
        starter,
        task,
    };
    if !server::database_exists(orders.database) {
        server::exit(0);
    }
    BackgroundWorker::connect_worker_to_spi_by_oid(Some(pg_sys::Oid::from(orders.database)), None);
    settings::override_for_worker("pg_decamp");
    wait_for_end_of(&orders.starter);
    orders
}

/// The launcher's first steps: connected to no database, only shared catalogs can be read.
pub fn begin_without_database() {
    signals::install();
    BackgroundWorker::connect_worker_to_spi(None, None);
}

fn wait_for_end_of(starter: &str) {
    if starter.is_empty() {
        return;
    }
    let running = || {
        xact::run(|| {
            let status = &spi::read(
                "select pg_catalog.pg_xact_status($1::xid8) as status",
                &[Some(starter)],
            )[0];
            Ok(status.opt("status") == Some("in progress"))
        })
        .expect("looking never fails otherwise than by ERROR")
    };
    while running() {
        latch::wait(Duration::from_millis(20));
    }
}

/// Sets `application_name`, by which people find this worker in `pg_stat_activity`.
pub fn set_title(title: &str) {
    settings::override_for_worker(title);
}

/// Tries for `patience` to become the one apply worker of the subscription: the holder may be on its way out.
pub fn claim(class: i32, subscription: i32, patience: Duration) -> bool {
    let deadline = std::time::Instant::now() + patience;
    loop {
        let got = xact::run(|| {
            let row = &spi::read(
                "select pg_catalog.pg_try_advisory_lock($1::int4, $2::int4) as got",
                &[Some(&class.to_string()), Some(&subscription.to_string())],
            )[0];
            Ok(row.flag("got"))
        })
        .expect("locking never fails otherwise than by ERROR");
        if got || std::time::Instant::now() >= deadline {
            return got;
        }
        liveness::tick();
        latch::wait(Duration::from_millis(100));
    }
}

/// Takes a class's place in this subscription, if nobody has it.
pub fn claim_at_once(class: i32, subscription: i32) -> bool {
    claim(class, subscription, Duration::ZERO)
}

/// Gives it back.
pub fn release(class: i32, subscription: i32) {
    xact::run(|| {
        spi::read(
            "select pg_catalog.pg_advisory_unlock($1::int4, $2::int4)",
            &[Some(&class.to_string()), Some(&subscription.to_string())],
        );
        Ok(())
    })
    .expect("unlocking never fails otherwise than by ERROR");
}

/// Marks this process as a copy worker of the subscription, beside the others; false if there are enough without it.
pub fn join(subscription: i32) -> bool {
    xact::run(|| {
        spi::read(
            "select pg_catalog.pg_advisory_lock_shared($1::int4, $2::int4)",
            &[
                Some(&COPY_CLASS.to_string()),
                Some(&subscription.to_string()),
            ],
        );
        let enough = spi::read(
            "select workers from decamp.subscription where id = $1::int4",
            &[Some(&subscription.to_string())],
        );
        let enough = enough.first().map_or(0, |row| row.int("workers"));
        Ok(pids(COPY_CLASS, subscription).len() as i64 <= enough)
    })
    .expect("locking never fails otherwise than by ERROR")
}

/// The processes that work for a subscription, of one class. Needs a transaction.
pub fn pids(class: i32, subscription: i32) -> Vec<i64> {
    spi::read_now(
        "select pid from pg_catalog.pg_locks \
         where locktype = 'advisory' and granted and objsubid = 2 \
           and classid = $1::oid and objid = $2::oid \
           and database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())",
        &[Some(&class.to_string()), Some(&subscription.to_string())],
    )
    .iter()
    .map(|row| row.int("pid"))
    .collect()
}

/// Wakes a process that waits on its latch; nothing happens if it is gone.
pub fn wake(pid: i64) {
    // SAFETY: looks the process up in shared memory; a PGPROC stays mapped, setting a stranger's latch only wakes it early.
    unsafe {
        let process = pg_sys::BackendPidGetProc(pid as i32);
        if !process.is_null() {
            pg_sys::SetLatch(&raw mut (*process).procLatch);
        }
    }
}
