//! The way back and what can go wrong with it: calls that die, what keeps it from being armed, a source that is lost.

use std::thread;

use decamp_tests::managed::{self, Managed};
use decamp_tests::observe::{SOON, assert_says};
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::reverse::{TABLES, WRITES, assert_equal, caught_up, refuses, state};
use decamp_tests::source::{DATABASE, PASSWORD, ROLE};
use decamp_tests::step::Gate;
use decamp_tests::{Mode, Pair, wait};

/// What dies after the way back was armed and before the fence: nothing is left of it, and the target takes writes.
#[test]
fn reverse_armed_and_interrupted() {
    let pair = Pair::builder().preload().start();
    pair.source.app(TABLES);
    pair.stream("");
    let accidents: [fn(&Pair, i32); 4] = [
        |pair, pid| pair.cancel(pid),
        |pair, _| {
            pair.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'pg_decamp switchover'");
        },
        |pair, _| pair.target.restart(Mode::Immediate),
        |pair, _| pair.source.restart(Mode::Immediate),
    ];
    let last = accidents.len() - 1;
    for (at, accident) in accidents.into_iter().enumerate() {
        let gate = Gate::before(&pair, "fence");
        let mut client = pair.target.connect(TARGET_DATABASE);
        let pid: i32 = client
            .query_one("select pg_backend_pid()", &[])
            .expect("a pid")
            .get(0);
        let calling = thread::spawn(move || {
            client
                .simple_query("SELECT * FROM repl_switchover('heroku')")
                .map(drop)
        });
        gate.wait(&pair);
        assert_eq!(state(&pair, "heroku_reverse"), "armed");
        refuses(&pair.target, TARGET_DATABASE);
        // ours goes on
        pair.source.app(WRITES);
        pair.poll("SELECT count(*) > 0 FROM item WHERE n = -20");
        assert_says(
            &pair.refused("SELECT repl_pause('heroku_reverse')"),
            "55000",
            &["is armed"],
        );
        assert_says(
            &pair.refused("SELECT repl_unfence('heroku_reverse')"),
            "55006",
            &["under way for subscription", "Cancel the call"],
        );
        accident(&pair, pid);
        drop(gate);
        let ended = calling.join().expect("the call has ended");
        if ended.is_err() {
            pair.poll("SELECT count(*) = 1 FROM repl_status");
            assert_eq!(
                pair.query(
                    "SELECT (SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'decamp%') \
                          + (SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'decamp_%')"
                ),
                "0"
            );
        } else {
            assert_eq!(at, last, "the source alone was away: that can be outlived");
            pair.stop_way_back();
            pair.query("SELECT repl_unfence('heroku', force => true)");
        }
        pair.source.app(WRITES);
        pair.assert_migrated();
    }
    pair.query("SELECT count(*) FROM repl_switchover('heroku')");
    pair.sql(WRITES);
    caught_up(&pair, "heroku_reverse");
    assert_equal(&pair);
    pair.stop_migration();
}

/// The worker dies after the last step was committed and before the target takes writes: the apply worker lets it.
#[test]
fn reverse_of_a_dead_call_begins_by_itself() {
    let pair = Pair::builder().preload().start();
    pair.source.app(TABLES);
    pair.stream("");
    for back in [false, true] {
        let (from, to) = if back {
            ("heroku_reverse", "heroku")
        } else {
            ("heroku", "heroku_reverse")
        };
        let gate = Gate::before(&pair, "finished");
        let mut client = pair.target.connect(TARGET_DATABASE);
        let sql = format!("SELECT * FROM repl_switchover('{from}', max_downtime => '1 minute')");
        let calling = thread::spawn(move || client.simple_query(&sql).map(drop));
        gate.wait(&pair);
        // whoever lowers the fence waits for this
        let mut lock = if back {
            pair.source.connect_as_app()
        } else {
            pair.target.connect(TARGET_DATABASE)
        };
        lock.batch_execute(&format!(
            "begin; lock table decamp_{to}.origin in exclusive mode"
        ))
        .expect("a lock");
        drop(gate);
        pair.poll(&format!(
            "SELECT state = 'finished' FROM repl_status WHERE name = '{from}'"
        ));
        pair.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'pg_decamp switchover'");
        let error = calling
            .join()
            .expect("the call has ended")
            .expect_err("it has not seen the end");
        let error = error.as_db_error().expect("the server's word");
        assert_says(error, "58000", &["switchover is finished", "repl_status"]);
        refuses(&pair.source, DATABASE);
        refuses(&pair.target, TARGET_DATABASE);
        // there is no call that could be cancelled
        wait::until_true(SOON, "the apply worker tries", || {
            let error = pair.refused(&format!("SELECT repl_unfence('{to}')"));
            let is_trying = error.code().code() == "55006";
            if is_trying {
                assert_says(&error, "55006", &["being taken back", "in a moment"]);
            }
            is_trying
        });
        lock.batch_execute("rollback").expect("the lock goes");
        pair.poll(&format!(
            "SELECT state = 'streaming' AND NOT fenced FROM repl_status WHERE name = '{to}'"
        ));
        if back {
            pair.source.app(WRITES);
            refuses(&pair.target, TARGET_DATABASE);
        } else {
            pair.sql(WRITES);
            refuses(&pair.source, DATABASE);
        }
        caught_up(&pair, to);
        assert_equal(&pair);
    }
    pair.query("SELECT repl_stop('heroku')");
    pair.query("SELECT repl_stop('heroku_reverse')");
    pair.assert_source_clean();
}

/// Nobody is there to take an armed one away: it is stopped by hand, in the order that is told.
#[test]
fn reverse_left_armed_without_a_worker() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.stream("");
    let gate = Gate::before(&pair, "fence");
    let mut client = pair.target.connect(TARGET_DATABASE);
    let calling = thread::spawn(move || {
        client
            .simple_query("SELECT * FROM repl_switchover('heroku')")
            .map(drop)
    });
    gate.wait(&pair);
    pair.target.restart(Mode::Immediate);
    drop(gate);
    calling
        .join()
        .expect("the call has ended")
        .expect_err("its server has crashed");
    assert_eq!(state(&pair, "heroku_reverse"), "armed");
    refuses(&pair.target, TARGET_DATABASE);
    assert_says(
        &pair.refused("SELECT repl_stop('heroku')"),
        "55000",
        &[
            "is armed to lead back",
            "SELECT repl_stop('heroku_reverse'); first, then SELECT repl_stop('heroku');",
        ],
    );
    pair.query("SELECT repl_stop('heroku_reverse')");
    pair.sql("insert into item (n) values (-1)");
    pair.query("SELECT repl_stop('heroku')");
    pair.assert_source_clean();
}

/// Lets anybody write to `item` where a subscription's fence stands.
const OPEN: &str = "do $$ declare f text; begin \
     select pg_get_functiondef(p.oid) into f from pg_proc p where p.proname = 'capture_' || 'item'::regclass::oid; \
     execute regexp_replace(f, '/\\* decamp fence.*end of decamp fence \\*/', ''); end $$";

/// Other hands let the target take writes just before the end: it does not come, and what is told then helps.
#[test]
fn reverse_with_a_fence_that_is_lost_on_the_way() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.stream("");
    for name in ["heroku", "heroku_reverse"] {
        pair.query(&format!(
            "SELECT repl_wait('{name}', 'streaming', timeout => '60 seconds')"
        ));
        let gate = Gate::before(&pair, "finished");
        let error = thread::scope(|scope| {
            let calling = scope.spawn(|| {
                pair.refused(&format!(
                    "SELECT * FROM repl_switchover('{name}', max_downtime => '1 minute')"
                ))
            });
            gate.wait(&pair);
            match name {
                "heroku" => pair.sql(OPEN),
                _ => pair.source.app(OPEN),
            }
            drop(gate);
            calling.join().expect("it is refused")
        });
        assert_says(
            &error,
            "55000",
            &[
                "has gone from the target, by other hands",
                "takes writes again",
                "call it again",
            ],
        );
        assert_eq!(state(&pair, name), "streaming");
        if name == "heroku_reverse" {
            // one that has led here before cannot be trusted any more
            let error = pair.refused(&format!("SELECT * FROM repl_switchover('{name}')"));
            assert_says(
                &error,
                "55000",
                &["has lost the fence", "SELECT repl_stop('heroku');"],
            );
            pair.query("SELECT repl_stop('heroku')");
        }
        pair.query(&format!("SELECT count(*) FROM repl_switchover('{name}')"));
    }
    pair.source.app(WRITES);
    pair.assert_migrated();
    pair.query("SELECT repl_stop('heroku')");
    pair.query("SELECT repl_stop('heroku_reverse')");
    pair.assert_source_clean();
}

/// The connection that lets the target take writes is lost, and made anew: once that is done nothing is held for the way back,
/// though the call goes on with validating keys.
#[test]
fn reverse_opened_on_another_connection() {
    let managed = Managed::start();
    let pair = Pair::start();
    let tables = "create table person (id int primary key); create table pet (id int primary key, person int references person)";
    pair.source.app(tables);
    managed.own(tables);
    pair.stream(&format!("target => '{}'", managed.uri()));
    let gate = Gate::before(&pair, "finished");
    let mut client = pair.target.connect(TARGET_DATABASE);
    let calling = thread::spawn(move || {
        client
            .simple_query("SELECT * FROM repl_switchover('heroku', max_downtime => '1 minute')")
            .map(drop)
    });
    gate.wait(&pair);
    // whoever lowers the fence waits for the one, whoever validates for the other
    let [mut fence, mut key] = [
        "lock table decamp_heroku_reverse.origin in exclusive mode",
        "lock table pet in share update exclusive mode",
    ]
    .map(|lock| {
        let mut client = managed.connect_as_owner();
        let begun = client.batch_execute(&format!("begin; {lock}"));
        begun.expect("a lock");
        client
    });
    drop(gate);
    pair.poll("SELECT state = 'finished' FROM repl_status WHERE name = 'heroku'");
    let session = || {
        managed.query("select coalesce(max(pid), 0) from pg_stat_activity where application_name = 'pg_decamp heroku_reverse switchover'")
    };
    let first = session();
    managed.sql(
        managed::DATABASE,
        &format!("select pg_terminate_backend({first})"),
    );
    wait::until_true(SOON, "another connection", || {
        !["0".to_owned(), first.clone()].contains(&session())
    });
    fence.batch_execute("rollback").expect("the lock goes");
    wait::until_true(SOON, "the key is being validated", || {
        managed.query("select count(*) = 1 from pg_stat_activity where wait_event_type = 'Lock' and query ilike '%validate constraint%'")
            == "t"
    });
    let told = pair.query("SELECT repl_unfence('heroku_reverse')");
    assert!(told.contains("was not fenced"), "{told}");
    key.batch_execute("rollback").expect("the lock goes");
    let ended = calling.join().expect("the call has ended");
    ended.expect("it has switched over");
    pair.query("SELECT repl_stop('heroku_reverse')");
    pair.query("SELECT repl_stop('heroku')");
    pair.assert_source_clean();
}

/// What keeps a way back from being armed is said before anything is done.
#[test]
fn reverse_refused() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.stream("");
    pair.sql("create role poor login; create schema decamp_heroku_reverse authorization poor");
    let error = pair.refused("SELECT * FROM repl_switchover('heroku')");
    assert_says(
        &error,
        "55000",
        &[
            "heroku_reverse",
            "reverse => false",
            "Nothing has been changed",
        ],
    );
    pair.sql("drop schema decamp_heroku_reverse");
    // the name is another's
    pair.source.app("create table apart (id int primary key)");
    pair.query(&format!(
        "SELECT repl_start('heroku_reverse', '{}', tables => array['apart'])",
        pair.source_uri()
    ));
    pair.query("SELECT repl_wait('heroku_reverse', 'streaming', timeout => '60 seconds')");
    let error = pair.refused("SELECT * FROM repl_switchover('heroku')");
    assert_says(
        &error,
        "42710",
        &[
            "another one of that name",
            "SELECT repl_stop('heroku_reverse');",
            "repl_switchover('heroku', reverse => false)",
            "nothing has been changed",
        ],
    );
    pair.query("SELECT repl_stop('heroku_reverse')");
    pair.query("SELECT count(*) FROM repl_switchover('heroku')");
    pair.query("SELECT repl_wait('heroku_reverse', 'streaming', timeout => '60 seconds')");
    // by other hands
    pair.source
        .app("drop schema decamp_heroku cascade; update item set n = -7 where id = 7");
    let error = pair.refused("SELECT * FROM repl_switchover('heroku_reverse')");
    assert_says(
        &error,
        "55000",
        &[
            "has lost the fence",
            "SELECT repl_stop('heroku');",
            "repl_verify('heroku_reverse'",
        ],
    );
    assert_eq!(state(&pair, "heroku_reverse"), "streaming");
    // and then what it says
    pair.query("SELECT repl_stop('heroku')");
    assert_eq!(
        pair.query("SELECT string_agg(\"table\", ' ') FROM repl_verify('heroku_reverse', repair => true) WHERE equal IS NOT TRUE"),
        ""
    );
    assert_equal(&pair);
    pair.query("SELECT count(*) FROM repl_switchover('heroku_reverse')");
    refuses(&pair.target, TARGET_DATABASE);
    pair.source.app(WRITES);
    pair.assert_migrated();
    pair.query("SELECT repl_stop('heroku')");
    pair.query("SELECT repl_stop('heroku_reverse')");
    pair.assert_source_clean();
}

/// The provider gives the old source's role another password: what is told is typed.
#[test]
fn reverse_to_a_source_with_another_password() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.stream("");
    pair.query("SELECT count(*) FROM repl_switchover('heroku')");
    pair.query("SELECT repl_wait('heroku_reverse', 'streaming', timeout => '60 seconds')");
    let password = |password: &str| {
        let alter = format!("alter role {ROLE} password '{password}'");
        pair.source.sql("postgres", &alter);
    };
    password("another");
    pair.source.sql(
        "postgres",
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'pg_decamp%'",
    );
    pair.sql(WRITES);
    pair.poll("SELECT state = 'errored' FROM repl_status WHERE name = 'heroku_reverse'");
    let hint = pair.query("SELECT hint FROM repl_status WHERE name = 'heroku_reverse'");
    assert!(
        hint.contains("SELECT repl_alter(name, target => '...')"),
        "{hint}"
    );
    password(PASSWORD);
    pair.query(&format!(
        "SELECT repl_alter('heroku_reverse', target => '{}')",
        pair.source_uri()
    ));
    pair.query(&format!(
        "SELECT repl_alter('heroku', source => '{}')",
        pair.source_uri()
    ));
    pair.query("SELECT repl_resume('heroku_reverse')");
    caught_up(&pair, "heroku_reverse");
    assert_equal(&pair);
    pair.query("SELECT count(*) FROM repl_switchover('heroku_reverse')");
    pair.source.app(WRITES);
    pair.assert_migrated();
    pair.query("SELECT repl_stop('heroku')");
    pair.query("SELECT repl_stop('heroku_reverse')");
    pair.assert_source_clean();
}

/// The old source is switched off for good without a word to us: what is here goes on, and can be cleaned up.
#[test]
fn reverse_to_a_source_that_is_lost() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.stream("");
    pair.query("SELECT count(*) FROM repl_switchover('heroku')");
    pair.query("SELECT repl_wait('heroku_reverse', 'streaming', timeout => '60 seconds')");
    pair.source.stop(Mode::Immediate);
    pair.sql(WRITES);
    pair.poll("SELECT summary LIKE 'Interrupted%' FROM repl_status WHERE name = 'heroku_reverse'");
    pair.sql(WRITES);
    let told = pair.query("SELECT repl_stop('heroku_reverse', rebuild => false)");
    assert!(told.contains("capture removed from 4 tables"), "{told}");
    pair.query("SELECT repl_stop('heroku', drop_source_objects => false)");
    assert_eq!(
        pair.query("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'decamp_%'"),
        "0"
    );
    pair.sql(WRITES);
}
