//! pg_decamp: moves a live database off a provider that gives no superuser, no replication role and no logical
//! replication. This file is the table of contents; the words are those of the README, "How it works".

#[cfg(not(panic = "unwind"))]
compile_error!(
    "pg_decamp must be built with panic = \"unwind\": errors of the server unwind through it"
);

// what people call and read
mod api;
mod report;
// what runs in the background
mod worker;

// the steps of a migration, in their order
mod capture;
mod check;
mod chunk;
mod ddl;
mod deferral;
mod duplicate;
mod import;
mod rebuild;
mod replay;
mod sequence;
mod switchover;
mod verify;

// what is kept: here, on the target
mod applied;
mod event;
mod history;
mod offered;
mod relation;
mod skipped;
mod snapshot;
mod step;
mod subscription;
mod task;

// what is known of the databases
mod catalog;
mod drift;
mod pattern;
mod selection;
mod table;

// what everything else stands on
mod failure;
mod flush;
mod grant;
mod libpq;
mod meter;
mod pg;
mod quote;
mod retry;
mod row;
mod session;
mod template;
mod throttle;
mod uninstall;

use pgrx::{extension_sql_file, pg_guard};

pgrx::pg_module_magic!(name = c"pg_decamp", version = c"0.1.0");

extension_sql_file!("../sql/bootstrap.sql", name = "bootstrap", bootstrap);
extension_sql_file!(
    "../sql/target/applied.sql",
    name = "applied",
    requires = ["bootstrap"]
);
extension_sql_file!("../sql/views.sql", name = "views", requires = ["applied"]);
extension_sql_file!("../sql/api.sql", name = "api", finalize);

#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    pg::settings::define();
    if pg::worker::is_preloading() {
        pg::worker::register_launcher();
    }
}
