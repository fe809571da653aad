//! Whatever happens between the fence and the last step: it ends finished or unfenced, says which, and nothing is lost.

use std::thread;
use std::time::Duration;

use decamp_tests::fence::assert_fenced;
use decamp_tests::observe::{SOON, assert_helpful, assert_says};
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::source::DATABASE;
use decamp_tests::step::Gate;
use decamp_tests::{Mode, Pair, compare, wait};
use postgres::error::DbError;

const TABLES: &str = "create table item (id serial primary key, n int not null default 0); \
     insert into item (n) select generate_series(1, 1000); \
     create table other (id int primary key, n int); insert into other select i, i from generate_series(1, 1000) as i";

fn pair() -> Pair {
    let pair = Pair::builder().preload().start();
    pair.source.app(TABLES);
    pair.stream("");
    pair
}

/// A call in another session; its error, if the server could still tell one.
fn call(pair: &Pair, arguments: &str) -> (i32, thread::JoinHandle<Option<DbError>>) {
    let mut client = pair.target.connect(TARGET_DATABASE);
    let pid = client
        .query_one("select pg_backend_pid()", &[])
        .expect("a pid")
        .get(0);
    let sql = format!("SELECT * FROM repl_switchover('heroku'{arguments})");
    let thread = thread::spawn(move || {
        let error = client.simple_query(&sql).expect_err("it does not finish");
        error.as_db_error().cloned()
    });
    (pid, thread)
}

/// The source takes writes again, they arrive, and nothing is different; nothing is left of the way back.
fn assert_unfenced(pair: &Pair, round: usize) {
    pair.poll_status("not fenced");
    pair.poll("SELECT count(*) = 0 FROM repl_status WHERE name <> 'heroku'");
    assert_eq!(
        pair.query("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'decamp%'"),
        "0"
    );
    pair.source.app(&format!(
        "insert into item (n) values (-{round} - 1); update other set n = n + 1 where id = {round} + 1"
    ));
    pair.assert_migrated();
    assert_eq!(pair.status("state"), "streaming");
}

const STEPS: &[&str] = &[
    "barrier",
    "drain",
    "sequences",
    "verify",
    "triggers",
    "finished",
];

/// One kind of accident at the beginning of each step behind the fence.
fn accidents(accident: fn(&Pair, i32)) {
    let pair = pair();
    for (round, step) in STEPS.iter().enumerate() {
        pair.source.app(&format!(
            "update item set n = n + 1 where id % 10 = {round}"
        ));
        let gate = Gate::before(&pair, step);
        let (pid, calling) = call(&pair, ", max_downtime => '2 minutes'");
        gate.wait(&pair);
        assert_fenced(&pair, &["insert into item values (-99)"]);
        assert!(
            pair.status("summary").starts_with("FENCED"),
            "{}",
            pair.tell()
        );
        accident(&pair, pid);
        drop(gate);
        if let Some(error) = calling.join().expect("the call has ended") {
            // the server's own: cancelled, terminated, crashed
            if !error.message().starts_with("canceling statement")
                && !error.code().code().starts_with("57P")
            {
                assert_helpful(&error);
            }
        }
        // a worker that takes the last step hears of a cancelled call too late
        pair.poll_status("not fenced OR state = 'finished'");
        if *step == "finished" && pair.status("state") == "finished" {
            pair.stop_way_back();
            pair.query("SELECT repl_unfence('heroku', force => true)");
        }
        assert_unfenced(&pair, round);
    }
    // and then it works
    pair.query("SELECT count(*) FROM repl_switchover('heroku')");
    assert_eq!(pair.status("state"), "finished");
    assert_fenced(&pair, &["insert into item values (-99)"]);
    pair.stop_migration();
}

#[test]
fn switchover_when_the_call_is_cancelled() {
    accidents(|pair, pid| pair.cancel(pid));
}

#[test]
fn switchover_when_the_worker_is_terminated() {
    accidents(|pair, _| {
        pair.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'pg_decamp switchover'");
    });
}

#[test]
fn switchover_when_the_target_dies() {
    accidents(|pair, _| pair.target.restart(Mode::Immediate));
}

#[test]
fn switchover_when_the_source_dies() {
    accidents(|pair, _| pair.source.restart(Mode::Immediate));
}

/// Before its first step has ended: the call does not wait for what does not come any more.
#[test]
fn switchover_when_the_worker_is_terminated_at_once() {
    let pair = pair();
    let mut lock = pair.source.connect_as_app();
    let number = pair.query(
        "SELECT ('x' || substr(replace(uuid::text, '-', ''), 17, 16))::bit(64)::int8 FROM decamp.subscription",
    );
    lock.batch_execute(&format!("select pg_advisory_lock({number})"))
        .expect("nobody else has the fence's lock");
    let (_, calling) = call(&pair, "");
    pair.poll("SELECT count(*) = 1 FROM decamp.step WHERE name = 'check' AND state = 'running'");
    pair.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'pg_decamp switchover'");
    wait::until_true(SOON / 2, "the call ends", || calling.is_finished());
    let error = calling.join().expect("the call has ended");
    let error = error.expect("the server's word");
    assert_says(
        &error,
        "58000",
        &["ended before its work", "Nothing is lost"],
    );
    drop(lock);
    assert_unfenced(&pair, 0);
    pair.query("SELECT count(*) FROM repl_switchover('heroku')");
    pair.stop_migration();
}

/// Both at once: nobody is left who could lower the fence before the servers are back.
#[test]
fn switchover_when_both_die() {
    accidents(|pair, _| {
        pair.source.stop(Mode::Immediate);
        pair.target.restart(Mode::Immediate);
        let summary = pair.status("summary");
        assert!(summary.starts_with("FENCED"), "{summary}");
        assert!(
            summary.contains("SELECT repl_unfence('heroku')"),
            "{summary}"
        );
        let error = pair.refused("SELECT repl_unfence('heroku')");
        assert_says(
            &error,
            "08006",
            &["it still is", "again when the source can be reached"],
        );
        pair.source.start();
    });
}

/// The server is killed just after the last step was committed: it is finished.
#[test]
fn switchover_that_has_finished_stays_so() {
    let pair = pair();
    pair.query("SELECT count(*) FROM repl_switchover('heroku', reverse => false)");
    pair.target.restart(Mode::Immediate);
    pair.source.restart(Mode::Immediate);
    assert_eq!(pair.status("state"), "finished");
    assert_fenced(&pair, &["insert into item values (-99)"]);
    wait::until_true(SOON, "no worker is started", || pair.our_workers() == "0");
    pair.stop_migration();
}

#[test]
fn switchover_beside_a_transaction_that_does_not_end() {
    let pair = pair();
    let mut writer = pair.source.connect_as_app();
    writer
        .batch_execute("begin; update item set n = n + 1 where id = 1")
        .expect("a transaction is opened");
    let error =
        pair.refused("SELECT * FROM repl_switchover('heroku', max_downtime => '2 seconds')");
    let at_once = error.message().contains("write for so long");
    if !at_once {
        assert_says(
            &error,
            "57014",
            &["within 2.0 s", "user app", "item", "takes writes again"],
        );
    }
    writer
        .batch_execute("update item set n = n + 1 where id = 2; commit")
        .expect("nobody has ended it");
    assert_unfenced(&pair, 0);
    pair.query("SELECT count(*) FROM repl_switchover('heroku')");
    pair.stop_migration();
}

/// Each step that can go wrong by itself does.
#[test]
fn switchover_with_steps_that_fail() {
    let pair = pair();
    // a sequence that is not there
    pair.sql("alter sequence item_id_seq owned by none; alter table item alter id drop default; drop sequence item_id_seq");
    pair.source.app("insert into item (n) values (1)");
    let error = pair.refused("SELECT * FROM repl_switchover('heroku')");
    assert_says(&error, "55000", &["item_id_seq", "takes writes again"]);
    assert_unfenced(&pair, 1);
    pair.sql("create sequence item_id_seq; alter sequence item_id_seq owned by item.id");

    // rows that somebody else has taken away behind the fence
    let gate = Gate::before(&pair, "verify");
    let (_, calling) = call(&pair, "");
    pair.source.app("select 1");
    gate.wait(&pair);
    pair.sql("set decamp.pass = 'on'; delete from other where id = 1000; update decamp.relation set deleted = deleted + 1");
    drop(gate);
    let error = calling
        .join()
        .expect("the call has ended")
        .expect("an error");
    assert_says(
        &error,
        "55000",
        &[
            "public.other has 1000 rows on the source and 999 on the target",
            "takes writes again",
        ],
    );
    pair.sql("insert into other values (1000, 1000)");
    assert_unfenced(&pair, 2);

    // time that runs out
    let gate = Gate::before(&pair, "sequences");
    let (_, calling) = call(&pair, ", max_downtime => '3 seconds'");
    gate.wait(&pair);
    wait::pause(Duration::from_secs(3));
    drop(gate);
    let error = calling
        .join()
        .expect("the call has ended")
        .expect("an error");
    assert_says(
        &error,
        "57014",
        &["max_downtime has passed: 3.0 s", "takes writes again"],
    );
    assert_unfenced(&pair, 3);

    // a materialized view that cannot be refreshed
    pair.source
        .app("create materialized view ratio as select 1 / count(*) as r from item");
    pair.sql("create materialized view ratio as select 1 / (count(*) - count(*)) as r from item with no data");
    let error = pair.refused("SELECT * FROM repl_switchover('heroku')");
    assert_says(
        &error,
        "22012",
        &["ratio", "not fenced: nothing has been changed"],
    );
    pair.sql("drop materialized view ratio");
    assert_unfenced(&pair, 4);
    pair.query("SELECT count(*) FROM repl_switchover('heroku')");
    pair.stop_migration();
}

/// A partition that comes with its rows leaves no deltas; it came when nobody looked any more.
#[test]
fn switchover_finds_what_came_without_deltas() {
    let pair = pair();
    let tree = "create table tree (id int primary key, n int) partition by range (id); \
        create table leaf partition of tree for values from (0) to (100); \
        create table late (id int primary key, n int)";
    pair.sql(tree);
    pair.source.app(tree);
    pair.query("SELECT repl_add_table('heroku', 'tree')");
    pair.wait_for("streaming", Duration::from_secs(60));
    pair.source
        .app("insert into late select i, i from generate_series(100, 199) as i");
    let attach_late = "alter table tree attach partition late for values from (100) to (200)";
    pair.sql(attach_late);
    for (verify, rows) in [("none", "100"), ("count", "201"), ("checksum", "201")] {
        // replay is held, so that nobody looks; it goes on behind the fence
        let gate = Gate::before(&pair, "barrier");
        let mut client = pair.target.connect(TARGET_DATABASE);
        let going = thread::spawn(move || {
            client
                .simple_query(&format!(
                    "SELECT * FROM repl_switchover('heroku', verify => '{verify}', max_downtime => '1 minute', reverse => false)"
                ))
                .map(drop)
        });
        gate.wait(&pair);
        match verify {
            "none" => pair.source.app(attach_late),
            // besides a row that leaves one: what differs at the first look does not any more at the second
            "count" => {
                pair.sql("create table last partition of tree for values from (200) to (300)");
                pair.source.app(
                    "create table last (id int primary key, n int); \
                     insert into last select i, i from generate_series(200, 299) as i; \
                     alter table tree attach partition last for values from (200) to (300); \
                     set decamp.pass = 'on'; insert into tree values (1, 1)",
                );
            }
            _ => {}
        }
        drop(gate);
        let ended = going.join().expect("the call has ended");
        assert!(ended.is_ok(), "{ended:?}\n{}", pair.tell());
        assert_eq!(pair.query("select count(*) from tree"), rows, "{verify}");
        compare::assert_same(&pair.source, DATABASE, &pair.target, TARGET_DATABASE);
        pair.query("SELECT repl_unfence('heroku', force => true)");
        pair.wait_for("caught_up", Duration::from_secs(60));
    }
    pair.stop_migration();
}

/// A count that takes long does not outlive the call that wants it.
#[test]
fn switchover_cancelled_while_it_counts() {
    let pair = pair();
    let mut lock = pair.source.connect_as_app();
    lock.batch_execute("begin; lock table item in access exclusive mode")
        .expect("a lock");
    let (pid, calling) = call(&pair, "");
    let counting = "SELECT count(*) = 1 FROM pg_stat_activity \
                    WHERE application_name LIKE '% switchover' AND wait_event_type = 'Lock'";
    pair.source.poll_until(DATABASE, counting, SOON);
    pair.sql(&format!("SELECT pg_cancel_backend({pid})"));
    calling.join().expect("the call has ended");
    let gone =
        "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE '% switchover'";
    pair.source.poll_until(DATABASE, gone, SOON);
    lock.batch_execute("rollback").expect("the lock goes");
    assert_unfenced(&pair, 0);
    pair.query("SELECT count(*) FROM repl_switchover('heroku')");
    pair.stop_migration();
}
