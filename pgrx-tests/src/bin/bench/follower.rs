//! Who keeps a copy up to date: contenders that go on after the copy.

use std::time::Duration;

use decamp_tests::wait;

use super::contender::{
    Contender, Run, bucardo, call_source, decamp, is_there, pglogical, subscription,
};
use super::settings::Settings;
use super::stage::{Stage, TARGET};

pub trait Follower: Contender {
    /// Holds it: changes are collected and not applied. What it does on the source by triggers goes on.
    fn pause(&self, run: &Run) -> Result<(), String>;

    fn resume(&self, run: &Run) -> Result<(), String>;

    /// Returns when all that was committed on the source before the call is on the target. A marker, written now, tells: the
    /// peers apply in the order of commits, or everything at once.
    fn wait_until_drained(&self, run: &Run) -> Result<(), String> {
        call_source(run, "UPDATE marker SET n = n + 1")?;
        let marker = "SELECT n FROM marker";
        let sent = run.stage.pair.source.query_one_text(run.database, marker);
        let mut client = run.target().connect(TARGET);
        let arrived = wait::within(run.timeout, || {
            let row = client.query_one(marker, &[]).ok()?;
            (row.get::<_, i64>(0).to_string() == sent).then_some(())
        });
        arrived.ok_or_else(|| format!("not drained within {:?}", run.timeout))
    }
}

impl Follower for decamp::Decamp {
    fn pause(&self, run: &Run) -> Result<(), String> {
        decamp::pause(run)
    }

    fn resume(&self, run: &Run) -> Result<(), String> {
        decamp::resume(run)
    }

    fn wait_until_drained(&self, run: &Run) -> Result<(), String> {
        decamp::wait(run, "caught_up")
    }
}

impl Follower for subscription::Subscription {
    fn pause(&self, run: &Run) -> Result<(), String> {
        subscription::set_enabled(run, false)
    }

    fn resume(&self, run: &Run) -> Result<(), String> {
        subscription::set_enabled(run, true)
    }
}

impl Follower for pglogical::Pglogical {
    fn pause(&self, run: &Run) -> Result<(), String> {
        pglogical::set_enabled(run, false)
    }

    fn resume(&self, run: &Run) -> Result<(), String> {
        pglogical::set_enabled(run, true)
    }
}

impl Follower for bucardo::Bucardo {
    fn pause(&self, run: &Run) -> Result<(), String> {
        bucardo::stop(run)
    }

    fn resume(&self, run: &Run) -> Result<(), String> {
        bucardo::start(run)
    }
}

/// Those that are wanted and there, pg_decamp first; says loudly which are not there.
pub fn present(stage: &Stage, settings: &Settings) -> Vec<Box<dyn Follower>> {
    let all: Vec<Box<dyn Follower>> = vec![
        Box::new(decamp::Decamp),
        Box::new(subscription::Subscription),
        Box::new(pglogical::Pglogical),
        Box::new(bucardo::Bucardo),
    ];
    all.into_iter()
        .filter(|follower| settings.wants_contender(follower.name()))
        .filter(|follower| is_there(follower.as_ref(), stage))
        .collect()
}

/// The longest a follower may take to be in step before anything is measured.
pub const IN_STEP: Duration = Duration::from_secs(120);

/// Copies everything and waits until it is followed.
pub fn follow(follower: &dyn Follower, run: &Run) -> Result<(), String> {
    follower.copy(run)?;
    follower.wait_until_drained(run)
}
