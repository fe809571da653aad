//! Tables that come later are told of, once; tables are taken out while the others stream: `repl_remove_table`.

use decamp_tests::Pair;
use decamp_tests::hold::Hold;
use decamp_tests::load::Running;
use decamp_tests::observe::{SOON, assert_says};
use decamp_tests::source::DATABASE;
use decamp_tests::workers::Worker;

const TABLES: &str = "create table item (id int primary key, n int not null default 0); \
     create table parts (id int primary key, n int not null default 0) partition by range (id); \
     create table parts_1 partition of parts for values from (0) to (1000); \
     create table heir_of (id int primary key); create table heir (n int, primary key (id)) inherits (heir_of); \
     create table referring (id int primary key, item int references item); \
     insert into item select i from generate_series(1, 500) as i; \
     insert into parts select i from generate_series(1, 500) as i; \
     insert into heir select i, i from generate_series(1, 50) as i; \
     insert into referring select i, i from generate_series(1, 50) as i";

fn busy(pair: &Pair) -> Running {
    pair.source
        .pgbench()
        .script("\\set id random(1, 500)\nupdate item set n = n + 1 where id = :id;\n")
        .script("\\set id random(1, 500)\nupdate parts set n = n + 1 where id = :id;\n")
        .rate(100)
        .start()
}

fn is_out(pair: &Pair, table: &str) {
    pair.poll(&format!(
        "SELECT count(*) = 0 FROM repl_tables WHERE \"table\" = '{table}'"
    ));
}

/// What is left of a table's capture on the source.
fn left(pair: &Pair, table: &str) -> Vec<Vec<String>> {
    pair.source.rows(
        DATABASE,
        &format!(
            "select tgname, tgrelid::regclass::text from pg_trigger where tgname like 'decamp%' and tgrelid = '{table}'::regclass \
             union all select relname, '' from pg_class where relname like 'delta\\_' || '{table}'::regclass::oid || '\\_%' \
             union all select proname, '' from pg_proc where proname like 'capture\\_' || '{table}'::regclass::oid || '%'"
        ),
    )
}

#[test]
fn taken_out_of_every_kind() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.stream("");
    let load = busy(&pair);
    for table in ["parts", "heir", "referring"] {
        assert!(left(&pair, table).len() > 5, "{table}");
        let rows = format!("select count(*) from {table}");
        let before = pair.query(&rows);
        let told = pair.query(&format!("SELECT repl_remove_table('heroku', '{table}')"));
        assert!(told.contains("stay"), "{told}");
        is_out(&pair, table);
        assert_eq!(left(&pair, table), [[""; 0]; 0]);
        assert_eq!(pair.query(&rows), before);
    }
    // nobody hears of it any more
    pair.source
        .app("delete from heir; create table unrelated (id int)");
    pair.poll("SELECT count(*) = 1 FROM repl_events WHERE subject = 'public.unrelated'");
    assert_eq!(pair.query("select count(*) from heir"), "50");
    pair.poll_status("hint like '%unrelated%' and hint not like '%more%'");
    pair.query("SELECT repl_remove_table('heroku', 'unrelated')");
    pair.poll_status("hint is null");
    // killed in the middle of it
    pair.query("SELECT repl_remove_table('heroku', 'heir_of')");
    pair.terminate(Worker::Apply);
    is_out(&pair, "heir_of");
    load.stop(&pair.source);
    pair.wait_for("caught_up", SOON);
    assert_eq!(
        pair.query("select sum(n) from item"),
        pair.source
            .query_one_text(DATABASE, "select sum(n) from item")
    );
    // and in again, with what happened meanwhile
    pair.sql("truncate heir");
    pair.source.app("insert into heir values (77, 7)");
    pair.query("SELECT repl_add_table('heroku', 'heir')");
    pair.poll_table("heir", "state = 'ready'");
    pair.poll("SELECT count(*) = 1 FROM heir WHERE id = 77");
    pair.stop_migration();
}

#[test]
fn tables_that_come_later_are_told_of_once() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.migrate("tables => array['public.*'], exclude => array['public.not_*']");
    pair.wait_for("streaming", SOON);
    assert_eq!(pair.status("hint"), "");
    pair.sql("create table parts_2 partition of parts for values from (1000) to (2000)");
    pair.source.app(
        "create schema other; create table other.aside (id int primary key); create table not_wanted (id int primary key); \
         create table \"New One\" (id int primary key); insert into \"New One\" select generate_series(1, 20); \
         create table parts_2 partition of parts for values from (1000) to (2000); \
         create table keyless (id int)",
    );
    let told = "SELECT string_agg(subject, ',' ORDER BY subject COLLATE \"C\") FROM repl_events WHERE message LIKE '%new on the source%'";
    pair.poll(&format!(
        "SELECT ({told}) = 'public.\"New One\",public.keyless'"
    ));
    pair.poll_status("error is null and hint like '%repl_add_table%' and hint like '%1 more%'");
    pair.terminate(Worker::Apply);
    // what it is told to type takes it in
    let advice = pair.query(
        "SELECT split_part(detail, ' takes it in', 1) FROM repl_events WHERE subject = 'public.\"New One\"' AND detail LIKE '%repl_add_table%'",
    );
    pair.wait_for("streaming", SOON);
    pair.query(&advice);
    pair.poll_table("New One", "state = 'ready'");
    assert_eq!(pair.query("select count(*) from \"New One\""), "20");
    pair.poll_status("hint like '%keyless%' and hint not like '%more%'");
    assert_eq!(
        pair.query(&format!("SELECT ({told})")),
        "public.\"New One\",public.keyless"
    );
    pair.source.app("drop table keyless");
    pair.poll_status("hint is null");
    pair.stop_migration();
}

/// 6 MB with indexes, in chunks of two.
const LARGE: &str = "create table large (id int primary key, n int unique, pad text); create index on large (pad); \
     insert into large select i, i, repeat('x', 100) from generate_series(1, 40000) as i; \
     create table pointing (id int primary key, large int references large); insert into pointing select i, i from generate_series(1, 40000) as i; \
     create table item (id int primary key, n int not null default 0); insert into item values (1, 0)";

#[test]
fn taken_out_in_the_middle_of_its_copy() {
    let pair = Pair::start_cut();
    pair.source.app(LARGE);
    pair.sql("create table large (id int primary key, n int unique, pad text); create index on large (pad)");
    let hold = Hold::at_chunk(&pair, "large", 2);
    pair.migrate("workers => 1");
    hold.wait();
    let definitions =
        "select count(*) from pg_index where indrelid = 'large'::regclass and indisvalid";
    pair.query("SELECT repl_remove_table('heroku', 'large')");
    let error = pair.refused("SELECT repl_add_table('heroku', 'large')");
    assert_says(&error, "55000", &["taken out"]);
    hold.release();
    is_out(&pair, "large");
    pair.poll(&format!("SELECT ({definitions}) = 3"));
    pair.wait_for("streaming", SOON);
    assert_eq!(left(&pair, "large"), [[""; 0]; 0]);
    // the foreign key that refers to it is not made behind anybody's back, but its SQL is kept
    assert!(
        pair.events("ADD CONSTRAINT") > 0 || pair.events("add constraint") > 0,
        "{}",
        pair.tell()
    );
    pair.stop_migration();
}

#[test]
fn remove_table_refuses() {
    let pair = Pair::start();
    pair.source.app(
        "create table item (id int primary key); create table other (id int primary key); \
         create table parts (id int primary key) partition by range (id); \
         create table parts_1 partition of parts for values from (0) to (1000)",
    );
    let remove = |arguments: &str| pair.refused(&format!("SELECT repl_remove_table({arguments})"));
    assert_says(&remove("'heroku', 'item'"), "42704", &["heroku"]);
    pair.migrate("exclude => array['public.other']");
    pair.wait_for("streaming", SOON);
    assert_says(&remove("'heroku', 'nothing'"), "42P01", &["repl_tables"]);
    assert_says(&remove("'heroku', 'other'"), "42P01", &["repl_tables"]);
    assert_says(&remove("'heroku', 'parts_1'"), "42P01", &["root"]);
    assert_says(&remove("'heroku', 'a;b'"), "22023", &[]);
    assert_says(&remove("NULL, 'item'"), "22004", &["name"]);
    assert_says(&remove("'heroku', NULL"), "22004", &["table"]);
    // while it is read on the source nobody waits for us, and it goes when it can
    let mut reader = pair.source.connect_as_app();
    reader
        .batch_execute("begin; select * from item")
        .expect("a row");
    pair.query("SELECT repl_remove_table('heroku', 'item')");
    pair.poll("SELECT count(*) > 0 FROM repl_events WHERE subject = 'public.item' AND message LIKE '%waits for a lock%'");
    pair.poll_table("item", "state = 'leaving'");
    pair.source.app("insert into parts values (1)");
    pair.poll("SELECT count(*) = 1 FROM parts");
    drop(reader);
    is_out(&pair, "item");
    assert_says(&remove("'heroku', 'parts'"), "55000", &["repl_stop"]);
    pair.stop_migration();
}
