//! `repl_alter`.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{default, pg_extern};

use super::argument;
use crate::event::{self, Severity};
use crate::failure::Failure;
use crate::libpq::Conninfo;
use crate::pg::{server, spi};
use crate::subscription::{self, State};

#[pg_extern(volatile, parallel_unsafe)]
fn repl_alter(
    name: Option<&str>,
    source: default!(Option<&str>, "NULL"),
    target: default!(Option<&str>, "NULL"),
    workers: default!(Option<i32>, "NULL"),
) -> Result<String, ErrorReport> {
    argument::conninfo_allowed("repl_alter")?;
    server::refuse_read_only("repl_alter")?;
    Ok(alter(
        argument::required(name, "name")?,
        source,
        target,
        workers,
    )?)
}

/// What is given is changed; a running worker notices within a second and connects anew.
fn alter(
    name: &str,
    source: Option<&str>,
    target: Option<&str>,
    workers: Option<i32>,
) -> Result<String, Failure> {
    let subscription = subscription::by_name_locked(name)?;
    if source.is_none() && target.is_none() && workers.is_none() {
        return Err(Failure::new("22023", "nothing to alter")
            .hint("Give at least one of the arguments source, target and workers."));
    }
    if target.is_some() && subscription.target.is_none() {
        return Err(Failure::new(
            "0A000",
            format!("subscription {name:?} has this database as its target"),
        )
        .detail("What has been copied here cannot be moved to another target.")
        .hint("Use repl_stop, then repl_start with the new target."));
    }
    if let Some(n) = workers {
        argument::workers(n)?;
    }
    let shown = |text: Option<&str>, argument| -> Result<Option<String>, Failure> {
        text.map(|t| Conninfo::parse(t, argument).map(|info| info.shown()))
            .transpose()
    };
    let (source_shown, target_shown) = (shown(source, "source")?, shown(target, "target")?);
    spi::update(
        "update decamp.subscription \
         set source = coalesce($2, source), source_shown = coalesce($3, source_shown), \
             target = coalesce($4, target), target_shown = coalesce($5, target_shown), \
             workers = coalesce($6::int4, workers) \
         where id = $1::int4",
        &[
            Some(&subscription.id.to_string()),
            source,
            source_shown.as_deref(),
            target,
            target_shown.as_deref(),
            workers.map(|n| n.to_string()).as_deref(),
        ],
    );
    let changed: Vec<String> = [
        source_shown.map(|s| format!("source: {s}")),
        target_shown.map(|t| format!("target: {t}")),
        workers.map(|n| format!("workers: {n}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut line = format!("subscription \"{name}\" altered: {}", changed.join(", "));
    if subscription.state == State::Errored {
        line = format!("{line}; to go on: SELECT repl_resume('{name}')");
    }
    event::record(Severity::Info, name, "subscription", &line, None);
    subscription::end_rest(subscription.id);
    Ok(line)
}
