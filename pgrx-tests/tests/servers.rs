//! All tests that need servers, one module per topic, each in the file its path names.

#[path = "000_harness.rs"]
mod harness;
#[path = "010_migration.rs"]
mod migration;
