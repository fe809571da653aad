//! One table copied anew while the others stream: `repl_resync`.

use std::time::{Duration, Instant};

use decamp_tests::beat::number;
use decamp_tests::deferral::assert_restored;
use decamp_tests::hold::Hold;
use decamp_tests::load::Running;
use decamp_tests::observe::{SOON, assert_says};
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::source::DATABASE;
use decamp_tests::workers::Worker;
use decamp_tests::{Pair, wait};

/// `item` (12 MB) refers to `kind` and is referred to by `part`, which like `beat` goes on.
const TABLES: &str = "create table kind (id int primary key, name text); \
     create table item (id int primary key, code int not null unique, kind int references kind, n int not null default 0, pad text, \
         above int references item); \
     create index on item (n); create index on item (kind, code); \
     create table part (id bigserial primary key, item int not null references item on delete cascade, code int references item (code)); \
     create table beat (id int primary key, at timestamptz)";
const ROWS: &str = "insert into kind select i, 'kind' from generate_series(1, 10) as i; \
     insert into item select i, i, i % 10 + 1, 0, repeat(md5(i::text), 8) from generate_series(1, 40000) as i; \
     insert into part (item, code) select i, i from generate_series(1, 500) as i; \
     insert into beat values (1, now()); analyze";

fn prepared(pair: &Pair) -> Running {
    pair.source.app(TABLES);
    pair.source.app(ROWS);
    pair.source
        .pgbench()
        .script("\\set id random(1, 39900)\nupdate item set n = n + 1 where id between :id and :id + 10;\n")
        .script("\\set id random(501, 40000)\nbegin;\ndelete from item where id = :id;\ninsert into item values (:id, 100000 + :id, 1, 0, 'again') on conflict do nothing;\nend;\n")
        .script("\\set id random(1, 500)\ninsert into part (item, code) values (:id, :id);\n")
        .script("update beat set at = clock_timestamp();\n")
        .rate(200)
        .start()
}

/// That a table streams: no row of it was ever older than this on the target.
fn beats_until(pair: &Pair, done: &str) -> f64 {
    let mut oldest = 0.0;
    let end = Instant::now() + SOON;
    wait::until_true(2 * SOON, done, || {
        let age =
            number(&pair.query("SELECT extract(epoch from clock_timestamp() - at) FROM beat"));
        oldest = f64::max(oldest, age);
        pair.query(done) == "t"
    });
    oldest
}

const ITEM_BACK: &str = "SELECT count(*) = 1 AND (SELECT sum(indexes_missing) = 0 FROM repl_tables) \
    FROM repl_tables WHERE \"table\" = 'item' AND state = 'ready'";

#[test]
fn resync_of_one_table_while_others_stream() {
    let pair = Pair::builder()
        .cut()
        .target_conf("pg_decamp.copy_rate_limit = '6MB'")
        .start();
    let load = prepared(&pair);
    pair.stream("workers => 2");
    pair.wait_until_built();
    pair.poll("SELECT count(*) = 0 FROM decamp.task WHERE state <> 'done'");
    let before = pair.definitions();

    // the target has been tampered with
    pair.sql("set session_replication_role = replica; update item set pad = 'wrong' where id % 3 = 0; \
              delete from item where id % 5 = 0; insert into item values (-1, -1, 1, 0, 'not of the source')");
    let parts = number(&pair.query("SELECT count(*) FROM part"));
    let begin = Instant::now();
    let line = pair.query("SELECT repl_resync('heroku', 'item')");
    assert!(line.contains("public.item"), "{line}");
    pair.poll_table(
        "item",
        "state = 'copying' and chunks_done > 0 and chunks > 3",
    );
    assert_eq!(pair.status("state"), "copying");
    assert_eq!(
        pair.query("SELECT count(*) FROM repl_tables WHERE state = 'ready'"),
        "3"
    );
    let oldest = beats_until(&pair, ITEM_BACK);
    assert!(
        begin.elapsed() > Duration::from_secs(1),
        "or it proves nothing"
    );
    assert!(oldest < 4.0, "the beat was {oldest} s late");
    assert!(number(&pair.query("SELECT count(*) FROM part")) > parts);
    pair.wait_for("streaming", SOON);
    load.stop(&pair.source);
    pair.assert_migrated();
    pair.poll("SELECT count(*) = 0 FROM decamp.task WHERE state <> 'done'");
    assert_restored(&before, &pair.definitions());

    // what refers to it, and what it refers to; a small one keeps its indexes
    for table in ["part", "public.kind", "\"beat\""] {
        pair.sql("set session_replication_role = replica; delete from part where id % 2 = 0; delete from kind where id = 3; delete from beat");
        pair.query(&format!("SELECT repl_resync('heroku', '{table}')"));
    }
    pair.wait_for("streaming", SOON);
    pair.assert_migrated();
    pair.poll("SELECT count(*) = 0 FROM decamp.task WHERE state <> 'done'");
    assert_restored(&before, &pair.definitions());
    pair.stop_migration();
}

/// Again and again, whatever it is doing at the moment.
#[test]
fn resync_at_any_moment() {
    let pair = Pair::start_cut();
    let load = prepared(&pair);
    pair.stream("workers => 2");
    pair.poll("SELECT count(*) = 0 FROM decamp.task WHERE state <> 'done'");
    let before = pair.definitions();
    for round in 0..12u64 {
        pair.query("SELECT repl_resync('heroku', 'item')");
        wait::pause(Duration::from_millis(round * 80));
    }
    pair.wait_for("streaming", SOON);
    load.stop(&pair.source);
    pair.assert_migrated();
    pair.poll("SELECT count(*) = 0 FROM decamp.task WHERE state <> 'done'");
    assert_restored(&before, &pair.definitions());
}

/// While an index is being built: all that was done is done again, the removal of rows copied twice too.
#[test]
fn resync_while_indexes_are_built() {
    let pair = Pair::start_cut();
    let table = "create table item (id int primary key, code int not null unique, n int not null default 0, pad text)";
    pair.on_both(table);
    pair.source.app(
        "insert into item select i, i, 0, repeat(md5(i::text), 8) from generate_series(1, 40000) as i; analyze",
    );
    pair.sql(
        "create function slow(n int) returns int immutable language plpgsql as \
         $$ begin if n = 40000 then perform pg_sleep(2); end if; return n; end $$; create index slow on item (slow(code), pad, n, id)",
    );
    let second = pair
        .source
        .query_one_text(DATABASE, "select pg_table_size('item') / 2097152 + 1 + 3");
    let hold = Hold::at_chunk(&pair, "item", second.parse().expect("a number"));
    let before = pair.definitions();
    pair.migrate("workers => 1, copy_schema => false");
    pair.poll("SELECT bool_or(building LIKE '%slow%') FROM repl_tables");
    assert_eq!(
        pair.table("item", "indexes_missing"),
        "5",
        "nothing is built yet"
    );
    pair.query("SELECT repl_resync('heroku', 'item')");
    pair.terminate(Worker::Copy);
    hold.wait();
    assert!(
        pair.table("item", "chunks_done")
            .parse::<u32>()
            .expect("a count")
            >= 2
    );
    pair.source.app("update item set n = 1");
    hold.release();
    pair.wait_for("streaming", SOON);
    pair.poll("SELECT count(*) = 0 FROM decamp.task WHERE state <> 'done'");
    pair.assert_migrated();
    assert_restored(&before, &pair.definitions());
}

#[test]
fn resync_of_a_table_whose_changes_were_missed() {
    let pair = Pair::start_cut();
    let load = prepared(&pair);
    pair.stream("");
    let mut resumed = Vec::new();
    for (loss, table, first) in [
        ("alter table item disable trigger user", "item", 30000),
        (
            "do $$ declare t record; begin for t in select tgname from pg_trigger where tgrelid = 'part'::regclass and tgname like 'decamp%' \
             loop execute format('drop trigger %I on part', t.tgname); end loop; end $$",
            "part",
            5,
        ),
    ] {
        pair.source.app(loss);
        pair.poll_table(table, "state = 'errored' and error like '%changes were missed%' and hint like '%repl_resync%'");
        pair.source.app(&format!(
            "delete from {table} where id between {first} and {first} + 4"
        ));
        resumed.push(pair.query("SELECT repl_resume('heroku')"));
        let oldest = {
            pair.query(&format!("SELECT repl_resync('heroku', '{table}')"));
            beats_until(
                &pair,
                &format!(
                    "SELECT count(*) = 1 FROM repl_tables WHERE \"table\" = '{table}' AND state = 'ready'"
                ),
            )
        };
        assert!(oldest < 5.0, "the beat was {oldest} s late");
        pair.wait_for("streaming", SOON);
    }
    load.stop(&pair.source);
    pair.wait_for("caught_up", SOON);
    // captured again, all kinds of change
    pair.source.app("update item set n = -1 where id = 1; delete from item where id = 2000; insert into part (item) values (7777)");
    pair.assert_migrated();
    pair.source.app("truncate part");
    pair.assert_migrated();
    pair.wait_until_built();
    for said in resumed {
        assert!(said.contains("missed"), "{said}");
    }
    pair.stop_migration();
}

/// Somebody on the source has the table locked, and its triggers are gone: the others do not wait for it.
#[test]
fn resync_waits_for_a_lock_alone() {
    let pair = Pair::start_cut();
    let load = prepared(&pair);
    pair.stream("");
    pair.source.app("alter table kind disable trigger user");
    pair.poll_table("kind", "state = 'errored'");
    let mut holder = pair.source.connect_as_app();
    holder
        .batch_execute("begin; insert into kind values (11, 'held')")
        .expect("a row to hold");
    pair.query("SELECT repl_resync('heroku', 'kind')");
    let oldest = beats_until(
        &pair,
        "SELECT count(*) > 0 FROM repl_events WHERE message LIKE 'waits for a lock%'",
    );
    assert!(oldest < 4.0, "the beat was {oldest} s late");
    let updated = pair.table("beat", "updated");
    pair.poll_table("beat", &format!("updated > {updated} + 20"));
    assert_eq!(
        pair.query("SELECT count(*) FROM repl_tables WHERE state = 'ready'"),
        "3"
    );
    assert_eq!(pair.table("kind", "state in ('init', 'copying')"), "t");
    holder.batch_execute("commit").expect("the holder ends");
    pair.wait_for("streaming", SOON);
    load.stop(&pair.source);
    pair.assert_migrated();
    pair.source.app("update kind set name = 'again'");
    pair.assert_migrated();
    pair.stop_migration();
}

/// Somebody reads the table on the target, for long: the others do not wait for that either.
#[test]
fn resync_of_a_table_that_is_being_read() {
    let pair = Pair::start_cut();
    let load = prepared(&pair);
    pair.stream("");
    pair.poll("SELECT count(*) = 0 FROM decamp.task WHERE state <> 'done'");
    let before = pair.definitions();
    let mut reader = pair.target.connect(TARGET_DATABASE);
    reader
        .batch_execute("begin; select count(*) from item")
        .expect("rows to read");
    pair.query("SELECT repl_resync('heroku', 'item')");
    let oldest = beats_until(
        &pair,
        "SELECT count(*) > 0 FROM repl_events WHERE message LIKE '%lock%' AND at < clock_timestamp() - interval '3 seconds'",
    );
    assert!(
        oldest < 5.0,
        "the beat was {oldest} s late: {}",
        pair.tell()
    );
    reader.batch_execute("commit").expect("the reader ends");
    pair.wait_for("streaming", SOON);
    load.stop(&pair.source);
    pair.assert_migrated();
    pair.poll("SELECT count(*) = 0 FROM decamp.task WHERE state <> 'done'");
    assert_restored(&before, &pair.definitions());
}

#[test]
fn resync_refuses() {
    let pair = Pair::start();
    pair.source.app("create schema other; create table item (id int primary key); create table other.item (id int primary key); \
                     create table \"Mixed.Name\" (id int primary key); create table keyless (id int); insert into item values (1)");
    let resync = |arguments: &str| pair.refused(&format!("SELECT repl_resync({arguments})"));
    assert_says(&resync("'heroku', 'item'"), "42704", &["heroku"]);
    pair.sql("create table \"Mixed.Name\" (id int primary key)");
    let mut holder = pair.source.connect_as_app();
    holder
        .batch_execute("begin; insert into item values (2)")
        .expect("a row");
    pair.migrate("exclude => array['public.keyless']");
    pair.poll_status("state = 'installing' and error is not null");
    assert_says(&resync("'heroku', 'public.item'"), "55000", &["installing"]);
    holder.batch_execute("commit").expect("the holder ends");
    pair.wait_for("streaming", SOON);

    assert_says(&resync("NULL, 'item'"), "22004", &["name"]);
    assert_says(&resync("'heroku', NULL"), "22004", &["table"]);
    assert_says(&resync("'nobody', 'item'"), "42704", &["nobody"]);
    assert_says(&resync("'heroku', 'item'"), "42P09", &["item", "schema"]);
    for unknown in [
        "nothing",
        "public.nothing",
        "keyless",
        "a.public.item",
        "Mixed.Name",
        "mixed.name",
        "other.keyless",
    ] {
        assert_says(
            &resync(&format!("'heroku', '{unknown}'")),
            "42P01",
            &["repl_tables"],
        );
    }
    for nonsense in ["", "\"item", "public.", "item; drop table item", "other.*"] {
        assert_says(&resync(&format!("'heroku', '{nonsense}'")), "22023", &[]);
    }
    pair.query("SELECT repl_resync('heroku', '\"Mixed.Name\"')");
    pair.query("SELECT repl_resync('heroku', 'OTHER . Item')");
    pair.wait_for("streaming", SOON);
    let state = "SELECT repl_pause('heroku')";
    pair.query(state);
    pair.poll_status("state = 'paused'");
    // noted, for later
    pair.sql("delete from item");
    pair.query("SELECT repl_resync('heroku', 'public.item')");
    assert_eq!(pair.status("state"), "paused");
    pair.query("SELECT repl_resume('heroku')");
    pair.wait_for("streaming", SOON);
    assert_eq!(
        pair.target
            .query_one_text(TARGET_DATABASE, "select count(*) from item"),
        "2"
    );
    assert_eq!(
        pair.source
            .query_one_text(DATABASE, "select count(*) from item"),
        "2"
    );
    pair.stop_migration();

    pair.sql("truncate item, other.item, \"Mixed.Name\"");
    pair.migrate("exclude => array['public.keyless'], copy_data => false");
    pair.wait_for("streaming", SOON);
    assert_says(&resync("'heroku', 'public.item'"), "55000", &["copy_data"]);
}
