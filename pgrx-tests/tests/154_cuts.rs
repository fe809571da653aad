//! How tables are cut into chunks: by ranges of their key on old sources, partition by partition, and not at all.

use decamp_tests::hold::Hold;
use decamp_tests::observe::SOON;
use decamp_tests::{Pair, have_source};

/// Tables of about 6 MB with all sorts of leading key columns; `analyze` comes after.
const KEYED: &str = r#"
create table by_int (id int primary key, pad text not null);
create table by_bigint (id bigint primary key, pad text not null);
create table by_small (kind smallint, id int, pad text not null, primary key (kind, id));
create table by_uuid (id uuid primary key, pad text not null);
create table by_text (name text primary key, pad text not null);
create table by_varchar (name varchar(60) primary key, pad text not null);
create table by_time (at timestamptz, pad text not null, primary key (at));
create table by_local_time (at timestamp(3) primary key, pad text not null);
create table by_date (day date, n int, pad text not null, primary key (day, n));
create domain number as bigint check (value > -100000000);
create table by_domain (id number primary key, pad text not null);
create table "By ""Case""" ("Key ""One""" text, "Key'Two" int, pad text not null, primary key ("Key ""One""", "Key'Two"));
create table by_numeric (id numeric primary key, pad text not null);
create table by_c (name text collate "C" primary key, pad text not null);
create table by_unique (a int, b int not null unique, pad text not null);
create table unknown (id int primary key, pad text not null);
alter table unknown set (autovacuum_enabled = off)
"#;
const ROWS: &str = r#"
set timezone = 'America/New_York';
set datestyle = 'SQL, DMY';
insert into by_int select i * 7 - 50000, repeat(md5(i::text), 12) from generate_series(1, 15000) as i;
insert into by_bigint select i::bigint * 1000000007 * (i % 3 - 1) + i, repeat(md5(i::text), 12) from generate_series(1, 15000) as i;
insert into by_small select (i % 5)::smallint - 2, i, repeat(md5(i::text), 12) from generate_series(1, 15000) as i;
insert into by_uuid select md5(i::text)::uuid, repeat(md5(i::text), 12) from generate_series(1, 15000) as i;
insert into by_text select chr(33 + i % 94) || '''"\' || chr(20000 + i % 3000) || md5(i::text) || E'\n', repeat(md5(i::text), 12) from generate_series(1, 15000) as i;
insert into by_text values ('', 'empty'), (' ', 'space'), ('NULL', 'null'), ('{}', 'braces'), ('a,b', 'comma'), (E'\\', 'backslash');
insert into by_varchar select name || 'x', pad from by_text where length(name) < 50;
insert into by_time select timestamptz '2020-02-29 23:59:59.999999+00' + i * interval '7 minutes 1 microsecond', repeat(md5(i::text), 12) from generate_series(1, 15000) as i;
insert into by_time values ('infinity', 'end'), ('-infinity', 'begin'), ('0044-03-15 00:00:00+00 BC', 'ides');
insert into by_local_time select at at time zone 'UTC' + interval '1 ms' * row_number() over (order by at), pad from by_time where isfinite(at) on conflict do nothing;
insert into by_date select date '2020-01-01' + i % 400, i, repeat(md5(i::text), 12) from generate_series(1, 15000) as i;
insert into by_domain select i, repeat(md5(i::text), 12) from generate_series(-7500, 7500) as i;
insert into "By ""Case""" select md5((i % 50)::text) || '''', i, repeat(md5(i::text), 12) from generate_series(1, 15000) as i;
insert into by_numeric select i + 0.5, repeat(md5(i::text), 12) from generate_series(1, 15000) as i;
insert into by_c select md5(i::text), repeat(md5(i::text), 12) from generate_series(1, 15000) as i;
insert into by_unique select null, i, repeat(md5(i::text), 12) from generate_series(1, 15000) as i;
analyze by_int; analyze by_bigint; analyze by_small; analyze by_uuid; analyze by_text; analyze by_varchar; analyze by_time;
analyze by_local_time; analyze by_date; analyze by_domain; analyze "By ""Case"""; analyze by_numeric; analyze by_c; analyze by_unique;
insert into unknown select i, repeat(md5(i::text), 12) from generate_series(1, 15000) as i
"#;

fn by_keys(major: u32) {
    if !have_source(major) {
        return;
    }
    let pair = Pair::builder().source_version(major).cut().start();
    pair.source.app(KEYED);
    pair.source.app(ROWS);
    let load = pair
        .source
        .pgbench()
        .script("\\set n random(1, 15000)\nupdate by_int set id = - id - 1000000 where id = :n * 7 - 50000;\n")
        .script("\\set n random(1, 15000)\nupdate by_uuid set id = md5(:n || 'x')::uuid, pad = 'moved' where id = md5(:n::text)::uuid;\n")
        .script("\\set n random(1, 15000)\nupdate by_unique set b = b + 1000000 where b = :n;\n")
        .script("\\set n random(1, 15000)\nupdate by_small set kind = 1 - kind where id = :n;\n")
        .rate(100)
        .start();
    pair.migrate("workers => 2");
    pair.wait_for("streaming", SOON);
    load.stop(&pair.source);
    // the last two: types and collations whose order is not known to be that of their text
    let cut =
        "SELECT string_agg(\"table\", ', ' ORDER BY \"table\") FROM repl_tables WHERE chunks = 1";
    assert_eq!(pair.query(cut), "by_c, by_numeric, unknown");
    let few = "SELECT string_agg(format('%s: %s', \"table\", chunks), ', ') FROM repl_tables WHERE chunks BETWEEN 2 AND 3 OR chunks > 9";
    assert_eq!(pair.query(few), "", "about four chunks each");
    let even = "SELECT string_agg(format('%s: %s', name, rows_done), ', ') FROM decamp.task t JOIN decamp.relation r USING (source_oid) \
                WHERE t.kind = 'chunk' AND r.name NOT IN ('by_c', 'by_numeric', 'unknown') AND t.rows_done > 7500";
    assert_eq!(
        pair.query(&even.replace("', name,", "', r.name,")),
        "",
        "half of a table in one chunk"
    );
    pair.assert_migrated();
    pair.wait_until_built();
    pair.stop_migration();
}

#[test]
fn cut_by_keys_of_10() {
    by_keys(10);
}

#[test]
fn cut_by_keys_of_12() {
    by_keys(12);
}

const PARTED: &str = "create table parted (id int, day int, n int default 0, pad text, primary key (day, id), unique (id, day)) partition by range (day); \
     create table parted_1 partition of parted for values from (0) to (10); \
     create table parted_2 partition of parted for values from (10) to (20) partition by list (day); \
     create table parted_2_a partition of parted_2 for values in (10, 11, 12, 13, 14); \
     create table parted_2_b partition of parted_2 default; \
     create table parted_3 partition of parted for values from (20) to (30); \
     create table parted_4 partition of parted for values from (30) to (40); \
     create index on parted (n); create index on parted_3 (pad, n)";

fn parted() -> Pair {
    let pair = Pair::start_cut();
    pair.on_both(PARTED);
    pair.source.app(
        "insert into parted (id, day, pad) select i, i % 30, repeat(md5(i::text), 8) from generate_series(1, 60000) as i; analyze parted",
    );
    pair
}

/// Rows that move between partitions, from copied ones to others and back, while leaves are copied in pieces.
#[test]
fn cut_leaves_of_partitioned_tables() {
    let pair = parted();
    let hold = Hold::at_chunk(&pair, "parted", 5);
    pair.migrate("workers => 1");
    hold.wait();
    let leaves =
        "SELECT count(DISTINCT member) = 5 AND count(*) > 10 FROM decamp.task WHERE kind = 'chunk'";
    assert_eq!(pair.query(leaves), "t");
    for sql in [
        "update parted set n = n + 1 where id % 5 = 0",
        "update parted set day = day + 15 where day < 15 and id % 7 = 0",
        "update parted set day = day - 20 where day >= 20 and id % 11 = 0",
        "update parted set day = 30 + day % 10 where id % 13 = 0",
        "begin; delete from parted where id % 17 = 0; insert into parted select i, (i + 10) % 30, 1, 'elsewhere' \
         from generate_series(17, 60000, 17) as i; commit",
    ] {
        pair.source.app(sql);
    }
    hold.release();
    pair.wait_for("streaming", SOON);
    pair.wait_until_built();
    assert_eq!(
        pair.query("SELECT rows_copied > 60000 FROM repl_tables"),
        "t",
        "rows were copied twice"
    );
    pair.assert_migrated();
    pair.stop_migration();
}

/// Partitions that go and come while chunks are copied.
#[test]
fn cut_leaves_that_come_and_go() {
    let pair = parted();
    let hold = Hold::at_chunk(&pair, "parted", 4);
    pair.migrate("workers => 1");
    hold.wait();
    // parts of the first are copied; nothing of the others
    pair.source.app("drop table parted_3");
    pair.source
        .app("alter table parted detach partition parted_4; alter table parted_2 detach partition parted_2_b");
    pair.source.app(LOOSE);
    pair.source.app(LOOSE_ROWS);
    pair.source.app(ATTACH);
    pair.source
        .app("update parted set n = 6 where day % 10 = 5");
    hold.release();
    // its rows cannot go anywhere until it is there as well
    pair.poll_table(
        "parted",
        "state = 'errored' and error is not null and hint is not null",
    );
    assert_eq!(pair.table("parted", "indexes_missing"), "0");
    pair.sql(LOOSE);
    pair.sql(ATTACH);
    pair.query("SELECT repl_resume('heroku')");
    pair.wait_for("caught_up", SOON);
    // what has left is a table of its own, which nobody asked for
    pair.source.app("drop table parted_4, parted_2_b");
    pair.sql("drop table parted_3, parted_4, parted_2_b");
    pair.assert_migrated();
    assert_eq!(pair.query("select count(*) from parted_5"), "20000");
    for part in [
        "partition public.parted_3 left",
        "partition public.parted_5 came",
    ] {
        assert_eq!(pair.events(part), 1, "{part}: {}", pair.tell());
    }
    pair.stop_migration();
}

const LOOSE: &str = "create table parted_5 (id int not null, day int not null, n int default 0, pad text, primary key (day, id), unique (id, day))";
const LOOSE_ROWS: &str = "insert into parted_5 select i, 40 + i % 10, 5, repeat('new', 60) from generate_series(1, 20000) as i";
const ATTACH: &str = "alter table parted attach partition parted_5 for values from (40) to (50)";

/// It comes on both sides, while the keys and indexes of the others are off the target.
#[test]
fn cut_with_a_new_partition_on_the_target() {
    let pair = parted();
    let hold = Hold::at_chunk(&pair, "parted", 4);
    pair.migrate("workers => 1");
    hold.wait();
    pair.on_both(LOOSE);
    pair.source.app(LOOSE_ROWS);
    pair.on_both(ATTACH);
    hold.release();
    pair.wait_for("streaming", SOON);
    pair.wait_until_built();
    pair.assert_migrated();
    let invalid =
        "SELECT count(*) FROM pg_index WHERE indrelid = 'parted'::regclass AND NOT indisvalid";
    assert_eq!(pair.query(invalid), "0");
    pair.stop_migration();
}

/// Tables of which little is known or that have an odd shape.
#[test]
fn cut_of_odd_tables() {
    let pair = Pair::start_cut();
    pair.source.app(
        "create table empty (id int primary key); \
         create table emptied (id int primary key, pad text); \
         create table unknown (id int primary key, pad text); alter table unknown set (autovacuum_enabled = off); \
         create table toasted (id int primary key, value text); alter table toasted alter value set storage external; \
         create table narrow (id int primary key); \
         create table one (id int primary key, value text); alter table one alter value set storage external",
    );
    pair.source.app(
        "insert into emptied select i, repeat(md5(i::text), 8) from generate_series(1, 40000) as i; delete from emptied; \
         insert into unknown select i, repeat(md5(i::text), 8) from generate_series(1, 20000) as i; \
         insert into toasted select i, repeat(md5(i::text), 1000) from generate_series(1, 400) as i; analyze toasted; \
         insert into narrow select generate_series(1, 100); insert into one values (1, repeat('one', 4000000))",
    );
    pair.migrate("workers => 2");
    pair.wait_for("streaming", SOON);
    let chunks = |table: &str| pair.chunks(table);
    assert_eq!((chunks("empty"), chunks("narrow")), (1, 1));
    // its file is as large as if it were full; or vacuum was there before
    assert!(
        (1..=10).contains(&chunks("emptied")),
        "{}",
        chunks("emptied")
    );
    assert!(
        (3..=6).contains(&chunks("unknown")),
        "{}",
        chunks("unknown")
    );
    // 13 MB, of which the heap has three or four pages
    assert!(
        (2..=8).contains(&chunks("toasted")),
        "{}",
        chunks("toasted")
    );
    assert_eq!(chunks("one"), 1, "one page");
    assert_eq!(
        pair.query("SELECT sum(rows_copied) FROM repl_tables"),
        "20501"
    );
    pair.assert_migrated();
    pair.wait_until_built();
    pair.stop_migration();
}
