//! Steering a migration: pause, resume, wait, alter.

use std::time::{Duration, Instant};

use decamp_tests::compare::contents;
use decamp_tests::items::{busy, small};
use decamp_tests::observe::{SOON, assert_says};
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::source::{DATABASE, ROLE};
use decamp_tests::{Pair, wait};

#[test]
fn control_pause_stops_and_resume_goes_on() {
    let pair = Pair::start();
    small(&pair);
    let load = busy(&pair);
    pair.stream("");

    pair.query("SELECT repl_pause('heroku')");
    pair.poll_status("state = 'paused' and workers = 0");
    pair.poll("SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'pg_decamp%'");
    let gone = "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'pg_decamp%'";
    pair.source.poll_until(DATABASE, gone, SOON);
    let summary = pair.status("summary");
    assert!(
        summary.contains("Paused") && summary.contains("SELECT repl_resume('heroku')"),
        "{summary}"
    );
    assert!(
        pair.query("SELECT repl_pause('heroku')")
            .contains("paused already")
    );

    let before = contents(&pair.target, TARGET_DATABASE);
    let deltas = pair.deltas();
    wait::until_true(SOON, "changes pile up", || pair.deltas() > deltas + 200);
    assert_eq!(
        before,
        contents(&pair.target, TARGET_DATABASE),
        "a paused migration does not touch the target"
    );

    assert!(
        pair.query("SELECT repl_resume('heroku')")
            .contains("resumed")
    );
    pair.wait_for("caught_up", SOON);
    let worker = "SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE backend_type = 'pg_decamp apply'";
    let pid = pair.query(worker);
    assert!(
        pair.query("SELECT repl_resume('heroku')")
            .contains("running")
    );
    assert!(pair.query("SELECT repl_resume()").contains("running"));
    assert_eq!(
        pair.query(worker),
        pid,
        "resuming what runs changes nothing"
    );

    // quickly one after the other, in any order: the last one counts
    for _ in 0..4 {
        pair.query("SELECT repl_pause('heroku')");
        pair.query("SELECT repl_resume()");
    }
    load.stop(&pair.source);
    pair.assert_migrated();
    pair.poll_status("workers = 1 and state = 'streaming'");
    pair.stop_migration();
    assert!(
        pair.query("SELECT repl_resume()")
            .contains("no subscription")
    );
}

#[test]
fn control_pause_in_every_phase() {
    let pair = Pair::start();
    small(&pair);
    let load = busy(&pair);
    let mut holder = pair.source.connect_as_app();
    holder
        .batch_execute("begin; update item set value = 'held' where id = 1")
        .expect("a row to hold");

    pair.migrate("");
    pair.poll_status("state = 'installing'");
    pair.query("SELECT repl_pause('heroku')");
    pair.poll_status("state = 'paused' and workers = 0");
    pair.query("SELECT repl_resume('heroku')");
    pair.poll_status("state = 'installing'");
    pair.query("SELECT repl_pause('heroku')");
    pair.poll_status("state = 'paused' and workers = 0");
    holder.batch_execute("commit").expect("the holder ends");

    let mut lock = pair.target.connect(TARGET_DATABASE);
    lock.batch_execute("begin; lock table item in share mode")
        .expect("the import has made the table");
    pair.query("SELECT repl_resume('heroku')");
    pair.poll_status("state = 'copying'");
    pair.query("SELECT repl_pause('heroku')");
    // the chunk at hand waits for our lock and is ended with it
    lock.batch_execute("rollback").expect("the lock goes");
    pair.poll_status("state = 'paused' and workers = 0");
    pair.query("SELECT repl_resume()");
    pair.wait_for("streaming", SOON);
    load.stop(&pair.source);
    pair.assert_migrated();
}

#[test]
fn control_wait_says_what_is() {
    let pair = Pair::start();
    small(&pair);
    let unknown = pair.refused("SELECT repl_wait('nobody', 'streaming')");
    assert_says(&unknown, "42704", &["nobody"]);

    let mut holder = pair.source.connect_as_app();
    holder
        .batch_execute("begin; update item set value = 'held' where id = 1")
        .expect("a row to hold");
    pair.migrate("");
    pair.poll_status("state = 'installing' and error is not null");
    for until in ["copied", "streaming", "caught_up"] {
        let begin = Instant::now();
        let error = pair.refused(&format!(
            "SELECT repl_wait('heroku', '{until}', timeout => '1 second')"
        ));
        assert_says(&error, "57014", &["installing", "public.item"]);
        assert!(
            begin.elapsed() < Duration::from_secs(3),
            "{:?}",
            begin.elapsed()
        );
    }
    let error = pair.refused("SELECT repl_wait('heroku', 'finished')");
    assert_says(&error, "22023", &["finished", "'caught_up'"]);
    let error = pair.refused("SELECT repl_wait('heroku', 'copied', timeout => '-1 second')");
    assert_says(&error, "22023", &["timeout"]);

    // a wait without a timeout can be cancelled, and can be made to end by a statement timeout
    let error = pair.target.fails(
        TARGET_DATABASE,
        "SET statement_timeout = '500ms'; SELECT repl_wait('heroku', 'copied')",
    );
    assert_eq!(error.code().code(), "57014");

    // while it waits, what it waits for comes true
    std::thread::scope(|scope| {
        let copied = scope.spawn(|| pair.query("SELECT repl_wait('heroku', 'copied')"));
        let streaming =
            scope.spawn(|| pair.query("SELECT repl_wait('heroku', 'streaming', '1 minute')"));
        let caught_up =
            scope.spawn(|| pair.query("SELECT repl_wait('heroku', 'caught_up', '1 minute')"));
        let waiting = "SELECT count(*) = 3 FROM pg_stat_activity WHERE query LIKE 'SELECT repl_wait%' AND state = 'active'";
        pair.poll(waiting);
        holder.batch_execute("commit").expect("the holder ends");
        for (waiter, word) in [
            (copied, "copied"),
            (streaming, "streaming"),
            (caught_up, "caught_up"),
        ] {
            assert!(waiter.join().expect("the wait succeeds").contains(word));
        }
    });

    pair.query("SELECT repl_pause('heroku')");
    pair.poll_status("state = 'paused'");
    let begin = Instant::now();
    let error = pair.refused("SELECT repl_wait('heroku', 'caught_up', timeout => '1 minute')");
    assert_says(&error, "55000", &["paused", "SELECT repl_resume('heroku')"]);
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "hopeless is said at once"
    );
    // what is the case already needs no worker
    pair.query("SELECT repl_wait('heroku', 'copied', timeout => '1 second')");

    // a wait that becomes hopeless while waiting
    pair.query("SELECT repl_resume('heroku')");
    pair.wait_for("caught_up", SOON);
    let mut lock = pair.target.connect(TARGET_DATABASE);
    lock.batch_execute("begin; lock table item in share mode")
        .expect("a table");
    pair.source
        .app("update item set value = 'waiting' where id = 2");
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| pair.refused("SELECT repl_wait('heroku', 'caught_up')"));
        pair.poll("SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'SELECT repl_wait%' AND state = 'active'");
        pair.query("SELECT repl_pause('heroku')");
        assert_says(&waiter.join().expect("the wait ends"), "55000", &["paused"]);
    });
    lock.batch_execute("rollback").expect("the lock goes");
    pair.query("SELECT repl_resume('heroku')");
    pair.assert_migrated();
}

#[test]
fn control_caught_up_means_it() {
    let pair = Pair::start();
    small(&pair);
    pair.source
        .app("insert into item select -i, 'to be deleted' from generate_series(1, 100) as i");
    pair.stream("");
    let mut application = pair.source.connect_as_app();
    let mut target = pair.target.connect(TARGET_DATABASE);
    let begin = Instant::now();
    for round in 1..=30 {
        let statement = format!(
            "begin; insert into item values (1000 + {round}, 'round'); insert into note (item, text) values (1000 + {round}, 'n'); \
             delete from item where id = {round} - 101; commit"
        );
        application
            .batch_execute(&statement)
            .expect("the application writes");
        target
            .batch_execute("SELECT repl_wait('heroku', 'caught_up', timeout => '20 seconds')")
            .expect("it catches up");
        let sql = "select (select max(id) from item), (select max(item) from note), (select min(id) from item)";
        let row = target.query_one(sql, &[]).expect("a row");
        let seen: (i32, i32, i32) = (row.get(0), row.get(1), row.get(2));
        assert_eq!(
            seen,
            (1000 + round, 1000 + round, round - 100),
            "in round {round}"
        );
    }
    let each = begin.elapsed() / 30;
    assert!(
        each < Duration::from_secs(1),
        "{each:?} for one row to arrive"
    );

    // under load too: what this session has committed is there, whatever others do
    let load = busy(&pair);
    for round in 1..=10 {
        let insert = format!("insert into item values (2000 + {round}, 'round')");
        application
            .batch_execute(&insert)
            .expect("the application writes");
        target
            .batch_execute("SELECT repl_wait('heroku', 'caught_up', timeout => '20 seconds')")
            .expect("it catches up");
        let row = target
            .query_one("select max(id) from item", &[])
            .expect("a row");
        assert_eq!(row.get::<_, i32>(0), 2000 + round);
    }
    load.stop(&pair.source);
    pair.assert_migrated();
}

#[test]
fn control_alter() {
    let pair = Pair::start();
    small(&pair);
    let load = busy(&pair);
    pair.stream("");

    assert!(
        pair.query("SELECT repl_alter('heroku', workers => 2)")
            .contains("workers: 2")
    );
    let error = pair.refused("SELECT repl_alter('heroku')");
    assert_says(&error, "22023", &["nothing to alter"]);
    let error = pair.refused("SELECT repl_alter('heroku', workers => 0)");
    assert_eq!(error.code().code(), "22023");
    let error = pair
        .refused("SELECT repl_alter('heroku', source => 'postgres://app:p%3Aw%40d%2F100%25@[')");
    assert_eq!(error.code().code(), "22023");
    let error = pair.refused(&format!(
        "SELECT repl_alter('heroku', target => '{}')",
        pair.target.socket_conninfo(TARGET_DATABASE)
    ));
    assert_says(&error, "0A000", &["repl_stop"]);

    // the same place, written differently
    let equivalent = pair.source_uri().replace("127.0.0.1", "localhost") + "&connect_timeout=7";
    let line = pair.query(&format!(
        "SELECT repl_alter('heroku', source => '{equivalent}')"
    ));
    assert!(line.contains("localhost"), "{line}");
    pair.wait_for("caught_up", SOON);
    assert!(pair.status("source").contains("localhost"));

    // the provider gives the role another password and ends its sessions
    let fresh = "n:e/w%40";
    pair.source
        .sql(DATABASE, &format!("ALTER ROLE {ROLE} PASSWORD '{fresh}'"));
    pair.source.sql(
        DATABASE,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'pg_decamp%'",
    );
    pair.poll_status("state = 'errored' and error is not null and hint like '%repl_alter%'");
    load.stop(&pair.source);
    let uri = decamp_tests::server::uri(ROLE, fresh, pair.source.port(), DATABASE);
    pair.query(&format!("SELECT repl_alter('heroku', source => '{uri}')"));
    pair.query("SELECT repl_resume('heroku')");
    pair.source
        .app("update item set value = 'after the rotation' where id = 7");
    pair.assert_migrated();
    pair.stop_migration();
}
