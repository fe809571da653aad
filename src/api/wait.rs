//! `repl_wait`.

use std::time::{Duration, Instant};

use pgrx::datum::Interval;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{default, pg_extern, search_path};

use super::argument;
use crate::failure::Failure;
use crate::meter;
use crate::pg::worker::{self, APPLY_CLASS};
use crate::pg::{latch, spi};
use crate::subscription;

#[pg_extern(volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn repl_wait(
    name: Option<&str>,
    until: Option<&str>,
    timeout: default!(Option<Interval>, "NULL"),
) -> Result<String, ErrorReport> {
    let name = argument::required(name, "name")?;
    let until = Until::parse(argument::required(until, "until")?)?;
    Ok(wait(
        name,
        until,
        timeout
            .as_ref()
            .map(|t| argument::duration(t, "timeout"))
            .transpose()?,
    )?)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    Copied,
    Streaming,
    /// all that was committed on the source before this moment (microseconds, our clock) is on the target
    CaughtUp(i64),
}

impl Until {
    fn parse(text: &str) -> Result<Self, Failure> {
        match text {
            "copied" => Ok(Self::Copied),
            "streaming" => Ok(Self::Streaming),
            "caught_up" => Ok(Self::CaughtUp(meter::now())),
            _ => Err(Failure::new(
                "22023",
                format!("unknown condition {text:?} in argument \"until\""),
            )
            .hint("It is one of 'copied', 'streaming', 'caught_up'.")),
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Copied => "copied",
            Self::Streaming => "streaming",
            Self::CaughtUp(_) => "caught_up",
        }
    }
}

const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A worker that is being restarted is away for a moment.
const PATIENCE_WITHOUT_WORKER: Duration = Duration::from_secs(15);

fn wait(name: &str, until: Until, timeout: Option<Duration>) -> Result<String, Failure> {
    let began = Instant::now();
    let mut last_seen = Instant::now();
    loop {
        let subscription = subscription::by_name(name)?;
        if reached(subscription.id, until) {
            return Ok(format!(
                "{} after {:.1} s",
                until.as_str(),
                began.elapsed().as_secs_f64()
            ));
        }
        let workers = worker::pids(APPLY_CLASS, subscription.id);
        if !workers.is_empty() {
            last_seen = Instant::now();
        }
        refuse_hopeless(name, until, last_seen.elapsed() > PATIENCE_WITHOUT_WORKER)?;
        if timeout.is_some_and(|t| began.elapsed() >= t) {
            return Err(timed_out(name, until));
        }
        if matches!(until, Until::CaughtUp(_)) {
            workers.into_iter().for_each(worker::wake);
        }
        latch::wait(LOOK_EVERY);
    }
}

fn reached(id: i32, until: Until) -> bool {
    let sql = match until {
        Until::Copied => {
            "select s.state in ('copying', 'catchup', 'streaming') and not exists ( \
                 select 1 from decamp.relation r where r.subscription_id = s.id and not r.leaving \
                 and r.state not in ('copied', 'catchup', 'ready')) and $2::int8 is not null as reached \
             from decamp.subscription s where s.id = $1::int4"
        }
        Until::Streaming => {
            "select s.state = 'streaming' and $2::int8 is not null as reached \
             from decamp.subscription s where s.id = $1::int4"
        }
        Until::CaughtUp(_) => {
            "select s.state = 'streaming' and s.complete_at >= s.looked_at \
             and s.looked_at >= 'epoch'::timestamptz + $2::int8 * interval '1 microsecond' as reached \
             from decamp.subscription s where s.id = $1::int4"
        }
    };
    let since = if let Until::CaughtUp(at) = until {
        at
    } else {
        0
    };
    spi::read_now(sql, &[Some(&id.to_string()), Some(&since.to_string())])
        .first()
        .is_some_and(|row| row.opt("reached") == Some("t"))
}

/// Errors: 55000 when waiting any longer makes no sense.
fn refuse_hopeless(name: &str, until: Until, no_worker: bool) -> Result<(), Failure> {
    let row = &spi::read_now(
        "select s.enabled, s.state, s.error, s.hint, \
                (select pg_catalog.format('%I.%I: %s', r.schema, r.name, r.error) from decamp.relation r \
                 where r.subscription_id = s.id and r.state = 'errored' and not r.leaving order by r.schema, r.name limit 1) as stopped, \
                (select r.hint from decamp.relation r \
                 where r.subscription_id = s.id and r.state = 'errored' and not r.leaving order by r.schema, r.name limit 1) as advice \
         from decamp.subscription s where s.name = $1",
        &[Some(name)],
    );
    let Some(row) = row.first() else {
        return Ok(());
    };
    let state = row.text("state");
    let hopeless = |why: String, hint: Option<&str>| {
        let failure = Failure::new(
            "55000",
            format!(
                "subscription {name:?} cannot become {} now: {why}",
                until.as_str()
            ),
        )
        .detail(format!(
            "Its state is {state}. SELECT * FROM repl_status tells more."
        ));
        let fallback = format!("SELECT repl_resume('{name}');");
        Err(failure.hint(hint.unwrap_or(&fallback)))
    };
    if state == "finished" {
        return hopeless(
            "it has switched over".to_owned(),
            Some(&argument::after_switchover(&subscription::by_name(name)?)),
        );
    }
    if state == "errored" {
        return hopeless(
            row.opt("error").unwrap_or("it has stopped").to_owned(),
            row.opt("hint"),
        );
    }
    if !row.flag("enabled") {
        return hopeless("it is paused".to_owned(), None);
    }
    if let Some(stopped) = row.opt("stopped") {
        return hopeless(format!("a table has stopped: {stopped}"), row.opt("advice"));
    }
    if no_worker {
        return hopeless("no worker is running".to_owned(), None);
    }
    Ok(())
}

/// 57014, with where it stands.
fn timed_out(name: &str, until: Until) -> Failure {
    let row = spi::read_now(
        "select state, error from decamp.subscription where name = $1",
        &[Some(name)],
    );
    let state = row.first().map_or_else(String::new, |r| r.string("state"));
    let failure = Failure::new(
        "57014",
        format!(
            "subscription {name:?} is not {} yet: {state}",
            until.as_str()
        ),
    )
    .hint("It goes on; wait again, or SELECT * FROM repl_status to see how far it is.");
    match row.first().and_then(|r| r.opt("error").map(str::to_owned)) {
        Some(error) => failure.detail(format!("Last error: {error}")),
        None => failure,
    }
}
