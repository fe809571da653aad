//! The import of the schema, and what is told of it.

use std::time::Duration;

use crate::catalog;
use crate::event::{self, Severity};
use crate::failure::Failure;
use crate::import::{self, Import};
use crate::pg::{latch, liveness, xact};
use crate::relation;
use crate::table::Table;
use crate::worker::apply::Session;

pub fn import_schema(session: &mut Session) -> Result<(), Failure> {
    let relations = xact::run(|| Ok(relation::of(session.subscription.id)))?;
    let source = catalog::tables(&mut session.source)?;
    let taken = |t: &Table| {
        relations
            .iter()
            .any(|r| r.oid == t.oid || Some(r.oid) == t.root)
    };
    let left_out: Vec<&Table> = source.iter().filter(|t| !taken(t)).collect();
    let subscription = session.subscription.clone();
    let (source_info, target_info) =
        xact::run(|| Ok((subscription.source_info()?, subscription.target_info()?)))?;
    end_previous_import(session)?;
    let failed = import::run(&Import {
        subscription: &subscription.name,
        title: &subscription.title(import::SESSION),
        source: &source_info,
        target: &target_info,
        left_out: &left_out,
    })?;
    xact::run(|| {
        for statement in &failed {
            event::record(
                Severity::Warning,
                &subscription.name,
                "schema import",
                &statement.error,
                Some(&statement.statement),
            );
        }
        let message = match failed.len() {
            0 => "schema imported".to_owned(),
            n => {
                format!("schema imported, {n} statements refused by the target (each is an event)")
            }
        };
        event::record(
            Severity::Info,
            &subscription.name,
            "schema import",
            &message,
            None,
        );
        Ok(())
    })
}

/// A pg_restore that died with its worker may have left a statement running on the target.
fn end_previous_import(session: &mut Session) -> Result<(), Failure> {
    let title = session.subscription.title(import::SESSION);
    loop {
        let running = session.target.query(
            "select pg_terminate_backend(pid) from pg_stat_activity \
             where application_name = $1 and datname = current_database()",
            &[Some(&title)],
        )?;
        if running.is_empty() {
            return Ok(());
        }
        liveness::tick();
        latch::wait(Duration::from_millis(100));
    }
}
