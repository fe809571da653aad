//! What is known here of the source's fence, and the end of a subscription that has switched over. The truth is on the source:
//! `capture/fence.rs`. Everything here needs an open transaction.

use super::State;
use crate::pg::spi;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    /// a call is at work; who finds its worker dead lowers the fence
    Raising,
    /// the same, and what is off on the target is being put back: it is not to be switched off again
    Closing,
    /// until somebody lowers it
    Standing,
}

impl Fence {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Raising => "raising",
            Self::Closing => "closing",
            Self::Standing => "standing",
        }
    }

    pub(super) fn parse(text: &str) -> Self {
        [Self::Raising, Self::Closing, Self::Standing]
            .into_iter()
            .find(|fence| fence.as_str() == text)
            .unwrap_or_else(|| panic!("the check constraint allows no fence {text:?}"))
    }

    /// Whoever raised it has not come to an end.
    pub fn is_passing(self) -> bool {
        self != Self::Standing
    }
}

/// As committed now.
pub fn fence_of(id: i32) -> Option<Fence> {
    spi::read_now(
        "select fence from decamp.subscription where id = $1::int4",
        &[Some(&id.to_string())],
    )
    .first()
    .and_then(|row| row.opt("fence").map(Fence::parse))
}

/// Behind the drain of a switchover, or after it: what is switched on on the target stays on. As committed now.
pub fn is_closing(id: i32) -> bool {
    !spi::read_now(
        "select 1 from decamp.subscription where id = $1::int4 and (fence = 'closing' or state = 'finished')",
        &[Some(&id.to_string())],
    )
    .is_empty()
}

/// Whether it has switched over, as committed now.
pub fn is_finished(id: i32) -> bool {
    !spi::read_now(
        "select 1 from decamp.subscription where id = $1::int4 and state = 'finished'",
        &[Some(&id.to_string())],
    )
    .is_empty()
}

pub fn set_fence(id: i32, fence: Option<Fence>) {
    spi::update(
        "update decamp.subscription set fence = $2, \
                fenced_at = case when $2 is not null then coalesce(fenced_at, pg_catalog.clock_timestamp()) end \
         where id = $1::int4",
        &[Some(&id.to_string()), fence.map(Fence::as_str)],
    );
}

/// It has switched over: nothing is replayed any more. False if it is not streaming any more.
pub fn finish(id: i32) -> bool {
    let moved = spi::update(
        "update decamp.subscription \
         set state = 'finished', state_since = pg_catalog.clock_timestamp(), fence = 'standing', enabled = true, \
             error = null, error_sqlstate = null, hint = null, retry_at = null, backlog = 0 \
         where id = $1::int4 and state = $2 and fence in ('raising', 'closing', 'standing')",
        &[Some(&id.to_string()), Some(State::Streaming.as_str())],
    );
    moved == 1
}

/// It streams again, after all.
pub fn go_back(id: i32) {
    spi::update(
        "update decamp.subscription set state = 'streaming', state_since = pg_catalog.clock_timestamp() \
         where id = $1::int4 and state = 'finished'",
        &[Some(&id.to_string())],
    );
}
