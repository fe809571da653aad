//! `repl_verify`: equal is told of what is equal, different of what is different and of nothing else, while both sides are
//! written to.

use decamp_tests::observe::SOON;
use decamp_tests::verification::{assert_equal, different, loaded};
use decamp_tests::{Managed, Pair};

#[test]
fn verify_equal_under_load() {
    let (pair, load) = loaded();
    let mut modes = ["checksum", "count"].into_iter().cycle().take(60);
    let (mut calls, mut moved) = (0, false);
    // replay is seldom as late as all that
    while calls < 5 || !moved {
        let mode = modes.next().expect("the load is in the way sometimes");
        let lines = pair.verify(&format!("mode => '{mode}'"));
        calls += 1;
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert_equal(&lines);
        moved |= mode == "checksum" && lines.iter().any(|l| l.how.contains("one by one"));
        let item = &lines[1];
        assert_eq!(item.table, "public.item");
        assert!(item.how.starts_with("3 ranges"), "{item:?}");
    }
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
        (3 * (calls + 1)).to_string()
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
    // replay changes rows of both in an order of its own
    pair.sql("lock table item in share row exclusive mode; delete from item where id % 50 = 1");
    pair.sql("lock table part in share row exclusive mode; update part set n = -1");
    let item = pair.verify_table("item", "");
    assert_eq!(item.equal, "f", "{item:?}");
    assert!(item.note.contains("the first 20 are listed"), "{item:?}");
    assert_equal(&pair.verify("repair => true"));
    load.stop(&pair.source);
    pair.assert_migrated();
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
    pair.source.speak("WIN1252");
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
