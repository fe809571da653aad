//! Bad luck while a table is copied: it stops alone, says why and what to do, and once that is mended `repl_resume` finishes it
//! without copying again what is done.

use std::fs;
use std::time::Duration;

use decamp_tests::copying::{Done, chunked, table};
use decamp_tests::observe::SOON;
use decamp_tests::source::DATABASE;
use decamp_tests::workers::Worker;
use decamp_tests::{Mode, Pair, wait};
use postgres::Client;

const MINUTE: Duration = Duration::from_secs(60);

/// The table has stopped with this SQLSTATE and these words in error or hint.
fn assert_stopped(pair: &Pair, table: &str, sqlstate: &str, words: &[&str]) -> Done {
    pair.poll_table(
        table,
        "state = 'errored' and error is not null and hint like '%repl_resume(''heroku'')%'",
    );
    let told = pair.table(table, "error || ' HINT: ' || hint");
    for word in words {
        assert!(told.contains(word), "{word:?} is not in: {told}");
    }
    let state = format!("select error_sqlstate from decamp.relation where name = '{table}'");
    assert_eq!(pair.query(&state), sqlstate, "{told}");
    Done::of(pair, table)
}

/// What each needs, made on the target before the import gets there.
const OBSTACLES: &str = "create type mood as enum ('glad'); \
    create table refused (id int primary key, n int not null default 0, value text, constraint no_2500 check (id <> 2500)); \
    create table felt (id int primary key, n int not null default 0, value text, mood mood); \
    create table crowded (id int primary key, n int not null default 0, value text); \
    create function disk_full() returns trigger language plpgsql as $$ begin \
        raise exception using errcode = 'disk_full', message = 'could not extend file \"base/5/17\": No space left on device'; end $$; \
    create trigger full_disk before insert on crowded for each row when (new.id = 2500) execute function disk_full(); \
    alter table crowded enable always trigger full_disk";

/// Each of these comes upon its obstacle in its third megabyte.
#[test]
fn copy_refused_by_the_target() {
    let pair = chunked().start();
    pair.sql(OBSTACLES);
    for name in ["refused", "felt", "crowded", "fine"] {
        pair.source.app(&table(name, 6));
    }
    pair.source.app(
        "create type mood as enum ('glad', 'blue'); alter table felt add column mood mood default 'glad'; \
         update felt set mood = 'blue' where id = 2500",
    );
    pair.migrate("workers => 2");
    let done = [
        assert_stopped(&pair, "refused", "23514", &["no_2500", "public.refused"]),
        assert_stopped(&pair, "felt", "22P02", &["mood", "public.felt"]),
        assert_stopped(&pair, "crowded", "53100", &["No space left", "make room"]),
    ];
    pair.poll_table("fine", "state = 'ready'");
    pair.poll_status("summary like '3 of 4 tables stopped%' and hint is not null");
    for done in &done {
        assert!(done.count() > 0, "the chunks around it are copied");
    }
    pair.source.app(
        "update refused set n = 1 where id < 100; update felt set n = 1 where id < 100; \
         delete from crowded where id < 100; update fine set n = 1",
    );
    pair.poll("select bool_and(n = 1) from fine");

    pair.sql("alter table refused drop constraint no_2500");
    pair.query("SELECT repl_resume('heroku')");
    pair.poll_table("refused", "state = 'ready' and error is null");
    pair.sql("drop trigger full_disk on crowded");
    pair.sql("alter type mood add value 'blue'");
    pair.query("SELECT repl_resume('heroku')");
    pair.wait_for("streaming", MINUTE);
    for done in done {
        done.assert_kept(&pair);
    }
    pair.assert_migrated();
    pair.stop_migration();
}

#[test]
fn copy_changed_under_its_feet() {
    let pair = chunked()
        .target_conf("pg_decamp.copy_rate_limit = '4MB'")
        .start();
    for (name, megabytes) in [("stricter", 12), ("revoked", 11), ("fine", 2)] {
        pair.source.app(&table(name, megabytes));
    }
    pair.migrate("workers => 1");
    pair.poll_half_way("stricter", 1);
    pair.sql(
        "alter table stricter add column more int not null default 0; alter table stricter alter column more drop default",
    );
    let stricter = assert_stopped(&pair, "stricter", "23502", &["more", "public.stricter"]);
    pair.poll_half_way("revoked", 1);
    pair.source
        .sql(DATABASE, "revoke select on revoked from app");
    let revoked = assert_stopped(&pair, "revoked", "42501", &["revoked", "GRANT"]);
    pair.limit_copy(0);
    pair.poll_table("fine", "state = 'ready'");
    pair.sql("alter table stricter drop column more");
    pair.source.sql(DATABASE, "grant select on revoked to app");
    pair.query("SELECT repl_resume('heroku')");
    pair.wait_for("streaming", MINUTE);
    for done in [stricter, revoked] {
        assert!(done.count() > 0);
        done.assert_kept(&pair);
    }
    pair.assert_migrated();
}

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

/// Cancels the statement of ours that waits for that lock, if there is one.
fn cancel(pair: &Pair, table: &str) -> bool {
    let sql = format!(
        "select pg_cancel_backend(a.pid) from pg_stat_activity a join pg_locks l using (pid) \
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
        cancel(&pair, "always");
        pair.table("always", "state = 'errored'") == "t"
    });
    let always = assert_stopped(&pair, "always", "57014", &["cancel", "provider"]);
    pair.poll_table("fine", "state = 'ready'");
    drop(lock);
    pair.limit_copy(0);
    pair.query("SELECT repl_resume('heroku')");
    pair.wait_for("streaming", MINUTE);
    always.assert_kept(&pair);
    pair.assert_migrated();
}

/// One cancel is no reason to stop, also not after interruptions of other kinds.
#[test]
fn copy_cancelled_once() {
    let pair = chunked().start();
    pair.source.app(&table("once", 2));
    let mut installed = pair.source.connect_as_app();
    installed
        .batch_execute("begin; lock table once in share update exclusive mode")
        .expect("nobody is there yet");
    pair.migrate("workers => 1");
    pair.poll_status("state = 'installing'");
    installed.batch_execute("rollback").expect("it lets go");
    wait::until_true(SOON, "capture is installed", || {
        pair.table("once", "state") != "init"
    });
    let lock = block(&pair, "once");
    let attempts = "select coalesce(max(attempts), 0) from decamp.task where kind = 'chunk' and state = 'running'";
    for _ in 0..2 {
        wait::until_true(SOON, "a chunk is at hand", || pair.query(attempts) != "0");
        let pids = pair.terminate(Worker::Copy);
        wait::until_true(SOON, "another worker comes", || {
            let now = pair.pids(Worker::Copy);
            !now.is_empty() && now.iter().all(|pid| !pids.contains(pid))
        });
    }
    wait::until_true(SOON, "a statement to cancel", || cancel(&pair, "once"));
    pair.poll("select count(*) = 1 from repl_events where subject = 'public.once' and message like '%canceling statement due to user request%'");
    drop(lock);
    pair.poll_table("once", "state in ('ready', 'errored')");
    assert_eq!(pair.table("once", "state"), "ready", "{}", pair.tell());
    pair.assert_migrated();
}

/// A byte that the source's encoding has, and no other.
#[test]
fn copy_of_bytes_that_are_no_text() {
    let pair = Pair::start();
    pair.source
        .sql("postgres", &format!("drop database {DATABASE}"));
    pair.source.sql(
        "postgres",
        &format!("create database {DATABASE} owner app encoding 'WIN1252' template template0 lc_collate 'C' lc_ctype 'C'"),
    );
    pair.source
        .sql(DATABASE, "alter schema public owner to app");
    pair.source.app(
        "create table latin (id int primary key, value text); create table plain (id int primary key, value text); \
         insert into plain select i, 'plain' from generate_series(1, 100) as i; \
         insert into latin select i, 'caf' from generate_series(1, 100) as i",
    );
    pair.source.app(
        "set client_encoding = 'WIN1252'; update latin set value = E'caf\\x81 noir' where id = 77",
    );
    pair.migrate("");
    assert_stopped(&pair, "latin", "22P05", &["UTF8", "0x81", "public.latin"]);
    pair.poll_table("plain", "state = 'ready'");
    pair.source.app(
        "set client_encoding = 'WIN1252'; update latin set value = E'caf\\xe9 noir' where id = 77",
    );
    pair.query("SELECT repl_resume('heroku')");
    pair.wait_for("caught_up", SOON);
    let value = pair.query("select value from latin where id = 77");
    // the sides cannot be compared by hash: their bytes differ
    assert_eq!(value, "caf\u{e9} noir");
}

/// A row that the source itself cannot read any more.
#[test]
fn copy_of_a_damaged_row() {
    let pair = Pair::start();
    pair.source.app(
        "create table damaged (id int primary key, value text); alter table damaged alter column value set storage external; \
         insert into damaged select i, repeat('x', 10000) from generate_series(1, 20) as i; \
         create table fine (id int primary key); insert into fine values (1)",
    );
    let file = pair.source.query_one_text(
        DATABASE,
        "select pg_relation_filepath(reltoastrelid) from pg_class where oid = 'damaged'::regclass",
    );
    pair.source.stop(Mode::Fast);
    let file = pair.source.directory().join("data").join(file);
    let mut bytes = fs::read(&file).expect("the table's long values are there");
    bytes[..8192].fill(0);
    fs::write(&file, bytes).expect("and can be damaged");
    pair.source.start();

    pair.migrate("");
    let words = ["chunk number", "public.damaged"];
    assert_stopped(&pair, "damaged", "XX001", &words);
    pair.poll_table("fine", "state = 'ready'");
    pair.source
        .app("update damaged set value = 'mended' where id = 1");
    pair.query("SELECT repl_resume('heroku')");
    pair.poll_table("damaged", "state = 'ready' and error is null");
    pair.assert_migrated();
}
