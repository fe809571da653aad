//! Tables that are missing on the target, or differ from the source's so that rows cannot go there. Each stops alone; the
//! others go on.

use std::collections::HashMap;

use super::schema::{self, SUBJECT};
use crate::catalog;
use crate::drift;
use crate::event;
use crate::failure::Failure;
use crate::import::consequence;
use crate::pg::{spi, xact};
use crate::relation::{self, Relation, State};
use crate::subscription::Subscription;
use crate::table::Table;
use crate::task;
use crate::worker::apply::Session;

/// A statement longer than this is not repeated in a hint.
const LONG: usize = 2000;

type ByName<'a> = HashMap<(&'a str, &'a str), &'a Table>;

pub fn tables_are_missing(session: &mut Session) -> Result<bool, Failure> {
    let relations = xact::run(|| Ok(relation::of(session.subscription.id)))?;
    let target = catalog::tables(&mut session.target)?;
    let target = by_name(&target);
    let missing = |r: &Relation| !target.contains_key(&(r.schema.as_str(), r.name.as_str()));
    Ok(relations.iter().any(missing))
}

/// Quarantines the tables that cannot go on, before anything is captured or copied. Those that are missing are imported
/// first unless they just were: `repl_resume` comes here when what they need has been made. Returns the target's tables.
///
/// Errors: 42P01 when no table at all can go on.
pub fn settle(
    session: &mut Session,
    source: &[Table],
    imported: bool,
) -> Result<Vec<Table>, Failure> {
    let relations = xact::run(|| Ok(relation::of(session.subscription.id)))?;
    let open: Vec<Relation> = relations
        .iter()
        .filter(|r| r.state == State::Init)
        .cloned()
        .collect();
    let mut target = catalog::tables(&mut session.target)?;
    if session.subscription.copy_schema && !imported {
        let missing = missing(&open, source, &target);
        if !missing.is_empty() {
            schema::import_missing(session, &missing)?;
            target = catalog::tables(&mut session.target)?;
        }
    }
    let counterparts = by_name(&target);
    let subscription = &session.subscription;
    xact::run(|| {
        let deferred = task::deferred(subscription.id);
        let stopped: Vec<(&Relation, Failure)> = open
            .iter()
            // what has been compared before, and has lost its key to us since
            .filter(|r| !r.deferred && !deferred.contains(&r.oid))
            .filter_map(|r| Some((r, problem(subscription, r, source, &counterparts)?)))
            .collect();
        let going = relations.iter().filter(|r| r.state != State::Errored);
        if !stopped.is_empty() && going.count() == stopped.len() {
            return Err(none_left(subscription, &stopped));
        }
        for (relation, failure) in &stopped {
            relation::quarantine(subscription.id, relation.oid, failure);
            event::record_failure(&subscription.name, &relation.shown(), failure);
        }
        Ok(())
    })?;
    Ok(target)
}

fn by_name(tables: &[Table]) -> ByName<'_> {
    tables
        .iter()
        .map(|t| ((t.schema.as_str(), t.name.as_str()), t))
        .collect()
}

fn missing(open: &[Relation], source: &[Table], target: &[Table]) -> Vec<Relation> {
    let target = by_name(target);
    let is_missing = |r: &&Relation| {
        source
            .iter()
            .find(|t| t.oid == r.oid)
            .is_some_and(|t| !target.contains_key(&(t.schema.as_str(), t.name.as_str())))
    };
    open.iter().filter(is_missing).cloned().collect()
}

fn problem(
    subscription: &Subscription,
    relation: &Relation,
    source: &[Table],
    target: &ByName,
) -> Option<Failure> {
    let resume = format!("Then SELECT repl_resume('{}');", subscription.name);
    let Some(source) = source.iter().find(|t| t.oid == relation.oid) else {
        let message = format!("table {} is gone from the source", relation.shown());
        return Some(Failure::new("42P01", message).hint(format!(
            "The other tables go on without it. To be rid of it: SELECT repl_stop('{}'), then repl_start.",
            subscription.name
        )));
    };
    let Some(target) = target.get(&(source.schema.as_str(), source.name.as_str())) else {
        return Some(absent(subscription, source, &resume));
    };
    let fatal: Vec<_> = drift::compare(source, target)
        .into_iter()
        .filter(|d| d.fatal)
        .collect();
    if fatal.is_empty() {
        return None;
    }
    let messages: Vec<&str> = fatal.iter().map(|d| d.message.as_str()).collect();
    let fixes: Vec<&str> = fatal.iter().map(|d| d.fix.as_str()).collect();
    Some(
        Failure::new(
            "42P17",
            format!(
                "table {} differs on the target: {}",
                source.shown(),
                messages.join("; ")
            ),
        )
        .hint(format!("On the target: {} {resume}", fixes.join(" "))),
    )
}

/// With the reason why its import failed, and the statement that makes it.
fn absent(subscription: &Subscription, table: &Table, resume: &str) -> Failure {
    let failure = Failure::new(
        "42P01",
        format!("table {} is missing on the target", table.shown()),
    );
    let opening = consequence::opening(&format!("table {}", table.shown()));
    let refused = spi::read(
        "select e.message, e.detail from decamp.event e join decamp.subscription s on s.name = e.subscription \
         where s.id = $1::int4 and e.at >= s.created_at and e.subject = $2 \
           and pg_catalog.starts_with(e.message, $3) \
         order by e.id desc limit 1",
        &[
            Some(&subscription.id.to_string()),
            Some(SUBJECT),
            Some(&opening),
        ],
    );
    let Some(refused) = refused.first() else {
        return failure.hint(format!("Make it there as it is on the source. {resume}"));
    };
    let reason = refused.text("message").trim_start_matches(&opening);
    let reason = reason.rsplit_once("; ").map_or(reason, |(error, _)| error);
    let statement = refused.opt("detail").filter(|s| s.len() <= LONG);
    failure.detail(reason).hint(match statement {
        Some(statement) => format!(
            "Make on the target what it wants, after which repl_resume imports it, or make the table yourself: {statement} \
             {resume}"
        ),
        None => format!(
            "Make on the target what it wants, after which repl_resume imports it, or make the table yourself (its \
             statement is in repl_events). {resume}"
        ),
    })
}

fn none_left(subscription: &Subscription, stopped: &[(&Relation, Failure)]) -> Failure {
    let problems: Vec<String> = stopped.iter().map(|(_, failure)| failure.line()).collect();
    Failure::new("42P01", "tables are missing or differ on the target, none can go on")
        .detail(problems.join("; "))
        .hint(format!(
            "repl_events tells which statements of the schema import failed. Mend the tables on the target, then SELECT \
             repl_resume('{}'), or leave them out: repl_stop, then repl_start with exclude.",
            subscription.name
        ))
}
