//! The import of the schema, and what is told of it: each statement that the target refused, with what follows from it; what
//! is not as on the source though nothing was refused.

use std::collections::HashMap;
use std::time::Duration;

use super::remark;
use crate::capture::segment::{self, Segment};
use crate::capture::{self, Names};
use crate::catalog;
use crate::event::{self, Severity};
use crate::failure::Failure;
use crate::import::consequence::{self, Consequence, Known, Weight};
use crate::import::{self, Import, Refused};
use crate::libpq::Connection;
use crate::pg::{latch, liveness, xact};
use crate::quote;
use crate::relation::{self, Relation};
use crate::table::Table;
use crate::worker::apply::Session;

/// Subject of all events of an import.
pub const SUBJECT: &str = "schema import";

/// The whole schema, as far as the subscription's tables go.
pub fn import_schema(session: &mut Session) -> Result<(), Failure> {
    let relations = xact::run(|| Ok(relation::of(session.subscription.id)))?;
    let later = import(session, &relations)?;
    remark::record(session, &later)
}

/// Tables that were missing when the rest was there, with what they need.
pub fn import_missing(session: &mut Session, missing: &[Relation]) -> Result<(), Failure> {
    import(session, missing).map(|_| ())
}

/// The statements that are to wait for the switchover.
fn import(session: &mut Session, relations: &[Relation]) -> Result<Vec<String>, Failure> {
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
    let order = Import {
        subscription: &subscription.name,
        title: &subscription.title(import::SESSION),
        source: &source_info,
        source_version: session.source.version(),
        target: &target_info,
        left_out: &left_out,
    };
    let mut early = Early::new(session, relations, &source)?;
    let outcome = import::run(&order, &mut || early.one_more())?;
    tell(session, &source, &outcome.refused)?;
    Ok(outcome.later)
}

/// Capture is installed while the import runs: one works on the source, the other on the target. What does not succeed at
/// once is left to the next step, which does it with patience and words.
struct Early<'a> {
    connection: &'a mut Connection,
    names: &'a Names,
    tables: Vec<&'a Table>,
    segments: Vec<Segment>,
}

impl<'a> Early<'a> {
    fn new(
        session: &'a mut Session,
        relations: &[Relation],
        source: &'a [Table],
    ) -> Result<Self, Failure> {
        capture::prepare(
            &mut session.source,
            &session.names,
            &session.subscription.uuid,
        )?;
        let oids: Vec<u32> = relations.iter().map(|r| r.oid).collect();
        let done = capture::installed(&mut session.source, &session.names, &oids)?;
        let wanted = |t: &&Table| oids.contains(&t.oid) && !done.contains(&t.oid);
        Ok(Self {
            tables: source.iter().filter(wanted).collect(),
            segments: segment::read(&mut session.source, &session.names)?,
            connection: &mut session.source,
            names: &session.names,
        })
    }

    /// False when there is nothing more to do.
    fn one_more(&mut self) -> bool {
        let Some(table) = self.tables.pop() else {
            return false;
        };
        if let Err(failure) = capture::install(self.connection, self.names, table, &self.segments)
            && failure.disconnected
        {
            self.tables.clear();
        }
        true
    }
}

fn tell(session: &mut Session, source: &[Table], refused: &[Refused]) -> Result<(), Failure> {
    let mut known = if refused.is_empty() {
        Known::default()
    } else {
        known(session, source)?
    };
    known.note(refused);
    let consequences: Vec<Consequence> = refused
        .iter()
        .map(|refused| consequence::of(refused, &known))
        .collect();
    let (gravest, summary) = consequence::summary(&consequences);
    let name = &session.subscription.name;
    let advice = gravest.map(|_| {
        format!(
            "SELECT severity, message, detail FROM repl_events WHERE subscription = {name} AND subject = '{SUBJECT}'; \
             tells each, and its statement. What tables wait for can be mended now: SELECT repl_resume({name}); imports the \
             tables that are missing again.",
            name = quote::literal(name).trim(),
        )
    });
    xact::run(|| {
        for one in &consequences {
            event::record(
                severity(Some(one.weight)),
                name,
                SUBJECT,
                &one.message,
                Some(&one.statement),
            );
        }
        event::record(
            severity(gravest),
            name,
            SUBJECT,
            &summary,
            advice.as_deref(),
        );
        Ok(())
    })
}

fn severity(weight: Option<Weight>) -> Severity {
    match weight {
        None => Severity::Info,
        Some(Weight::Slight) => Severity::Warning,
        Some(Weight::Switchover | Weight::Stops) => Severity::Error,
    }
}

fn known(session: &mut Session, source: &[Table]) -> Result<Known, Failure> {
    let present = catalog::tables(&mut session.target)?
        .into_iter()
        .map(|t| (t.schema, t.name))
        .collect();
    let needed = import::extensions(&mut session.source)?
        .into_iter()
        .map(|e| (e.name, e.tables))
        .collect();
    let names: HashMap<u32, String> = source.iter().map(|t| (t.oid, t.shown())).collect();
    let roots = source
        .iter()
        .filter_map(|t| {
            Some((
                (t.schema.clone(), t.name.clone()),
                names.get(&t.root?)?.clone(),
            ))
        })
        .collect();
    Ok(Known {
        present,
        needed,
        roots,
        ..Known::default()
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
