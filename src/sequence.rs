//! Sequences: the target's follow the source's every few seconds, forward only ([`Sequences`]); are set to where the source's
//! are once nobody writes there any more ([`settle`]); are set past what the source will have handed out by then, for going
//! over without stopping the writers ([`forward`]).
//!
//! Where a sequence of the target is to be is decided in `position.rs` and `forecast.rs`, which are pure. No value is ever
//! taken from a sequence of the source.

mod each;
mod following;
mod forecast;
mod forwarding;
mod line;
mod listing;
mod position;
mod problem;
mod setting;
mod settling;

pub use following::Sequences;
pub use forwarding::{Forwarded, Horizon, forward};
pub use listing::{listed, question};
pub use settling::{Settled, settle};
