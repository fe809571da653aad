//! Telling a slow server from a dead network. A connection on which nothing has come for a while is not yet lost: the
//! statement may be long. So a second connection is tried; only if that gets no answer either is the first given up.
//! (A path that died for one connection alone is found by TCP keepalives.)

use std::time::{Duration, Instant};

use super::Conninfo;
use super::raw::{Raw, Refusal};
use crate::failure::Origin;

/// Silence after which a second connection is tried. With its own time-out of 10 s a dead peer is noticed within 30 s.
const PATIENCE: Duration = Duration::from_secs(15);

pub struct Probe {
    info: Conninfo,
    origin: Origin,
    last_sign: Instant,
}

impl Probe {
    pub fn new(info: &Conninfo, origin: Origin) -> Self {
        Self {
            info: info.with("connect_timeout", "10"),
            origin,
            last_sign: Instant::now(),
        }
    }

    /// Something came, or a new wait begins.
    pub fn sign_of_life(&mut self) {
        self.last_sign = Instant::now();
    }

    /// False when the peer is unreachable. Costs nothing before the patience is used up.
    pub fn still_there(&mut self) -> bool {
        if self.last_sign.elapsed() < PATIENCE {
            return true;
        }
        self.last_sign = Instant::now();
        !matches!(
            Raw::open(&self.info, "SQL_ASCII", "pg_decamp probe", self.origin),
            Err(Refusal::Silent(_))
        )
    }
}
