//! Kind to the source: short snapshots, few connections, no more bytes a second than allowed.

use std::time::{Duration, Instant};

use decamp_tests::beat::number;
use decamp_tests::copying::{busy, chunked, table};
use decamp_tests::observe::SOON;
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::sessions::Watch;
use decamp_tests::source::DATABASE;
use decamp_tests::{Pair, wait};

/// Each chunk has a snapshot of its own, which ends with it. Chunks larger than what fits into the buffers on the way, else
/// the source would be done with each at once.
#[test]
fn copy_keeps_no_snapshot() {
    const WORKERS: usize = 2;
    let pair = Pair::builder()
        .target_conf("pg_decamp.chunk_size = '16MB'")
        .target_conf("pg_decamp.copy_rate_limit = '24MB'")
        .start();
    pair.source.app(&table("large", 150));
    pair.source.app(&table("other", 20));
    let load = busy(&pair, &["large", "other"]);
    let watch = Watch::on(&pair.source);
    pair.migrate(&format!("workers => {WORKERS}"));
    pair.wait_for("streaming", SOON);
    let seen = watch.end();
    let row = pair
        .target
        .rows(
            TARGET_DATABASE,
            "select extract(epoch from max(finished_at - started_at)), \
                    extract(epoch from max(finished_at) - min(started_at)), count(*) from decamp.task where kind = 'chunk'",
        )
        .remove(0);
    let (chunk, whole, chunks) = (number(&row[0]), number(&row[1]), number(&row[2]));
    assert!(
        whole > 3.0 * chunk,
        "a copy of {whole} s, each chunk up to {chunk} s: {chunks}"
    );
    let longest = seen.snapshots.iter().copied().fold(0.0, f64::max);
    assert!(
        longest <= chunk + 0.1,
        "a snapshot of {longest} s, although no chunk took more than {chunk} s"
    );
    assert!(
        longest > chunk / 10.0,
        "not one chunk was seen at work: {seen:?}"
    );
    assert!(seen.snapshots.len() as f64 >= chunks, "{seen:?}");
    assert!(seen.most <= WORKERS + 1, "{} connections", seen.most);
    assert!(seen.most > 1);
    load.stop(&pair.source);
    pair.assert_migrated();
}

/// Fewer workers than before are fewer connections, not only from the next migration on; more are more.
#[test]
fn copy_with_fewer_workers() {
    let pair = chunked()
        .target_conf("pg_decamp.copy_rate_limit = '8MB'")
        .start();
    pair.source.app(&table("large", 60));
    pair.migrate("workers => 4");
    pair.poll("select count(distinct worker_pid) = 4 from decamp.task where state = 'running'");
    pair.query("SELECT repl_alter('heroku', workers => 1)");
    let sessions =
        "select count(*) = 2 from pg_stat_activity where application_name like 'pg_decamp%'";
    pair.source
        .poll_until(DATABASE, sessions, Duration::from_secs(5));
    pair.poll_status("workers = 2");
    pair.query("SELECT repl_alter('heroku', workers => 3)");
    pair.poll("select count(distinct worker_pid) = 3 from decamp.task where state = 'running'");
    assert_eq!(
        pair.tasks("large", "max(attempts)"),
        1,
        "nothing is interrupted for it"
    );
    pair.limit_copy(0);
    pair.wait_for("streaming", SOON);
    pair.assert_migrated();
}

/// Megabytes a second, as the table's line tells, from now on.
fn rate(pair: &Pair, seconds: u64) -> f64 {
    let copied = || number(&pair.table("large", "bytes_copied")) / f64::from(1 << 20);
    let (begin, from) = (Instant::now(), copied());
    wait::pause(Duration::from_secs(seconds));
    let rate = (copied() - from) / begin.elapsed().as_secs_f64();
    assert_eq!(
        pair.table("large", "chunks_done < chunks"),
        "t",
        "it was being copied all the time"
    );
    rate
}

#[test]
fn copy_rate_limit_is_kept() {
    let pair = chunked()
        .target_conf("pg_decamp.copy_rate_limit = '12MB'")
        .start();
    pair.source.app(&table("large", 110));
    pair.migrate("workers => 3");
    pair.poll_half_way("large", 3);
    let first = rate(&pair, 3);
    assert!((9.6..=14.4).contains(&first), "{first} MB/s are not 12");

    let mut client = pair.target.connect(TARGET_DATABASE);
    for sql in [
        "load 'pg_decamp'",
        "alter system set pg_decamp.copy_rate_limit = '5MB'",
        "select pg_reload_conf()",
    ] {
        client.batch_execute(sql).expect("a superuser may");
    }
    wait::until_true(SOON, "they have heard of it", || rate(&pair, 1) < 8.0);
    let second = rate(&pair, 4);
    assert!((4.0..=6.0).contains(&second), "{second} MB/s are not 5");

    client
        .batch_execute("alter system set pg_decamp.copy_rate_limit = 0")
        .expect("a superuser may");
    client
        .batch_execute("select pg_reload_conf()")
        .expect("a superuser may");
    let begin = Instant::now();
    pair.wait_for("streaming", SOON);
    assert!(
        begin.elapsed() < Duration::from_secs(6),
        "without a limit: {:?}",
        begin.elapsed()
    );
    pair.assert_migrated();
}

/// Three hundred small tables go together, within the limit, and one that fails does not stop the others.
#[test]
fn copy_of_many_small_tables() {
    let pair = Pair::builder()
        .target_conf("pg_decamp.copy_rate_limit = '3MB'")
        .start();
    pair.sql("create table t_77 (id int primary key, value text check (value <> 'bad'))");
    pair.source.app(
        "do $$ begin for i in 1..300 loop \
             execute format('create table t_%s (id int primary key, value text)', i); \
             execute format('insert into t_%s select i, repeat(md5(i::text), 10) from generate_series(1, 100) as i', i); \
         end loop; end $$; update t_77 set value = 'bad' where id = 7",
    );
    pair.migrate("workers => 2");
    pair.assert_stopped("t_77", "23514", &["public.t_77", "t_77_value_check"]);
    pair.poll("select count(*) = 299 from repl_tables where state = 'ready'");
    let sql = "select sum(t.bytes_done) / 1048576.0, extract(epoch from max(t.finished_at) - min(t.started_at)) \
               from decamp.task t where t.kind = 'chunk' and t.state = 'done'";
    let row = pair.target.rows(TARGET_DATABASE, sql).remove(0);
    let (megabytes, seconds) = (number(&row[0]), number(&row[1]));
    assert!(megabytes > 9.0, "{megabytes} MB");
    assert!(
        megabytes / seconds < 3.6,
        "{megabytes} MB in {seconds} s are more than 3 MB/s"
    );
    let groups = "select count(distinct at) < 100 from decamp.applied";
    assert_eq!(pair.query(groups), "t", "many tables in one transaction");
    let blamed = "select count(*) from repl_events where message like '%t_77%' \
                  and subject like 'public.%' and subject <> 'public.t_77'";
    assert_eq!(pair.query(blamed), "0", "{}", pair.tell());

    pair.sql("alter table t_77 drop constraint t_77_value_check");
    pair.query("SELECT repl_resume('heroku')");
    pair.wait_for("streaming", SOON);
    pair.assert_migrated();
}
