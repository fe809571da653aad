//! All tests that need servers, one module per topic, each in the file its path names.

#[path = "050_changes.rs"]
mod changes;
#[path = "020_control.rs"]
mod control;
#[path = "130_disappearance.rs"]
mod disappearance;
#[path = "000_harness.rs"]
mod harness;
#[path = "010_migration.rs"]
mod migration;
#[path = "120_network.rs"]
mod network;
#[path = "140_random_kills.rs"]
mod random_kills;
#[path = "110_restarts.rs"]
mod restarts;
#[path = "100_workers.rs"]
mod workers;
