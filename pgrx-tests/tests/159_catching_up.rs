//! Backlogs of many batches: while one is merged the next is on its way. Whatever happens in between, both sides are equal in the
//! end; and it costs neither memory here nor long snapshots on the source.

use std::time::{Duration, Instant};

use decamp_tests::compare::assert_same;
use decamp_tests::memory::Watch;
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::source::DATABASE;
use decamp_tests::workers::Worker;
use decamp_tests::{Pair, sessions, wait};
use fastrand::Rng;

const MINUTE: Duration = Duration::from_secs(60);
const MB: u64 = 1 << 20;
/// What the apply worker may have for itself when no row is large.
const FRAME: u64 = 48 * MB;

fn pair() -> Pair {
    Pair::builder()
        .source_conf("log_statement = 'all'")
        .source_conf("log_line_prefix = '%m [%p] %a '")
        .proxy()
        .start()
}

/// How many batches have been fetched ahead of their turn, or begun with that.
fn fetches(pair: &Pair) -> usize {
    pair.source
        .log()
        .matches("begin isolation level repeatable read read only; set local lock_timeout")
        .count()
}

fn pause(pair: &Pair) {
    pair.query("SELECT repl_pause('heroku')");
    pair.poll_status("state = 'paused' and workers = 0");
}

const ROWS: u32 = 60_000;

fn tables() -> String {
    format!(
        "create table item (id int primary key, n int not null default 0, note text not null default 'x'); \
         create table word (word text primary key, n int); \
         create table spot (id int primary key, spot int unique); \
         create table brief (id int primary key, n int not null); \
         create table scrap (n int, what text); \
         create table entry (n int, what text) partition by list (n); \
         create table entry_1 partition of entry for values in (1); \
         create table entry_rest partition of entry default; \
         insert into item select i from generate_series(1, {ROWS}) as i; \
         insert into word select md5(i::text), i from generate_series(1, {ROWS}) as i; \
         insert into spot select i, i from generate_series(1, {ROWS}) as i; \
         insert into brief select i, 0 from generate_series(1, {ROWS}) as i; \
         insert into scrap select i % 1000, 'scrap' from generate_series(1, 5000) as i; analyze"
    )
}

/// Deltas by the ten thousand.
const BULK: &[&str] = &[
    "update item set n = n + 1",
    "update item set note = md5(note) where id % 2 = 0; delete from item where id % 1000 = 7",
    "update word set n = n + 1",
    "update word set word = gen_random_uuid() where n % 3 = 0; insert into word select gen_random_uuid(), n from word where n % 10 = 0",
    "update spot set spot = -spot; update spot set spot = 60001 + spot",
    "truncate brief; insert into brief select i, 1 from generate_series(1, 40000) as i",
    "update brief set n = n + 1",
    "insert into entry select i % 1000, 'new' from generate_series(1, 40000) as i",
    "insert into entry select i % 1000, 'new' from generate_series(1, 30000) as i; delete from entry where n % 3 = 0",
    "truncate entry; insert into entry select i % 100, 'new' from generate_series(1, 25000) as i",
];

/// And a few, while they are replayed.
const FEW: &[&str] = &[
    "update item set n = -1 where id between 100 and 200",
    "truncate brief; insert into brief select i, 2 from generate_series(1, 500) as i",
    "update spot set spot = spot + 1000000 where id <= 5000",
    "insert into scrap select i, 'more' from generate_series(1, 300) as i; delete from scrap where n = 5",
    "update scrap set what = what || '!' where n < 3",
    "delete from word where n < 50",
    "insert into entry select i % 10, 'new' from generate_series(1, 100) as i; delete from entry where n = 9",
    "truncate entry; insert into entry values (1, 'one'), (1, 'one')",
];

fn accident(pair: &Pair, rng: &mut Rng) {
    let lanes = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pg_decamp heroku replay'";
    match rng.u32(0..8) {
        0 => drop(pair.terminate(Worker::Apply)),
        1 => drop(pair.terminate_on_source()),
        2 => pair.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE application_name LIKE 'pg_decamp heroku apply%' AND backend_type = 'client backend'",
        ),
        3 => pair.proxy().hang_up(),
        // one of them, and all
        4 => pair.sql(&format!("{lanes} LIMIT 1")),
        5 => drop(pair.source.rows(DATABASE, lanes)),
        6 => {
            pair.query("SELECT repl_pause('heroku')");
            pair.query("SELECT repl_resume('heroku')");
        }
        _ => drop(pair.kill(Worker::Apply)),
    }
}

/// Keys that change places, truncations, tables without a key; connections, workers and servers that end at any moment.
#[test]
fn catching_up_through_accidents() {
    const ROUNDS: usize = 3;
    let mut rng = Rng::with_seed(decamp_tests::seed());
    let pair = pair();
    pair.source.app(&tables());
    pair.stream("");
    for _ in 0..ROUNDS {
        pause(&pair);
        let mut bulk: Vec<&str> = [BULK, BULK].concat();
        rng.shuffle(&mut bulk);
        for sql in &bulk {
            pair.source.app(sql);
        }
        pair.source
            .app("insert into scrap select i % 1000, 'scrap' from generate_series(1, 3000) as i; delete from scrap where n = 77");
        pair.query("SELECT repl_resume('heroku')");
        for _ in 0..rng.usize(3..8) {
            wait::pause(Duration::from_millis(rng.u64(50..1500)));
            pair.source.app(FEW[rng.usize(0..FEW.len())]);
            accident(&pair, &mut rng);
        }
        pair.query("SELECT repl_resume()");
        pair.wait_for("caught_up", 2 * MINUTE);
        assert_same(&pair.source, DATABASE, &pair.target, TARGET_DATABASE);
    }
    let fetches = fetches(&pair);
    assert!(
        fetches > 5 * ROUNDS,
        "only {fetches} batches were fetched ahead"
    );
    let log = pair.source.log();
    let lanes = log.lines().filter(|line| {
        line.contains("pg_decamp heroku replay LOG:  statement: begin isolation level")
    });
    assert!(lanes.count() > ROUNDS, "side by side");
    let errors = "SELECT coalesce(string_agg(subject || ': ' || message, E'\\n'), '') FROM repl_events WHERE severity = 'error'";
    assert_eq!(pair.query(errors), "");
    pair.stop_migration();
}

/// Whoever rewrites a segment gives its rows other places while they are being read and deleted by place.
#[test]
fn catching_up_beside_rewrites() {
    let pair = pair();
    pair.source.app(&tables());
    pair.stream("");
    pause(&pair);
    for _ in 0..3 {
        for table in ["item", "word", "brief"] {
            pair.source.app(&format!("update {table} set n = n + 1"));
        }
    }
    pair.query("SELECT repl_resume('heroku')");
    let mut rewrites = 0;
    let replayed = "select not exists (select from item where n <> 3) and not exists (select from brief where n <> 3)";
    wait::until_true(2 * MINUTE, "all is replayed", || {
        let segments = pair.source.rows(
            DATABASE,
            "select c.oid::regclass::text from pg_class c \
             where c.relnamespace = 'decamp_heroku'::regnamespace and c.relname like 'delta\\_%' \
             and pg_relation_size(c.oid) > 0",
        );
        for segment in segments.into_iter().flatten() {
            // it may be dropped in between
            let sql = format!("vacuum full {segment}");
            rewrites += usize::from(pair.source.try_rows(DATABASE, &sql).is_ok());
        }
        pair.query(replayed) == "t"
    });
    assert!(rewrites > 3, "{rewrites} rewrites");
    pair.wait_for("caught_up", MINUTE);
    assert!(fetches(&pair) > 3);
    pair.assert_migrated();
    pair.stop_migration();
}

/// A backlog of small rows, and behind it `large`.
fn memory_of(large: &str) -> u64 {
    let pair = pair();
    pair.source.app(
        "create table wide (id int primary key, n int not null default 0, b text); \
         alter table wide alter b set storage external; \
         insert into wide select i, 0, 'small' from generate_series(1, 100000) as i; analyze wide",
    );
    pair.stream("");
    pause(&pair);
    pair.source.app("update wide set n = 1");
    pair.source.app(large);
    let watch = Watch::apply_worker(&pair);
    pair.query("SELECT repl_resume('heroku')");
    pair.wait_for("caught_up", 2 * MINUTE);
    let peak = watch.peak();
    assert!(fetches(&pair) > 3);
    pair.assert_migrated();
    peak
}

#[test]
fn catching_up_with_many_large_rows() {
    let peak = memory_of(
        "insert into wide select i, 0, repeat('x', 1 << 20) from generate_series(100001, 100200) as i",
    );
    assert!(peak < FRAME, "{} MB for 200 rows of 1 MB", peak / MB);
    assert!(peak > MB, "that is nothing: {peak} bytes");
}

#[test]
fn catching_up_with_a_huge_row() {
    const ROW: u64 = 100 * MB;
    let peak = memory_of(&format!(
        "insert into wide values (0, 0, repeat('x', {ROW}))"
    ));
    assert!(
        peak < FRAME + 3 * ROW,
        "{} MB for a row of 100 MB",
        peak / MB
    );
    assert!(peak > ROW, "the row passes through: {peak} bytes");
}

/// No snapshot for longer than a batch.
#[test]
fn catching_up_is_kind() {
    let pair = pair();
    pair.source.app(&tables());
    pair.stream("");
    pause(&pair);
    for _ in 0..6 {
        pair.source
            .app("update item set n = n + 1; update word set n = n + 1");
    }
    let watch = sessions::Watch::on(&pair.source);
    let began = Instant::now();
    pair.query("SELECT repl_resume('heroku')");
    pair.wait_for("caught_up", 2 * MINUTE);
    let whole = began.elapsed().as_secs_f64();
    let seen = watch.end();
    assert!(fetches(&pair) > 5);
    let longest = seen.snapshots.iter().copied().fold(0.0, f64::max);
    assert!(seen.snapshots.len() > 5, "{seen:?}");
    assert!(
        longest < whole / 3.0,
        "a snapshot of {longest} s in {whole} s: {seen:?}"
    );
    pair.assert_migrated();
    pair.stop_migration();
}

/// Round trips from the resume until `arrived` holds on the target. While one is under way the target is asked many times.
fn round_trips(pair: &Pair, arrived: &str) -> usize {
    pair.proxy().delay(Duration::from_millis(50));
    let before = pair.proxy().round_trips();
    pair.query("SELECT repl_resume('heroku')");
    wait::until_true(MINUTE, arrived, || pair.query(arrived) == "t");
    let after = pair.proxy().round_trips();
    pair.proxy().delay(Duration::ZERO);
    pair.wait_for("caught_up", MINUTE);
    after - before
}

/// A long line is felt a few times, not once for everything that the source is asked: five or six round trips are the connection's.
#[test]
fn catching_up_behind_a_long_line() {
    let pair = pair();
    pair.source.app(&format!(
        "create table item (id serial primary key, n int not null default 0); \
         create table other (id serial primary key); \
         insert into item select i from generate_series(1, {ROWS}) as i; analyze"
    ));
    pair.stream("");
    pause(&pair);
    pair.source.app("update item set n = 1 where id <= 10");
    let few = round_trips(&pair, "select exists (select from item where n = 1)");
    assert!(few <= 12, "{few} round trips until ten rows were there");
    pause(&pair);
    pair.source.app("update item set n = 2");
    let many = round_trips(&pair, "select exists (select from item where n = 2)");
    assert!(
        many <= 15,
        "{many} round trips until the first of {ROWS} rows were there"
    );
    assert!(fetches(&pair) > 1);
    pair.assert_migrated();
    pair.stop_migration();
}
