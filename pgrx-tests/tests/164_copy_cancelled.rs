//! Statements and sessions of ours that somebody on the source ends: once, which passes, or again and again.

use std::time::Duration;

use decamp_tests::copying::{chunked, table};
use decamp_tests::observe::SOON;
use decamp_tests::source::DATABASE;
use decamp_tests::workers::Worker;
use decamp_tests::{Pair, wait};
use postgres::Client;

const MINUTE: Duration = Duration::from_secs(60);

/// Makes the next chunk of a table wait on the source until the client is dropped: a session to be cancelled.
fn block(pair: &Pair, table: &str) -> Client {
    let mut client = pair.source.connect_as_app();
    client
        .batch_execute(&format!(
            "begin; lock table {table} in access exclusive mode"
        ))
        .expect("the chunk at hand ends soon");
    client
}

/// Does this to our session that waits for that lock, if there is one.
fn strike(pair: &Pair, table: &str, function: &str) -> bool {
    let sql = format!(
        "select {function}(a.pid) from pg_stat_activity a join pg_locks l using (pid) \
         where a.application_name = 'pg_decamp heroku copy' and l.relation = '{table}'::regclass and not l.granted"
    );
    !pair.source.rows(DATABASE, &sql).is_empty()
}

#[test]
fn copy_cancelled_again_and_again() {
    let pair = chunked()
        .target_conf("pg_decamp.copy_rate_limit = '4MB'")
        .start();
    for (name, megabytes) in [("always", 12), ("fine", 2)] {
        pair.source.app(&table(name, megabytes));
    }
    pair.migrate("workers => 1");
    pair.poll_half_way("always", 1);
    let lock = block(&pair, "always");
    wait::until_true(SOON, "a table that is cancelled all the time stops", || {
        strike(&pair, "always", "pg_cancel_backend");
        pair.table("always", "state = 'errored'") == "t"
    });
    let always = pair.assert_stopped("always", "57014", &["cancel", "provider"]);
    pair.poll_table("fine", "state = 'ready'");
    drop(lock);
    pair.limit_copy(0);
    pair.query("SELECT repl_resume('heroku')");
    pair.wait_for("streaming", MINUTE);
    always.assert_kept(&pair);
    pair.assert_migrated();
}

/// Sessions that the provider ends, one after the other, while everything else works: not an outage.
#[test]
fn copy_terminated_again_and_again() {
    let pair = chunked().start();
    for (name, megabytes) in [("always", 12), ("fine", 2)] {
        pair.source.app(&table(name, megabytes));
    }
    pair.limit_copy(4);
    pair.migrate("workers => 1");
    pair.poll_half_way("always", 1);
    let lock = block(&pair, "always");
    pair.limit_copy(0);
    let mut ended = 0;
    wait::until_true(SOON, "another table is copied all the same", || {
        if strike(&pair, "always", "pg_terminate_backend") {
            ended += 1;
        }
        pair.table("fine", "state = 'ready'") == "t" && ended > 20
    });
    let often = "select count(*) <= (select count(*) from decamp.task where error is not null) \
                 from repl_events where severity <> 'info' and subject = 'public.always'";
    assert_eq!(
        pair.query(often),
        "t",
        "once for each piece\n{}",
        pair.tell()
    );
    drop(lock);
    pair.sql("SELECT repl_resume('heroku')");
    pair.wait_for("streaming", MINUTE);
    pair.assert_migrated();
}

/// One cancel is no reason to stop, also not after interruptions of other kinds.
#[test]
fn copy_cancelled_once() {
    let pair = chunked().start();
    pair.source.app(&table("once", 12));
    pair.limit_copy(4);
    pair.migrate("workers => 1");
    pair.poll_half_way("once", 1);
    let lock = block(&pair, "once");
    let at_hand = "select count(*) > 0 from decamp.task where kind = 'chunk' and state = 'running' \
                   and worker_pid in (select pid from pg_stat_activity)";
    for _ in 0..2 {
        pair.poll(at_hand);
        pair.terminate(Worker::Copy);
        let ghosts =
            "select count(*) = 0 from pg_stat_activity where application_name like '% copy'";
        pair.source.poll_until(DATABASE, ghosts, SOON);
    }
    wait::until_true(SOON, "a statement to cancel", || {
        strike(&pair, "once", "pg_cancel_backend")
    });
    pair.poll("select count(*) = 1 from repl_events where subject = 'public.once' and message like '%canceling statement due to user request%'");
    drop(lock);
    pair.limit_copy(0);
    pair.poll_table("once", "state in ('ready', 'errored')");
    assert_eq!(pair.table("once", "state"), "ready", "{}", pair.tell());
    pair.assert_migrated();
}
