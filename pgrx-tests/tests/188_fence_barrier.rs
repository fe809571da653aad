//! The barrier of the fence: who is in the way is waited for, told, or ended; and a call or a server that ends meanwhile.

use std::thread;
use std::time::{Duration, Instant};

use decamp_tests::fence::{TABLES, WRITES, assert_fenced, open_writer};
use decamp_tests::observe::{SOON, assert_says};
use decamp_tests::source::{DATABASE, ROLE};
use decamp_tests::{Mode, Pair, wait};

/// Somebody who writes is waited for.
const AWAITED: &str =
    "SELECT count(*) = 1 FROM decamp.step WHERE name = 'barrier' AND state = 'running'";

#[test]
fn fence_gives_way_to_a_long_transaction() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.stream("");
    let mut writer = open_writer(&pair, ROLE);
    let began = Instant::now();
    let error = pair.refused("SELECT repl_fence('heroku', timeout => '1.5 seconds')");
    assert!(began.elapsed() >= Duration::from_millis(1500));
    assert_says(
        &error,
        "57014",
        &[
            "did not end within 1.5 s",
            "user app",
            "transaction age",
            "its statement began",
            "plain",
            "takes writes again",
            "terminate => true",
        ],
    );
    assert!(!format!("{error:?}").contains("update plain"), "{error:?}");
    pair.source.app("insert into plain values (2000)");
    assert_eq!(pair.status("fenced"), "f");
    // behind the fence it could not write any more, but what it has written is still its own to commit
    writer
        .batch_execute("update plain set n = n + 1 where id = 2; commit")
        .expect("it goes on");
    pair.assert_migrated();

    // a transaction that ends in time
    let mut writer = open_writer(&pair, ROLE);
    thread::scope(|scope| {
        let fencing = scope.spawn(|| pair.query("SELECT repl_fence('heroku')"));
        pair.poll(AWAITED);
        assert_fenced(&pair, &["insert into plain values (5000)"]);
        writer
            .batch_execute("commit")
            .expect("what was written before is committed");
        fencing.join().expect("it is fenced");
    });
    assert_fenced(&pair, WRITES);
    pair.assert_migrated();
    pair.stop_migration();
}

#[test]
fn fence_waits_for_prepared_transactions() {
    let pair = Pair::builder()
        .source_conf("max_prepared_transactions = 10")
        .start();
    pair.source.app(TABLES);
    pair.stream("");
    let mut writer = open_writer(&pair, ROLE);
    // it changes its name while it is waited for
    let error = thread::scope(|scope| {
        let fencing =
            scope.spawn(|| pair.refused("SELECT repl_fence('heroku', timeout => '3 seconds')"));
        pair.poll(AWAITED);
        writer
            .batch_execute("prepare transaction 'two phases'")
            .expect("it is prepared");
        fencing.join().expect("it is refused")
    });
    assert_says(&error, "57014", &["two phases", "ROLLBACK PREPARED"]);
    // nobody can end it but by hand
    let error =
        pair.refused("SELECT repl_fence('heroku', timeout => '1 second', terminate => true)");
    assert_says(
        &error,
        "57014",
        &["two phases", "ROLLBACK PREPARED", "ended by hand"],
    );
    pair.source.app("commit prepared 'two phases'");
    pair.query("SELECT repl_fence('heroku')");
    pair.assert_migrated();
    pair.stop_migration();
}

#[test]
fn fence_terminates_where_it_may() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.source.sql("postgres", "create role other login");
    pair.source.app("grant select, update on plain to other");
    pair.stream("");
    let mut own = open_writer(&pair, ROLE);
    pair.query("SELECT repl_fence('heroku', timeout => '20 seconds', terminate => true)");
    assert!(own.batch_execute("commit").is_err(), "it was terminated");
    pair.query("SELECT repl_unfence('heroku')");

    let mut other = open_writer(&pair, "other");
    let error =
        pair.refused("SELECT repl_fence('heroku', timeout => '2 seconds', terminate => true)");
    assert_says(
        &error,
        "57014",
        &[
            "user other",
            "role app may not end pid",
            "GRANT pg_signal_backend TO app",
            "takes writes again",
        ],
    );
    other.batch_execute("commit").expect("it is still there");
    pair.assert_migrated();
    pair.stop_migration();
}

/// The calling session ends in the middle of the barrier.
#[test]
fn fence_is_lowered_when_the_call_ends_early() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.stream("");
    for how in ["pg_cancel_backend", "pg_terminate_backend"] {
        let mut writer = open_writer(&pair, ROLE);
        let mut caller = pair.target.connect("postgres");
        let pid: i32 = caller
            .query_one("select pg_backend_pid()", &[])
            .expect("a pid")
            .get(0);
        let calling = thread::spawn(move || {
            caller
                .batch_execute("SELECT repl_fence('heroku', timeout => '10 minutes')")
                .expect_err("it is ended")
        });
        pair.poll_status("fenced");
        wait::until_true(SOON, "writes are refused", || {
            pair.source
                .try_rows(DATABASE, "insert into plain values (9000)")
                .is_err()
        });
        let second = pair.refused("SELECT repl_fence('heroku')");
        assert_says(&second, "55006", &["under way", "Nothing has been changed"]);
        assert_says(
            &pair.refused("SELECT repl_unfence('heroku')"),
            "55006",
            &["Cancel"],
        );
        pair.sql(&format!("SELECT {how}({pid})"));
        calling.join().expect("the call has ended");
        pair.poll_status("not fenced");
        pair.source.app("update plain set n = n + 1 where id = 3");
        writer
            .batch_execute("rollback")
            .expect("it was only waited for");
    }
    assert_eq!(
        pair.events("cancelled or its session ended"),
        4,
        "{}",
        pair.tell()
    );
    pair.assert_migrated();
    pair.stop_migration();
}

/// The worker that fences is killed in the barrier, and with it the server's other processes: who comes next lowers the fence. One
/// that stands stays.
#[test]
fn fence_after_a_crash_here() {
    let pair = Pair::builder().preload().start();
    pair.source.app(TABLES);
    pair.stream("");
    let mut writer = open_writer(&pair, ROLE);
    let mut caller = pair.target.connect("postgres");
    let calling = thread::spawn(move || {
        caller
            .batch_execute("SELECT repl_fence('heroku', timeout => '10 minutes')")
            .expect_err("its server crashes")
    });
    pair.poll_status("fenced");
    pair.target.restart(Mode::Immediate);
    calling.join().expect("the call has ended");
    pair.poll_status("not fenced");
    pair.source.app("update plain set n = n + 1 where id = 3");
    assert_eq!(
        pair.events("the call that had fenced the source was interrupted"),
        1
    );
    writer.batch_execute("commit").expect("it goes on");

    pair.query("SELECT repl_fence('heroku')");
    pair.target.restart(Mode::Immediate);
    let summary = pair.status("summary");
    assert!(summary.starts_with("FENCED since"), "{summary}");
    assert!(
        summary.contains("SELECT repl_unfence('heroku')"),
        "{summary}"
    );
    assert_fenced(&pair, WRITES);
    pair.wait_for("caught_up", Duration::from_secs(60));
    assert_fenced(&pair, WRITES);
    pair.query("SELECT repl_unfence('heroku')");
    pair.source.app("insert into plain values (9000)");
    pair.assert_migrated();
    pair.stop_migration();
}

#[test]
fn fence_survives_a_crash_of_the_source() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.stream("");
    pair.query("SELECT repl_fence('heroku')");
    pair.source.restart(Mode::Immediate);
    assert_fenced(&pair, WRITES);
    pair.assert_migrated();
    assert_eq!(pair.status("fenced"), "t");
    pair.query("SELECT repl_unfence('heroku')");

    // in the barrier: the fence is lowered when the source is back
    let _writer = open_writer(&pair, ROLE);
    let mut caller = pair.target.connect("postgres");
    let calling = thread::spawn(move || {
        caller
            .batch_execute("SELECT repl_fence('heroku', timeout => '10 minutes')")
            .expect_err("the source crashes")
    });
    wait::until_true(SOON, "writes are refused", || {
        pair.source
            .try_rows(DATABASE, "insert into plain values (9000)")
            .is_err()
    });
    pair.source.restart(Mode::Immediate);
    calling.join().expect("the call has ended");
    pair.poll_status("not fenced");
    pair.source.app("insert into plain values (9001)");
    pair.assert_migrated();
    pair.stop_migration();
}
