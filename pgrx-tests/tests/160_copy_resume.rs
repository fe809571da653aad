//! The initial copy goes on after any interruption: chunks that are done are not copied again, indexes that are built stay.

use std::time::Duration;

use decamp_tests::copying::{Done, busy, chunked, table};
use decamp_tests::observe::SOON;
use decamp_tests::workers::Worker;
use decamp_tests::{Mode, Pair, wait};

/// What befalls it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Blow {
    Terminated,
    Cut,
    SourceCrash,
    Killed,
    TargetCrash,
}

impl Blow {
    fn strike(self, pair: &Pair) {
        match self {
            Blow::Terminated => {
                assert!(!pair.terminate(Worker::Copy).is_empty(), "somebody copies");
            }
            Blow::Cut => {
                pair.proxy().cut();
                pair.wait_for_interruption(SOON);
                pair.proxy().mend();
            }
            Blow::SourceCrash => pair.source.restart(Mode::Immediate),
            Blow::Killed => {
                assert!(!pair.kill(Worker::Copy).is_empty(), "somebody copies");
            }
            Blow::TargetCrash => {
                pair.target.restart(Mode::Immediate);
                pair.sql("SELECT repl_resume()");
            }
        }
    }

    /// Seconds after which the state is safe: our notes about what the target knows need not be on disk at once.
    fn forgets(self) -> u32 {
        match self {
            Blow::Killed | Blow::TargetCrash => 2,
            _ => 0,
        }
    }
}

#[test]
fn copy_goes_on_after_every_blow() {
    let pair = chunked()
        .proxy()
        .target_conf("pg_decamp.copy_rate_limit = '12MB'")
        .start();
    pair.source.app(&table("early", 26));
    pair.source
        .app("create index on early (n); create unique index on early (md5(value), id)");
    pair.source.app(&table("late", 25));
    let load = busy(&pair, &["early", "late"]);
    pair.migrate("workers => 2");
    pair.poll_table("early", "chunks_done >= 13 and indexes_missing = 0");
    pair.limit_copy(4);
    let indexes = pair.index_files("early");
    assert_eq!(indexes.len(), 3);
    let early = Done::of(&pair, "early");

    let blows = [
        Blow::Terminated,
        Blow::Cut,
        Blow::SourceCrash,
        Blow::Killed,
        Blow::TargetCrash,
    ];
    let mut reached = 0;
    for blow in blows {
        pair.poll_half_way("late", reached + 1);
        let mut before = Done::older_than(&pair, "late", blow.forgets());
        wait::until_true(SOON, "something is done that a crash cannot undo", || {
            before = Done::older_than(&pair, "late", blow.forgets());
            before.count() > 0
        });
        reached = before.count();
        blow.strike(&pair);
        pair.poll_table("late", &format!("chunks_done > {reached}"));
        before.assert_kept(&pair);
    }
    pair.limit_copy(0);
    pair.wait_for("streaming", 2 * SOON);
    early.assert_kept(&pair);
    assert_eq!(indexes, pair.index_files("early"), "built indexes stay");
    assert_eq!(
        pair.tasks(
            "late",
            "count(*) - count(distinct condition) filter (where kind = 'chunk')
            - count(*) filter (where kind <> 'chunk')"
        ),
        0,
        "the chunks are those of the beginning"
    );
    let again = "select count(*) from (select task from decamp.applied group by task having count(*) > 1) as twice";
    assert_eq!(pair.query(again), "0");
    load.stop(&pair.source);
    pair.assert_migrated();
    pair.stop_migration();
    assert_eq!(pair.query("select count(*) from decamp.applied"), "0");
}

/// Only what is at hand is tried again when the source is away for a while, and what waits does not pay for it.
#[test]
fn copy_outage_costs_the_chunks_at_hand() {
    let pair = chunked()
        .proxy()
        .target_conf("pg_decamp.copy_rate_limit = '5MB'")
        .start();
    pair.source.app(&table("late", 40));
    pair.migrate("workers => 2");
    pair.poll_half_way("late", 3);
    let before = Done::of(&pair, "late");
    pair.proxy().cut();
    pair.wait_for_interruption(SOON);
    let told = "select count(*) from repl_events where severity = 'warning'";
    wait::pause(Duration::from_secs(3));
    let tried = pair.tasks(
        "late",
        "count(*) filter (where t.attempts > 1 or t.state <> 'done' and t.error is not null)",
    );
    let events: u32 = pair.query(told).parse().expect("a count");
    pair.proxy().mend();
    pair.sql("SELECT repl_resume('heroku')");
    let mended = std::time::Instant::now();
    pair.poll_table("late", &format!("chunks_done > {}", before.count() + 2));
    assert!(
        mended.elapsed() < Duration::from_secs(6),
        "after repl_resume it goes on at once, not after {:?}",
        mended.elapsed()
    );
    before.assert_kept(&pair);
    assert!(
        tried <= 4,
        "two workers, but {tried} chunks were tried in vain"
    );
    assert!(
        events <= 10,
        "one outage, told {events} times\n{}",
        pair.tell()
    );
    pair.limit_copy(0);
    pair.wait_for("streaming", SOON);
    pair.assert_migrated();
}

/// Workers that are in the middle of it go over to where the source is now, without an interruption.
#[test]
fn copy_goes_over_to_another_address() {
    let pair = chunked()
        .proxy()
        .target_conf("pg_decamp.copy_rate_limit = '6MB'")
        .start();
    pair.source.app(&table("late", 40));
    pair.migrate("workers => 2");
    pair.poll_half_way("late", 3);
    let done = Done::of(&pair, "late").count();
    pair.query(&format!(
        "SELECT repl_alter('heroku', source => '{}')",
        pair.source.uri()
    ));
    // two chunks each later nobody is at the old address any more
    pair.poll_half_way("late", done + 6);
    pair.proxy().cut();
    pair.poll_half_way("late", done + 12);
    let interrupted = "select count(*) from repl_events where message like '%interrupted%'";
    assert_eq!(pair.query(interrupted), "0", "{}", pair.tell());
    pair.limit_copy(0);
    pair.wait_for("streaming", SOON);
    pair.assert_migrated();
}
