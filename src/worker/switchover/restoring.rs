//! What an ordinary role on the target has had off until now: triggers, rules and foreign keys are put back behind the fence,
//! when all rows are there; keys are validated after it.

use super::Errand;
use crate::applied;
use crate::failure::Failure;
use crate::pg::xact;
use crate::rebuild;
use crate::step::Outcome;
use crate::task::{self, Kind};

impl Errand {
    pub(super) fn put_back(&mut self) -> Result<String, Failure> {
        if !self.subscription.ordinary {
            return Ok("nothing of the target is off".to_owned());
        }
        let id = self.subscription.id;
        let tasks: Vec<_> = xact::run(|| Ok(task::open_builds(id)))?
            .into_iter()
            .filter(|t| t.kind != Kind::Validation)
            .collect();
        for task in &tasks {
            self.limit_statements()?;
            let uuid = self.subscription.uuid.clone();
            let (_, target) = self.sides()?;
            applied::prepare(target)?;
            rebuild::run(&uuid, task, target).map_err(|failure| {
                failure.during(format_args!(
                    "putting back {} {}",
                    task.kind.as_str(),
                    task.name.as_deref().unwrap_or_default()
                ))
            })?;
            xact::run(|| {
                task::finish(task.id, None);
                Ok(())
            })?;
        }
        Ok(format!(
            "{} triggers, rules and foreign keys of the target are on again",
            tasks.len()
        ))
    }

    /// Behind `finished`: nothing is taken back any more.
    pub(super) fn validate(&mut self) -> Result<(), Failure> {
        self.begin("validation")?;
        self.deadline = None;
        let id = self.subscription.id;
        let tasks = xact::run(|| Ok(task::open_builds(id)))?;
        let mut failed = Vec::new();
        for task in &tasks {
            let uuid = self.subscription.uuid.clone();
            let ran = self.limit_statements().and_then(|()| {
                let (_, target) = self.sides()?;
                rebuild::run(&uuid, task, target)
            });
            match ran {
                Ok(()) => xact::run(|| {
                    task::finish(task.id, None);
                    Ok(())
                })?,
                Err(failure) => failed.push(format!(
                    "{}: {}",
                    task.name.as_deref().unwrap_or_default(),
                    failure.line()
                )),
            }
        }
        if failed.is_empty() {
            return self.end(
                Outcome::Done,
                &format!("{} foreign keys validated", tasks.len()),
                true,
            );
        }
        let message = format!(
            "switched over, but these foreign keys are not validated (new rows are checked): {}",
            failed.join("; ")
        );
        self.end(Outcome::Done, &message, true)
    }
}
