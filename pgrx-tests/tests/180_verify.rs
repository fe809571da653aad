//! `repl_verify`: equal is told of what is equal, different of what is different and of nothing else, while both sides are
//! written to.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use decamp_tests::load::Running;
use decamp_tests::observe::{SOON, assert_says};
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::source::DATABASE;
use decamp_tests::verification::{Line, assert_equal};
use decamp_tests::{Managed, Pair};
use postgres::error::SqlState;

/// 120,000 rows of `item` are three ranges; the load changes those from 1000 on and all of `part`, which is small.
fn loaded() -> (Pair, Running) {
    let pair = Pair::start();
    pair.source.app(
        "create table item (id int primary key, n int not null default 0, pad text); \
         create table part (a int, b text, n int not null default 0, primary key (a, b)); \
         create table hot (id int primary key, n int not null)",
    );
    pair.source.app(
        "insert into item select i, 0, repeat(md5(i::text), 2) from generate_series(1, 120000) as i; \
         insert into part select i % 10, 'part ' || i, 0 from generate_series(1, 2000) as i; \
         insert into hot values (1, 0); analyze",
    );
    pair.stream("");
    let load = pair
        .source
        .pgbench()
        .script("\\set id random(1000, 120000)\nupdate item set n = n + 1 where id between :id and :id + 20;\n")
        .script("\\set id random(1000, 200000)\nbegin;\ndelete from item where id = :id;\ninsert into item values (:id, 7, 'again') on conflict do nothing;\nend;\n")
        .script("\\set id random(1, 2000)\nupdate part set n = n + 1 where b = 'part ' || :id;\n")
        .script("update hot set n = n + 1;\n")
        .clients(2)
        .rate(200)
        .start();
    pair.poll("SELECT bool_and(updated > 10) FROM repl_tables");
    (pair, load)
}

fn different(line: &Line, differing: &str) {
    assert_eq!(
        (line.equal.as_str(), line.differing.as_str()),
        ("f", differing),
        "{line:?}"
    );
}

#[test]
fn verify_equal_under_load() {
    let (pair, load) = loaded();
    let mut moved = false;
    for mode in ["checksum", "count", "checksum", "checksum", "checksum"] {
        let lines = pair.verify(&format!("mode => '{mode}'"));
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert_equal(&lines);
        moved |= mode == "checksum" && lines.iter().any(|l| l.how.contains("one by one"));
        let item = &lines[1];
        assert_eq!(item.table, "public.item");
        assert!(item.how.starts_with("3 ranges"), "{item:?}");
    }
    assert!(moved, "the load was never in the way");
    load.stop(&pair.source);
    pair.wait_for("caught_up", SOON);
    let lines = pair.verify("");
    assert_equal(&lines);
    for line in &lines {
        assert_eq!(line.source_rows, line.target_rows, "{line:?}");
        let name = &line.table;
        assert_eq!(
            line.target_rows,
            pair.query(&format!("SELECT count(*) FROM {name}"))
        );
    }
    assert_eq!(
        pair.query("SELECT count(*) FROM repl_verifications WHERE state = 'finished' AND equal"),
        "18"
    );
    pair.stop_migration();
}

#[test]
fn verify_finds_differences_under_load_and_mends_them() {
    let (pair, load) = loaded();
    pair.sql(
        "update item set n = 1 where id = 5; delete from item where id = 7; insert into item values (-3, 1, 'own'); \
         update part set b = 'elsewhere' where a = 3 and b = 'part 13'",
    );
    let found = r#"[{"key": {"id": "-3"}, "row": "extra"}, {"key": {"id": "5"}, "row": "different"}, {"key": {"id": "7"}, "row": "missing"}]"#;
    let item = pair.verify_table("item", "");
    different(&item, found);
    let counted =
        r#"[{"key": {"id": "-3"}, "row": "extra"}, {"key": {"id": "7"}, "row": "missing"}]"#;
    different(&pair.verify_table("public.it*", "mode => 'count'"), counted);
    // replay may have touched this one since
    let part = pair.verify_table("part", "");
    let extra = r#"{"key": {"a": "3", "b": "elsewhere"}, "row": "extra"}"#;
    assert!(
        part.equal == "f" && part.differing.contains(extra),
        "{part:?}"
    );

    for line in pair.verify("repair => true") {
        assert_eq!(line.equal, "t", "{line:?}");
        if line.table == "public.item" {
            assert!(
                line.note.contains("3 keys were put back in the queue"),
                "{line:?}"
            );
        }
    }
    assert_equal(&pair.verify(""));
    load.stop(&pair.source);
    pair.assert_migrated();
    pair.stop_migration();
}

/// Many differences: the first are listed, all are mended.
#[test]
fn verify_many_differences() {
    let (pair, load) = loaded();
    pair.sql("delete from item where id % 50 = 1; update part set n = -1");
    let item = pair.verify_table("item", "");
    assert_eq!(item.equal, "f", "{item:?}");
    assert!(item.note.contains("the first 20 are listed"), "{item:?}");
    assert_equal(&pair.verify("repair => true"));
    load.stop(&pair.source);
    pair.assert_migrated();
}

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
    let state = "SELECT string_agg(concat_ws(' ', state, equal), ', ' ORDER BY \"table\") FROM repl_verifications";
    pair.poll(&format!(
        "SELECT ({state}) = 'finished t, finished t, interrupted'"
    ));
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

/// The extension on a third server, the target's role an ordinary one.
#[test]
fn verify_in_helper_mode() {
    let managed = Managed::start();
    let pair = Pair::start();
    pair.load_zoo(50);
    pair.stream(&format!("target => '{}'", managed.uri()));
    assert_equal(&pair.verify(""));
    managed.sql(
        "moved",
        "update audit_log set detail = 'x' where id = (select max(id) from audit_log)",
    );
    assert_eq!(pair.verify_table("audit_log", "").equal, "f");
    assert_equal(&pair.verify("repair => true"));
}

/// Text has other bytes on the source.
#[test]
fn verify_between_encodings() {
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
        "create table t (id text primary key, v text); insert into t select 'é' || i, 'ü€' || i from generate_series(1, 60000) as i; analyze",
    );
    pair.stream("");
    let line = pair.verify_table("t", "");
    assert_eq!(
        (line.equal.as_str(), line.how.as_str()),
        ("t", "2 ranges"),
        "{line:?}"
    );
    pair.sql("update t set v = 'ü' where id = 'é77'");
    different(
        &pair.verify_table("t", ""),
        r#"[{"key": {"id": "é77"}, "row": "different"}]"#,
    );
    assert_equal(&pair.verify("repair => true"));
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

/// Rows are told apart by their content, and counted.
#[test]
fn verify_without_a_key() {
    let pair = Pair::start();
    pair.source.app(
        "create table log (n int, t text); insert into log select i % 1000, nullif(i % 3, 0) from generate_series(1, 5000) as i; \
         create table parts (n int, t text) partition by range (n); create table p1 partition of parts for values from (0) to (500); \
         create table p2 partition of parts default; insert into parts select * from log",
    );
    pair.stream("");
    let load = pair
        .source
        .pgbench()
        .script("\\set id random(10, 999)\ninsert into log values (:id, 'more');\nupdate parts set t = 'other' where n = :id;\n")
        .script("\\set id random(10, 999)\ndelete from log where n = :id;\ninsert into parts values (:id, 'x');\n")
        .rate(50)
        .start();
    pair.poll("SELECT bool_and(inserted + deleted > 50) FROM repl_tables");
    for _ in 0..3 {
        let lines = pair.verify("");
        assert_equal(&lines);
        assert!(
            lines
                .iter()
                .all(|line| line.how.starts_with("rows by content")),
            "{lines:?}"
        );
    }
    // as many rows as before, and others
    for table in ["log", "parts"] {
        pair.sql(&format!(
            "delete from {table} where n = 5; insert into {table} select * from {table} where n = 7"
        ));
        let line = pair.verify_table(table, "repair => true");
        assert_eq!(line.equal, "f", "{line:?}");
        for what in ["missing", "different", "md5 of the row"] {
            assert!(line.differing.contains(what), "{line:?}");
        }
        assert!(
            line.note.contains("SELECT repl_resync('heroku', 'public."),
            "{line:?}"
        );
    }
    load.stop(&pair.source);
}

/// Rows that somebody has left out differ, and are told to be known.
#[test]
fn verify_rows_that_are_left_out() {
    let pair = Pair::start();
    pair.source.app("create table a (id int primary key, n int); insert into a select i, i from generate_series(1, 100) as i");
    pair.stream("");
    assert_equal(&pair.verify(""));
    pair.query("SELECT repl_skip('heroku', 'a', '{\"id\": 7}')");
    // a worker that runs notices within a second, one that starts at once
    pair.query("SELECT repl_pause('heroku')");
    pair.poll_status("state = 'paused'");
    pair.query("SELECT repl_resume('heroku')");
    pair.source.app("update a set n = 0 where id in (7, 8)");
    pair.wait_for("caught_up", SOON);
    pair.sql("update a set n = -1 where id = 9");
    let left_out = r#"{"key": {"id": "7"}, "row": "different", "left_out": true}"#;
    different(
        &pair.verify_table("a", ""),
        &format!(r#"[{left_out}, {{"key": {{"id": "9"}}, "row": "different"}}]"#),
    );
    let line = pair.verify_table("a", "repair => true");
    different(&line, &format!("[{left_out}]"));
    assert!(
        line.note.contains("1 keys are left out by repl_skip"),
        "{line:?}"
    );
    pair.query("SELECT repl_unskip('heroku', 'a', '{\"id\": 7}')");
    pair.wait_for("caught_up", SOON);
    assert_equal(&pair.verify(""));
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
