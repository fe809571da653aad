//! The sessions of a verification: one on the source, one on the target. Both read only, each statement in a transaction and
//! snapshot of its own.

use std::time::Instant;

use super::image::Versions;
use crate::capture::Names;
use crate::failure::Failure;
use crate::libpq::{self, Connection, Role};
use crate::pg::{latch, server, settings};
use crate::quote;
use crate::row::Row;
use crate::subscription::Subscription;
use crate::throttle::Throttle;

pub struct Sides {
    pub source: Connection,
    pub target: Connection,
    pub names: Names,
    pub versions: Versions,
    /// text has the same bytes on both servers
    pub same_encoding: bool,
    throttle: Throttle,
}

/// Nobody is waited for longer: an application that locks a table may wait for us in turn.
const SETTINGS: &str = "set lock_timeout = '10s'; set default_transaction_read_only = on";

impl Sides {
    pub fn open(subscription: &Subscription) -> Result<Self, Failure> {
        let title = subscription.title("verify");
        let encoding = server::encoding();
        let mut source = Connection::open(
            &subscription.source_info()?,
            Role::Source,
            &encoding,
            &title,
        )?;
        let mut target = Connection::open(
            &subscription.target_info()?,
            Role::TargetLook,
            &encoding,
            &title,
        )?;
        let ask = "select current_setting('server_encoding') as encoding";
        let encodings = [source.query(ask, &[])?, target.query(ask, &[])?]
            .map(|rows| rows[0].string("encoding"));
        source.batch(SETTINGS)?;
        target.batch(SETTINGS)?;
        Ok(Self {
            versions: Versions {
                source: source.version(),
                target: target.version(),
            },
            same_encoding: encodings[0] == encodings[1],
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

/// A column of text values as the parameter of one array.
pub fn array(values: impl Iterator<Item = String>) -> String {
    quote::array(&values.collect::<Vec<_>>())
}
