//! Segments: closed when they are large, sealed when nobody can write to them any more, dropped when they are replayed.
//! Whatever the application does meanwhile, no change is lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use decamp_tests::observe::SOON;
use decamp_tests::source::DATABASE;
use decamp_tests::workers::Worker;
use decamp_tests::{Mode, Pair, have_source, wait};
use fastrand::Rng;
use postgres::Client;

const ITEM: &str = "create table item (id int primary key, n int not null default 0); \
     insert into item (id) select generate_series(1, 50000)";
const MINUTE: Duration = Duration::from_secs(60);

fn pair(major: u32, segment_size: &str) -> Pair {
    Pair::builder()
        .source_version(major)
        .source_conf("max_prepared_transactions = 40")
        .target_conf(&format!("pg_decamp.segment_size = '{segment_size}'"))
        .start()
}

/// One value about the source's segments of a table, or of all.
fn segments(pair: &Pair, what: &str, table: Option<&str>) -> i64 {
    let like = table.map_or("'delta\\_%'".to_owned(), |table| {
        format!("'delta\\_' || '{table}'::regclass::oid || '\\_%'")
    });
    let sql = format!(
        "select coalesce({what}, 0)::int8 from pg_class c \
         where c.relnamespace = 'decamp_heroku'::regnamespace and c.relname like {like}"
    );
    let value = pair.source.query_one_text(DATABASE, &sql);
    value.parse().expect("a number")
}

const COUNT: &str = "count(*)";
const BYTES: &str = "sum(pg_relation_size(c.oid))";
const NEWEST: &str = "max(split_part(c.relname, '_', 3)::int)";

/// Capture writes to the newest, however many digits its number has.
#[test]
fn segments_past_the_ninth() {
    let pair = pair(15, "1MB");
    pair.source.app(ITEM);
    pair.stream("");
    wait::until_true(2 * MINUTE, "there have been more than ten", || {
        pair.source.app("update item set n = n + 1");
        segments(&pair, NEWEST, Some("item")) > 11
    });
    pair.assert_migrated();
    let others = "select count(*) from pg_proc p where p.pronamespace = 'decamp_heroku'::regnamespace \
         and p.proname like 'capture\\_%' and p.prosrc ~ 'delta_[0-9]+_[0-9]' \
         and p.prosrc !~ ('delta_[0-9]+_' || (select max(split_part(c.relname, '_', 3)::int) from pg_class c \
             where c.relnamespace = p.pronamespace and c.relname like 'delta\\_%') || '\"')";
    assert_eq!(pair.source.query_one_text(DATABASE, others), "0");
    pair.stop_migration();
}

/// Two million deltas while a transaction is open; the space they take. `opened`: what it has done before it idles;
/// `counted`: the segments whose space is to be bounded.
fn bounded_whatever_is_open(opened: &str, counted: &str) {
    const MEGABYTE: i64 = 1 << 20;
    let bytes = format!("{BYTES} filter (where {counted})");
    let pair = pair(15, "1MB");
    pair.source.app(ITEM);
    pair.stream("");
    let mut holder = pair.source.connect_as_app();
    holder
        .batch_execute(&format!(
            "begin isolation level repeatable read; select txid_current(), count(*) from item; {opened}"
        ))
        .expect("a transaction is opened");
    let mut client = pair.source.connect_as_app();
    for round in 0..40 {
        // other rows each time: of rows changed again and again the application's own dead versions would slow us down
        let first = 50_000 * (round / 2 + 1);
        let range = format!("({first} + 1, {first} + 50000)");
        let change = if round % 2 == 0 {
            format!("insert into item select generate_series{range}")
        } else {
            format!("delete from item where id > {first}")
        };
        client.batch_execute(&change).expect("a bulk change");
        if round % 4 == 3 {
            pair.wait_for("caught_up", MINUTE);
            // 50,000 deltas of one statement are nearly two megabytes, in one segment
            wait::until_true(SOON, "the space is given back", || {
                segments(&pair, &bytes, None) <= 4 * MEGABYTE
            });
        }
    }
    assert!(segments(&pair, NEWEST, Some("item")) >= 10);
    holder.batch_execute("commit").expect("it ends at last");
    pair.assert_migrated();
    wait::until_true(SOON, "old segments are dropped", || {
        segments(&pair, COUNT, None) == 1
    });
    pair.stop_migration();
}

#[test]
fn segments_are_bounded_beside_a_reader() {
    bounded_whatever_is_open("", "true");
}

/// Who has written to the table may write to any of its segments, so none can be dropped; their space is given back, but for
/// the one that has what he wrote.
#[test]
fn segments_are_bounded_beside_a_writer() {
    bounded_whatever_is_open(
        "insert into item values (-1, 1)",
        "c.relname not like '%\\_0'",
    );
}

/// More than a batch takes, in a segment of many times the usual size, with keys of several kinds.
fn backlog(major: u32) {
    if !have_source(major) {
        return;
    }
    let pair = pair(major, "256kB");
    pair.source.app(ITEM);
    pair.source.app(
        "create table word (word text primary key, n int); insert into word select md5(i::text), i from generate_series(1, 30000) as i",
    );
    pair.stream("");
    pair.query("SELECT repl_pause('heroku')");
    pair.poll_status("state = 'paused' and workers = 0");
    for _ in 0..4 {
        pair.source.app(
            "update item set n = n + 1; update word set n = n + 1; delete from item where id % 100 = 7; \
             update word set word = word || 'x' where n % 10 = 0",
        );
    }
    let bytes = segments(&pair, BYTES, Some("item"));
    assert!(bytes > 10 * (256 << 10), "one large segment: {bytes}");
    pair.query("SELECT repl_resume('heroku')");
    pair.assert_migrated();
    wait::until_true(SOON, "what is replayed is dropped", || {
        segments(&pair, COUNT, None) == 2 && segments(&pair, BYTES, None) <= 2 * (256 << 10)
    });
    assert!(segments(&pair, NEWEST, Some("item")) > 0);
    pair.stop_migration();
}

#[test]
fn segments_of_a_backlog() {
    backlog(15);
}

#[test]
fn segments_of_a_backlog_on_10() {
    backlog(10);
}

#[test]
fn segments_of_a_backlog_on_12() {
    backlog(12);
}

/// A table that has stopped goes on collecting; the status counts all its segments.
#[test]
fn segments_are_counted_all() {
    let pair = pair(15, "64kB");
    pair.source.app(ITEM);
    pair.stream("");
    pair.sql("alter table item drop column n");
    for round in 1..=3 {
        pair.source
            .app("update item set n = n + 1 where id <= 4000");
        pair.poll_table("item", "state = 'errored' and hint is not null");
        wait::until_true(SOON, "one more segment", || {
            segments(&pair, NEWEST, Some("item")) >= round
        });
    }
    assert_eq!(pair.deltas(), 12000);
    pair.poll_table("item", "backlog = 12000");
    pair.sql("alter table item add column n int not null default 0");
    pair.query("SELECT repl_resume('heroku')");
    pair.assert_migrated();
    wait::until_true(SOON, "they are replayed and dropped", || {
        segments(&pair, COUNT, None) == 1
    });
    pair.stop_migration();
}

/// Between the opening of a segment and the sealing of the one before, held there by a transaction that changes its name.
#[test]
fn segments_survive_crashes_while_being_sealed() {
    let pair = pair(15, "64kB");
    pair.source.app(ITEM);
    pair.stream("");
    type Accident = fn(&Pair);
    let accidents: [Accident; 4] = [
        |pair| {
            let old = pair.terminate(Worker::Apply);
            pair.wait_for_apply_worker(&old);
        },
        |pair| pair.source.restart(Mode::Immediate),
        |pair| {
            pair.target.restart(Mode::Immediate);
            pair.query("SELECT repl_resume()");
        },
        |_| {},
    ];
    for (round, accident) in accidents.iter().enumerate() {
        let before = segments(&pair, NEWEST, None);
        let mut writer = pair.source.connect_as_app();
        writer
            .batch_execute(&format!("begin; insert into item values (-{round} - 1, 1)"))
            .expect("a transaction is opened");
        pair.source
            .app("update item set n = n + 1 where id % 8 = 0");
        wait::until_true(SOON, "another segment", || {
            segments(&pair, NEWEST, None) > before
        });
        writer
            .batch_execute(&format!(
                "update item set n = -1 where id = {round} * 8 + 1; prepare transaction 'held {round}'"
            ))
            .expect("it is prepared");
        drop(writer);
        accident(&pair);
        pair.source
            .app("update item set n = n + 1 where id % 8 = 1 and id > 100");
        pair.wait_for("caught_up", MINUTE);
        assert!(
            segments(&pair, COUNT, None) > 1,
            "its deltas are not committed"
        );
        pair.source.app(&format!("commit prepared 'held {round}'"));
        pair.assert_migrated();
        wait::until_true(SOON, "no orphan is left", || {
            segments(&pair, COUNT, None) == 1
        });
    }
    pair.stop_migration();
}

fn seed() -> u64 {
    let given = std::env::var("DECAMP_SEED")
        .ok()
        .and_then(|s| s.parse().ok());
    let seed = given.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        u64::from(now.expect("the clock is past 1970").subsec_nanos())
    });
    eprintln!("DECAMP_SEED={seed}");
    seed
}

const WRITERS: u32 = 16;

/// All that writes in different ways: statement triggers, cascades, row triggers of an inheritance tree.
const TABLES: &str = "create table plain (id int primary key, n int not null default 0); \
     create table child (id int primary key, plain int references plain on delete cascade on update cascade); \
     create table tree (id int primary key, n int not null default 0); \
     create table branch (primary key (id)) inherits (tree); \
     insert into plain select generate_series(1, 3200); \
     insert into child select i, i from generate_series(1, 3200) as i; \
     insert into tree select generate_series(1, 1600); \
     insert into branch select generate_series(1601, 3200); \
     create function touch(which int) returns void language plpgsql as $$ begin \
         update plain set n = n + 1 where id = which; update tree set n = n + 1 where id = which; end $$;";
/// And of partitions, at two depths.
const FROM_11: &str = "create table part (id int, n int not null default 0, primary key (id)) partition by range (id); \
     create table part_1 partition of part for values from (minvalue) to (1600); \
     create table part_2 partition of part for values from (1600) to (maxvalue) partition by range (id); \
     create table part_21 partition of part_2 for values from (1600) to (2400); \
     create table part_22 partition of part_2 for values from (2400) to (maxvalue); \
     insert into part select generate_series(1, 3200)";

/// `{i}` and `{j}` belong to one writer alone, so that nobody waits for anybody but us.
const STATEMENTS: &[&str] = &[
    "update plain set n = n + 1 where id = {i}",
    "update plain set n = n + 1 where id % 16 = {w} and id < 1000",
    "delete from plain where id = {i}",
    "insert into plain values ({i}, 7) on conflict (id) do update set n = plain.n + 1",
    "insert into plain values ({i}) on conflict do nothing; insert into child values ({j}, {i}) on conflict do nothing",
    "update plain set id = id + 32000 where id = {i} and not exists (select 1 from plain p where p.id = {i} + 32000)",
    "delete from plain where id > 32000 and id % 16 = {w}",
    "select touch({i})",
    "update tree set n = n + 1 where id = {i}",
    "update branch set n = n + 1 where id = {i}",
    "update only tree set id = id + 64000 where id = {i} and not exists (select 1 from tree t where t.id = {i} + 64000)",
    "delete from tree where id = {j}",
    "insert into branch values ({i}, 3) on conflict do nothing",
    "update child set plain = null where id = {j}",
    "lock table plain, tree in access share mode",
    "select * from plain where id = {i} for update",
];
const STATEMENTS_FROM_11: &[&str] = &[
    "update part set n = n + 1 where id = {i}",
    "update part_1 set n = n + 1 where id = {i}",
    "update part_22 set n = n + 1 where id = {i}",
    "insert into part values ({i}, 5) on conflict (id) do update set n = 0",
    "update part set id = 3216 - id - id % 16 + 2 * {w} where id = {i} and not exists (select 1 from part p where p.id = 3216 - {i} - {i} % 16 + 2 * {w})",
    "delete from part where id = {j}",
    "insert into part_21 select 1600 + {w} where not exists (select 1 from part where id = 1600 + {w})",
];

struct Writer<'a> {
    pair: &'a Pair,
    number: u32,
    rng: Rng,
    statements: Vec<&'static str>,
    /// names of its prepared transactions
    prepared: u32,
}

impl Writer<'_> {
    fn statement(&mut self) -> String {
        let mut id = || (self.rng.u32(0..200) * WRITERS + self.number).to_string();
        let (i, j) = (id(), id());
        let statement = self.statements[self.rng.usize(0..self.statements.len())];
        statement
            .replace("{i}", &i)
            .replace("{j}", &j)
            .replace("{w}", &self.number.to_string())
    }

    /// Now and then for as long as several segments live.
    fn linger(&mut self) {
        let millis = match self.rng.u32(0..60) {
            0 => self.rng.u64(1000..4000),
            1..10 => self.rng.u64(1..300),
            _ => 0,
        };
        wait::pause(Duration::from_millis(millis));
    }

    fn transact(&mut self, client: &mut Client) -> Result<(), postgres::Error> {
        if self.rng.u32(0..3) == 0 {
            let statement = self.statement();
            let locks = statement.starts_with("lock");
            return client.batch_execute(if locks { "select 1" } else { &statement });
        }
        client.batch_execute("begin")?;
        for _ in 0..self.rng.u32(1..=6) {
            let savepoint = self.rng.u32(0..4);
            if savepoint < 2 {
                client.batch_execute("savepoint s")?;
            }
            client.batch_execute(&self.statement())?;
            self.linger();
            match savepoint {
                0 => client.batch_execute("rollback to s")?,
                1 => client.batch_execute("release s")?,
                _ => {}
            }
        }
        match self.rng.u32(0..10) {
            0 => client.batch_execute("rollback"),
            1 | 2 => {
                self.prepared += 1;
                let name = format!("{} {}", self.number, self.prepared);
                client.batch_execute(&format!("prepare transaction '{name}'"))?;
                self.linger();
                let end = if self.rng.u32(0..4) == 0 {
                    "rollback"
                } else {
                    "commit"
                };
                client.batch_execute(&format!("{end} prepared '{name}'"))
            }
            _ => client.batch_execute("commit"),
        }
    }

    /// How many transactions ended as they should. Errors that writers may meet among themselves are rolled back.
    fn work(&mut self, done: &AtomicBool) -> u32 {
        let mut count = 0;
        let mut client = self.pair.source.connect_as_app();
        while !done.load(Ordering::Relaxed) {
            match self.transact(&mut client) {
                Ok(()) => count += 1,
                Err(error) => {
                    let code = error.code().map_or("", |c| c.code()).to_owned();
                    // a row of another one's that ours refers to, a deadlock over it
                    assert!(
                        code.starts_with("23") || code == "40P01",
                        "the application is broken: {}",
                        decamp_tests::server::client::told(&error)
                    );
                    client.batch_execute("rollback").expect("it rolls back");
                }
            }
        }
        count
    }
}

/// Segments are closed all the time, beside everything that writes, while the apply worker dies now and then.
fn at_random(major: u32, time: Duration) {
    if !have_source(major) {
        return;
    }
    let seed = seed();
    let pair = pair(major, "16kB");
    pair.source.app(TABLES);
    let mut statements = STATEMENTS.to_vec();
    if major >= 11 {
        pair.source.app(FROM_11);
        statements.extend(STATEMENTS_FROM_11);
    }
    pair.stream("workers => 2");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..WRITERS)
            .map(|number| {
                let mut writer = Writer {
                    pair: &pair,
                    number,
                    rng: Rng::with_seed(seed ^ u64::from(number) << 32),
                    statements: statements.clone(),
                    prepared: 0,
                };
                let done = &done;
                scope.spawn(move || writer.work(done))
            })
            .collect();
        let mut rng = Rng::with_seed(seed);
        let begin = Instant::now();
        while begin.elapsed() < time && !threads.iter().any(|t| t.is_finished()) {
            wait::pause(Duration::from_millis(rng.u64(500..5000)));
            pair.terminate(Worker::Apply);
        }
        done.store(true, Ordering::Relaxed);
        let counts: Vec<u32> = threads
            .into_iter()
            .map(|t| t.join().expect("the application is not broken"))
            .collect();
        assert!(counts.iter().all(|n| *n > 10), "{counts:?}");
    });
    pair.wait_for_apply_worker(&[]);
    pair.assert_migrated();
    let newest = segments(&pair, NEWEST, Some("plain"));
    eprintln!("segments of one table: {newest}");
    assert!(newest > 5, "only {newest} segments");
    let tables = pair.query("SELECT count(*) FROM repl_tables");
    wait::until_true(SOON, "old segments are dropped", || {
        segments(&pair, COUNT, None).to_string() == tables
    });
    let errors = "SELECT count(*) FROM repl_events WHERE severity = 'error'";
    assert_eq!(pair.query(errors), "0", "{}", pair.tell());
    pair.stop_migration();
}

#[test]
fn segments_at_random() {
    at_random(15, Duration::from_secs(30));
}

#[test]
fn segments_at_random_on_10() {
    at_random(10, Duration::from_secs(12));
}

#[test]
fn segments_at_random_on_12() {
    at_random(12, Duration::from_secs(12));
}
