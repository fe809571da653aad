//! One thing that was taken off the target, built again or switched on outside the copy.

use crate::applied;
use crate::failure::Failure;
use crate::libpq::Connection;
use crate::task::Task;

/// In one transaction with its note that it is done. What is there already is fine.
pub fn run(uuid: &str, task: &Task, target: &mut Connection) -> Result<(), Failure> {
    let new = applied::begin(target, uuid, std::slice::from_ref(task))?;
    if new.is_empty() {
        target.rollback();
        return Ok(());
    }
    let built = target
        .batch(&task.statements.join("; "))
        .and_then(|()| applied::commit(target, uuid, &[]));
    match built {
        Err(failure) if task.is_there(&failure) => {
            target.rollback();
            Ok(())
        }
        Err(failure) => {
            target.rollback();
            Err(failure)
        }
        Ok(()) => Ok(()),
    }
}
