//! `repl_switchover(verify => 'checksum')`: all values are compared before the fence, what has moved since behind it, and no more is
//! told than that.

use std::thread;
use std::time::Duration;

use decamp_tests::load::Insistent;
use decamp_tests::observe::{SOON, assert_says};
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::source::DATABASE;
use decamp_tests::step::Gate;
use decamp_tests::{Pair, compare};

const GO: &str = "SELECT step, outcome, message FROM repl_switchover('heroku', verify => 'checksum', reverse => false";

/// Large and busy, small and busy, partitioned, without a key, and one at rest.
fn pair() -> Pair {
    let pair = Pair::start();
    pair.source.app(
        "create table item (id int primary key, n int not null default 0, pad text); \
         create table hot (id int primary key, n int not null); \
         create table still (id int primary key, n int not null); \
         create table log (at int, what text); \
         create table tree (id int primary key, n int) partition by range (id); \
         create table leaf partition of tree for values from (0) to (1000); \
         create table twig partition of tree for values from (1000) to (2000)",
    );
    pair.source.app(
        "insert into item select i, 0, repeat(md5(i::text), 3) from generate_series(1, 200000) as i; \
         insert into hot select i, 0 from generate_series(1, 5) as i; \
         insert into still select i, i from generate_series(1, 1000) as i; \
         insert into log select i, 'n' from generate_series(1, 1000) as i; \
         insert into tree select i, i from generate_series(1, 1500) as i; analyze",
    );
    pair.stream("");
    pair
}

fn start_load(pair: &Pair) -> Insistent {
    let clients = (0..3).map(|_| pair.source.connect_as_app()).collect();
    Insistent::start(clients, Duration::from_millis(8), |writer, at| {
        let id = 1 + (at * 7919 + writer) % 200_000;
        match at % 4 {
            0 => format!(
                "update item set n = n + 1 where id = {id}; insert into log values ({at}, 'new')"
            ),
            1 => format!(
                "begin; delete from item where id = {id}; insert into item values ({id}, {at}); commit"
            ),
            2 => format!(
                "update tree set n = n + 1 where id = {}; delete from log where at = {at}",
                at % 1500
            ),
            _ => "update hot set n = n + 1".to_owned(),
        }
    })
}

fn go(pair: &Pair, more: &str) -> Vec<Vec<String>> {
    let steps = pair.target.rows(TARGET_DATABASE, &format!("{GO}{more})"));
    for step in &steps {
        println!("{step:?}");
    }
    steps
}

fn message<'a>(steps: &'a [Vec<String>], name: &str) -> &'a str {
    let step = steps.iter().find(|step| step[0] == name);
    &step.unwrap_or_else(|| panic!("no step {name} in {steps:?}"))[2]
}

fn last_verification(pair: &Pair) -> String {
    pair.query(
        "SELECT string_agg(concat_ws(' ', \"table\", state, equal), ', ' ORDER BY \"table\") FROM repl_verifications v \
         WHERE verification = (SELECT max(verification) FROM repl_verifications)",
    )
}

const ALL_EQUAL: &str = "public.hot finished t, public.item finished t, public.log finished t, public.still finished t, public.tree finished t";

#[test]
fn switchover_with_checksums_under_load() {
    let pair = pair();
    let load = start_load(&pair);
    load.wait_until_busy();
    let steps = go(&pair, ", dry_run => true");
    assert!(message(&steps, "verification").starts_with("5 tables are equal"));
    assert!(message(&steps, "estimate").contains("nothing was fenced"));
    assert_eq!(last_verification(&pair), ALL_EQUAL);
    assert_eq!(load.refused(), 0, "nobody was refused");

    // a fortieth of it is not enough for a table of 200,000 rows
    let steps = go(&pair, ", max_downtime => '3 seconds'");
    assert!(message(&steps, "verification").starts_with("5 tables are equal"));
    let told = message(&steps, "verify");
    for part in [
        "3 tables have equal rows behind the fence, 1 had before it and nothing was replayed into them since; 1 had before it",
        "for lack of time (rows: public.item ",
        "; as many rows on both sides: ",
    ] {
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(last_verification(&pair), ALL_EQUAL);
    assert_eq!(pair.query("SELECT count(*) FROM decamp.verification"), "2");
    load.wait_until_refused();
    load.end();
    compare::assert_same(&pair.source, DATABASE, &pair.target, TARGET_DATABASE);

    // with more time it is compared, too
    pair.query("SELECT repl_unfence('heroku', force => true)");
    pair.wait_for("caught_up", SOON);
    let gate = Gate::before(&pair, "catch up");
    let told = thread::scope(|scope| {
        let going = scope.spawn(|| go(&pair, ", max_downtime => '5 minutes'"));
        gate.wait(&pair);
        pair.source.app("update item set n = -1 where id = 17");
        drop(gate);
        message(&going.join().expect("it goes over"), "verify").to_owned()
    });
    let whole = "1 tables have equal rows behind the fence, 4 had before it and nothing was replayed into them since; as many";
    assert!(told.starts_with(whole), "{told}");
    pair.stop_migration();
}

/// The way back is verified like the way there.
#[test]
fn switchover_back_with_checksums() {
    let pair = pair();
    pair.query("SELECT count(*) FROM repl_switchover('heroku', verify => 'checksum')");
    pair.wait_until_way_back_streams();
    pair.sql("update item set n = 7 where id % 1000 = 0; delete from tree where id < 10; insert into log values (-1, 'target')");
    let steps = pair.target.rows(
        TARGET_DATABASE,
        "SELECT step, outcome, message FROM repl_switchover('heroku_reverse', verify => 'checksum')",
    );
    assert!(message(&steps, "verification").starts_with("5 tables are equal"));
    assert_eq!(last_verification(&pair), ALL_EQUAL);
    compare::assert_same(&pair.source, DATABASE, &pair.target, TARGET_DATABASE);
    pair.source.app("update still set n = 0 where id = 1");
    pair.assert_migrated();
    pair.query("SELECT repl_stop('heroku')");
    pair.query("SELECT repl_stop('heroku_reverse')");
    pair.assert_source_clean();
}

/// Nobody is refused because of a difference: it is found before.
#[test]
fn switchover_stopped_by_a_difference() {
    let pair = pair();
    let load = start_load(&pair);
    load.wait_until_busy();
    pair.sql(
        "update still set n = -5 where id = 5; delete from log where at = 501; insert into log values (501, 'other'); \
         update twig set n = -1 where id = 1500",
    );
    let error = pair.refused(&format!("{GO})"));
    assert_says(
        &error,
        "55000",
        &[
            "3 of 5 tables differ on the target: public.log, public.still, public.tree",
            "repl_verifications",
            "repl_verify('heroku', tables => array['public.log', 'public.still', 'public.tree'], repair => true)",
            "not fenced: nothing has been changed",
        ],
    );
    assert_eq!(
        last_verification(&pair),
        "public.hot finished t, public.item finished t, public.log finished f, public.still finished f, public.tree finished f"
    );
    let listed = "SELECT count(differing) FROM repl_verifications WHERE subscription = 'heroku' AND NOT equal";
    assert_eq!(pair.query(listed), "3");
    load.wait_until_busy();
    assert_eq!(load.refused(), 0, "nobody was refused");
    assert_eq!(pair.status("fenced"), "f");
    pair.query("SELECT count(*) FROM repl_verify('heroku', tables => array['public.still', 'public.tree'], repair => true)");
    pair.sql("update log set what = 'n' where at = 501");
    go(&pair, "");
    load.end();
    assert_eq!(pair.status("state"), "finished");
    compare::assert_same(&pair.source, DATABASE, &pair.target, TARGET_DATABASE);
}

/// What was written, and went wrong, between the verification and the fence is found behind the fence.
#[test]
fn switchover_compares_what_moved() {
    let pair = pair();
    let gate = Gate::before(&pair, "catch up");
    let error = thread::scope(|scope| {
        let going = scope.spawn(|| pair.refused(&format!("{GO})")));
        gate.wait(&pair);
        pair.source.app("update tree set n = 0 where id = 3");
        pair.sql("update tree set n = 0 where id = 4");
        drop(gate);
        going.join().expect("it is refused")
    });
    assert_says(
        &error,
        "55000",
        &[
            "public.tree differs",
            "repair => true",
            "takes writes again",
        ],
    );
    assert_eq!(pair.status("fenced"), "f");
    pair.source.app("update tree set n = 1 where id = 3");
    pair.query("SELECT count(*) FROM repl_verify('heroku', repair => true)");
    go(&pair, "");
    pair.stop_migration();
}

/// What was compared is kept, and what was not is not told to be equal; the next call goes on from there.
#[test]
fn switchover_cancelled_while_it_verifies() {
    let pair = pair();
    for (end, whose) in [
        ("pg_cancel_backend", "client backend"),
        ("pg_terminate_backend", "client backend"),
        ("pg_terminate_backend", "pg_decamp switchover"),
    ] {
        let mut lock = pair.target.connect(TARGET_DATABASE);
        lock.batch_execute("begin; lock table log")
            .expect("the table is free");
        thread::scope(|scope| {
            let going = scope.spawn(|| {
                let ended = pair.target.try_rows(TARGET_DATABASE, &format!("{GO})"));
                ended.expect_err("it is cancelled")
            });
            pair.poll("SELECT count(*) = 1 FROM repl_verifications WHERE \"table\" = 'public.log' AND state = 'running'");
            pair.poll("SELECT count(*) = 1 FROM pg_locks WHERE NOT granted");
            pair.query(&format!(
                "SELECT {end}(pid) FROM pg_stat_activity WHERE backend_type = '{whose}' AND pid <> pg_backend_pid() \
                 AND (query LIKE 'SELECT step%' OR backend_type <> 'client backend')"
            ));
            going.join().expect("it fails as it should");
        });
        pair.poll(
            "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'pg_decamp switchover'",
        );
        pair.poll("SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'pg_decamp heroku verify%'");
        assert_eq!(
            last_verification(&pair),
            "public.hot finished t, public.item finished t, public.log interrupted, public.still interrupted, public.tree interrupted"
        );
        assert_eq!(pair.status("fenced"), "f");
        assert_eq!(pair.status("state"), "streaming");
        pair.source.app("update hot set n = n + 1");
    }
    let steps = go(&pair, "");
    let verified = "5 tables are equal, all rows and values compared; 2 were compared by a call that was interrupted";
    let told = message(&steps, "verification");
    assert!(told.starts_with(verified), "{told}");
    // when those were read is not known any more
    let told = message(&steps, "verify");
    assert!(
        told.contains("2 tables have equal rows behind the fence, 3 had before it")
            || told.contains("1 tables have equal rows behind the fence, 3 had before it")
                && told.contains("public.item unknown"),
        "{told}"
    );
    assert_eq!(last_verification(&pair), ALL_EQUAL);
    assert_eq!(pair.query("SELECT count(*) FROM decamp.verification"), "1");
    compare::assert_same(&pair.source, DATABASE, &pair.target, TARGET_DATABASE);
}

/// What could not be compared before the fence, and would take too long behind it, is no reason to fence: it is told before.
#[test]
fn switchover_stopped_by_too_much_that_is_doubted() {
    let pair = pair();
    let gate = Gate::before(&pair, "verification");
    let error = thread::scope(|scope| {
        let going =
            scope.spawn(|| pair.refused(&format!("{GO}, max_downtime => '50 milliseconds')")));
        gate.wait(&pair);
        // a change of the large one that is not replayed as long as it is looked at
        pair.query("SELECT repl_pause('heroku', now => true)");
        pair.poll_status("state = 'paused'");
        pair.source.app("update item set n = 1 where id = 1");
        let mut lock = pair.target.connect(TARGET_DATABASE);
        lock.batch_execute("begin; lock table log")
            .expect("the table is free");
        drop(gate);
        pair.poll("SELECT count(*) = 1 FROM repl_verifications WHERE \"table\" = 'public.log' AND state = 'running'");
        pair.query("SELECT repl_resume('heroku')");
        pair.wait_for("caught_up", SOON);
        lock.batch_execute("rollback").expect("the lock goes");
        going.join().expect("it is refused")
    });
    assert_says(
        &error,
        "55000",
        &[
            "cannot be compared: public.item (",
            "the subscription is paused); comparing them behind the fence would take",
            "too much of max_downtime",
            "nothing has been changed",
        ],
    );
    assert_eq!(
        pair.query("SELECT count(*) FROM decamp.step WHERE name = 'fence'"),
        "0"
    );
    assert_eq!(pair.status("state"), "streaming");
    go(&pair, "");
    assert_eq!(last_verification(&pair), ALL_EQUAL);
    pair.stop_migration();
}

/// A table that nobody can compare is not taken over.
#[test]
fn switchover_stopped_by_a_table_that_cannot_be_read() {
    let pair = pair();
    let mut lock = pair.target.connect(TARGET_DATABASE);
    lock.batch_execute("begin; lock table still")
        .expect("the table is free");
    let error = pair.refused(&format!("{GO})"));
    assert_says(
        &error,
        "55000",
        &[
            "not all tables could be compared: public.still",
            "repl_verifications",
            "nothing has been changed",
        ],
    );
    assert_eq!(pair.status("fenced"), "f");
}
