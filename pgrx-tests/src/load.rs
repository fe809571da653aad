//! An application at work on the source: pgbench for a steady rate, churn for all that may happen.

mod busy;
mod churn;
mod insistent;
mod pgbench;
mod workload;

pub use busy::Busy;
pub use churn::{Churn, Tally};
pub use insistent::Insistent;
pub use pgbench::{Pgbench, Running};
pub use workload::Workload;
