//! pg_decamp: moves a live database off a provider that gives no superuser, no replication role and no logical
//! replication. This file is the table of contents.

#[cfg(not(panic = "unwind"))]
compile_error!("pg_decamp must be built with panic = \"unwind\": errors of the server unwind through it");

mod catalog;
mod drift;
mod event;
mod failure;
mod libpq;
mod pattern;
mod pg;
mod quote;
mod retry;
mod row;
mod selection;
mod subscription;
mod table;

pgrx::pg_module_magic!(name = c"pg_decamp", version = c"0.1.0");
