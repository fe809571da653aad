//! The two ends of a migration: repl_stop in every phase, starting again, and repl_start inside of transactions.

use std::time::Duration;

use decamp_tests::items::{busy, small};
use decamp_tests::observe::{SOON, assert_says};
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::source::DATABASE;
use decamp_tests::{Mode, Pair, wait};

/// Waits for a state with a held lock where there is one, stops there; what the application sees is as before.
#[test]
fn stop_in_every_phase() {
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
    // what did not have to wait has been copied
    pair.sql("truncate item, note");

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
fn stop_at_any_moment() {
    let pair = Pair::start();
    small(&pair);
    let load = busy(&pair);
    for round in 0..8u64 {
        pair.migrate("");
        wait::pause(Duration::from_millis(round * 90));
        pair.stop_migration();
        pair.sql("DROP TABLE IF EXISTS item, note");
        assert_eq!(pair.query("SELECT count(*) FROM decamp.applied"), "0");
        assert_eq!(
            pair.query("SELECT count(*) FROM decamp.applied_snapshot"),
            "0"
        );
    }
    pair.stream("");
    load.stop(&pair.source);
    pair.assert_migrated();
    pair.stop_migration();
}

#[test]
fn stop_without_a_source() {
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
fn start_again_without_copy() {
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
fn start_in_a_transaction() {
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
