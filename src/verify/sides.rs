//! The sessions of a verification: one on the source, one on the target. Both read only, each statement in a transaction and
//! snapshot of its own.

use std::time::Instant;

use super::image::Servers;
use crate::capture::Names;
use crate::failure::Failure;
use crate::libpq::{self, Connection, Role};
use crate::pg::{latch, settings};
use crate::quote;
use crate::row::Row;
use crate::session;
use crate::subscription::Subscription;
use crate::throttle::Throttle;

pub struct Sides {
    pub source: Connection,
    pub target: Connection,
    pub names: Names,
    pub servers: Servers,
    throttle: Throttle,
}

/// Nobody is waited for longer: an application that locks a table may wait for us in turn. One process on each server is
/// enough.
const SETTINGS: &str = "set lock_timeout = '10s'; set default_transaction_read_only = on; \
    set max_parallel_workers_per_gather = 0";

impl Sides {
    pub fn open(subscription: &Subscription) -> Result<Self, Failure> {
        let mut source = session::open(subscription, Role::Source, "verify")?;
        let mut target = session::open(subscription, Role::TargetLook, "verify")?;
        let servers = compare(&mut source, &mut target)?;
        source.batch(SETTINGS)?;
        target.batch(SETTINGS)?;
        Ok(Self {
            servers,
            names: Names::of(&subscription.name),
            throttle: Throttle::new(settings::copy_rate_limit(), Instant::now()),
            source,
            target,
        })
    }

    /// `extra_float_digits` of both.
    pub fn set_digits(&mut self, digits: i32) -> Result<(), Failure> {
        let sql = format!("set extra_float_digits = {digits}");
        self.source.batch(&sql)?;
        self.target.batch(&sql)
    }

    /// Asks both at once: each its own statement, with the same parameters.
    pub fn ask(
        &mut self,
        source: &str,
        target: &str,
        parameters: &[Option<&str>],
    ) -> Result<(Vec<Row>, Vec<Row>), Failure> {
        libpq::both(
            (&mut self.source, (source, parameters)),
            (&mut self.target, (target, parameters)),
        )
    }

    /// So many bytes were read on the source: waits as `pg_decamp.copy_rate_limit` has it.
    pub fn pay(&mut self, bytes: u64) {
        self.throttle.set(settings::copy_rate_limit());
        let Some(wait) = self.throttle.passed(bytes, Instant::now()) else {
            return;
        };
        let until = Instant::now() + wait;
        while let Some(rest) = until.checked_duration_since(Instant::now()) {
            latch::wait(rest);
        }
    }
}

/// `hashtextextended` came with PostgreSQL 11 and has not changed since; a processor of other byte order has its own. With
/// the same one the same text gives the same number if its bytes are the same.
fn compare(source: &mut Connection, target: &mut Connection) -> Result<Servers, Failure> {
    let encoding = "select current_setting('server_encoding') as answer";
    let hash = "select hashtextextended('pg_decamp' collate \"C\", 0)::text as answer";
    let versions = (source.version(), target.version());
    let mut same = |ask: &str| -> Result<bool, Failure> {
        let answers = libpq::both((source, (ask, &[])), (target, (ask, &[])))?;
        Ok(answers.0[0].text("answer") == answers.1[0].text("answer"))
    };
    let same_encoding = same(encoding)?;
    let has_hash = versions.0.min(versions.1) >= 110_000;
    let same_hash = same_encoding && has_hash && same(hash)?;
    Ok(Servers {
        source: versions.0,
        target: versions.1,
        same_encoding,
        same_hash,
    })
}

/// A column of text values as the parameter of one array.
pub fn array(values: impl Iterator<Item = String>) -> String {
    quote::array(&values.collect::<Vec<_>>())
}
