//! The harness: real PostgreSQL servers, started for one test and thrown away after it.
//!
//! A test reads `Pair::start()`, makes the source busy ([`load`]), drives the extension by SQL on the target and ends
//! with [`compare::assert_same`]. Whatever it waits for it waits for in [`wait`], with a deadline.

pub mod beat;
pub mod bouncer;
pub mod chance;
pub mod compare;
pub mod copying;
pub mod deferral;
pub mod fence;
pub mod hold;
pub mod installation;
pub mod items;
pub mod kinds;
pub mod load;
pub mod managed;
pub mod memory;
pub mod migration;
pub mod observe;
pub mod pair;
pub mod phase;
pub mod proxy;
pub mod reverse;
pub mod scenario;
pub mod schema;
pub mod screen;
pub mod sequences;
pub mod server;
pub mod sessions;
pub mod source;
pub mod step;
pub mod swaps;
pub mod verification;
pub mod wait;
pub mod watchman;
pub mod workers;
pub mod zoo;

pub use chance::seed;
pub use installation::{have_source, have_target};
pub use managed::Managed;
pub use pair::Pair;
pub use phase::{Gates, Phase};
pub use server::{Mode, Server};
pub use source::Source;
