//! Tables that are written anew on the source while they are copied by pages: their copy begins anew.

use decamp_tests::hold::Hold;
use decamp_tests::observe::SOON;
use decamp_tests::source::DATABASE;
use decamp_tests::{Pair, wait};

const TABLE: &str = "create table item (id int primary key, code int unique, n int not null default 0, pad text); \
     create index item_n on item (n); create table other (id int primary key, value text)";
const ROWS: &str = "insert into item select i, i, i % 100, repeat(md5(i::text), 8) from generate_series(1, 40000) as i; \
     insert into other select i, 'x' from generate_series(1, 100) as i; analyze item";

/// Waits until it streams, with all equal.
fn assert_done(pair: &Pair) {
    pair.wait_for("streaming", SOON);
    pair.wait_until_built();
    pair.assert_migrated();
    let indexes = "SELECT count(*) FROM pg_index WHERE indrelid = 'item'::regclass AND indisvalid";
    assert_eq!(pair.query(indexes), "3");
}

/// Waits until it is done or in the queue for the table's lock, which the chunk at hand may still have: before the next one.
fn wait_for_lock(pair: &Pair, done: impl Fn() -> bool) {
    let waiting = "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'test'";
    wait::until_true(SOON, "it comes to its lock", || {
        done() || pair.source.query_one_text(DATABASE, waiting) == "t"
    });
}

fn rewritten_by(sql: &str) {
    let pair = Pair::start_cut();
    pair.on_both(TABLE);
    pair.source.app(ROWS);
    pair.source
        .app("delete from item where id % 10 = 0; update item set n = n + 1 where id < 3000");
    let hold = Hold::at_chunk(&pair, "item", 4);
    pair.migrate("workers => 1");
    hold.wait();
    let copied = pair.query("SELECT id FROM decamp.task WHERE kind = 'chunk' ORDER BY id LIMIT 1");
    std::thread::scope(|scope| {
        let rewrite = scope.spawn(|| {
            let mut client = pair.source.connect_as_app();
            for statement in sql.split(';') {
                client.batch_execute(statement).expect("the owner may");
            }
        });
        wait_for_lock(&pair, || rewrite.is_finished());
        hold.release();
        rewrite.join().expect("it is rewritten");
    });
    assert_done(&pair);
    assert_eq!(
        pair.events("was rewritten on the source"),
        1,
        "{}",
        pair.tell()
    );
    let anew = format!("SELECT min(id) > {copied} FROM decamp.task WHERE kind = 'chunk'");
    assert_eq!(pair.query(&anew), "t", "other chunks than before");
    pair.stop_migration();
}

#[test]
fn rewrite_by_vacuum_full() {
    rewritten_by("vacuum full item");
}

#[test]
fn rewrite_by_cluster() {
    rewritten_by("cluster item using item_n");
}

/// With rows that come after it, and unique values that others had before.
#[test]
fn rewrite_by_truncate() {
    rewritten_by(
        "truncate item; insert into item select i + 20000, i, 7, repeat('after', 60) from generate_series(1, 30000) as i; \
         update item set n = 8 where code % 3 = 0",
    );
}

/// A column of another type: the schemas differ until the target follows.
#[test]
fn rewrite_by_another_type() {
    let pair = Pair::start_cut();
    pair.on_both(TABLE);
    pair.source.app(ROWS);
    let hold = Hold::at_chunk(&pair, "item", 4);
    pair.migrate("workers => 1");
    hold.wait();
    let alter = "alter table item alter n type bigint";
    std::thread::scope(|scope| {
        let rewrite = scope.spawn(|| pair.source.app(alter));
        wait_for_lock(&pair, || rewrite.is_finished());
        hold.release();
        rewrite.join().expect("it is rewritten");
    });
    pair.source
        .app("update item set n = 5000000000 where id % 1000 = 0");
    // what does not fit is told, and the table goes on once the target has followed
    pair.poll_table(
        "item",
        "state = 'errored' and error is not null and hint is not null",
    );
    pair.sql(alter);
    pair.query("SELECT repl_resume('heroku')");
    assert_done(&pair);
    pair.stop_migration();
}

/// Somebody who does it all the time cannot keep the copy from ending: it is then done in one piece.
#[test]
fn rewrites_again_and_again() {
    let pair = Pair::builder()
        .cut()
        .target_conf("pg_decamp.copy_rate_limit = '5MB'")
        .start();
    pair.on_both(TABLE);
    pair.source.app(ROWS);
    pair.migrate("workers => 1");
    pair.poll_table("item", "chunks_done > 0");
    let mut rounds = 0;
    let mut client = pair.source.connect_as_app();
    wait::until_true(SOON, "it gets done", || {
        // not too fast, or nothing would be copied in between
        if pair.table("item", "chunks_done > 1 and state = 'copying'") == "t"
            && pair.chunks("item") > 1
        {
            client
                .batch_execute("vacuum full item")
                .expect("the owner may");
            rounds += 1;
            let chunks = format!(
                "SELECT count(*) >= {rounds} OR (SELECT chunks = 1 FROM repl_tables WHERE \"table\" = 'item') \
                                  FROM repl_events WHERE message LIKE 'was rewritten%'"
            );
            pair.poll(&chunks);
        }
        pair.table("item", "state in ('catchup', 'ready')") == "t"
    });
    assert_eq!(pair.chunks("item"), 1);
    assert_eq!(pair.events("was rewritten on the source"), 4);
    assert_done(&pair);
    pair.stop_migration();
}
