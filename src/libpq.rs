//! Connections to source and target: the only module that touches libpq. Non-blocking throughout; every wait is on socket
//! and latch, so cancel, terminate, shutdown and the postmaster's death are obeyed at once.

mod both;
mod came;
mod connection;
mod conninfo;
mod copy;
mod discretion;
mod early;
mod opening;
mod probe;
mod question;
mod raw;
mod session;

pub use both::{both, wait_for_any};
pub use came::Came;
pub use connection::Connection;
pub use conninfo::Conninfo;
pub use copy::{Flow, pump, pump_any};
pub use early::Early;
pub use opening::{Awaited, Opened, Opening};
pub use question::Question;
pub use session::{Role, TARGETS_LOCK_TIMEOUT};
