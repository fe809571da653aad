//! Every kind of change a row can go through: replayed one by one while streaming, all at once after a pause, and while
//! the copy is under way. `051_partitions.rs` has partitions and inheritance, `052_columns.rs` changed columns.

use std::io::Write;
use std::time::Duration;

use decamp_tests::Pair;
use decamp_tests::compare::assert_same;
use decamp_tests::observe::SOON;
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::scenario::{Scenario, prepare};
use decamp_tests::source::DATABASE;

/// Step by step: the first change of every scenario, the second, ... and what is to be done after each.
fn change(pair: &Pair, scenarios: &[&Scenario], mut after: impl FnMut(usize)) {
    let steps = scenarios.iter().map(|s| s.changes.len()).max().unwrap_or(0);
    for step in 0..steps {
        for scenario in scenarios {
            if let Some(sql) = scenario.changes.get(step) {
                pair.source.app(sql);
            }
        }
        after(step);
    }
}

fn assert_smooth(pair: &Pair) {
    let errors = "SELECT coalesce(string_agg(subject || ': ' || message, E'\\n'), '') FROM repl_events WHERE severity = 'error'";
    assert_eq!(pair.query(errors), "");
}

#[test]
fn changes_while_streaming() {
    let pair = Pair::start();
    let scenarios = prepare(&pair);
    pair.stream("");
    change(&pair, &scenarios, |step| {
        pair.wait_for("caught_up", SOON);
        println!("after step {}", step + 1);
        assert_same(&pair.source, DATABASE, &pair.target, TARGET_DATABASE);
    });
    assert_smooth(&pair);
    pair.stop_migration();
}

#[test]
fn changes_while_paused() {
    let pair = Pair::start();
    let scenarios = prepare(&pair);
    pair.stream("");
    pair.query("SELECT repl_pause('heroku')");
    pair.poll_status("state = 'paused'");
    change(&pair, &scenarios, |_| ());
    pair.query("SELECT repl_resume('heroku')");
    pair.assert_migrated();
    assert_smooth(&pair);
}

#[test]
fn changes_while_copying() {
    let pair = Pair::start();
    let scenarios = prepare(&pair);
    pair.sql("create extension citext");
    for scenario in &scenarios {
        pair.sql(scenario.tables);
    }
    let mut lock = pair.target.connect(TARGET_DATABASE);
    // where every chunk begins
    lock.batch_execute("begin; lock table decamp.applied in share mode")
        .expect("a table to lock");
    pair.migrate("copy_schema => false");
    pair.poll_status("state = 'copying' and workers > 1");
    change(&pair, &scenarios, |step| {
        if step == 4 {
            // from here on copy and changes go side by side
            lock.batch_execute("commit").expect("the lock goes");
        }
    });
    pair.wait_for("streaming", Duration::from_secs(60));
    pair.assert_migrated();
    assert_smooth(&pair);
}

/// Exchanges of unique values and moves of whole rows: each transaction is legal, what they leave together is a nightmare.
#[test]
fn changes_many_swaps() {
    let pair = Pair::start();
    pair.source.app(
        "create table seats (id int primary key, seat int unique, line text, n int, unique (line, n)); \
         insert into seats select i, i, 'line ' || i % 3, i from generate_series(1, 60) as i; \
         create function exchange(one int, other int) returns void language plpgsql as $$ \
         declare a seats; b seats; \
         begin \
             select * into a from seats where id = least(one, other) for update; \
             select * into b from seats where id = greatest(one, other) for update; \
             if a.id is null or b.id is null then return; end if; \
             update seats set seat = null, n = null where id = a.id; \
             update seats set seat = a.seat, n = a.n, line = a.line where id = b.id; \
             update seats set seat = b.seat, n = b.n, line = b.line where id = a.id; \
         end $$; \
         create function move(one int) returns void language plpgsql as $$ \
         declare a seats; \
         begin \
             delete from seats where id = one returning * into a; \
             if found then insert into seats values (a.id * -1, a.seat, a.line, a.n); end if; \
         end $$",
    );
    pair.stream("");
    let load = pair
        .source
        .pgbench()
        .script("\\set a random(1, 60)\n\\set b random(1, 60)\nselect exchange(:a, :b) where :a <> :b;\n")
        .script("\\set a random(1, 60)\n\\set s random(0, 1)\nselect move(:a * (1 - 2 * :s));\n")
        // one writer: two would spend their time in deadlocks
        .clients(1)
        .rate(300)
        .start();
    let replayed = "SELECT updated > 300 AND inserted > 30 AND deleted > 30";
    pair.poll(&format!("{replayed} FROM repl_tables"));
    pair.query("SELECT repl_pause('heroku')");
    pair.poll_status("state = 'paused'");
    let deltas = pair.deltas();
    decamp_tests::wait::until_true(SOON, "a backlog of exchanges", || {
        pair.deltas() > deltas + 1000
    });
    load.stop(&pair.source);
    pair.query("SELECT repl_resume('heroku')");
    pair.assert_migrated();
    assert_smooth(&pair);
}

#[test]
fn changes_by_copy() {
    let pair = Pair::start();
    pair.source.app(
        "create table copied (id int primary key, value text); create table bulk (id int primary key, value int); \
         insert into bulk select i, i from generate_series(1, 70000) as i",
    );
    pair.stream("");
    let mut client = pair.source.connect_as_app();
    let mut writer = client
        .copy_in("copy copied from stdin")
        .expect("COPY starts");
    for i in 0..5000 {
        writeln!(writer, "{i}\tvalue\\t{i}").expect("a row goes");
    }
    writer.finish().expect("COPY ends");
    client
        .batch_execute("update bulk set value = value + 1; delete from bulk where id % 3 = 0")
        .expect("many rows at once");
    pair.assert_migrated();
    client
        .batch_execute("update bulk set id = -id; truncate copied")
        .expect("every key at once");
    pair.assert_migrated();
    assert_smooth(&pair);
}

/// A table of the target alone refers to what the source empties.
#[test]
fn changes_truncate_what_the_target_refers_to() {
    let pair = Pair::start();
    pair.source.app(
        "create table emptied (id int primary key, value text); insert into emptied select i, 'x' from generate_series(1, 100) as i",
    );
    pair.stream("");
    pair.sql("create table outside (id int primary key, emptied int references emptied); insert into outside values (1, 7), (2, null)");
    pair.source.app("begin; insert into emptied values (200, 'before'); truncate emptied; insert into emptied values (7, 'after'); commit");
    pair.wait_for("caught_up", SOON);
    assert_eq!(
        pair.query("select count(*) from outside"),
        "2",
        "no row of somebody else is lost"
    );
    pair.sql("drop table outside");
    pair.assert_migrated();
    assert_smooth(&pair);
    pair.stop_migration();
}
