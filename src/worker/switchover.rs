//! The switchover worker: one per call of repl_fence or repl_switchover. It, and not the calling session, does what is to be
//! done, for what it writes down is committed as it happens, and it can take back what it has done when that session is
//! cancelled or gone.
//!
//! ```text
//!  fence: null --> raising --> standing            repl_fence
//!           ^         |
//!           |         +--> closing --> standing    repl_switchover, with state finished in the same transaction
//!           +---------+-------+                    any failure before; should this worker die, the apply worker does it
//! ```
//! The way back (`way_back.rs`) is armed before, and begins with state finished.
//! `raising` is committed here before the fence is raised on the source, `standing` after everything else: whatever dies in
//! between, whoever comes next lowers the fence.

mod barrier;
mod evidence;
mod except;
mod fencing;
mod going;
mod moment;
mod moves;
mod readiness;
mod restoring;
mod tally;
mod verification;
mod way_back;

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::capture::{self, Names, fence};
use crate::failure::Failure;
use crate::libpq::{Connection, Role};
use crate::pg::worker::{self, CALLER_CLASS, SWITCHOVER_CLASS};
use crate::pg::{activity, latch, liveness, report, server, xact};
use crate::relation::{self, Relation};
use crate::session;
use crate::step::{Outcome, Run};
use crate::subscription::{self, Fence, Subscription};
use crate::switchover::{Order, Task};
use crate::table::Table;

use self::going::Way;
use self::way_back::WayBack;

pub use self::way_back::disarm;

/// The worker of the call before may be on its way out.
const PATIENCE: Duration = Duration::from_secs(20);
/// So long it tries to reach the source to lower the fence; then that is the apply worker's.
const LOWERING: Duration = Duration::from_secs(10);

/// One call at work.
struct Errand {
    run: Run,
    caller: i64,
    subscription: Subscription,
    names: Names,
    relations: Vec<Relation>,
    source: Option<Connection>,
    target: Option<Connection>,
    /// of the source, each with its counterpart on the target
    tables: Vec<(Table, Table)>,
    /// the step at hand
    number: i32,
    /// other tables than the captured ones that are fenced
    others: Vec<u32>,
    /// what the fence was when we came
    before: Option<Fence>,
    /// the row says so
    announced: bool,
    /// nothing is to be taken back should the caller go
    untouched: Rc<Cell<bool>>,
    /// the fence may be up because of us
    raised: Option<Instant>,
    /// the subscription that leads back, once it is ready
    way_back: Option<WayBack>,
    /// by when it is to be finished, and how long that is from the fence on
    deadline: Option<(Instant, Duration)>,
}

pub fn live(id: i32, task: &str) -> Result<(), Failure> {
    let Some(extension) = xact::run(|| Ok(liveness::extension_oid()))? else {
        return Ok(());
    };
    let order = Order::parse(task).expect("the caller writes what is understood here");
    let untouched = Rc::new(Cell::new(true));
    let watched = Rc::clone(&untouched);
    liveness::watch(extension, move || {
        // in the middle of a long count, say: there is nothing to be taken back
        if watched.get() && !is_waiting(id, order.caller) {
            server::exit(0);
        }
    });
    if !worker::claim(SWITCHOVER_CLASS, id, PATIENCE) {
        report::log(&format!(
            "subscription {id} has its switchover worker already"
        ));
        return Ok(());
    }
    let Some(subscription) = xact::run(|| Ok(subscription::by_id_settled(id)))? else {
        return Ok(());
    };
    worker::set_title(&subscription.title("switchover"));
    activity::report(Some("working"));
    let mut errand = Errand {
        run: Run {
            subscription: id,
            name: subscription.name.clone(),
            id: order.run,
        },
        caller: order.caller,
        names: Names::of(&subscription.name),
        relations: xact::run(|| Ok(relation::of(id)))?,
        source: None,
        target: None,
        tables: Vec::new(),
        deadline: None,
        way_back: None,
        number: 0,
        others: Vec::new(),
        before: subscription.fence,
        announced: false,
        untouched,
        raised: None,
        subscription,
    };
    let outcome = xact::guarded(|| match order.task {
        Task::Fence {
            timeout,
            terminate,
            revoke,
        } => errand.fence(timeout, terminate, revoke),
        Task::Switchover {
            max_downtime,
            verify,
            reverse,
            dry_run,
        } => errand.switch_over(Way {
            max_downtime,
            verify,
            reverse,
            dry_run,
        }),
    });
    let Err(failure) = outcome else {
        return Ok(());
    };
    let lowered = xact::guarded(|| errand.withdraw());
    errand.give_up(failure, lowered)
}

impl Errand {
    /// Begins a step; those who wait see it.
    fn begin(&mut self, name: &str) -> Result<(), Failure> {
        self.number += 1;
        activity::report(Some(name));
        xact::run(|| {
            self.run.begin(self.number, name);
            Ok(())
        })
    }

    fn done(&self, message: &str) -> Result<(), Failure> {
        self.end(Outcome::Done, message, false)
    }

    fn end(&self, outcome: Outcome, message: &str, last: bool) -> Result<(), Failure> {
        xact::run(|| {
            self.run.end(self.number, outcome, message, None, last);
            Ok(())
        })
    }

    /// Errors: 57014 when nobody waits for us any more.
    fn check_caller(&self) -> Result<(), Failure> {
        latch::check_for_interrupts();
        if is_waiting(self.subscription.id, self.caller) {
            return Ok(());
        }
        Err(
            Failure::new("57014", "the call was cancelled or its session ended").hint(format!(
                "See repl_events for how it ended; SELECT * FROM repl_status WHERE name = '{}';",
                self.subscription.name
            )),
        )
    }

    /// The connection to the source that alone may raise and lower the fence.
    fn source(&mut self) -> Result<&mut Connection, Failure> {
        if self.source.is_none() {
            let mut source = session::open(&self.subscription, Role::Source, "switchover")?;
            fence::lock(&mut source, &self.subscription.uuid, PATIENCE)?;
            if !capture::own(&mut source, &self.names, &self.subscription.uuid)? {
                return Err(capture::missed(
                    "capture is gone from the source",
                    &self.subscription.name,
                ));
            }
            self.source = Some(source);
        }
        Ok(self.source.as_mut().expect("opened above"))
    }

    /// Both connections; the target's as for replay.
    fn sides(&mut self) -> Result<(&mut Connection, &mut Connection), Failure> {
        self.source()?;
        if self.target.is_none() {
            let target = session::open(&self.subscription, Role::Target, "switchover")?;
            self.target = Some(target);
        }
        let (Some(source), Some(target)) = (&mut self.source, &mut self.target) else {
            unreachable!("both were opened above")
        };
        Ok((source, target))
    }

    /// What is left of max_downtime. Errors: 57014 when nothing is.
    fn remaining(&self) -> Result<Option<Duration>, Failure> {
        let Some((deadline, _)) = self.deadline else {
            return Ok(None);
        };
        match deadline.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => Ok(Some(left)),
            _ => Err(self.too_late("it is not finished yet")),
        }
    }

    fn too_late(&self, what: &str) -> Failure {
        let limit = self.deadline.map(|(_, limit)| limit);
        match limit {
            Some(limit) => Failure::new(
                "57014",
                format!("{what}, and max_downtime has passed: {:.1} s", limit.as_secs_f64()),
            )
            .hint("repl_events tells how long each step took; call it again, perhaps when less is written, or with a longer max_downtime."),
            None => Failure::new("57014", format!("{what}: the lag is too long to fence the source"))
                .hint("SELECT lag, backlog, apply_rate FROM repl_status; call it again when it has caught up."),
        }
    }

    /// No statement on either side outlives max_downtime.
    fn limit_statements(&mut self) -> Result<(), Failure> {
        let left = self.remaining()?.map_or(0, |left| left.as_millis().max(1));
        let sql = format!("set statement_timeout = '{left}ms'");
        let (source, target) = self.sides()?;
        source.batch(&sql)?;
        target.batch(&sql)
    }

    /// Takes back what was done: to the source, whose writers wait, and then to the target.
    fn withdraw(&mut self) -> Result<(), Failure> {
        let lowered = self.unfence();
        self.disarm();
        lowered
    }

    fn unfence(&mut self) -> Result<(), Failure> {
        let id = self.subscription.id;
        let stood = self.before == Some(Fence::Standing);
        self.deadline = None;
        if let Some(source) = &mut self.source {
            source.batch("set statement_timeout = 0").ok();
        }
        if self.raised.is_some() && !stood {
            let deadline = Instant::now() + LOWERING;
            loop {
                let names = self.names.clone();
                let lowered = self
                    .source()
                    .and_then(|source| fence::lower(source, &names));
                match lowered {
                    Ok(()) => break,
                    Err(failure) => {
                        // whatever it was, the next try is on a new connection
                        self.source = None;
                        if Instant::now() >= deadline {
                            return Err(failure);
                        }
                    }
                }
                latch::wait(Duration::from_millis(300));
            }
        }
        xact::run(|| {
            subscription::set_fence(id, self.before.filter(|_| stood));
            Ok(())
        })
    }

    /// The call's last word.
    fn give_up(
        &mut self,
        mut failure: Failure,
        lowered: Result<(), Failure>,
    ) -> Result<(), Failure> {
        let name = &self.subscription.name;
        let (step, told) = match &lowered {
            Ok(()) if self.before == Some(Fence::Standing) => (
                "still fenced",
                "The source is fenced as before, nothing is lost.".to_owned(),
            ),
            Ok(()) if self.raised.is_none() => {
                ("refused", "The source was not fenced: nothing has been changed.".to_owned())
            }
            Ok(()) => (
                "unfenced",
                "The fence is lowered: the source takes writes again, replay goes on, nothing is lost.".to_owned(),
            ),
            Err(why) => (
                "still fenced",
                format!(
                    "The source still refuses writes, for it could not be reached to lower the fence ({}); nothing is lost. The \
                     apply worker lowers it as soon as it reaches the source; or SELECT repl_unfence('{name}');",
                    why.line()
                ),
            ),
        };
        failure.detail = Some(match failure.detail.take() {
            Some(detail) => format!("{detail} {told}"),
            None => told,
        });
        if failure.hint.is_none() {
            failure.hint = Some(format!(
                "SELECT * FROM repl_events WHERE subscription = '{name}' ORDER BY at DESC; tells more. Then call it again."
            ));
        }
        let message = failure.line();
        let raised = failure.clone();
        let number = self.number;
        xact::run(|| {
            if number > 0 {
                self.run.end(
                    number,
                    Outcome::Failed,
                    &raised.message,
                    Some(&raised),
                    false,
                );
            }
            self.run.begin(number + 1, step);
            self.run
                .end(number + 1, Outcome::Failed, &message, Some(&raised), true);
            Ok(())
        })?;
        xact::run(|| {
            wake_apply_worker(self.subscription.id);
            Ok(())
        })
    }

    /// Oids of the tables that are captured.
    fn captured(&self) -> Vec<u32> {
        let captured = self.relations.iter().filter(|r| r.is_captured());
        captured.map(|r| r.oid).collect()
    }
}

/// Whether the session that called is still in its call.
fn is_waiting(id: i32, caller: i64) -> bool {
    xact::run(|| Ok(worker::pids(CALLER_CLASS, id).contains(&caller)))
        .expect("looking never fails otherwise than by ERROR")
}

/// Needs a transaction.
fn wake_apply_worker(id: i32) {
    worker::pids(worker::APPLY_CLASS, id)
        .into_iter()
        .for_each(worker::wake);
}
