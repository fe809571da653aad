//! The server we run in: the only module that touches `pg_sys`. Everything else sees small safe functions.

pub mod activity;
pub mod latch;
pub mod liveness;
pub mod note;
pub mod program;
pub mod report;
pub mod server;
pub mod settings;
pub mod signals;
pub mod spi;
pub mod worker;
pub mod xact;
