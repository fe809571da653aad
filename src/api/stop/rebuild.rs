//! What was taken off the target's tables, and is not built again or switched on yet, when a subscription is stopped.

use crate::applied;
use crate::event::{self, Severity};
use crate::failure::Failure;
use crate::libpq::{Connection, Role};
use crate::pg::{report, settings};
use crate::rebuild;
use crate::session;
use crate::subscription::Subscription;
use crate::task::{self, Kind, Task};

/// Builds it now, or only tells; how many pieces are missing afterwards, each an event with its SQL.
pub fn finish(subscription: &Subscription, build: bool) -> Result<usize, Failure> {
    let open = task::open_builds(subscription.id);
    if open.is_empty() {
        return Ok(0);
    }
    let mut target = if build {
        Some(connect(subscription)?)
    } else {
        None
    };
    let mut missing = 0;
    for task in &open {
        let reason = match &mut target {
            Some(target) => match rebuild::run(&subscription.uuid, task, target) {
                Ok(()) => continue,
                Err(failure) if failure.disconnected => return Err(failure),
                Err(failure) => failure.line(),
            },
            None => "not built, as told".to_owned(),
        };
        missing += 1;
        tell(subscription, task, &reason);
    }
    Ok(missing)
}

fn connect(subscription: &Subscription) -> Result<Connection, Failure> {
    let mut target = session::open(subscription, Role::TargetLook, "stop").map_err(|failure| {
        failure.hint(format!(
            "What was taken off there (indexes, keys, triggers) is to be put back. Call repl_stop again when it can be reached, \
             or leave them: SELECT repl_stop('{}', rebuild => false);",
            subscription.name
        ))
    })?;
    target.batch(&format!(
        "set maintenance_work_mem = '{}MB'",
        settings::maintenance_work_mem()
    ))?;
    applied::prepare(&mut target)?;
    Ok(target)
}

fn tell(subscription: &Subscription, task: &Task, reason: &str) {
    let name = task.name.as_deref().unwrap_or_default();
    let kind = task.kind.as_str();
    let state = match task.kind {
        Kind::Trigger | Kind::Rule => "off",
        _ => "missing",
    };
    let sql = format!("begin; {}; commit;", task.statements.join("; "));
    report::notice(&format!(
        "{kind} {name} is {state} on the target ({reason}); to put it back: {sql}"
    ));
    let message = format!("{kind} is {state} on the target: {reason}");
    event::record(
        Severity::Warning,
        &subscription.name,
        name,
        &message,
        Some(&sql),
    );
}
