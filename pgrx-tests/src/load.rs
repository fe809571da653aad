//! An application at work on the source: pgbench for a steady rate, churn for all that may happen.

mod busy;
mod churn;
mod pgbench;

pub use busy::Busy;
pub use churn::{Churn, Tally};
pub use pgbench::{Pgbench, Running};
