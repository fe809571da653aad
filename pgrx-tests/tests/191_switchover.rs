//! Going over: under load, with all that belongs to it; a rehearsal changes nothing; and who is not ready is told why.

use std::time::Duration;

use decamp_tests::load::Insistent;
use decamp_tests::managed::{self, Managed};
use decamp_tests::observe::{SOON, assert_says};
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::source::DATABASE;
use decamp_tests::{Pair, compare, wait};

/// Twenty tables that the application writes to, sequences, foreign keys, views of views.
fn tables() -> String {
    let mut sql = String::from("create table customer (id bigserial primary key, name text); ");
    for i in 0..20 {
        sql += &format!(
            "create table t{i} (id bigserial primary key, n int not null default 0, customer bigint references customer); \
             insert into t{i} (n) select g from generate_series(1, 2000) as g; "
        );
    }
    sql + "insert into customer (name) select 'c' || g from generate_series(1, 100) as g; \
           create materialized view a_second as select count(*) as n from customer; \
           create view between_them as select n * 2 as n from a_second; \
           create materialized view a_first as select n from between_them; \
           create materialized view empty as select 1 as one with no data"
}

fn start_load(pair: &Pair) -> Insistent {
    let clients = (0..4).map(|_| pair.source.connect_as_app()).collect();
    Insistent::start(clients, Duration::from_millis(8), |writer, count| {
        let at = writer + count;
        format!(
            "begin; insert into t{} (n) values (-1); update t{} set n = n + 1 where id = {}; commit",
            at % 20,
            (at * 7) % 20,
            at % 2000
        )
    })
}

fn inserted(rows: impl Fn(&str) -> String) -> u64 {
    let parts: Vec<String> = (0..20)
        .map(|i| format!("select count(*) filter (where n < 0 or id > 2000) as c from t{i}"))
        .collect();
    rows(&format!(
        "select sum(c) from ({}) as s",
        parts.join(" union all ")
    ))
    .parse()
    .expect("a sum of counts")
}

#[test]
fn switchover_under_load() {
    let pair = Pair::start();
    pair.source.app(&tables());
    pair.stream("");
    let load = start_load(&pair);
    load.wait_until_busy();

    // a rehearsal
    let steps = pair.target.rows(
        TARGET_DATABASE,
        "SELECT step, outcome, message FROM repl_switchover('heroku', dry_run => true)",
    );
    let last = steps.last().expect("there are steps");
    assert_eq!(last[0], "estimate");
    assert!(
        last[2].contains("nothing was fenced") && last[2].contains("about"),
        "{last:?}"
    );
    assert_eq!(load.refused(), 0, "nobody was refused");
    assert_eq!(pair.status("state"), "streaming");
    assert_eq!(pair.status("fenced"), "f");
    load.wait_until_busy();

    let steps = pair.target.rows(
        TARGET_DATABASE,
        "SELECT step, outcome, took > '0', message FROM repl_switchover('heroku', reverse => false)",
    );
    let names: Vec<&str> = steps.iter().map(|s| s[0].as_str()).collect();
    assert_eq!(
        names,
        [
            "check",
            "materialized views",
            "statistics",
            "count",
            "reverse",
            "catch up",
            "fence",
            "barrier",
            "drain",
            "sequences",
            "verify",
            "triggers",
            "finished"
        ]
    );
    for step in &steps {
        assert_eq!(
            step[1],
            if step[0] == "reverse" {
                "skipped"
            } else {
                "done"
            },
            "{step:?}"
        );
        println!("{step:?}");
    }
    assert!(
        steps[0][3].contains("no full verification is recorded"),
        "{steps:?}"
    );
    assert!(
        steps[10][3].contains("counted behind the fence"),
        "{steps:?}"
    );
    assert_eq!(steps[1][3], "2 refreshed");
    let told = &steps[12][3];
    assert!(
        told.contains("writes were refused for") && told.contains("repl_stop"),
        "{told}"
    );
    assert_eq!(pair.status("state"), "finished");
    let summary = pair.status("summary");
    assert!(
        summary.starts_with("Finished") && summary.contains("refuses writes"),
        "{summary}"
    );

    // the writers go on being refused
    load.wait_until_refused();
    let accepted = load.end();
    assert_eq!(
        inserted(|sql| pair.source.query_one_text(DATABASE, sql)),
        accepted
    );
    assert_eq!(
        inserted(|sql| pair.query(sql)),
        accepted,
        "all of it went over"
    );
    compare::assert_same(&pair.source, DATABASE, &pair.target, TARGET_DATABASE);
    assert_eq!(pair.query("select n from a_first"), "200");
    assert_eq!(
        pair.query("select count(*) from pg_matviews where not ispopulated"),
        "1"
    );
    // the target goes on where the source was
    for i in 0..20 {
        pair.sql(&format!("insert into t{i} (n, customer) values (5, 1)"));
    }
    assert!(
        pair.target
            .try_rows(TARGET_DATABASE, "insert into t1 (customer) values (-1)")
            .is_err(),
        "foreign keys are there"
    );

    let again = pair.refused("SELECT * FROM repl_switchover('heroku')");
    assert_says(&again, "55000", &["switched over already", "repl_stop"]);
    assert_says(
        &pair.refused("SELECT repl_unfence('heroku')"),
        "55000",
        &["both databases would take writes", "force => true"],
    );
    assert_says(
        &pair.refused("SELECT repl_wait('heroku', 'caught_up')"),
        "55000",
        &["switched over"],
    );
    let resumed = pair.query("SELECT repl_resume()");
    assert!(resumed.contains("switched over"), "{resumed}");
    assert_says(
        &pair.refused("SELECT repl_pause('heroku')"),
        "55000",
        &["switched over"],
    );
    let told = pair.query("SELECT repl_stop('heroku')");
    assert!(told.contains("takes writes again"), "{told}");
    pair.assert_source_clean();
    assert_eq!(
        pair.query("select count(*) from t1 where customer = 1"),
        "1",
        "the target's data stays"
    );
}

/// Nobody has written to the target yet: it is not too late.
#[test]
fn switchover_undone() {
    let pair = Pair::start();
    pair.source.app(&tables());
    pair.stream("");
    pair.query(
        "SELECT count(*) FROM repl_switchover('heroku', verify => 'none', reverse => false)",
    );
    // its apply worker may be there yet, or not any more
    let told = pair.query("SELECT repl_unfence('heroku', force => true)");
    assert!(told.contains("after the switchover"), "{told}");
    pair.source
        .app("insert into t1 (n) values (17); update t2 set n = 99");
    pair.assert_migrated();
    assert_eq!(pair.status("state"), "streaming");
    pair.query("SELECT count(*) FROM repl_switchover('heroku', reverse => false)");
    assert_eq!(pair.status("state"), "finished");
    wait::until_true(SOON, "the apply worker ends", || pair.our_workers() == "0");
    pair.query("SELECT repl_unfence('heroku', force => true)");
    pair.source.app("insert into t1 (n) values (18)");
    pair.assert_migrated();
    pair.query("SELECT count(*) FROM repl_switchover('heroku')");
    pair.stop_migration();
}

/// A source that was fenced before stays so when the switchover does not come to its end.
#[test]
fn switchover_of_a_fenced_source() {
    let pair = Pair::start();
    pair.source.app(&tables());
    pair.stream("");
    pair.query("SELECT repl_fence('heroku')");
    pair.sql("delete from t3 where id = 1");
    let error = pair.refused("SELECT * FROM repl_switchover('heroku')");
    assert_says(
        &error,
        "55000",
        &[
            "public.t3 has 2000 rows on the source and 1999 on the target",
            "repl_resync",
            "fenced as before",
        ],
    );
    assert_eq!(pair.status("fenced"), "t");
    assert_eq!(pair.status("state"), "streaming");
    pair.sql("insert into t3 (id, n) values (1, 1)");
    pair.query("SELECT count(*) FROM repl_switchover('heroku')");
    assert_eq!(pair.status("state"), "finished");
    pair.stop_migration();
}

/// What stands in the way is told before anybody is refused.
#[test]
fn switchover_refused() {
    let pair = Pair::start();
    pair.source.app(&tables());
    pair.migrate("");
    assert_says(
        &pair.refused("SELECT * FROM repl_switchover('nobody')"),
        "42704",
        &["heroku"],
    );
    pair.wait_for("streaming", Duration::from_secs(60));
    pair.wait_until_built();
    let refused = |parts: &[&str]| {
        let error = pair.refused("SELECT * FROM repl_switchover('heroku')");
        assert_says(&error, "55000", parts);
        assert_says(&error, "55000", &["not fenced: nothing has been changed"]);
        assert_eq!(pair.status("fenced"), "f");
        pair.source.app("update t1 set n = n + 1 where id = 1");
    };
    assert_says(
        &pair.refused("SELECT * FROM repl_switchover('heroku', verify => 'hope')"),
        "22023",
        &["'count'"],
    );
    assert_says(
        &pair.refused("SELECT * FROM repl_switchover('heroku', max_downtime => '0')"),
        "22023",
        &["max_downtime"],
    );
    assert_says(
        &pair.refused("BEGIN; SELECT * FROM repl_switchover('heroku')"),
        "25001",
        &["BEGIN"],
    );

    pair.query("SELECT repl_pause('heroku')");
    pair.poll_status("state = 'paused' and workers = 0");
    refused(&["paused", "repl_resume"]);
    pair.query("SELECT repl_resume('heroku')");
    pair.wait_for("caught_up", Duration::from_secs(60));

    let mut writer = pair.source.connect_as_app();
    writer
        .batch_execute("begin; update t5 set n = 0 where id = 1")
        .expect("a transaction is opened");
    wait::until_true(SOON, "it is old", || {
        pair.source.query_one_text(DATABASE, "select bool_or(now() - xact_start > '6.5 s') from pg_stat_activity where state like 'idle in%'") == "t"
    });
    refused(&["write for so long", "t5"]);
    drop(writer);

    pair.sql("alter table t7 drop column n cascade");
    pair.source.app("update t7 set n = n + 1");
    pair.poll_table("t7", "state = 'errored' and hint is not null");
    refused(&["public.t7 has stopped"]);
    pair.sql("alter table t7 add column n int not null default 0");
    pair.query("SELECT repl_resume('heroku')");
    pair.assert_migrated();

    pair.sql("insert into t9 (id, n) values (-9, 9)");
    refused(&["public.t9 has 2000 rows on the source and 2001 on the target"]);
    pair.sql("delete from t9 where id = -9");
    pair.query("SELECT count(*) FROM repl_switchover('heroku')");
    pair.stop_migration();
}

/// Triggers, rules and foreign keys that an ordinary role has had off are on again before the application comes.
#[test]
fn switchover_to_an_ordinary_role() {
    let managed = Managed::start();
    let pair = Pair::start();
    let tables = "create table parent (id int primary key, n int not null default 0); \
        create table child (id int primary key, parent int references parent on delete cascade, n int not null default 0)";
    pair.source.app(tables);
    managed.own(tables);
    managed.own(
        "create function spoil() returns trigger language plpgsql as $$ begin new.n := -1; return new; end $$; \
         create trigger spoil before insert or update on child for each row execute function spoil()",
    );
    pair.source.app("insert into parent select generate_series(1, 1000); insert into child select i, i from generate_series(1, 1000) as i");
    pair.stream(&format!("target => '{}'", managed.uri()));
    pair.source
        .app("update child set n = n + 1; delete from parent where id > 900");
    let steps = pair.target.rows(
        TARGET_DATABASE,
        "SELECT step, outcome, message FROM repl_switchover('heroku', reverse => false)",
    );
    let told: Vec<&str> = steps.iter().map(|s| s[0].as_str()).collect();
    assert_eq!(told.last(), Some(&"validation"), "{steps:?}");
    assert!(
        steps
            .iter()
            .any(|s| s[2].contains("2 triggers, rules and foreign keys")),
        "{steps:?}"
    );
    // who would switch them off again has seen the end
    wait::until_true(SOON, "the apply worker ends", || pair.our_workers() == "0");
    compare::assert_same(&pair.source, DATABASE, &managed, managed::DATABASE);
    assert_eq!(
        managed.query("select count(*) from pg_trigger where tgenabled <> 'O'"),
        "0"
    );
    assert_eq!(
        managed.query("select count(*) from pg_constraint where contype = 'f' and convalidated"),
        "1"
    );
    managed.own("insert into child values (5000, 1, 3)");
    assert_eq!(managed.query("select n from child where id = 5000"), "-1");
    pair.stop_migration();
}

/// Keys of every kind change while rows are counted, in the zoo.
#[test]
fn switchover_of_the_zoo() {
    let pair = Pair::start();
    pair.load_zoo(200);
    pair.stream("");
    let churn = pair.source.churn(decamp_tests::seed(), 3);
    for _ in 0..3 {
        let steps = pair.target.rows(
            TARGET_DATABASE,
            "SELECT step, message FROM repl_switchover('heroku', dry_run => true)",
        );
        assert!(
            steps
                .iter()
                .any(|s| s[0] == "count" && s[1].contains("as many rows on both sides")),
            "{steps:?}"
        );
    }
    churn.stop();
    pair.query("SELECT count(*) FROM repl_switchover('heroku')");
    compare::assert_same(&pair.source, DATABASE, &pair.target, TARGET_DATABASE);
    pair.stop_migration();
}
