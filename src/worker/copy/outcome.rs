//! What becomes of tasks that failed: tried again, given up for their table, or done after all.

use crate::capture::partition;
use crate::chunk;
use crate::event::{self, Severity};
use crate::failure::{Failure, Origin};
use crate::pg::xact;
use crate::relation;
use crate::retry::{Verdict, advised, copy_verdict};
use crate::subscription::Subscription;
use crate::task::{self, Kind, Task};

/// Decides and writes it down.
pub fn failed(
    subscription: &Subscription,
    tasks: &[Task],
    failure: Failure,
) -> Result<(), Failure> {
    let [task] = tasks else {
        // each by itself the next time: then it is known which one it was
        return put_back(subscription, tasks, &failure, 0);
    };
    if task.kind == Kind::Chunk && is_gone(subscription, task, &failure)? {
        return xact::run(|| {
            task::finish(task.id, None);
            Ok(())
        });
    }
    if matches!(task.kind, Kind::ForeignKey | Kind::Validation) {
        return postpone(subscription, task, &failure);
    }
    match copy_verdict(&failure, task.cancelled) {
        Verdict::Retry => {
            let wait = 100u128 << (2 * task.attempts.clamp(1, 5) - 2);
            put_back(subscription, tasks, &failure, wait)
        }
        Verdict::Quarantine | Verdict::Stop => {
            let failure = with_row(subscription, task, failure);
            give_up(subscription, task, failure)
        }
    }
}

fn put_back(
    subscription: &Subscription,
    tasks: &[Task],
    failure: &Failure,
    wait: u128,
) -> Result<(), Failure> {
    xact::run(|| {
        let told = tasks
            .iter()
            .all(|t| task::error_of(t.id).as_deref() == Some(failure.line().as_str()));
        task::put_back(tasks, Some(failure), wait);
        if told {
            return Ok(());
        }
        let message = format!("copy interrupted, trying again: {}", failure.line());
        let subject = match tasks {
            [task] => shown(subscription, task),
            _ => "small tables".to_owned(),
        };
        event::record(
            Severity::Warning,
            &subscription.name,
            &subject,
            &message,
            failure.hint.as_deref(),
        );
        Ok(())
    })
}

fn give_up(subscription: &Subscription, task: &Task, failure: Failure) -> Result<(), Failure> {
    let failure = if task.kind.is_build() {
        let hint = format!(
            "It was taken off the target for the copy: {}; Either change the rows on the source, or make on the target what \
             you want under that name, without UNIQUE for instance: what is there already is left as it is. Then SELECT \
             repl_resume('{}');",
            task.statements.join("; "),
            subscription.name
        );
        failure.hint(hint)
    } else {
        failure
    };
    xact::run(|| {
        task::put_back(std::slice::from_ref(task), Some(&failure), 0);
        let failure = advised(failure.clone(), &subscription.name);
        relation::quarantine(subscription.id, task.source_oid, &failure);
        event::record_failure(&subscription.name, &shown(subscription, task), &failure);
        Ok(())
    })
}

/// A foreign key that cannot be added now. Its table streams on: rows of a batch that was not complete may have been in its
/// way, and even for good it is no reason to stop.
fn postpone(subscription: &Subscription, task: &Task, failure: &Failure) -> Result<(), Failure> {
    const TELL: i64 = 3;
    let wait = 1000u128 << task.attempts.clamp(0, 6);
    xact::run(|| {
        task::put_back(std::slice::from_ref(task), Some(failure), wait);
        if task.attempts == TELL {
            let name = task.name.clone().unwrap_or_default();
            let message = format!(
                "cannot be added to the target, tried on: {}",
                failure.line()
            );
            event::record(
                Severity::Error,
                &subscription.name,
                &name,
                &message,
                Some(&task.statements.join("; ")),
            );
        }
        Ok(())
    })
}

fn shown(subscription: &Subscription, task: &Task) -> String {
    relation::by_oid(subscription.id, task.source_oid).map_or_else(String::new, |r| r.shown())
}

/// Whether a chunk failed because its partition does not belong to the table any more: then it has nothing to copy.
fn is_gone(subscription: &Subscription, task: &Task, failure: &Failure) -> Result<bool, Failure> {
    let Some((member, _, _)) = &task.member else {
        return Ok(false);
    };
    if failure.sqlstate != "42P01" || failure.origin != Origin::Source || *member == task.source_oid
    {
        return Ok(false);
    }
    let Ok((mut source, _)) = super::sides::open(subscription, "copy") else {
        return Ok(false);
    };
    let present = partition::of(&mut source, task.source_oid)?;
    Ok(!present.iter().any(|p| p.oid == *member))
}

/// A row that is too large for the protocol is named. XX000 and 54000 are what servers say to an allocation of more than a
/// gigabyte (`utils/mmgr`, `common/stringinfo.c`).
fn with_row(subscription: &Subscription, task: &Task, failure: Failure) -> Failure {
    const LARGE: i64 = 256 << 20;
    let too_large = matches!(failure.sqlstate.as_str(), "XX000" | "54000" | "53200");
    if task.kind != Kind::Chunk || !too_large {
        return failure;
    }
    let Ok((mut source, _)) = super::sides::open(subscription, "copy") else {
        return failure;
    };
    match chunk::largest_row(&mut source, task) {
        Ok(Some(row)) if row.bytes >= LARGE => failure.during(format_args!(
            "sending its largest row, {} = {}, about {}",
            row.columns, row.key, row.size
        ))
        .hint(format!(
            "A row of more than 1 GB cannot be sent. Split or shrink it on the source, then SELECT repl_resume('{}');",
            subscription.name
        )),
        _ => failure,
    }
}
