//! Capture on the source: its installation never holds up the application, whatever the application does; what it must
//! never miss.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use decamp_tests::observe::SOON;
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::source::DATABASE;
use decamp_tests::{Pair, Source, wait};

const TABLES: &str = "create table item (id int primary key, value text); \
     create table other (id int primary key, value text); \
     insert into item select i, 'value ' || i from generate_series(1, 500) as i; \
     insert into other select i, 'value ' || i from generate_series(1, 100) as i";
/// The lock timeout, and some time for a busy machine.
const LONGEST_WAIT: Duration = Duration::from_millis(3500);

/// Quick writes to `item`, one after the other, while `during` runs: how many, and the longest.
fn measured(source: &Source, during: impl FnOnce()) -> (u32, Duration) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut client = source.connect_as_app();
            let (mut count, mut longest) = (0, Duration::ZERO);
            while !done.load(Ordering::Relaxed) {
                let begin = Instant::now();
                let id = 2 + count % 400;
                client
                    .batch_execute(&format!(
                        "update item set value = 'quick {count}' where id = {id}"
                    ))
                    .expect("the application writes");
                longest = longest.max(begin.elapsed());
                count += 1;
                wait::pause(Duration::from_millis(5));
            }
            (count, longest)
        });
        // ends the writer even when `during` panics
        struct End<'a>(&'a AtomicBool);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let end = End(&done);
        during();
        drop(end);
        writer.join().expect("the application is not broken")
    })
}

/// How often a lock was not to be had in time.
fn attempts(source: &Source) -> usize {
    let given_up = |line: &&str| {
        line.contains("pg_decamp heroku") && line.contains("canceling statement due to")
    };
    source.log().lines().filter(given_up).count()
}

#[test]
fn capture_does_not_hold_up_the_application() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    let mut holder = pair.source.connect_as_app();
    holder
        .batch_execute("begin; update item set value = 'a secret of the application' where id = 1")
        .expect("a row to hold");
    let pid: i32 = holder
        .query_one("select pg_backend_pid()", &[])
        .expect("a pid")
        .get(0);

    let (count, longest) = measured(&pair.source, || {
        pair.migrate("");
        wait::until_true(SOON, "several tries", || attempts(&pair.source) >= 3);
        pair.poll_status(&format!(
            "state = 'installing' and error like '%public.item%' and error like '%pid {pid} (user app%' and hint is not null"
        ));
        for text in [pair.tell(), pair.status("repl_status::text")] {
            assert!(
                !text.contains("secret"),
                "the holder's statement is nobody's business: {text}"
            );
        }
        assert!(
            pair.status("summary").contains("item"),
            "{}",
            pair.status("summary")
        );
        // others do not wait for it
        pair.target.poll_until(
            TARGET_DATABASE,
            "SELECT state = 'catchup' FROM repl_tables WHERE \"table\" = 'other'",
            SOON,
        );
        holder.batch_execute("commit").expect("the holder ends");
        pair.wait_for("streaming", SOON);
    });
    assert!(
        longest < LONGEST_WAIT,
        "the application waited for {longest:?}"
    );
    assert!(count > 100, "only {count} writes");
    assert_eq!(
        pair.status("error"),
        "",
        "what is over is not shown any more"
    );
    pair.assert_migrated();

    // removing needs a stronger lock, that one reader is enough to be in the way of
    let mut reader = pair.source.connect_as_app();
    reader
        .batch_execute("begin; select count(*) from item")
        .expect("a reader");
    let before = attempts(&pair.source);
    let (_, longest) = measured(&pair.source, || {
        std::thread::scope(|scope| {
            let stop = scope.spawn(|| pair.query("SELECT repl_stop('heroku')"));
            wait::until_true(SOON, "several tries", || {
                attempts(&pair.source) >= before + 2
            });
            reader.batch_execute("commit").expect("the reader ends");
            stop.join().expect("it stops");
        });
    });
    assert!(
        longest < LONGEST_WAIT,
        "the application waited for {longest:?}"
    );
    pair.assert_source_clean();
}

/// Transactions that were open before, that write to one table before its triggers and to another one after.
#[test]
fn capture_misses_no_transaction() {
    let pair = Pair::builder()
        .source_conf("max_prepared_transactions = 5")
        .start();
    pair.source.app(TABLES);
    let mut open = pair.source.connect_as_app();
    open.batch_execute(
        "begin; update item set value = 'open' where id < 10; delete from item where id = 20",
    )
    .expect("an open transaction");
    pair.source
        .app("begin; insert into item values (1000, 'prepared'); prepare transaction 'in the way'");
    pair.migrate("");
    pair.poll_status("state = 'installing' and error like '%public.item%'");
    pair.poll_table("other", "state in ('copying', 'copied', 'catchup')");
    open.batch_execute(
        "update other set value = 'open' where id < 10; delete from other where id = 20; \
                        update item set value = 'once more' where id between 5 and 30; commit",
    )
    .expect("it goes on");
    // nothing of it has a process id
    pair.poll_status("state = 'installing' and error like '%prepared transaction%'");
    pair.source.app("commit prepared 'in the way'");
    pair.wait_for("streaming", SOON);
    pair.assert_migrated();

    // two-phase commit while streaming
    pair.source
        .app("begin; update item set value = 'later'; prepare transaction 'later'");
    pair.source
        .app("update other set value = 'meanwhile' where id = 1");
    pair.wait_for("caught_up", SOON);
    assert_eq!(
        pair.query("select count(*) from item where value = 'later'"),
        "0"
    );
    pair.source.app("commit prepared 'later'");
    pair.assert_migrated();
    assert_eq!(
        pair.query("select count(*) from item where value <> 'later'"),
        "0"
    );
    pair.stop_migration();
}

#[test]
fn capture_beside_publications() {
    let pair = Pair::builder().source_conf("wal_level = logical").start();
    pair.source.app(TABLES);
    pair.source
        .sql(DATABASE, "create publication everything for all tables");
    let load = pair
        .source
        .pgbench()
        .script("\\set n random(1, 600)\ndelete from item where id = :n;\n")
        .script("\\set n random(1, 600)\ninsert into item values (:n, 'again') on conflict (id) do update set value = 'updated';\n")
        .rate(150)
        .start();
    pair.stream("");
    pair.poll_table("item", "deleted > 50 and inserted > 10 and updated > 50");
    pair.source
        .app("truncate other; insert into other values (1, 'after')");
    load.stop(&pair.source);
    pair.assert_migrated();
    // the import leaves publications out
    assert_eq!(pair.query("select count(*) from pg_publication"), "0");
    pair.stop_migration();
}
