//! The session that calls repl_fence or repl_switchover: starts the worker that does it, tells each step as it ends, and ends
//! with it. Should this session be cancelled or die, its advisory lock goes, and the worker takes everything back.

use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::meter;
use crate::pg::worker::{self, APPLY_CLASS, CALLER_CLASS, Kind, SWITCHOVER_CLASS};
use crate::pg::{latch, report, server, spi, xact};
use crate::step::{Run, Step};
use crate::subscription::{self, Subscription};
use crate::switchover::{Order, Task};

/// A step is looked for so often; a long one more rarely, so that its end is seen a fiftieth late at most.
const SHORTEST: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_millis(200);
/// The worker of the call before may be on its way out.
const PATIENCE: Duration = Duration::from_secs(30);

/// Errors: 25001.
pub fn refuse_block(function: &str) -> Result<(), Failure> {
    if !xact::in_block() {
        return Ok(());
    }
    Err(Failure::new("25001", format!("{function} cannot run inside a transaction block"))
        .detail("What it does on the source would not be undone if the transaction were rolled back. Nothing has been changed.")
        .hint("Call it by itself, outside BEGIN and COMMIT."))
}

/// All steps, told as notices too. Errors: what the last one failed with; 55006 when another call is under way.
pub fn run(subscription: &Subscription, task: Task) -> Result<Vec<Step>, Failure> {
    let id = subscription.id;
    let run = Run {
        subscription: id,
        name: subscription.name.clone(),
        id: meter::now(),
    };
    take_turn(subscription)?;
    let order = Order {
        run: run.id,
        caller: i64::from(std::process::id()),
        task,
    };
    worker::start_for(
        Kind::Switchover,
        server::database_oid(),
        id,
        &subscription.name,
        &order.text(),
    )?;
    let mut steps: Vec<Step> = Vec::new();
    let mut seen = Instant::now();
    let mut ended = Instant::now();
    let mut begun = false;
    let mut absent = 0;
    loop {
        for step in run.ended_after(steps.last().map_or(0, |step| step.number)) {
            tell(&step);
            steps.push(step);
            ended = Instant::now();
        }
        if let Some(last) = steps.last().filter(|step| step.last) {
            return match &last.failure {
                None => Ok(steps),
                Some(failure) => Err(failure.clone()),
            };
        }
        // before we look whether it is there: it may come between the two
        begun = begun || run.has_begun();
        if !worker::pids(SWITCHOVER_CLASS, id).is_empty() {
            (absent, seen) = (0, Instant::now());
        } else if begun {
            absent += 1;
        }
        // absent in two looks, with the steps read in between
        let gone = absent > 1;
        if gone || seen.elapsed() >= PATIENCE {
            worker::pids(APPLY_CLASS, id)
                .into_iter()
                .for_each(worker::wake);
            return Err(vanished(subscription));
        }
        latch::wait((ended.elapsed() / 50).clamp(SHORTEST, LONGEST));
    }
}

/// One call at a time; the lock ends with our transaction, however it ends.
fn take_turn(subscription: &Subscription) -> Result<(), Failure> {
    let got = spi::read(
        "select pg_catalog.pg_try_advisory_xact_lock($1::int4, $2::int4) as got",
        &[
            Some(&CALLER_CLASS.to_string()),
            Some(&subscription.id.to_string()),
        ],
    )[0]
    .flag("got");
    if got {
        return Ok(());
    }
    Err(Failure::new(
        "55006",
        format!(
            "repl_fence or repl_switchover is under way for subscription {:?}",
            subscription.name
        ),
    )
    .detail("Nothing has been changed by this call.")
    .hint("Wait for it, or cancel it: what it has done is taken back. SELECT * FROM repl_events ORDER BY at DESC; tells where it is."))
}

fn tell(step: &Step) {
    report::notice(&format!(
        "{}: {} ({:.0} ms)",
        step.name,
        step.message,
        step.micros as f64 / 1000.0
    ));
}

fn vanished(subscription: &Subscription) -> Failure {
    if subscription::is_finished(subscription.id) {
        return Failure::new("58000", "the worker that does it has ended, after the last step")
            .detail("The switchover is finished, nothing is lost: the target takes the writes, now or within seconds.")
            .hint(format!(
                "SELECT * FROM repl_status; tells when. Then point the application at the target of {}.",
                subscription.name
            ));
    }
    Failure::new("58000", "the worker that does it has ended before its work")
        .detail(
            "Somebody terminated it, or it could not start. Nothing is lost. If the source is fenced, the apply worker lowers the \
             fence within seconds.",
        )
        .hint(format!(
            "SELECT * FROM repl_status WHERE name = '{0}'; tells whether the source is fenced. SELECT repl_unfence('{0}'); lowers \
             the fence at once.",
            subscription.name
        ))
}
