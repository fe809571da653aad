//! Tasks that are SQL for the target alone: indexes, constraints, statistics, foreign keys.

use super::Sides;
use crate::applied;
use crate::event::{self, Severity};
use crate::failure::Failure;
use crate::pg::{activity, settings, xact};
use crate::subscription::Subscription;
use crate::task::{self, Claim, Kind, Task};

/// Runs the statements of the claimed tasks in one transaction.
pub fn run(subscription: &Subscription, claim: &Claim, sides: &mut Sides) -> Result<(), Failure> {
    let tasks = &claim.tasks;
    let first = &tasks[0];
    let what = first.name.clone().unwrap_or_default();
    activity::report(Some(&format!("{} {what}", first.kind.as_str())));
    if first.kind.is_build() {
        let pid = sides.target.announced_pid();
        xact::run(|| {
            task::at_work(tasks, pid);
            Ok(())
        })?;
    }
    let open = applied::begin(&mut sides.target, &subscription.uuid, tasks)?;
    let there = if open.is_empty() {
        sides.target.rollback();
        false
    } else {
        let open: Vec<&Task> = tasks.iter().filter(|t| open.contains(&t.id)).collect();
        execute(subscription, claim, &open, sides)?
    };
    xact::run(|| {
        for task in tasks {
            task::finish(task.id, None);
        }
        if there {
            event::record(
                Severity::Warning,
                &subscription.name,
                &what,
                "was made on the target by somebody else meanwhile; it is left as it is",
                None,
            );
        }
        Ok(())
    })
}

/// Whether what was to be made was there already.
fn execute(
    subscription: &Subscription,
    claim: &Claim,
    tasks: &[&Task],
    sides: &mut Sides,
) -> Result<bool, Failure> {
    let first = tasks[0];
    let statements: Vec<&str> = tasks
        .iter()
        .flat_map(|t| t.statements.iter().map(String::as_str))
        .collect();
    let resources = resources(sides.target.version(), claim.spare);
    let target = &mut sides.target;
    match target.batch(&format!("{resources}{}", statements.join("; "))) {
        Ok(()) => {
            applied::commit(target, &subscription.uuid, &[])?;
            Ok(false)
        }
        Err(failure) if first.is_there(&failure) => {
            target.rollback();
            Ok(true)
        }
        Err(failure) if first.kind == Kind::Analyze && !failure.disconnected => {
            // statistics come some day by autovacuum; nothing depends on them but speed
            target.rollback();
            let failure = failure.during("gathering statistics");
            xact::run(|| {
                event::record_failure(&subscription.name, "analyze", &failure);
                Ok(())
            })?;
            Ok(false)
        }
        Err(failure) => {
            let name = first.name.as_deref().unwrap_or_default();
            Err(failure.during(format_args!("building {} {name}", first.kind.as_str())))
        }
    }
}

/// Memory for sorting; parallel workers as many as our own have nothing to do, unless set.
fn resources(version: i32, spare: i64) -> String {
    let memory = format!(
        "set local maintenance_work_mem = '{}MB'; ",
        settings::maintenance_work_mem()
    );
    if version < 110_000 {
        return memory;
    }
    let parallel = settings::parallel_maintenance_workers().unwrap_or(spare);
    format!("{memory}set local max_parallel_maintenance_workers = {parallel}; ")
}
