//! One more table taken in while the others stream: `repl_add_table`.

use decamp_tests::observe::{SOON, assert_says};
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::{Pair, wait};

const TABLES: &str = "create schema \"Sales\"; \
     create table item (id int primary key, n int not null default 0); \
     create table old (id int primary key, item int references item); \
     insert into item select i from generate_series(1, 2000) as i; \
     insert into old select i, i from generate_series(1, 100) as i";

#[test]
fn added_while_the_others_stream() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.migrate("tables => array['public.item']");
    pair.wait_for("streaming", SOON);
    let load = pair
        .source
        .pgbench()
        .script("\\set id random(1, 2000)\nupdate item set n = n + 1 where id = :id;\n")
        .rate(100)
        .start();

    // one that was there from the beginning, and refers to one that is followed; one of a type the target lacks
    pair.source.app(
        "create type \"Sales\".mood as enum ('fine', 'odd'); \
         create table \"Sales\".\"Late\" (id bigserial primary key, mood \"Sales\".mood, item int references item, unique (mood, id)); \
         create index on \"Sales\".\"Late\" (item); \
         insert into \"Sales\".\"Late\" (mood, item) select 'fine', i from generate_series(1, 1500) as i",
    );
    pair.query("SELECT repl_add_table('heroku', 'old')");
    pair.wait_for("streaming", SOON);
    pair.query("SELECT repl_add_table('heroku', '\"Sales\".\"Late\"')");
    let changes = pair
        .source
        .pgbench()
        .script("insert into \"Sales\".\"Late\" (mood, item) values ('odd', 1);\n")
        .script("update old set item = item % 100 + 1;\n")
        .rate(50)
        .start();
    let ready = "SELECT count(*) = 3 FROM repl_tables WHERE state = 'ready'";
    pair.target.poll_until(TARGET_DATABASE, ready, SOON);
    drop(load);
    changes.stop(&pair.source);
    pair.assert_migrated();
    let told = "SELECT count(*) = 2 FROM repl_events WHERE message LIKE '%repl_add_table%'";
    assert_eq!(pair.query(told), "t");
    let foreign_keys = "SELECT count(*) = 2 FROM pg_constraint WHERE conname IN ('old_item_fkey', 'Late_item_fkey') AND convalidated";
    pair.target.poll_until(TARGET_DATABASE, foreign_keys, SOON);
    pair.stop_migration();
}

#[test]
fn added_to_one_that_is_paused_or_dies() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.migrate("tables => array['public.item']");
    pair.wait_for("streaming", SOON);
    pair.query("SELECT repl_pause('heroku')");
    pair.query("SELECT repl_add_table('heroku', 'public.old')");
    pair.query("SELECT repl_resume('heroku')");
    pair.kill(decamp_tests::workers::Worker::Apply);
    let ready = "SELECT count(*) = 2 FROM repl_tables WHERE state = 'ready'";
    wait::until_true(2 * SOON, "both are ready", || {
        pair.target
            .try_rows(TARGET_DATABASE, ready)
            .is_ok_and(|rows| rows.concat() == ["t"])
    });
    pair.assert_migrated();
}

#[test]
fn add_table_refuses() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.source.app(
        "create table \"Sales\".old (id int primary key); \
         create table keyed (id int) partition by range (id); \
         create table keyed_1 partition of keyed for values from (1) to (9); \
         create table filled (id int primary key); insert into filled values (1)",
    );
    let add = |arguments: &str| pair.refused(&format!("SELECT repl_add_table({arguments})"));
    assert_says(&add("'heroku', 'old'"), "42704", &["heroku"]);
    pair.sql("create table filled (id int primary key); insert into filled values (2)");
    pair.migrate("tables => array['public.item']");
    pair.wait_for("streaming", SOON);
    assert_says(&add("NULL, 'old'"), "22004", &["name"]);
    assert_says(&add("'heroku', NULL"), "22004", &["table"]);
    assert_says(&add("'heroku', 'old;'"), "22023", &[]);
    assert_says(&add("'heroku', 'item'"), "42710", &["repl_resync"]);
    assert_says(&add("'heroku', 'old'"), "42P09", &["schema"]);
    assert_says(&add("'heroku', 'public.nothing'"), "42P01", &["nothing"]);
    let partition = add("'heroku', 'public.keyed_1'");
    assert!(!partition.message().is_empty(), "{partition}");
    let filled = add("'heroku', 'filled'");
    assert!(
        filled.message().contains("filled"),
        "rows of somebody else's are not overwritten: {filled}"
    );
    assert_eq!(
        pair.query("SELECT count(*) FROM repl_tables"),
        "1",
        "nothing was changed"
    );
    assert_eq!(pair.query("SELECT count(*) FROM filled"), "1");
    pair.query("SELECT repl_add_table('heroku', 'public.old')");
    pair.wait_for("streaming", SOON);
    assert_eq!(pair.query("SELECT count(*) FROM old"), "100");
}
