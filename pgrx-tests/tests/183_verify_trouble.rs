//! `repl_verify` interrupted, refused, over a bad network, without replay, and of tables that change under it: what is not known is
//! not told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use decamp_tests::Pair;
use decamp_tests::observe::{SOON, assert_says};
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::verification::{assert_equal, different, loaded};
use postgres::error::SqlState;

/// Somebody holds a table up, and the call is cancelled: what was done is kept, the rest is not told to be equal.
#[test]
fn verify_interrupted() {
    let pair = Pair::start();
    pair.source.app("create table a (id int primary key); create table b (id int primary key); create table c (id int primary key); insert into a values (1), (2)");
    pair.stream("");
    let held = |during: &dyn Fn()| {
        let mut locker = pair.target.connect(TARGET_DATABASE);
        locker
            .batch_execute("begin; lock table b")
            .expect("the table is free");
        std::thread::scope(|scope| {
            let verifying = scope.spawn(|| {
                pair.target
                    .try_rows(TARGET_DATABASE, "SELECT * FROM repl_verify('heroku')")
                    .expect_err("it is interrupted")
            });
            pair.poll("SELECT count(*) = 1 FROM repl_verifications WHERE \"table\" = 'public.b' AND state = 'running'");
            pair.poll("SELECT count(*) = 1 FROM pg_locks WHERE NOT granted");
            during();
            verifying.join().expect("it fails as it should")
        })
    };
    let states = || {
        pair.query("SELECT string_agg(concat_ws(' ', state, equal), ', ' ORDER BY \"table\") FROM repl_verifications WHERE verification = 1")
    };
    let error = held(&|| {
        assert_eq!(states(), "finished t, running, waiting");
        pair.query("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT * FROM repl_verify%' AND pid <> pg_backend_pid()");
    });
    assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED));
    pair.poll("SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'pg_decamp heroku verify%'");
    assert_eq!(states(), "finished t, interrupted, interrupted");
    held(&|| {
        pair.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT * FROM repl_verify%' AND pid <> pg_backend_pid()");
    });
    pair.poll("SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'pg_decamp heroku verify%'");
    assert_eq!(states(), "finished t, interrupted, interrupted");

    let lines = pair.verify("");
    assert_equal(&lines);
    assert_eq!(lines.len(), 3);
    assert!(
        lines[0]
            .how
            .contains("before the verification was interrupted"),
        "{lines:?}"
    );
    assert_eq!(states(), "finished t, finished t, finished t");
    // a caller who rolls back has called all the same
    pair.target.sql(
        TARGET_DATABASE,
        "BEGIN; SELECT * FROM repl_verify('heroku'); ROLLBACK",
    );
    assert_eq!(
        pair.query("SELECT count(*) FROM repl_verifications WHERE verification = 2 AND state = 'finished' AND how = '1 range'"),
        "3"
    );
    assert_eq!(pair.query("SELECT count(*) FROM decamp.verification"), "2");
}

/// Whatever happens to the tables meanwhile, no difference is told of.
#[test]
fn verify_while_tables_are_copied_anew_emptied_and_altered() {
    let (pair, load) = loaded();
    let done = AtomicBool::new(false);
    let told = std::thread::scope(|scope| {
        let verifying = scope.spawn(|| {
            let mut lines = Vec::new();
            while !done.load(Ordering::Relaxed) {
                lines.extend(pair.verify(""));
            }
            lines
        });
        for round in 0..3 {
            pair.query("SELECT repl_resync('heroku', 'item')");
            pair.source.app("truncate part; insert into part select i % 10, 'part ' || i, 0 from generate_series(1, 2000) as i");
            // every row is another one, and no trigger says so
            let alter = |kind: &str| {
                pair.source.app(&format!(
                    "alter table item alter pad type {kind} using pad || '{round}'"
                ));
            };
            alter("varchar");
            pair.wait_for("streaming", 2 * SOON);
            alter("text");
            pair.wait_for("caught_up", 2 * SOON);
        }
        done.store(true, Ordering::Relaxed);
        verifying.join().expect("verifying goes well")
    });
    let of = |equal: &str| {
        told.iter()
            .filter(|line| line.equal == equal)
            .collect::<Vec<_>>()
    };
    assert!(of("f").is_empty(), "{:#?}", of("f"));
    assert!(!of("t").is_empty() && !of("").is_empty(), "{told:#?}");
    assert_equal(&pair.verify(""));
    load.stop(&pair.source);
    pair.assert_migrated();
}

/// The network fails in the middle; slow, it makes no difference.
#[test]
fn verify_over_a_bad_network() {
    let pair = Pair::builder().proxy().start();
    pair.source.app(
        "create table a (id int primary key, n int); create table b (id int primary key); create table hot (id int primary key, n int not null); \
         insert into hot values (1, 0); insert into a select i, i from generate_series(1, 60000) as i",
    );
    pair.stream("");
    let mut locker = pair.target.connect(TARGET_DATABASE);
    locker
        .batch_execute("begin; lock table b")
        .expect("the table is free");
    std::thread::scope(|scope| {
        let verifying = scope.spawn(|| pair.refused("SELECT * FROM repl_verify('heroku')"));
        pair.poll("SELECT count(*) = 1 FROM repl_verifications WHERE \"table\" = 'public.b' AND state = 'running'");
        pair.poll("SELECT count(*) = 1 FROM pg_locks WHERE NOT granted");
        pair.proxy().cut();
        locker
            .batch_execute("commit")
            .expect("the lock is given up");
        let error = verifying.join().expect("it fails as it should");
        assert_says(
            &error,
            "08006",
            &[
                "goes on with the tables that are left",
                "repl_verifications",
            ],
        );
    });
    // of b it may have been too early for the source's answer to be here
    pair.poll(
        "SELECT bool_or(\"table\" = 'public.a' AND state = 'finished' AND equal) \
                AND bool_and(equal IS NOT DISTINCT FROM CASE state WHEN 'finished' THEN true END) \
                AND count(*) FILTER (WHERE state = 'interrupted') = 1 AND count(*) FILTER (WHERE state = 'running') = 0 \
         FROM repl_verifications",
    );
    pair.proxy().mend();
    pair.proxy().delay(Duration::from_millis(20));
    let load = pair
        .source
        .pgbench()
        .script("update hot set n = n + 1;\n")
        .script("\\set id random(1, 60000)\nupdate a set n = n + 1 where id between :id and :id + 50;\n")
        .rate(50)
        .start();
    pair.poll_table("a", "updated > 100");
    let lines = pair.verify("");
    assert_equal(&lines);
    assert!(
        lines[0]
            .how
            .contains("before the verification was interrupted"),
        "{lines:?}"
    );
    for _ in 0..3 {
        assert_equal(&pair.verify(""));
    }
    load.stop(&pair.source);
}

/// Where replay stands still, what differs is not known to differ; what is equal is.
#[test]
fn verify_without_replay() {
    let pair = Pair::start();
    pair.source.app("create table a (id int primary key); create table b (id int primary key, n int); insert into a values (1); insert into b values (1, 1)");
    pair.stream("");
    pair.query("SELECT repl_pause('heroku')");
    pair.poll_status("state = 'paused'");
    pair.source.app("update b set n = 2");
    let lines = pair.verify("");
    assert_eq!(
        (lines[0].equal.as_str(), lines[1].equal.as_str()),
        ("t", ""),
        "{lines:?}"
    );
    assert!(
        lines[1].note.contains("the subscription is paused"),
        "{lines:?}"
    );
    pair.query("SELECT repl_resume('heroku')");
    assert_equal(&pair.verify(""));

    // a table that has stopped, with changes that wait
    pair.sql("alter table b add constraint small check (n < 10)");
    pair.source.app("insert into b values (2, 20)");
    pair.poll_table("b", "state = 'errored'");
    let lines = pair.verify("");
    assert_eq!(
        (lines[0].equal.as_str(), lines[1].equal.as_str()),
        ("t", ""),
        "{lines:?}"
    );
    assert!(lines[1].note.contains("the table has stopped"), "{lines:?}");
    // what is missing without waiting is a difference
    pair.sql("delete from a");
    different(
        &pair.verify_table("a", ""),
        r#"[{"key": {"id": "1"}, "row": "missing"}]"#,
    );
}

#[test]
fn verify_refuses() {
    let pair = Pair::start();
    let refused = |sql: &str, sqlstate: &str, parts: &[&str]| {
        assert_says(&pair.refused(sql), sqlstate, parts);
    };
    refused("SELECT repl_verify('nobody')", "42704", &["nobody"]);
    refused("SELECT repl_verify(NULL)", "22004", &["name"]);
    pair.source.app("create table a (id int primary key)");
    pair.stream("");
    refused(
        "SELECT repl_verify('heroku', mode => 'guess')",
        "22023",
        &["guess", "'checksum', 'count', 'schema'"],
    );
    refused(
        "SELECT repl_verify('heroku', array['a', 'b'])",
        "42P01",
        &["no table b"],
    );
    refused(
        "SELECT repl_verify('heroku', array[NULL])",
        "22004",
        &["tables"],
    );
    refused(
        "SELECT repl_verify('heroku', mode => 'schema', repair => true)",
        "22023",
        &["repaired"],
    );
    refused(
        "BEGIN READ ONLY; SELECT repl_verify('heroku')",
        "25006",
        &["repl_verify"],
    );
    pair.sql("create role nobody");
    let error = pair.target.fails(
        TARGET_DATABASE,
        "SET ROLE nobody; SELECT repl_verify('heroku')",
    );
    assert_eq!(error.code().code(), "42501");
    assert_eq!(pair.query("SELECT count(*) FROM decamp.verification"), "0");
    pair.wait_for("caught_up", Duration::from_secs(30));
}
