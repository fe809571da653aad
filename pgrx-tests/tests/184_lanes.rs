//! Tables that are far behind are replayed side by side, over connections of their own, as many as the subscription has workers.
//! What accidents do to that: `159_catching_up.rs`.

use std::collections::BTreeSet;
use std::time::Duration;

use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::source::{DATABASE, ROLE};
use decamp_tests::{Pair, wait};

const MINUTE: Duration = Duration::from_secs(60);
const TABLES: usize = 3;
const ROWS: u32 = 200_000;

fn pair() -> Pair {
    let pair = Pair::builder()
        .proxy()
        .source_conf("log_statement = 'all'")
        .source_conf("log_line_prefix = '%a %p '")
        .start();
    for table in 0..TABLES {
        pair.source.app(&format!(
            "create table t{table} (id int primary key, n int not null); \
             insert into t{table} select i, 0 from generate_series(1, {ROWS}) as i; analyze t{table}"
        ));
    }
    pair.stream("");
    pair
}

/// Everything changes while nobody replays it.
fn fall_behind(pair: &Pair) {
    pair.query("SELECT repl_pause('heroku')");
    pair.poll_status("state = 'paused' and workers = 0");
    for table in 0..TABLES {
        pair.source.app(&format!("update t{table} set n = n + 1"));
    }
}

/// The processes of the source that have served lanes beside the apply worker's own connection so far.
fn lanes(pair: &Pair) -> BTreeSet<String> {
    let log = pair.source.log();
    log.lines()
        .filter_map(|line| line.strip_prefix("pg_decamp heroku replay "))
        .filter_map(|line| line.split_once(" LOG:  statement: begin isolation level"))
        .map(|(pid, _)| pid.to_owned())
        .collect()
}

/// Replays it all; how many lanes there were.
fn catch_up(pair: &Pair) -> usize {
    let before = lanes(pair);
    pair.query("SELECT repl_resume('heroku')");
    pair.wait_for("caught_up", 2 * MINUTE);
    pair.assert_migrated();
    lanes(pair).difference(&before).count() + 1
}

#[test]
fn lanes_for_tables_far_behind() {
    let pair = pair();
    fall_behind(&pair);
    assert_eq!(catch_up(&pair), TABLES, "one each");
    wait::until_true(MINUTE, "the lanes are closed", || {
        let lanes =
            "select from pg_stat_activity where application_name = 'pg_decamp heroku replay'";
        pair.source.rows(DATABASE, lanes).is_empty()
    });
    pair.query("SELECT repl_alter('heroku', workers => 2)");
    fall_behind(&pair);
    assert_eq!(catch_up(&pair), 2, "no more than workers");
    pair.stop_migration();
}

#[test]
fn lanes_that_cannot_be_opened() {
    let pair = pair();
    fall_behind(&pair);
    let limit = |most: i32| {
        let sql = format!("ALTER ROLE {ROLE} CONNECTION LIMIT {most}");
        pair.source.sql(DATABASE, &sql);
    };
    let complaints = || pair.query("SELECT count(*) FROM repl_events WHERE severity <> 'info'");
    let before = complaints();
    limit(1);
    assert_eq!(catch_up(&pair), 1);
    limit(-1);
    let log = pair.target.log();
    assert!(
        log.contains("catches up without further connections: source: cannot connect"),
        "{log}"
    );
    assert_eq!(complaints(), before, "nothing has gone wrong");
    pair.stop_migration();
}

/// A lane that is long in coming keeps nobody waiting.
#[test]
fn lanes_that_are_long_in_coming() {
    let pair = pair();
    fall_behind(&pair);
    let source = pair.source_uri() + "&connect_timeout=60";
    pair.query(&format!(
        "SELECT repl_alter('heroku', source => '{source}')"
    ));
    let before = lanes(&pair);
    let mut source = pair.source.connect(DATABASE);
    let mut on_source = |sql: &str| source.batch_execute(sql).expect("the source does it");
    // behind a long line, so that there is time to slow down those that come after the first
    pair.proxy().delay(Duration::from_millis(50));
    pair.query("SELECT repl_resume('heroku')");
    let is_there = "select count(*) > 0 from pg_stat_activity where application_name = 'pg_decamp heroku apply'";
    pair.source.poll_until(DATABASE, is_there, MINUTE);
    on_source("ALTER SYSTEM SET post_auth_delay = '15s'");
    on_source("SELECT pg_reload_conf()");
    let done = |table: usize| format!("(SELECT bool_and(n = 1) FROM t{table})");
    let done: Vec<String> = (0..TABLES).map(done).collect();
    pair.target.poll_until(
        TARGET_DATABASE,
        &format!("SELECT {}", done.join(" OR ")),
        MINUTE,
    );
    let log = pair.target.log();
    assert!(!log.contains("without further connections"), "{log}");
    assert_eq!(lanes(&pair), before, "no lane has come yet");
    on_source("ALTER SYSTEM RESET post_auth_delay");
    on_source("SELECT pg_reload_conf()");
    pair.wait_for("caught_up", 2 * MINUTE);
    pair.assert_migrated();
    pair.stop_migration();
}
