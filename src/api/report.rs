//! `repl_report`.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{pg_extern, search_path};

use super::argument;
use crate::report;

#[pg_extern(volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, @extschema@, pg_temp)]
fn repl_report(name: Option<&str>) -> Result<String, ErrorReport> {
    Ok(report::html(argument::required(name, "name")?)?)
}
