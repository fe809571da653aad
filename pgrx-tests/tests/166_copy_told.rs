//! What a person is told while tables are copied and indexes built, and what remains to be read of it.

use std::time::Duration;

use decamp_tests::beat::number;
use decamp_tests::copying::{chunked, table};
use decamp_tests::observe::SOON;
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::{Pair, wait};

fn numbers(pair: &Pair, sql: &str) -> Vec<f64> {
    let row = pair.target.rows(TARGET_DATABASE, sql).remove(0);
    row.iter().map(|n| number(n)).collect()
}

#[test]
fn copy_told_as_it_goes() {
    let pair = chunked()
        .target_conf("pg_decamp.copy_rate_limit = '6MB'")
        .start();
    pair.hold_builds();
    pair.source.app(&table("large", 50));
    pair.source.app(&table("small", 4));
    pair.source.app(
        "create function held(int) returns int language sql immutable as 'select $1'; \
         create index large_n on large (n); create index large_held on large (held(n))",
    );
    pair.migrate("workers => 2");
    let (mut last, mut latest) = ([0.0; 4], Vec::new());
    let mut steps = 0;
    wait::until_true(SOON, "half of it is copied", || {
        let now = numbers(
            &pair,
            "select s.bytes_copied, s.rows_copied, sum(t.chunks_done), sum(t.rows_copied), s.bytes_total, s.rows_total, \
                    sum(t.chunks), coalesce(s.copy_rate, 0) \
             from repl_status s join repl_tables t on t.subscription = s.name group by s.name, s.bytes_total, s.rows_total, \
                    s.bytes_copied, s.rows_copied, s.copy_rate",
        );
        for (at, was) in last.iter().enumerate() {
            assert!(
                now[at] >= *was,
                "column {at} goes from {was} back to {}",
                now[at]
            );
        }
        if now[2] > last[2] {
            steps += 1;
        }
        assert!(
            now[0] <= now[4] && now[1] <= now[5] && now[2] <= now[6],
            "{now:?}"
        );
        assert_eq!(now[1], now[3], "the tables' rows are the subscription's");
        last.copy_from_slice(&now[..4]);
        latest = now;
        latest[0] > latest[4] / 2.0 && !pair.status("eta").is_empty()
    });
    assert!(steps > 5, "chunk by chunk: {steps}");
    assert_eq!(latest[5], 54000.0, "rows in all");
    let rate = latest[7] / f64::from(1 << 20);
    assert!(
        (4.0..=7.5).contains(&rate),
        "{rate} MB/s where 6 are allowed"
    );
    let eta = number(&pair.status("extract(epoch from eta)"));
    assert!((1.0..=15.0).contains(&eta), "{eta} s to go");
    let summary = pair.status("summary");
    assert!(
        summary.contains("Copying: 0 of 2 tables done")
            && summary.contains("/s, about 00:00:")
            && !summary.contains("tried again"),
        "{summary}"
    );
    assert_eq!(
        pair.table("large", "indexes_missing"),
        "4",
        "two indexes, the key's index and the key"
    );
    assert_eq!(pair.query("select bool_or(complete) from repl_copy_report where \"table\" in ('public.large', 'total')"), "f");
    pair.limit_copy(0);

    pair.poll_table(
        "large",
        "chunks_done = chunks and building like '%large_held%' and indexes_missing between 1 and 3",
    );
    pair.poll_status("building like '%large_held%' and summary like '%building%large_held%' and state = 'copying' and rows_copied = rows_total");
    pair.poll_table("small", "indexes_missing = 0 and building is null");
    pair.release_builds();
    pair.wait_for("streaming", SOON);
    pair.poll_status(
        "building is null and copy_rate is null and eta is null and rows_copied = 54000",
    );
    assert_eq!(pair.table("large", "indexes_missing"), "0");
    assert_report(&pair);
    pair.assert_migrated();
}

fn assert_report(pair: &Pair) {
    let rows = pair.target.rows(
        TARGET_DATABASE,
        "select \"table\", rows, chunks, indexes, complete, bytes, extract(epoch from copy_time), extract(epoch from index_time), \
                extract(epoch from total_time), mb_per_second, size \
         from repl_copy_report where subscription = 'heroku'",
    );
    let names: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(
        names,
        ["public.large", "public.small", "total"],
        "the largest first"
    );
    assert_eq!(
        rows[0][1..5],
        ["50000", &pair.table("large", "chunks"), "4", "t"]
    );
    assert_eq!(rows[1][1], "4000");
    assert_eq!(rows[2][1], "54000");
    let column = |row: usize, at: usize| number(&rows[row][at]);
    for at in [2, 3, 5] {
        assert_eq!(
            column(2, at),
            column(0, at) + column(1, at),
            "column {at} of the total"
        );
    }
    for row in 0..3 {
        let (bytes, copy, total, speed) = (
            column(row, 5),
            column(row, 6),
            column(row, 8),
            column(row, 9),
        );
        assert!(copy > 0.0 && copy <= total, "{rows:?}");
        let megabytes = bytes / f64::from(1 << 20);
        assert!(
            (speed - megabytes / copy).abs() < 0.1 + speed / 50.0,
            "{rows:?}"
        );
    }
    assert!(column(0, 7) > 0.0, "{rows:?}");
    assert!(column(2, 8) >= column(0, 8), "{rows:?}");
    assert!(rows[0][10].contains("MB"));
}

/// Somebody on the source has a table locked for long: nothing is wrong, but nothing goes on either, and that is told.
#[test]
fn copy_told_what_it_waits_for() {
    let pair = chunked()
        .target_conf("pg_decamp.copy_rate_limit = '4MB'")
        .start();
    pair.source.app(&table("held_up", 12));
    pair.migrate("workers => 1");
    pair.poll_half_way("held_up", 1);
    let mut lock = pair.source.connect_as_app();
    lock.batch_execute("begin; lock table held_up in access exclusive mode")
        .expect("the chunk at hand ends soon");
    pair.poll_status("summary like '%lock%held_up%' and error like '%lock%held_up%'");
    assert_eq!(
        pair.table("held_up", "state"),
        "copying",
        "that is no reason to stop"
    );
    let told: Vec<String> = (0..20)
        .map(|_| {
            wait::pause(Duration::from_millis(100));
            pair.status("summary")
        })
        .filter(|summary| !summary.contains("lock"))
        .collect();
    assert!(told.len() < 5, "told all the time, but: {told:?}");
    pair.poll("select max(attempts) >= 4 from decamp.task");
    let often = "select count(*) <= (select count(*) from decamp.task where error is not null) \
                 from repl_events where message like '%lock%'";
    assert_eq!(
        pair.query(often),
        "t",
        "once for each piece\n{}",
        pair.tell()
    );
    lock.batch_execute("rollback").expect("the lock goes");
    pair.limit_copy(0);
    pair.sql("SELECT repl_resume('heroku')");
    pair.wait_for("streaming", Duration::from_secs(20));
    pair.poll_status("error is null and summary not like '%lock%'");
    pair.assert_migrated();
}
