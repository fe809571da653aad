//! Partitioned tables and inheritance trees: rows that move, partitions that come and go, TRUNCATE of a part.

use decamp_tests::Pair;
use decamp_tests::compare::differences;
use decamp_tests::observe::SOON;
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::source::DATABASE;
use decamp_tests::wait;

const TABLES: &str = "create table event (id int, day date, kind text, value int, primary key (day, id)) partition by range (day); \
     create table event_1 partition of event for values from ('2024-01-01') to ('2025-01-01'); \
     create table event_2 partition of event for values from ('2025-01-01') to ('2026-01-01') partition by list (id); \
     create table event_2_a partition of event_2 for values in (1, 2, 3, 4, 5); \
     create table event_2_b partition of event_2 default; \
     create table other (id int primary key, value text); \
     insert into event select i % 50, date '2024-01-01' + i, 'kind', i from generate_series(1, 700) as i; \
     insert into other select i, 'x' from generate_series(1, 100) as i";

fn start() -> Pair {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.stream("");
    pair
}

/// The same DDL where the rows come to first, then where they come from.
fn on_both(pair: &Pair, sql: &str) {
    pair.sql(sql);
    pair.source.app(sql);
}

/// A change we may not be able to follow is either followed or told: never different and silent.
fn assert_equal_or_told(pair: &Pair, table: &str) {
    let caught_up = "SELECT repl_wait('heroku', 'caught_up', timeout => '10 seconds')";
    let told = || {
        pair.table(
            table,
            "state = 'errored' and error is not null and hint is not null",
        ) == "t"
    };
    let mut found = Vec::new();
    let well = wait::within(SOON, || {
        let caught_up = pair.target.try_rows(TARGET_DATABASE, caught_up).is_ok();
        found = differences(&pair.source, DATABASE, &pair.target, TARGET_DATABASE);
        // what was detached is a table of its own, which nobody asked for
        found.retain(|difference| difference.table == format!("public.{table}"));
        (caught_up && found.is_empty() || told()).then_some(())
    });
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(
        well.is_some(),
        "different, and silent about it: {}\n{}",
        found.join("\n"),
        pair.tell()
    );
}

#[test]
fn partitions_rows_move_and_parts_are_truncated() {
    let pair = start();
    let load = pair
        .source
        .pgbench()
        .script("\\set n random(0, 49)\nupdate event set value = value + 1 where id = :n;\n")
        .script("\\set n random(1, 100)\nupdate other set value = value || 'y' where id = :n;\n")
        .rate(100)
        .start();
    for changes in [
        "update event set day = day + 365 where day < '2024-02-01'",
        "update event set id = id + 1 - 2 * (id % 2) + 200 where day > '2025-06-01'; \
         update event set id = -id, day = day - 366 where id between 205 and 220",
        "update event_1 set kind = 'directly' where id % 3 = 0; delete from event_2_b where id % 4 = 0; \
         insert into event_2 values (3, '2025-12-31', 'middle', 1); insert into event_2_a values (4, '2025-12-31', 'leaf', 1)",
        "begin; insert into event values (70, '2024-12-31', 'before', 0); truncate event_1; \
         insert into event values (71, '2024-12-31', 'after', 0); commit",
        "begin; truncate event_2_a; rollback",
        "truncate event_2_a; insert into event values (1, '2025-05-05', 'after', 0)",
        "truncate event_2",
        "insert into event select i % 50, date '2024-01-01' + i, 'again', i from generate_series(1, 700) as i \
         on conflict (day, id) do update set kind = 'conflict'",
        "begin; truncate event, other; insert into event select i % 50, date '2024-01-01' + i, 'last', i from generate_series(1, 700) as i; \
         insert into other values (1, 'last'); commit",
    ] {
        pair.source.app(changes);
        pair.wait_for("caught_up", SOON);
    }
    load.stop(&pair.source);
    pair.assert_migrated();
    assert_eq!(pair.table("event", "capture"), "row");

    // all of that once more as one backlog
    pair.query("SELECT repl_pause('heroku')");
    pair.poll_status("state = 'paused'");
    pair.source.app(
        "truncate event_1; update event set day = day - 366 where day >= '2025-01-01' and id < 20",
    );
    pair.source.app("insert into event values (300, '2024-03-03', 'x', 1), (300, '2025-03-03', 'x', 1); truncate event_2_b");
    pair.source
        .app("update event set day = '2025-04-04' where id = 300");
    pair.query("SELECT repl_resume('heroku')");
    pair.assert_migrated();
    pair.stop_migration();
}

#[test]
fn partitions_come_while_streaming() {
    let pair = start();
    on_both(
        &pair,
        "create table event_3 partition of event for values from ('2026-01-01') to ('2027-01-01')",
    );
    pair.source.app(
        "insert into event select i, '2026-02-02', 'new', i from generate_series(1, 100) as i",
    );
    pair.wait_for("caught_up", SOON);
    assert_eq!(pair.query("select count(*) from event_3"), "100");
    // perhaps before we have noticed the partition
    pair.source.app("truncate event_3");
    pair.source
        .app("insert into event values (1, '2026-02-02', 'after', 1)");
    pair.assert_migrated();

    // one that comes with rows
    let loose = "create table event_4 (id int not null, day date not null, kind text, value int, primary key (day, id))";
    let attach = "alter table event attach partition event_4 for values from ('2027-01-01') to ('2028-01-01')";
    on_both(&pair, loose);
    pair.source.app(
        "insert into event_4 select i, '2027-02-02', 'loose', i from generate_series(1, 100) as i",
    );
    on_both(&pair, attach);
    pair.source
        .app("update event set value = -1 where day > '2027-01-01' and id < 10");
    wait::until_true(SOON, "the rows it came with are there", || {
        pair.wait_for("caught_up", SOON);
        pair.query("select count(*) from event_4") == "100"
    });
    pair.assert_migrated();
    pair.source.app("truncate event_4");
    pair.assert_migrated();
    pair.stop_migration();
}

#[test]
fn partitions_only_on_the_source() {
    let pair = start();
    let new =
        "create table event_3 partition of event for values from ('2026-01-01') to ('2027-01-01')";
    pair.source.app(new);
    pair.source
        .app("insert into event values (1, '2026-02-02', 'nowhere to go', 1)");
    pair.poll_table(
        "event",
        "state = 'errored' and error is not null and hint is not null",
    );
    pair.source.app("update other set value = 'goes on' where id = 1; update event set kind = 'waits' where id = 7");
    pair.poll("select value = 'goes on' from other where id = 1");
    assert_eq!(
        pair.query("select count(*) from event where kind = 'waits'"),
        "0"
    );
    assert_eq!(pair.status("tables_ready"), "1");
    pair.sql(new);
    pair.query("SELECT repl_resume('heroku')");
    pair.assert_migrated();
    pair.stop_migration();
}

#[test]
fn partitions_leave_while_streaming() {
    let pair = start();
    pair.source.app("drop table event_1");
    pair.source.app("update event set kind = 'x' where id = 3");
    assert_equal_or_told(&pair, "event");
    pair.sql("drop table if exists event_1");
    pair.query("SELECT repl_resume('heroku')");
    pair.assert_migrated();

    pair.source.app(
        "alter table event_2 detach partition event_2_a; update event_2_a set kind = 'detached'",
    );
    pair.source.app("update event set kind = 'y' where id = 7");
    assert_equal_or_told(&pair, "event");
    pair.stop_migration();
}

#[test]
fn partitions_inheritance() {
    let pair = Pair::start();
    pair.source.app(
        "create table vehicle (id int primary key, name text); \
         create table car (doors int, primary key (id)) inherits (vehicle); \
         create table truck (load numeric, primary key (id)) inherits (vehicle); \
         create table tank (armour int, primary key (id)) inherits (truck); \
         insert into vehicle select i, 'v' from generate_series(1, 20) as i; \
         insert into car select i, 'c', 4 from generate_series(21, 40) as i; \
         insert into truck select i, 't', 7.5 from generate_series(41, 60) as i; \
         insert into tank select i, 'k', 7.5, 100 from generate_series(61, 80) as i",
    );
    pair.stream("");
    let changes = [
        "update vehicle set name = 'all' where id % 2 = 0",
        "update only vehicle set name = 'only' where id % 3 = 0; update truck set load = load + 1, id = id + 1000 where id % 5 = 0",
        "delete from vehicle where id in (1, 21, 41, 61); delete from only truck where id % 7 = 0",
        "insert into car values (1, 'the same key in a child', 3); insert into vehicle values (61, 'in the parent')",
        "truncate only vehicle",
        "insert into vehicle values (2, 'back'); truncate truck; insert into tank values (5, 'later', 1, 2)",
        "begin; update vehicle set id = id + 5000; truncate car; insert into car values (9, 'nine', 9); commit",
    ];
    for sql in changes {
        pair.source.app(sql);
        pair.assert_migrated();
    }
    pair.query("SELECT repl_pause('heroku')");
    for sql in changes {
        pair.source.app(sql);
    }
    pair.query("SELECT repl_resume('heroku')");
    pair.assert_migrated();
    pair.stop_migration();
}
