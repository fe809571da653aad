//! Steering a migration: pause, resume, wait, alter, stop, and repl_start inside of transactions.

use std::time::{Duration, Instant};

use decamp_tests::compare::contents;
use decamp_tests::load::Running;
use decamp_tests::observe::{SOON, assert_says};
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::source::{DATABASE, ROLE};
use decamp_tests::{Mode, Pair, wait};

/// Two tables, one of them with something in it.
fn small(pair: &Pair) {
    pair.source.app(
        "create table item (id int primary key, value text, at timestamptz not null default now()); \
         insert into item select i, 'value ' || i from generate_series(1, 500) as i; \
         create table note (id bigserial primary key, item int references item, text text)",
    );
}

fn busy(pair: &Pair) -> Running {
    pair.source
        .pgbench()
        .script("\\set n random(1, 500)\nupdate item set value = value || 'x', at = clock_timestamp() where id = :n;\n")
        .script("\\set n random(1, 500)\ninsert into note (item, text) values (:n, 'note');\n")
        .script("\\set n random(1, 500)\ndelete from note where id = :n;\n")
        .rate(200)
        .start()
}

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

/// Waits for a state with a held lock where there is one, stops there; what the application sees is as before.
#[test]
fn control_stop_in_every_phase() {
    let pair = Pair::start();
    small(&pair);
    let load = busy(&pair);

    // capture waits for a lock on one of the tables; the others have it already
    let mut holder = pair.source.connect_as_app();
    holder
        .batch_execute("begin; update item set value = 'held' where id = 1")
        .expect("a row to hold");
    pair.migrate("");
    pair.poll_status("state = 'installing' and error is not null");
    pair.stop_migration();
    holder.batch_execute("commit").expect("the holder ends");
    pair.assert_source_clean();

    // the copy waits for a lock on the target
    let mut lock = pair.target.connect(TARGET_DATABASE);
    lock.batch_execute("begin; lock table item, note in share mode")
        .expect("the import has made the tables");
    pair.migrate("");
    pair.poll_status("state = 'copying' and workers > 1");
    pair.stop_migration();
    lock.batch_execute("rollback").expect("the lock goes");
    pair.poll("SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'pg_decamp%'");
    assert_eq!(
        pair.query("SELECT count(*) FROM item"),
        "0",
        "nothing was committed"
    );

    // streaming, in the middle of a write load, while one more transaction holds a lock for a moment
    pair.stream("");
    let mut holder = pair.source.connect_as_app();
    holder
        .batch_execute("begin; update item set value = 'held again' where id = 1")
        .expect("a row to hold");
    std::thread::scope(|scope| {
        let stop = scope.spawn(|| pair.query("SELECT repl_stop('heroku')"));
        let waiting = "SELECT count(*) > 0 FROM pg_stat_activity \
                       WHERE application_name = 'pg_decamp heroku stop' AND wait_event_type = 'Lock'";
        pair.source.poll_until(DATABASE, waiting, SOON);
        holder.batch_execute("commit").expect("the holder ends");
        let line = stop.join().expect("it stops");
        assert!(line.contains("stays"), "{line}");
    });
    pair.assert_source_clean();
    load.stop(&pair.source);
    assert_eq!(
        pair.query("SELECT count(*) >= 500 FROM item"),
        "t",
        "the data stays"
    );
    let events = "SELECT count(*) = 3 FROM repl_events WHERE message LIKE '%stopped%' AND subscription = 'heroku'";
    assert_eq!(pair.query(events), "t", "history outlives its subscription");
}

/// At any moment, whatever the workers are just doing.
#[test]
fn control_stop_at_any_moment() {
    let pair = Pair::start();
    small(&pair);
    let load = busy(&pair);
    for round in 0..8u64 {
        pair.migrate("");
        wait::pause(Duration::from_millis(round * 90));
        pair.stop_migration();
        pair.sql("DROP TABLE IF EXISTS item, note");
        assert_eq!(pair.query("SELECT count(*) FROM decamp.applied"), "0");
    }
    pair.stream("");
    load.stop(&pair.source);
    pair.assert_migrated();
    pair.stop_migration();
}

#[test]
fn control_stop_without_a_source() {
    let pair = Pair::start();
    small(&pair);
    pair.stream("");
    pair.source.stop(Mode::Fast);
    pair.poll_status("error is not null");
    let error = pair.refused("SELECT repl_stop('heroku')");
    assert!(error.code().code().starts_with("08"), "{error:?}");
    assert!(
        error
            .hint()
            .is_some_and(|hint| hint.contains("drop_source_objects => false")),
        "{error:?}"
    );
    assert_eq!(
        pair.query("SELECT count(*) FROM repl_status"),
        "1",
        "nothing has been forgotten"
    );

    let line = pair.query("SELECT repl_stop('heroku', drop_source_objects => false)");
    assert!(line.contains("DROP SCHEMA decamp_heroku CASCADE"), "{line}");
    assert_eq!(pair.query("SELECT count(*) FROM repl_status"), "0");
    assert_eq!(pair.query("SELECT count(*) FROM item"), "500");
    wait::until_true(SOON, "no worker is left", || pair.our_workers() == "0");

    // should it come back, nothing of it is broken, and what it has of ours is not taken over in silence
    pair.source.start();
    pair.source
        .app("update item set value = 'back' where id = 1; delete from item where id = 2");
    let error = pair.refused(&format!(
        "SELECT repl_start('heroku', source => '{}', copy_data => false)",
        pair.source_uri()
    ));
    assert_says(&error, "55000", &["decamp_heroku", "DROP SCHEMA"]);
    pair.source.app("DROP SCHEMA decamp_heroku CASCADE");
    pair.assert_source_clean();
    pair.sql("TRUNCATE item, note");
    pair.stream("");
    pair.assert_migrated();
}

#[test]
fn control_start_again_without_copy() {
    let pair = Pair::start();
    small(&pair);
    pair.stream("");
    pair.assert_migrated();
    pair.stop_migration();
    let line = pair.migrate("copy_data => false, copy_schema => false, workers => 1");
    assert!(line.contains("2 tables"), "{line}");
    pair.wait_for("streaming", SOON);
    assert_eq!(pair.query("SELECT sum(rows_copied) FROM repl_tables"), "0");
    pair.source.app(
        "update item set value = 'again' where id % 2 = 0; delete from item where id = 33; \
         insert into note (item, text) values (1, 'again')",
    );
    pair.assert_migrated();
    pair.stop_migration();
}

#[test]
fn control_start_in_a_transaction() {
    let pair = Pair::start();
    small(&pair);
    let start = format!(
        "SELECT repl_start('heroku', source => '{}')",
        pair.source_uri()
    );

    let nothing_left = || {
        wait::until_true(SOON, "the worker sees that nothing was committed", || {
            pair.our_workers() == "0"
        });
        pair.assert_nothing_started();
        assert_eq!(pair.query("SELECT count(*) FROM repl_events"), "0");
    };
    let mut session = pair.target.connect(TARGET_DATABASE);
    session
        .batch_execute(&format!("BEGIN; {start}"))
        .expect("it starts");
    session
        .batch_execute("ROLLBACK")
        .expect("and is rolled back");
    nothing_left();

    session
        .batch_execute(&format!(
            "BEGIN; SAVEPOINT s; {start}; ROLLBACK TO s; COMMIT"
        ))
        .expect("a savepoint is rolled back");
    nothing_left();

    // waits for the commit, however long that takes
    session
        .batch_execute(&format!("BEGIN; {start}"))
        .expect("it starts");
    wait::pause(Duration::from_secs(2));
    pair.assert_source_clean();
    assert_eq!(pair.query("SELECT count(*) FROM repl_status"), "0");
    session.batch_execute("COMMIT").expect("and is committed");
    pair.wait_for("streaming", SOON);

    // what repl_stop does on the source a rollback here could not undo
    let error = pair.refused("BEGIN; SELECT repl_stop('heroku')");
    assert_says(&error, "25001", &["transaction block"]);
    pair.source
        .app("update item set value = 'still captured' where id = 3");
    pair.assert_migrated();
    pair.stop_migration();
    wait::until_true(SOON, "no worker is left", || pair.our_workers() == "0");
}
