//! Tables without a key when something dies between the target's commit and the source's, when rows of the target were changed,
//! and when the table itself changes.

use decamp_tests::observe::SOON;
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::source::DATABASE;
use decamp_tests::workers::Worker;
use decamp_tests::{Mode, Pair, wait};
use postgres::Client;

const TABLE: &str = "create table log (a int, b text); create table item (id int primary key, n int); \
     insert into log select i % 10, 'x' from generate_series(1, 100) i; insert into item select i, 0 from generate_series(1, 10) i";

/// The target's commit of rows of `log` waits for a lock that the test can take.
const SLOW_COMMIT: &str = "create table decamp.late (n int); \
     create function hold_commit() returns trigger language plpgsql as $$ begin \
         while not pg_try_advisory_lock_shared(78) loop perform pg_sleep(0.02); end loop; \
         perform pg_advisory_unlock_shared(78); return null; end $$; \
     create constraint trigger hold_commit after insert on decamp.late deferrable initially deferred \
         for each row execute function hold_commit(); \
     alter table decamp.late enable always trigger hold_commit; \
     create function leave_for_commit() returns trigger language plpgsql as $$ begin \
         if current_setting('application_name') like '% apply' then \
             set constraints decamp.hold_commit deferred; insert into decamp.late values (1); \
         end if; return null; end $$; \
     create trigger leave_for_commit after insert or delete on log execute function leave_for_commit(); \
     alter table log enable always trigger leave_for_commit";

const COMMITTING: &str = "select count(*) = 1 from pg_stat_activity \
     where application_name like '% apply' and query like '%commit' and wait_event = 'PgSleep'";

/// Until it is dropped.
fn hold_commits(pair: &Pair) -> Client {
    let mut lock = pair.target.connect(TARGET_DATABASE);
    lock.batch_execute("select pg_advisory_lock(78)")
        .expect("nobody else has this lock");
    lock
}

/// Each time the target is about to commit a batch, `trouble` happens; then the target's commit goes on, if it still can.
fn between_commits(pair: &Pair, trouble: &[&dyn Fn(&Pair)]) {
    pair.source.app(TABLE);
    pair.stream("");
    pair.sql(SLOW_COMMIT);
    for (at, happens) in trouble.iter().enumerate() {
        let lock = hold_commits(pair);
        pair.source.app(&format!(
            "begin; insert into log values ({at}, 'new'), ({at}, 'new'), (0, 'x'); \
             delete from log where ctid in (select ctid from log where b = 'x' limit 2); update item set n = n + 1; commit"
        ));
        pair.poll(COMMITTING);
        happens(pair);
        drop(lock);
        pair.source.app(&format!("update log set b = 'later' where a = {at} and b = 'new'; insert into log values ({at}, 'x')"));
        pair.sql("SELECT repl_resume()");
        pair.assert_migrated();
    }
    // and with a TRUNCATE on its way
    let lock = hold_commits(pair);
    pair.source.app("begin; insert into log values (1, 'before'); truncate log; insert into log values (1, 'after'); commit");
    pair.poll(COMMITTING);
    trouble[0](pair);
    pair.source
        .app("insert into log values (2, 'after'), (2, 'after')");
    drop(lock);
    pair.assert_migrated();
    let errors = "select count(*) from repl_events where severity = 'error'";
    assert_eq!(pair.query(errors), "0", "{}", pair.tell());
    pair.stop_migration();
}

#[test]
fn keyless_source_lost_between_commits() {
    between_commits(
        &Pair::start(),
        &[
            &|pair| assert!(pair.terminate_on_source() > 0),
            &|pair| pair.source.restart(Mode::Immediate),
            &|pair| assert!(pair.terminate_on_source() > 0),
        ],
    );
}

#[test]
fn keyless_worker_lost_between_commits() {
    between_commits(
        &Pair::builder().preload().start(),
        &[&|pair| drop(pair.terminate(Worker::Apply)), &|pair| {
            drop(pair.kill(Worker::Apply))
        }],
    );
}

/// The same where it is far behind, and is read ahead of its turn: its deltas are deleted after the target's commit.
fn between_commits_far_behind(pair: &Pair, trouble: &[&dyn Fn(&Pair)]) {
    pair.source.app(TABLE);
    pair.stream("");
    pair.sql(SLOW_COMMIT);
    for (at, happens) in trouble.iter().enumerate() {
        let lock = hold_commits(pair);
        pair.query("SELECT repl_pause('heroku')");
        pair.poll_status("state = 'paused' and workers = 0");
        pair.source.app(&format!(
            "insert into log select i % 10, 'new {at}' from generate_series(1, 60000) i; \
             delete from log where b = 'new {at}' and a = 3; delete from log where ctid in (select ctid from log where b = 'x' limit 2)"
        ));
        let before = ahead(pair);
        pair.query("SELECT repl_resume('heroku')");
        pair.poll(COMMITTING);
        assert!(ahead(pair) > before, "read ahead of its turn");
        happens(pair);
        drop(lock);
        pair.source.app(&format!(
            "update log set b = 'later' where a = {at} and b = 'new {at}'; insert into log values ({at}, 'x')"
        ));
        pair.sql("SELECT repl_resume()");
        pair.assert_migrated();
    }
    let errors = "select count(*) from repl_events where severity = 'error'";
    assert_eq!(pair.query(errors), "0", "{}", pair.tell());
    pair.stop_migration();
}

/// Batches read ahead of their turn.
fn ahead(pair: &Pair) -> usize {
    let log = pair.source.log();
    log.matches("begin isolation level repeatable read read only; set local lock_timeout")
        .count()
}

#[test]
fn keyless_far_behind_source_lost_between_commits() {
    between_commits_far_behind(
        &Pair::builder().source_conf("log_statement = 'all'").start(),
        &[&|pair| assert!(pair.terminate_on_source() > 0), &|pair| {
            pair.source.restart(Mode::Immediate)
        }],
    );
}

#[test]
fn keyless_far_behind_worker_lost_between_commits() {
    between_commits_far_behind(
        &Pair::builder()
            .source_conf("log_statement = 'all'")
            .preload()
            .start(),
        &[&|pair| drop(pair.terminate(Worker::Apply)), &|pair| {
            drop(pair.kill(Worker::Apply))
        }],
    );
}

/// Rows of the target that are not the source's are told, not passed over; a new copy mends it.
#[test]
fn keyless_target_differs() {
    let pair = Pair::start();
    pair.source.app(TABLE);
    pair.stream("");
    pair.sql("delete from log where ctid = (select ctid from log where a = 3 limit 1)");
    pair.source.app("delete from log where a = 3");
    pair.poll_table(
        "log",
        "state = 'errored' and error like '1 rows%' and hint like '%repl_resync%'",
    );
    // nothing of it was applied, the others go on
    assert_eq!(pair.query("select count(*) from log where a = 3"), "9");
    pair.source
        .app("update item set n = 5; insert into log values (3, 'waits')");
    pair.poll("select bool_and(n = 5) from item");
    pair.query("SELECT repl_resume('heroku')");
    pair.poll_table("log", "state = 'errored'");
    pair.query("SELECT repl_resync('heroku', 'log')");
    pair.wait_for("streaming", 2 * SOON);
    pair.assert_migrated();

    // or the rows are mended
    pair.sql("delete from log where a = 4");
    pair.source.app("update log set b = 'y' where a = 4");
    pair.poll_table("log", "state = 'errored'");
    pair.sql("insert into log select 4, 'x' from generate_series(1, 10)");
    pair.query("SELECT repl_resume('heroku')");
    pair.assert_migrated();
    pair.stop_migration();
}

/// Whatever becomes of the columns, the application goes on writing, and the table stops where its images can no longer be read.
#[test]
fn keyless_columns_change() {
    let pair = Pair::start();
    pair.source.app(TABLE);
    pair.stream("");
    for (change, both) in [
        ("alter table log add column c int default 7", true),
        ("alter table log drop column b", true),
        ("alter table log alter column a type bigint", true),
    ] {
        if both {
            pair.sql(change);
        }
        pair.source.app(change);
        pair.source.app("insert into log (a) values (100), (100); update log set a = a + 1 where a = 5; delete from log where a = 6");
        pair.poll_table("log", "state = 'errored' and error like '%columns have changed%' and hint like '%repl_resync%'");
        pair.query("SELECT repl_resync('heroku', 'log')");
        pair.wait_for("streaming", 2 * SOON);
        pair.source.app("update log set a = 6 where a = 100");
        pair.assert_migrated();
    }
    // names and constraints do not matter
    pair.on_both("alter table log rename column a to renamed");
    pair.source
        .app("insert into log (renamed) values (1); delete from log where renamed = 2");
    pair.query("SELECT repl_resume('heroku')");
    pair.assert_migrated();
    pair.on_both(
        "delete from log where renamed is null; alter table log alter column renamed set not null",
    );
    pair.source.app("insert into log (renamed) values (1); vacuum full log; update log set renamed = 3 where renamed = 1".split("; vacuum").next().expect("the insert"));
    pair.source.app("vacuum full log");
    pair.source
        .app("update log set renamed = 3 where renamed = 1");
    pair.assert_migrated();
    pair.stop_migration();
}

#[test]
fn keyless_gets_a_key() {
    let pair = Pair::start();
    pair.source.app("create table log (id int, b text); insert into log select i, 'x' from generate_series(1, 100) i");
    pair.stream("");
    pair.source
        .app("alter table log add primary key (id); update log set id = -id where id < 10");
    pair.assert_migrated();
    pair.sql("alter table log add primary key (id)");
    pair.source
        .app("update log set id = 1000 - id where id > 10; delete from log where id = 950");
    pair.assert_migrated();
    pair.query("SELECT repl_resync('heroku', 'log')");
    pair.wait_for("streaming", 2 * SOON);
    pair.source
        .app("update log set b = 'y' where id > 20; truncate log; insert into log values (1, 'z')");
    pair.assert_migrated();
    pair.source
        .app("alter table log drop constraint log_pkey; insert into log values (1, 'z')");
    pair.poll_table("log", "state in ('errored', 'ready')");
    pair.sql("alter table log drop constraint log_pkey");
    pair.query("SELECT repl_resume('heroku')");
    pair.assert_migrated();
    pair.stop_migration();
}

/// Rows are looked up by an index where there is one, however little it tells.
#[test]
fn keyless_index_is_used() {
    let pair = Pair::start();
    pair.source.app(
        "create table log (a int, b int, c text); create index on log (a); create index on log (b); \
         insert into log select i % 3, nullif(i % 10000, 0), repeat('x', 100) from generate_series(1, 60000) i; analyze log",
    );
    pair.stream("");
    let scans = "select seq_scan from pg_stat_user_tables where relname = 'log'";
    let found = "select sum(idx_scan) from pg_stat_user_indexes where relname = 'log'";
    pair.poll("select count(*) > 0 from pg_stats where tablename = 'log'");
    let (before, looked) = (pair.query(scans), pair.query(found));
    for n in 1..5 {
        pair.source.app(&format!(
            "update log set c = 'y' where b = {n}; delete from log where b = {n} + 100"
        ));
        pair.wait_for("caught_up", SOON);
    }
    pair.source
        .app("delete from log where ctid = (select ctid from log where b is null limit 1)");
    pair.wait_for("caught_up", SOON);
    pair.poll(&format!("select ({found}) > {looked}"));
    assert_eq!(pair.query(scans), before);
    pair.assert_migrated();
    pair.stop_migration();
}

#[test]
fn keyless_without_copy() {
    let pair = Pair::start();
    pair.source.app(TABLE);
    pair.sql(TABLE);
    pair.stream("copy_data => false");
    pair.source
        .app("update log set b = 'y' where a < 5; insert into log values (1, 'x')");
    pair.assert_migrated();
    pair.stop_migration();
}

/// Publications for all tables on both sides: what has no replica identity cannot be deleted from there.
#[test]
fn keyless_check_tells_the_cost() {
    let pair = Pair::builder().source_conf("wal_level = logical").start();
    pair.source
        .sql(DATABASE, "create publication everything for all tables");
    pair.source.app(
        "create table big (value text); alter table big alter value set storage external; \
         create table small (value text); alter table small replica identity full; \
         insert into big select repeat('x', 1000000) from generate_series(1, 110); insert into small values ('x'), ('x')",
    );
    let told = format!(
        "SELECT string_agg(severity || ' ' || subject, ', ') FROM repl_check('{}') \
         WHERE fix LIKE '%ADD COLUMN id bigserial PRIMARY KEY%'",
        pair.source_uri()
    );
    assert_eq!(pair.query(&told), "warning table public.big");
    pair.stream("exclude => '{big}'");
    pair.source.app("update small set value = 'y' where ctid = (select min(ctid) from small); truncate small; insert into small values ('z')");
    wait::until_true(SOON, "it is there", || {
        pair.query("select string_agg(value, '') from small") == "z"
    });
    pair.stop_migration();
}
