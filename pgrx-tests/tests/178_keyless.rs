//! Tables without a key: every kind of value, copies of a row, TRUNCATE among other changes, partitions and children, while the
//! copy runs and as a backlog.

use decamp_tests::hold::Hold;
use decamp_tests::installation::Installation;
use decamp_tests::observe::SOON;
use decamp_tests::source::DATABASE;
use decamp_tests::{Pair, have_source};
use fastrand::Rng;

const TABLES: &str = "create type mood as enum ('sad', 'it''s \"ok\"'); create type pair as (a text, b numeric); \
     create domain percent as int check (value between 0 and 100); \
     create table every (gone int, i int, n numeric, f float8, r real, j json, jb jsonb, x xml, p point, a numeric[], c pair, d percent, \
         m mood, b bytea, t text, ch char(5), ts timestamptz, iv interval, mo money, \"changed\" text, \"position\" int, \"txid\" text, \
         \"new\" text, \"member\" text, also_gone text); \
     alter table every drop column gone, drop column also_gone; \
     create table bare (); create table one (a int); \
     create table optional (a int unique, b text); \
     create table partly (a int not null, b text); create unique index on partly (a) where b is null; \
     create table \"Odd \"\"Name\" (\"it's\" text, \"a\\b\" int)";

const ROWS: &str = "insert into every (i, n, f, r, j, jb, x, p, a, c, d, m, b, t, ch, ts, iv, mo, \"changed\", \"position\") values \
     (1, 1.0, '-0', '0', '{\"b\":1, \"a\" : 2, \"b\":3}', '{\"b\":1, \"a\" : 2}', '<a>x</a>', '(1.5,-0)', '[0:1]={1.0,null}', '(\"a, \"\"\",1.00)', 7, \
      'sad', '\\x00ff', E'tab\\t\\\\line\\n\"quoted\"', 'ab', '2020-01-01 00:00:00.000001+05', '1 year -2 days', 1.50, 'c', 3), \
     (1, 1.00, '0', '-0', '{\"b\":1,\"a\":2}', null, null, '(1.5,0)', '{1.0,null}', '(,)', 0, 'it''s \"ok\"', '', '', '', 'infinity', \
      '-04:05:06.789', -1, null, null), \
     (null, 'NaN', 'NaN', 'Infinity', 'null', 'null', null, null, '{}', null, null, null, null, null, null, null, null, null, null, null), \
     (3, 1e100, 1e-300, 0.1, null, null, null, null, '{{1},{2}}', null, null, null, null, repeat(md5('x'), 5000), null, \
      '-infinity', null, null, null, null); \
     insert into every select * from every; insert into every default values; \
     insert into bare select from generate_series(1, 5); insert into one select i % 7 from generate_series(1, 100) i; insert into one values (null), (null); \
     insert into optional values (1, 'x'), (null, 'y'), (null, 'y'), (null, null); \
     insert into partly select i, case when i % 2 = 0 then 'b' end from generate_series(1, 20) i; \
     insert into \"Odd \"\"Name\" values ('it''s', 1), ('it''s', 1), (null, null)";

const CHANGES: &[&str] = &[
    "update every set i = 2 where ctid = (select min(ctid) from every where n = 1)",
    "update every set n = 1.000 where f = 0; update one set a = null where a = 3; update one set a = a + 1",
    "insert into every select * from every; delete from every where j is null",
    "delete from every where ctid in (select ctid from every limit 3); insert into every (n, f) values ('NaN', '-0'), ('NaN', '0')",
    "delete from one where a is null; delete from bare where ctid in (select ctid from bare limit 2); insert into bare default values",
    "begin; insert into one values (1), (1); savepoint s; delete from one; insert into one values (99); rollback to s; \
     delete from one where a = 2; commit",
    "begin; delete from one; rollback",
    "update every set t = t || 'y', b = '\\x5c', j = '[1 ,2]', a = '{NaN}', p = '(NaN,1)', c = row('x', 1.10) where i is not null",
    "update every set i = i",
    "delete from optional; insert into optional values (1, 'x'), (null, 'y'), (null, 'y'), (null, null); \
     update optional set a = null where a = 1; insert into optional values (1, 'again'), (2, 'two'); update optional set b = 'z' where a is null",
    "insert into optional values (1, 'conflict'), (5, 'new') on conflict (a) do update set b = excluded.b",
    "begin; update optional set a = -a; update optional set a = 3 + a where a = -2; update optional set a = 2 where a = -1; commit",
    "delete from partly; insert into partly select i, case when i % 2 = 0 then 'b' end from generate_series(1, 20) i; \
     update partly set b = case when b is null then 'x' end where a < 10; update partly set a = a + 100 where b is null",
    "update \"Odd \"\"Name\" set \"a\\b\" = 2 where ctid = (select min(ctid) from \"Odd \"\"Name\")",
    "begin; insert into one values (-1); truncate one; insert into one values (-2), (-2); commit",
    "begin; insert into one values (-3); savepoint s; truncate one; insert into one values (-4); rollback to s; insert into one values (-5); commit",
    "begin; truncate one; rollback",
    "begin; truncate one, every; insert into one values (1), (1), (2); insert into every (i) values (1); truncate one; \
     insert into one values (3); update one set a = 4; insert into one values (4); commit",
    "truncate one; insert into one select i % 3 from generate_series(1, 50) i",
    "begin isolation level repeatable read; select count(*) from bare; truncate one; insert into one values (8), (8); delete from one where a = 8; \
     insert into one values (8); commit",
];

/// Each change by itself, then all of them as one backlog.
fn every_kind(pair: &Pair) {
    pair.source.app(TABLES);
    pair.source.app(ROWS);
    pair.stream("");
    pair.assert_migrated();
    assert_eq!(pair.table("every", "matched_by"), "all columns");
    for change in CHANGES {
        pair.source.app(change);
        pair.assert_migrated();
    }
    pair.source.app(
        ROWS.split("insert into optional")
            .next()
            .expect("the first of them"),
    );
    pair.query("SELECT repl_pause('heroku')");
    pair.poll_status("state = 'paused'");
    for change in CHANGES {
        pair.source.app(change);
    }
    pair.query("SELECT repl_resume('heroku')");
    pair.assert_migrated();
    assert_eq!(
        pair.query("select count(*) from repl_events where severity = 'error'"),
        "0"
    );
    pair.stop_migration();
}

#[test]
fn keyless_every_kind() {
    every_kind(&Pair::start());
}

#[test]
fn keyless_from_version_10() {
    if have_source(10) {
        every_kind(&Pair::builder().source_version(10).start());
    }
}

#[test]
fn keyless_from_version_12() {
    if have_source(12) {
        every_kind(&Pair::builder().source_version(12).start());
    }
}

#[test]
fn keyless_from_version_18() {
    if !have_source(18) {
        return;
    }
    let Some(newer) = Installation::target(18) else {
        return;
    };
    let pair = Pair::builder()
        .source_version(18)
        .target_conf(&format!(
            "pg_decamp.pg_bindir = '{}'",
            newer.bindir.display()
        ))
        .preload()
        .start();
    every_kind(&pair);
}

/// Writers at random while the copy is held between its snapshot and its end, and on.
#[test]
fn keyless_while_copied() {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut rng = Rng::with_seed(seed);
    let pair = Pair::start();
    let table = "create table log (a int, b numeric, c text)";
    pair.source.app(&format!(
        "{table}; insert into log select i % 50, i % 3, repeat(md5((i % 7)::text), 20) from generate_series(1, 30000) i; analyze log"
    ));
    pair.sql(table);
    let hold = Hold::at_chunk(&pair, "log", 1);
    let load = pair
        .source
        .pgbench()
        .script("\\set a random(0, 60)\ninsert into log select :a, i % 2, 'new' from generate_series(1, 3) i;\n")
        .script("\\set a random(0, 60)\nupdate log set b = b + 1.0 where ctid in (select ctid from log where a = :a limit 2);\n")
        .script("\\set a random(0, 60)\nbegin;\ndelete from log where ctid in (select ctid from log where a = :a limit 3);\n\
                 insert into log values (:a, 1.00, null), (:a, 1.0, null);\ncommit;\n")
        .clients(3)
        .rate(150)
        .start();
    pair.migrate("workers => 1");
    hold.wait();
    let written = pair.deltas();
    let more = rng.u64(50..300);
    decamp_tests::wait::until_true(SOON, "the writers write", || pair.deltas() > written + more);
    let truncated = rng.bool();
    if truncated {
        pair.source.app("begin; insert into log values (1, 1, 'before'); truncate log; insert into log values (1, 1, 'after'); commit");
    }
    hold.release();
    pair.wait_for("streaming", 2 * SOON);
    let replayed = pair.query("select inserted from repl_tables where \"table\" = 'log'");
    pair.poll(&format!(
        "select inserted > {replayed} + 100 from repl_tables where \"table\" = 'log'"
    ));
    load.stop(&pair.source);
    pair.assert_migrated();
    pair.stop_migration();
}

/// Deltas and a TRUNCATE that a copy's snapshot has seen, and others that it has not.
#[test]
fn keyless_backlog_before_a_copy() {
    let pair = Pair::start();
    pair.source.app(
        "create table log (a int, b text); insert into log select i % 10, 'x' from generate_series(1, 100) i",
    );
    pair.stream("");
    for before in [
        "insert into log values (1, 'x'), (1, 'x'); delete from log where a = 2; update log set b = 'y' where a = 3",
        "insert into log values (1, 'gone'); truncate log; insert into log select i % 3, 'z' from generate_series(1, 20) i",
    ] {
        pair.query("SELECT repl_pause('heroku')");
        pair.poll_status("state = 'paused'");
        pair.source.app(before);
        pair.query("SELECT repl_resync('heroku', 'log')");
        pair.query("SELECT repl_resume('heroku')");
        pair.source
            .app("update log set b = 'later' where a = 1; insert into log values (1, 'later')");
        pair.wait_for("streaming", 2 * SOON);
        pair.assert_migrated();
    }
    pair.stop_migration();
}

const PARTS: &str = "create table event (day date, kind text, value numeric) partition by range (day); \
     create table event_1 partition of event for values from ('2024-01-01') to ('2025-01-01'); \
     create table event_2 partition of event for values from ('2025-01-01') to ('2026-01-01') partition by list (kind); \
     create table event_2_a partition of event_2 for values in ('a', 'b'); \
     create table event_2_b partition of event_2 default";

#[test]
fn keyless_partitions() {
    let pair = Pair::start();
    pair.source.app(PARTS);
    pair.source.app("insert into event select date '2024-01-01' + i % 700, chr(97 + i % 4), i % 3 from generate_series(1, 2000) i");
    pair.stream("");
    pair.assert_migrated();
    let changes = [
        "update event set day = day + 365 where day < '2024-02-01'",
        "update event set kind = 'c' where kind = 'a' and day > '2025-03-01'; delete from event_2_b where value = 1",
        "begin; insert into event values ('2024-12-31', 'before', 0), ('2025-12-31', 'a', 0); truncate event_1; \
         insert into event values ('2024-12-31', 'after', 0), ('2024-12-31', 'after', 0); commit",
        "begin; update event set day = '2024-06-06' where kind = 'b' and day < '2025-06-01'; truncate event_2_a; \
         update event set day = '2025-06-06' where day = '2024-06-06'; commit",
        "begin; truncate event_2; rollback",
        "begin; truncate event_2; insert into event values ('2025-05-05', 'a', 1.0), ('2025-05-05', 'a', 1.00); commit",
        "begin; truncate event; insert into event select date '2024-01-01' + i % 700, chr(97 + i % 4), i from generate_series(1, 500) i; commit",
    ];
    for change in changes {
        pair.source.app(change);
        pair.assert_migrated();
    }
    pair.query("SELECT repl_pause('heroku')");
    pair.poll_status("state = 'paused'");
    for change in changes {
        pair.source.app(change);
    }
    pair.query("SELECT repl_resume('heroku')");
    pair.assert_migrated();

    // one that comes empty, one that comes with rows which are changed at once
    pair.on_both(
        "create table event_3 partition of event for values from ('2026-01-01') to ('2027-01-01')",
    );
    pair.source.app("insert into event select '2026-02-02', 'new', i % 2 from generate_series(1, 100) i; delete from event_3 where value = 1");
    pair.assert_migrated();
    pair.on_both("create table event_4 (day date, kind text, value numeric)");
    pair.source.app(
        "insert into event_4 select '2027-02-02', 'loose', i % 5 from generate_series(1, 100) i",
    );
    pair.sql("alter table event attach partition event_4 for values from ('2027-01-01') to ('2028-01-01')");
    pair.source.app(
        "alter table event attach partition event_4 for values from ('2027-01-01') to ('2028-01-01'); \
         update event set value = -1 where kind = 'loose' and value < 2; delete from event where kind = 'loose' and value = 3",
    );
    decamp_tests::wait::until_true(SOON, "the rows it came with are there", || {
        pair.query("select count(*) from event_4") == "80"
    });
    pair.assert_migrated();

    // one that goes, with rows of it changed before
    pair.source.app("update event set value = 7 where day < '2024-03-01'; update event set day = '2025-01-01' where day > '2024-11-01' and day < '2025-01-01'");
    pair.source.app("drop table event_1");
    pair.source
        .app("insert into event values ('2025-02-02', 'a', 1)");
    decamp_tests::wait::until_true(SOON, "its rows are gone", || {
        pair.query("select count(*) from event where day < '2025-01-01'") == "0"
    });
    pair.sql("drop table if exists event_1");
    pair.assert_migrated();
    pair.stop_migration();
}

/// A partition with its columns in another order would be read wrongly.
#[test]
fn keyless_partition_in_another_order() {
    let pair = Pair::start();
    pair.source.app(PARTS);
    pair.source.app(
        "create table turned (value numeric, kind text, day date); \
         alter table event attach partition turned for values from ('2030-01-01') to ('2031-01-01')",
    );
    let source = format!("source => '{}'", pair.source_uri());
    pair.start_refused(
        &source,
        "0A000",
        &["public.turned", "another order", "PRIMARY KEY"],
    );
    pair.source.app("alter table event detach partition turned");
    pair.stream("exclude => '{turned}'");
    pair.source.app(
        "alter table event attach partition turned for values from ('2030-01-01') to ('2031-01-01'); \
         insert into event values ('2030-02-02', 'x', 1)",
    );
    pair.poll_table(
        "event",
        "state = 'errored' and error like '%another order%' and hint is not null",
    );
    pair.stop_migration();
}

#[test]
fn keyless_inheritance() {
    let pair = Pair::start();
    pair.source.app(
        "create table vehicle (id int, name text); create table car (doors int) inherits (vehicle); \
         create table truck (load numeric) inherits (vehicle); \
         insert into vehicle select i % 5, 'v' from generate_series(1, 20) as i; \
         insert into car select i % 5, 'c', 4 from generate_series(1, 20) as i; insert into truck select i % 5, 't', 7.5 from generate_series(1, 20) as i",
    );
    pair.stream("");
    let changes = [
        "update vehicle set name = 'all' where id = 2; update only vehicle set name = 'only' where id = 3",
        "delete from vehicle where id = 1; delete from only truck where id = 4; insert into car values (1, 'again', 3), (1, 'again', 3)",
        "begin; insert into car values (9, 'gone', 3); truncate only vehicle; truncate car; insert into car values (9, 'kept', 3); commit",
        "insert into vehicle values (2, 'back'), (2, 'back'); update vehicle set id = id + 1",
    ];
    for change in changes {
        pair.source.app(change);
        pair.assert_migrated();
    }
    let count =
        "select count(*) from repl_tables where capture = 'row' and matched_by = 'all columns'";
    assert_eq!(pair.query(count), "3");
    assert_eq!(
        pair.source
            .query_one_text(DATABASE, "select count(*) > 10 from vehicle"),
        "t"
    );
    pair.stop_migration();
}
