//! A table that cannot go on stops alone, says why and what to do, and goes on once it is mended.

use decamp_tests::Pair;
use decamp_tests::beat::{TABLES, busy, number};
use decamp_tests::observe::{SOON, assert_says};

#[test]
fn table_that_stopped() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    let load = busy(&pair);
    pair.stream("");

    pair.sql("alter table other add constraint no_bad_values check (value <> 'very bad')");
    pair.source
        .app("update other set value = 'very bad' where id = 7");
    pair.poll_table(
        "other",
        "state = 'errored' and error like '%no_bad_values%' and hint is not null",
    );
    assert!(
        !pair.tell().contains("very bad"),
        "no row values in messages: {}",
        pair.tell()
    );
    let updated = number(&pair.table("item", "updated"));
    pair.poll_table(
        "item",
        &format!("state = 'ready' and updated > {updated} + 50"),
    );
    pair.poll_status(
        "state = 'streaming' and tables_ready = 2 and error like 'public.other%' and hint is not null \
         and summary like '1 of 3 tables stopped%'",
    );
    pair.source
        .app("update other set value = 'waits' where id = 8");
    pair.poll_table("other", "backlog >= 2");
    let error = pair.refused("SELECT repl_wait('heroku', 'caught_up', timeout => '20 seconds')");
    assert_says(&error, "55000", &["public.other", "no_bad_values"]);

    // resumed before it is mended it stops again
    pair.query("SELECT repl_resume('heroku')");
    pair.poll_table(
        "other",
        "state = 'errored' and error like '%no_bad_values%'",
    );
    pair.sql("alter table other drop constraint no_bad_values");
    assert!(
        pair.query("SELECT repl_resume('heroku')")
            .contains("1 stopped table")
    );
    pair.wait_for("caught_up", SOON);
    pair.poll_table(
        "other",
        "state = 'ready' and error is null and hint is null",
    );

    // a column that the target has lost
    pair.sql("alter table other drop column value");
    pair.source
        .app("update other set value = 'lost' where id < 10");
    pair.poll_table(
        "other",
        "state = 'errored' and error like '%value%' and hint is not null",
    );
    pair.sql("alter table other add column value text");
    pair.source.app("update other set value = value");
    pair.query("SELECT repl_resume('heroku')");

    // an index that only the target has
    pair.wait_for("caught_up", SOON);
    pair.sql("create unique index on other (value) where id in (20, 21)");
    pair.source
        .app("update other set value = 'the same' where id in (20, 21)");
    pair.poll_table(
        "other",
        "state = 'errored' and error like '%other_value_idx%' and hint is not null",
    );
    pair.sql("drop index other_value_idx");
    pair.query("SELECT repl_resume()");
    load.stop(&pair.source);
    pair.assert_migrated();
    let errors =
        "SELECT count(*) FROM repl_events WHERE severity = 'error' AND subject = 'public.other'";
    assert_eq!(pair.query(errors), "4");
}

#[test]
fn table_that_cannot_be_copied() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.sql(
        "create table item (id int primary key, value text not null check (value <> 'value 77'))",
    );
    let load = busy(&pair);
    pair.source
        .app("update item set value = 'value 77' where id = 77");
    // the load may have changed it again by the time it is copied: then there is nothing wrong with it
    load.stop(&pair.source);
    pair.source
        .app("update item set value = 'value 77' where id = 77");
    pair.migrate("");
    pair.poll_table(
        "item",
        "state = 'errored' and error like '%item_value_check%' and hint is not null",
    );
    pair.poll_table("other", "state = 'ready'");
    pair.poll_table("beat", "state = 'ready'");
    let error = pair.refused("SELECT repl_wait('heroku', 'copied', timeout => '20 seconds')");
    assert_says(&error, "55000", &["public.item"]);
    assert_eq!(pair.query("select count(*) from item"), "0");
    pair.source.app("update item set value = 'changed meanwhile' where id < 20; update other set value = 'goes on' where id = 1");
    pair.poll("select value = 'goes on' from other where id = 1");
    pair.sql("alter table item drop constraint item_value_check");
    pair.query("SELECT repl_resume('heroku')");
    pair.wait_for("streaming", SOON);
    pair.assert_migrated();
    pair.stop_migration();
}
