//! What a person sees: progress while copying, idle, busy and stalled told apart, a lag that is true; and who may see
//! it. `041_stopped_tables.rs` has tables that stopped.

use std::time::{Duration, Instant};

use decamp_tests::beat::{TABLES, busy, number};
use decamp_tests::observe::{SOON, assert_no_password};
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::{Pair, wait};

#[test]
fn status_while_copying() {
    // slow enough to be looked at
    let pair = Pair::builder()
        .target_conf("pg_decamp.copy_rate_limit = '6MB'")
        .start();
    pair.source.app(TABLES);
    pair.source.app(
        "create table big (id int primary key, value text); \
         insert into big select i, repeat(md5(i::text), 30) from generate_series(1, 60000) as i; analyze",
    );
    let load = busy(&pair);
    pair.migrate("workers => 2");
    pair.poll_status("state = 'copying'");
    let (mut last, mut steps, mut eta, mut workers) = (0.0, 0, false, 0.0);
    wait::until_true(
        SOON,
        "the copy is seen to go on, with an estimate of its end",
        || {
            let row = pair
            .target
            .rows(
                TARGET_DATABASE,
                "SELECT state, progress, extract(epoch from eta), workers, bytes_total, bytes_copied, summary FROM repl_status",
            )
            .remove(0);
            let progress = number(&row[1]);
            assert!(
                progress >= last,
                "progress goes from {last} back to {progress}"
            );
            if progress > last && progress < 100.0 {
                steps += 1;
                assert_eq!(row[0], "copying");
                let (total, copied) = (number(&row[4]), number(&row[5]));
                assert!(
                    total > 50e6 && copied > 0.0 && copied < total,
                    "{copied} of {total} bytes"
                );
                assert!(
                    (copied / total * 100.0 - progress).abs() < 1.0,
                    "{copied} of {total} bytes are not {progress} %"
                );
                assert!(
                    row[6].contains("Copying") && row[6].contains('%'),
                    "{}",
                    row[6]
                );
            }
            if !row[2].is_empty() {
                let seconds = number(&row[2]);
                assert!(seconds > 0.0 && seconds < 120.0, "an eta of {seconds} s");
                eta = true;
            }
            workers = f64::max(workers, number(&row[3]));
            last = progress;
            steps >= 3 && eta
        },
    );
    assert!(
        (2.0..=3.0).contains(&workers),
        "one apply worker and up to two copy workers, not {workers}"
    );
    let copied = number(&pair.table("big", "rows_copied"));
    assert!(copied > 0.0 && copied <= 60000.0, "{copied} rows");
    pair.wait_for("streaming", SOON);
    pair.poll_status(
        "progress = 100 and eta is null and bytes_copied = bytes_total and tables = 4 and tables_ready = 4 and workers = 1",
    );
    assert_eq!(pair.table("big", "rows_copied"), "60000");
    assert!(number(&pair.table("big", "bytes_copied")) > 50e6);
    load.stop(&pair.source);
    pair.assert_migrated();

    let events = pair.target.rows(
        TARGET_DATABASE,
        "SELECT message FROM repl_events ORDER BY at",
    );
    let told: Vec<&str> = events.iter().map(|row| row[0].as_str()).collect();
    let at = |part: &str| {
        let found = told.iter().position(|message| message.contains(part));
        found.unwrap_or_else(|| panic!("no event tells {part:?}: {told:?}"))
    };
    assert!(
        at("started") < at("schema imported") && at("schema imported") < at("copied 60000 rows")
    );
    assert!(at("copied 60000 rows") < at("copy finished") && at("copy finished") < at("streaming"));
}

#[test]
fn status_tells_idle_busy_stalled_and_paused_apart() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.stream("");

    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end {
        let lag = number(&pair.status("extract(epoch from lag)"));
        assert!(lag < 3.0, "idle with a lag of {lag} s");
        wait::pause(Duration::from_millis(100));
    }
    pair.poll_status("summary like '%idle%' and backlog = 0 and apply_rate = 0 and error is null");

    let load = busy(&pair);
    pair.poll_status("apply_rate > 50 and last_batch_at > now() - interval '5 seconds'");
    for _ in 0..15 {
        let summary = pair.status("summary");
        assert!(
            summary.contains("Streaming") && !summary.contains("idle"),
            "busy, not: {summary}"
        );
        // the target has all that was committed before now - lag: the beat comes every 20 ms
        let row = "select extract(epoch from clock_timestamp() - at), (select extract(epoch from lag) from repl_status) from beat";
        let row = pair.target.rows(TARGET_DATABASE, row).remove(0);
        let (age, lag) = (number(&row[0]), number(&row[1]));
        assert!(age < lag + 0.5, "what is {age} s old is no lag of {lag} s");
        assert!(lag < 5.0, "a lag of {lag} s with next to nothing to do");
        wait::pause(Duration::from_millis(100));
    }

    // a lock on the target: not idle, and not on its way either
    let mut lock = pair.target.connect(TARGET_DATABASE);
    lock.batch_execute("begin; lock table item in access exclusive mode")
        .expect("a lock");
    let begin = Instant::now();
    pair.source
        .app("update item set value = 'cannot come through' where id = 1");
    pair.poll_status("lag > interval '6 seconds'");
    let lag = number(&pair.status("extract(epoch from lag)"));
    assert!(
        lag + 0.2 >= begin.elapsed().as_secs_f64() - 0.5,
        "a lag of {lag} s after {:?}",
        begin.elapsed()
    );
    pair.poll_status("summary ~* '(stalled|waiting|lock timeout)' and summary not like '%idle%' and error is not null");
    pair.poll_status("apply_rate = 0");
    lock.batch_execute("rollback").expect("the lock goes");
    // does not wait for the next try
    pair.query("SELECT repl_resume('heroku')");
    pair.poll_status("lag < interval '3 seconds' and apply_rate > 0");

    pair.query("SELECT repl_pause('heroku')");
    pair.poll_status("state = 'paused' and summary like 'Paused%'");
    pair.poll_status("lag > interval '2 seconds'");
    let lag = number(&pair.status("extract(epoch from lag)"));
    let begin = Instant::now();
    pair.poll_status(&format!("lag > interval '{} seconds'", lag + 1.5));
    assert!(
        begin.elapsed() > Duration::from_secs(1),
        "a second of lag a second"
    );
    load.stop(&pair.source);
    pair.query("SELECT repl_resume('heroku')");
    pair.assert_migrated();
}

#[test]
fn status_for_whom() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.stream("");
    pair.sql("create role watcher login in role pg_monitor; create role anybody login; create role reader login in role pg_read_all_data");
    let mut watcher = pair.target.connect_as("watcher", TARGET_DATABASE);
    let mut anybody = pair.target.connect_as("anybody", TARGET_DATABASE);
    for view in ["repl_status", "repl_tables", "repl_events"] {
        let rows = watcher
            .query_one(
                &format!("select count(*), string_agg(v::text, ' ') from {view} v"),
                &[],
            )
            .expect("pg_monitor may look");
        assert!(rows.get::<_, i64>(0) > 0, "{view} is empty for pg_monitor");
        assert_no_password(rows.get(1));
        let error = anybody
            .query(&format!("select * from {view}"), &[])
            .expect_err("nobody else may look");
        assert_eq!(
            error.code().expect("an error of the server").code(),
            "42501",
            "{view}"
        );
    }
    let same = "select state, workers, tables_ready, error from repl_status";
    let row = watcher.query_one(same, &[]).expect("a row");
    assert_eq!(row.get::<_, String>(0), "streaming");
    assert_eq!(row.get::<_, i32>(1), 1, "pg_monitor sees the worker");
    for table in [
        "subscription",
        "relation",
        "task",
        "event",
        "applied",
        "applied_snapshot",
    ] {
        for client in [&mut watcher, &mut anybody] {
            let error = client
                .query(&format!("select * from decamp.{table}"), &[])
                .expect_err("not for them");
            assert_eq!(
                error.code().expect("an error of the server").code(),
                "42501",
                "{table}"
            );
        }
    }
    // even who may read every table must not read the password
    let mut reader = pair.target.connect_as("reader", TARGET_DATABASE);
    if let Ok(rows) = reader.query("select s::text from decamp.subscription s", &[]) {
        for row in rows {
            assert_no_password(row.get(0));
        }
    }
}
