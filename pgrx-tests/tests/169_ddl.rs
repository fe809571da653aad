//! Tables changed on both sides at one point while the application writes: `repl_ddl`.

use decamp_tests::Pair;
use decamp_tests::observe::{SOON, assert_says};
use decamp_tests::source::DATABASE;

const TABLES: &str = "create table item (id int primary key, n int not null default 0, note text); \
     create table parts (id int primary key, n int not null default 0) partition by range (id); \
     create table parts_1 partition of parts for values from (0) to (1000); \
     create table log (n int); create table tiny (id int primary key); \
     insert into item select i from generate_series(1, 500) as i; \
     insert into parts select i from generate_series(1, 500) as i; \
     insert into log values (1); insert into tiny values (1)";

/// What both sides say to a query about their catalogs.
fn both(pair: &Pair, sql: &str) -> String {
    let source = pair.source.query_one_text(DATABASE, sql);
    assert_eq!(pair.query(sql), source, "{sql}");
    source
}

#[test]
fn ddl_under_writes() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.stream("");
    let load = pair
        .source
        .pgbench()
        .script("\\set id random(1, 500)\nupdate item set n = n + 1 where id = :id;\n")
        .script("\\set id random(1, 500)\nupdate parts set n = n + 1 where id = :id;\n")
        .script("\\set id random(501, 999)\ninsert into parts values (:id) on conflict (id) do update set n = 7;\n")
        .rate(200)
        .start();
    let ddl = |sql: &str| {
        let told = pair.query(&format!("SELECT repl_ddl('heroku', $sql${sql}$sql$)"));
        assert!(told.contains("done on both sides"), "{told}");
        told
    };
    for sql in [
        "alter table item add column extra text default 'new', add column at timestamptz default clock_timestamp()",
        "alter table item rename column note to remark",
        "alter table item alter column n type bigint",
        // a key's type: capture's own trigger would be in the way of whoever tries that on the source alone
        "alter table item alter column id type bigint",
        "create index item_n on item (n)",
        "alter table parts add column more int default 3",
        "alter table parts alter column n type bigint",
        "alter table item drop column remark",
        "create type mood as enum ('fine')",
        "create table later (id int primary key, mood mood)",
    ] {
        ddl(sql);
    }
    load.stop(&pair.source);
    ddl("alter table item rename column id to item_id");
    // the key is as wide as it now may be
    pair.source
        .app("insert into item (item_id, n) values (5000000000, 6000000000)");
    pair.wait_for("caught_up", SOON);
    pair.assert_migrated();
    both(
        &pair,
        "select string_agg(concat_ws(' ', c.relname, a.attname, format_type(a.atttypid, a.atttypmod)), ',' order by c.relname, a.attnum) \
         from pg_attribute a join pg_class c on c.oid = a.attrelid \
         where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'i') and a.attnum > 0 and not a.attisdropped",
    );
    // none of it passed for a difference
    assert_eq!(
        pair.query("SELECT count(*) FROM repl_events WHERE severity = 'error'"),
        "0",
        "{}",
        pair.tell()
    );
    assert_eq!(
        pair.query("SELECT count(*) FROM repl_events WHERE message LIKE '%copied anew%'"),
        "0",
        "{}",
        pair.tell()
    );
    // these are
    let told = ddl("alter table log add column more int default 2");
    assert!(told.contains("copied anew: public.log"), "{told}");
    pair.source.app("insert into log values (2, 3)");
    let told = ddl(
        "alter table tiny drop constraint tiny_pkey, add column other int not null default 1, add primary key (id, other)",
    );
    assert!(told.contains("copied anew: public.tiny"), "{told}");
    pair.source
        .app("insert into tiny values (1, 2); update tiny set other = 5 where other = 2");
    let told = ddl("drop table parts");
    assert!(told.contains("taken out: public.parts"), "{told}");
    pair.poll("SELECT count(*) = 0 FROM repl_tables WHERE \"table\" = 'parts'");
    pair.wait_for("streaming", SOON);
    pair.wait_for("caught_up", SOON);
    pair.query("SELECT repl_remove_table('heroku', 'later')");
    assert_eq!(
        pair.query("SELECT count(*) FROM repl_events WHERE severity = 'error'"),
        "0",
        "{}",
        pair.tell()
    );
    pair.assert_migrated();
    pair.stop_migration();
}

#[test]
fn ddl_is_done_on_both_sides_or_on_none() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.stream("");
    let refused = |sql: &str| {
        pair.refused(&format!(
            "SELECT repl_ddl('heroku', $sql${sql}$sql$, '3 seconds')"
        ))
    };
    assert_says(
        &refused("alter table nothing add column a int"),
        "42P01",
        &["Nothing has been changed"],
    );
    assert_says(
        &refused("update item set n = 1"),
        "0A000",
        &["public.item", "on the source"],
    );
    assert_says(
        &refused("alter table item drop constraint item_pkey"),
        "0A000",
        &["key of public.item"],
    );
    assert_says(
        &refused("create index concurrently on item (n)"),
        "25001",
        &["by hand"],
    );
    assert_says(&refused("commit"), "0A000", &["repl_ddl itself"]);
    assert_says(
        &refused("alter table item add a int; alter table item add b int"),
        "42601",
        &["One statement a call"],
    );
    // what the target takes and the source does not
    pair.source.app("create view seen as select note from item");
    assert_says(
        &refused("alter table item drop column note"),
        "2BP01",
        &["taken back"],
    );
    assert_says(
        &pair.refused("BEGIN; SELECT repl_ddl('heroku', 'select 1'); COMMIT"),
        "25001",
        &["outside BEGIN"],
    );
    // locked on the source for longer than we may wait
    let mut holder = pair.source.connect_as_app();
    holder
        .batch_execute("begin; lock table item in access share mode")
        .expect("a lock");
    assert_says(
        &refused("alter table item add column late int"),
        "55P03",
        &["Nothing has been changed", "pg_blocking_pids"],
    );
    drop(holder);
    both(
        &pair,
        "select string_agg(attname, ',' order by attnum) from pg_attribute where attrelid = 'item'::regclass and attnum > 0 and not attisdropped",
    );
    pair.source
        .app("drop view seen; update item set n = 9, id = id + 1000; update parts set n = 4");
    pair.wait_for("caught_up", SOON);
    pair.assert_migrated();
    assert_says(
        &pair.refused("SELECT repl_ddl('other', 'select 1')"),
        "42704",
        &["heroku"],
    );
    assert_says(
        &pair.refused("SELECT repl_ddl('heroku', NULL)"),
        "22004",
        &["sql"],
    );
    pair.query("SELECT repl_fence('heroku')");
    assert_says(
        &refused("alter table item add column late int"),
        "55000",
        &["repl_unfence"],
    );
    pair.query("SELECT repl_unfence('heroku')");
    pair.stop_migration();
}
