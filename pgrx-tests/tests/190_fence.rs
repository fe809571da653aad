//! The fence: nobody writes on the source any more, everybody reads, and what was written before is on the target.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use decamp_tests::observe::{SOON, assert_says};
use decamp_tests::source::{DATABASE, ROLE};
use decamp_tests::{Mode, Pair, compare, have_source, wait};
use postgres::Client;

const TABLES: &str = "create table plain (id int primary key, n int not null default 0); \
     insert into plain select i from generate_series(1, 1000) as i; \
     create table parent (id int primary key, n int not null default 0); insert into parent values (1); \
     create table child (primary key (id)) inherits (parent); insert into child values (2); \
     create schema \"Other\"; create table \"Other\".\"Odd one\" (\"Id\" text primary key, n int default 0); \
     insert into \"Other\".\"Odd one\" values ('a'); \
     create table nameless (a int, n int); insert into nameless values (1, 1), (1, 1)";
const PARTITIONED: &str = "create table tree (id int, n int not null default 0, primary key (id)) partition by range (id); \
     create table leaf partition of tree for values from (0) to (100); \
     create table rest partition of tree default; insert into tree values (1), (200)";

/// Statements that write, whether they would change rows or not.
const WRITES: &[&str] = &[
    "insert into plain values (5000)",
    "insert into plain values (1) on conflict do nothing",
    "update plain set n = n + 1",
    "update plain set n = n + 1 where false",
    "delete from plain where id = 7",
    "truncate plain",
    "copy plain (id) from program 'echo 6000'",
    "update parent set n = n + 1",
    "insert into child values (3)",
    "delete from child",
    "truncate child",
    "insert into \"Other\".\"Odd one\" values ('b')",
    "truncate \"Other\".\"Odd one\", plain",
    "insert into nameless values (1, 1)",
    "update nameless set n = 2",
    "delete from nameless",
    "truncate nameless",
    "with gone as (delete from plain returning id) select count(*) from gone",
    "set session_replication_role = replica; insert into plain values (5000)",
    "do $$ begin insert into plain values (5000); exception when unique_violation then null; end $$",
];
const PARTITIONED_WRITES: &[&str] = &[
    "insert into tree values (2)",
    "insert into leaf values (3)",
    "update tree set id = id + 150 where id = 1",
    "delete from rest",
    "truncate tree",
    "truncate leaf",
];

/// As a superuser, whom nothing else would stop.
fn assert_fenced(pair: &Pair, writes: &[&str]) {
    for sql in writes {
        let error = pair.source.fails(DATABASE, sql);
        assert_says(&error, "25006", &["moving to another server", "retry"]);
    }
}

fn seconds(interval: &str) -> f64 {
    let mut total = 0.0;
    for part in interval.split(':') {
        total = total * 60.0 + part.parse::<f64>().expect("hours, minutes, seconds");
    }
    total
}

fn refuses_every_write(major: u32) {
    if !have_source(major) {
        return;
    }
    let pair = Pair::builder().source_version(major).start();
    pair.source.app(TABLES);
    let partitioned = major >= 12;
    if partitioned {
        pair.source.app(PARTITIONED);
    }
    if major > 15 {
        // no pg_dump of that version here
        for tables in [TABLES, PARTITIONED] {
            pair.sql(tables);
        }
        pair.sql("truncate plain, parent, child, \"Other\".\"Odd one\", nameless, tree");
    }
    pair.stream(if major > 15 {
        "copy_schema => false"
    } else {
        ""
    });
    assert_eq!(pair.status("fenced"), "f");

    let took = seconds(&pair.query("SELECT repl_fence('heroku')"));
    assert!(took < 10.0, "nobody was in the way: {took} s");
    assert_eq!(pair.status("fenced"), "t");
    let summary = pair.status("summary");
    assert!(summary.starts_with("FENCED since"), "{summary}");
    let writes: Vec<&str> = WRITES
        .iter()
        .copied()
        .filter(|sql| !(sql.contains("from program") && major < 11))
        .collect();
    assert_fenced(&pair, &writes);
    if partitioned {
        assert_fenced(&pair, PARTITIONED_WRITES);
    }
    let mut app = pair.source.connect_as_app();
    app.batch_execute("select count(*) from plain; select * from plain where id = 1 for update; create temp table own (id int); insert into own values (1)")
        .expect("reading goes on, and so does what is not captured");
    // again: nothing changes
    pair.query("SELECT repl_fence('heroku', timeout => '5 seconds', terminate => true)");
    assert_fenced(&pair, &writes[..3]);

    // our own sessions pass, and what they write is replayed like anything else
    app.batch_execute("set decamp.pass = 'on'; insert into plain values (7000); update child set n = 9; truncate nameless; reset decamp.pass")
        .expect("they may write");
    pair.assert_migrated();
    assert_fenced(&pair, &writes[..3]);

    let told = pair.query("SELECT repl_unfence('heroku')");
    assert!(told.contains("takes writes again"), "{told}");
    assert_eq!(pair.status("fenced"), "f");
    pair.source.app("insert into plain values (8000); update nameless set n = 3; delete from child; truncate \"Other\".\"Odd one\"");
    if partitioned {
        pair.source
            .app("insert into tree values (3), (300); truncate leaf");
    }
    pair.assert_migrated();
    let told = pair.query("SELECT repl_unfence('heroku')");
    assert!(told.contains("was not fenced"), "{told}");
    pair.stop_migration();
}

#[test]
fn fence_refuses_every_write() {
    refuses_every_write(15);
}

#[test]
fn fence_refuses_every_write_on_10() {
    refuses_every_write(10);
}

#[test]
fn fence_refuses_every_write_on_12() {
    refuses_every_write(12);
}

#[test]
fn fence_refuses_every_write_on_18() {
    refuses_every_write(18);
}

/// Writers of all kinds, many sessions; each knows which of its rows were accepted.
#[test]
fn fence_under_load_loses_nothing_and_lets_nothing_pass() {
    let pair = Pair::builder()
        .target_conf("pg_decamp.segment_size = '64kB'")
        .start();
    pair.source.app(TABLES);
    pair.source.app(PARTITIONED);
    pair.stream("");
    let stop = Arc::new(AtomicBool::new(false));
    let accepted = Arc::new(AtomicU64::new(0));
    let refused = Arc::new(AtomicU64::new(0));
    let writers: Vec<_> = (0..6u64)
        .map(|writer| {
            let (stop, accepted, refused) = (stop.clone(), accepted.clone(), refused.clone());
            let mut client = pair.source.connect_as_app();
            thread::spawn(move || {
                let mut id = 10_000 + writer * 1_000_000;
                while !stop.load(Ordering::Relaxed) {
                    id += 1;
                    let sql = match writer % 3 {
                        0 => format!("insert into plain values ({id})"),
                        1 => format!("begin; insert into tree values ({id}); insert into plain values ({id}); commit"),
                        _ => format!("insert into plain select i from generate_series({id}, {id} + 4) as i; delete from plain where id between {id} + 1 and {id} + 4"),
                    };
                    match client.batch_execute(&sql) {
                        Ok(()) => {
                            accepted.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => {
                            let code = error.code().map(|c| c.code().to_owned());
                            assert_eq!(code.as_deref(), Some("25006"), "{error}");
                            refused.fetch_add(1, Ordering::Relaxed);
                            let _ = client.batch_execute("rollback");
                        }
                    }
                }
            })
        })
        .collect();
    const IMAGE: &str = "select (select count(*) || ' ' || sum(id) || ' ' || sum(n) from plain) || (select count(*) || ' ' || sum(id) from tree)";
    for _ in 0..12 {
        let before = accepted.load(Ordering::Relaxed);
        wait::until_true(SOON, "they write", || {
            accepted.load(Ordering::Relaxed) > before + 50
        });
        pair.query("SELECT repl_fence('heroku')");
        let image = pair.source.query_one_text(DATABASE, IMAGE);
        let turned_away = refused.load(Ordering::Relaxed);
        wait::until_true(SOON, "they are refused", || {
            refused.load(Ordering::Relaxed) > turned_away + 30
        });
        pair.wait_for("caught_up", Duration::from_secs(60));
        assert_eq!(pair.source.query_one_text(DATABASE, IMAGE), image);
        assert_eq!(pair.query(IMAGE), image, "all of it is on the target");
        pair.query("SELECT repl_unfence('heroku')");
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer
            .join()
            .expect("a writer is refused by the fence only");
    }
    let rows: u64 = pair
        .source
        .query_one_text(DATABASE, "select count(*) from plain where id > 10000")
        .parse()
        .expect("a count");
    assert_eq!(
        rows,
        accepted.load(Ordering::Relaxed),
        "none lost, none invented"
    );
    pair.assert_migrated();
    pair.stop_migration();
}

/// Somebody with a transaction open that has written.
fn open_writer(pair: &Pair, role: &str) -> Client {
    let mut client = pair.source.connect_as(role, DATABASE);
    client
        .batch_execute("begin; update plain set n = n + 1 where id = 1")
        .expect("a transaction is opened");
    client
}

#[test]
fn fence_gives_way_to_a_long_transaction() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.stream("");
    let mut writer = open_writer(&pair, ROLE);
    let began = Instant::now();
    let error = pair.refused("SELECT repl_fence('heroku', timeout => '1.5 seconds')");
    assert!(began.elapsed() >= Duration::from_millis(1500));
    assert_says(
        &error,
        "57014",
        &[
            "did not end within 1.5 s",
            "user app",
            "transaction age",
            "its statement began",
            "plain",
            "takes writes again",
            "terminate => true",
        ],
    );
    assert!(!format!("{error:?}").contains("update plain"), "{error:?}");
    pair.source.app("insert into plain values (2000)");
    assert_eq!(pair.status("fenced"), "f");
    // behind the fence it could not write any more, but what it has written is still its own to commit
    writer
        .batch_execute("update plain set n = n + 1 where id = 2; commit")
        .expect("it goes on");
    pair.assert_migrated();

    // a transaction that ends in time
    let mut writer = open_writer(&pair, ROLE);
    let ending = thread::spawn(move || {
        wait::pause(Duration::from_millis(700));
        writer
            .batch_execute("commit")
            .expect("what was written before is committed");
    });
    pair.query("SELECT repl_fence('heroku')");
    ending.join().expect("it has ended");
    assert_fenced(&pair, WRITES);
    pair.assert_migrated();
    pair.stop_migration();
}

#[test]
fn fence_waits_for_prepared_transactions() {
    let pair = Pair::builder()
        .source_conf("max_prepared_transactions = 10")
        .start();
    pair.source.app(TABLES);
    pair.stream("");
    let mut writer = open_writer(&pair, ROLE);
    // it changes its name while it is waited for
    let preparing = thread::spawn(move || {
        wait::pause(Duration::from_millis(500));
        writer
            .batch_execute("prepare transaction 'two phases'")
            .expect("it is prepared");
    });
    let error =
        pair.refused("SELECT repl_fence('heroku', timeout => '2 seconds', terminate => true)");
    preparing.join().expect("it is prepared");
    // asked to end before it was prepared, or named after
    if error.detail().unwrap_or_default().contains("prepared") {
        assert_says(&error, "57014", &["two phases", "ROLLBACK PREPARED"]);
    }
    pair.source.app("commit prepared 'two phases'");
    pair.query("SELECT repl_fence('heroku')");
    pair.assert_migrated();
    pair.stop_migration();
}

#[test]
fn fence_terminates_where_it_may() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.source.sql("postgres", "create role other login");
    pair.source.app("grant select, update on plain to other");
    pair.stream("");
    let mut own = open_writer(&pair, ROLE);
    pair.query("SELECT repl_fence('heroku', timeout => '20 seconds', terminate => true)");
    assert!(own.batch_execute("commit").is_err(), "it was terminated");
    pair.query("SELECT repl_unfence('heroku')");

    let mut other = open_writer(&pair, "other");
    let error =
        pair.refused("SELECT repl_fence('heroku', timeout => '2 seconds', terminate => true)");
    assert_says(
        &error,
        "57014",
        &[
            "user other",
            "role app may not end pid",
            "GRANT pg_signal_backend TO app",
            "takes writes again",
        ],
    );
    other.batch_execute("commit").expect("it is still there");
    pair.assert_migrated();
    pair.stop_migration();
}

/// The calling session ends in the middle of the barrier.
#[test]
fn fence_is_lowered_when_the_call_ends_early() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.stream("");
    for how in ["pg_cancel_backend", "pg_terminate_backend"] {
        let mut writer = open_writer(&pair, ROLE);
        let mut caller = pair.target.connect("postgres");
        let pid: i32 = caller
            .query_one("select pg_backend_pid()", &[])
            .expect("a pid")
            .get(0);
        let calling = thread::spawn(move || {
            caller
                .batch_execute("SELECT repl_fence('heroku', timeout => '10 minutes')")
                .expect_err("it is ended")
        });
        pair.poll_status("fenced");
        wait::until_true(SOON, "writes are refused", || {
            pair.source
                .try_rows(DATABASE, "insert into plain values (9000)")
                .is_err()
        });
        let second = pair.refused("SELECT repl_fence('heroku')");
        assert_says(&second, "55006", &["under way", "Nothing has been changed"]);
        assert_says(
            &pair.refused("SELECT repl_unfence('heroku')"),
            "55006",
            &["Cancel"],
        );
        pair.sql(&format!("SELECT {how}({pid})"));
        calling.join().expect("the call has ended");
        pair.poll_status("not fenced");
        pair.source.app("update plain set n = n + 1 where id = 3");
        writer
            .batch_execute("rollback")
            .expect("it was only waited for");
    }
    assert_eq!(
        pair.events("cancelled or its session ended"),
        4,
        "{}",
        pair.tell()
    );
    pair.assert_migrated();
    pair.stop_migration();
}

/// The worker that fences is killed in the barrier, and with it the server's other processes: who comes next lowers the fence. One
/// that stands stays.
#[test]
fn fence_after_a_crash_here() {
    let pair = Pair::builder().preload().start();
    pair.source.app(TABLES);
    pair.stream("");
    let mut writer = open_writer(&pair, ROLE);
    let mut caller = pair.target.connect("postgres");
    let calling = thread::spawn(move || {
        caller
            .batch_execute("SELECT repl_fence('heroku', timeout => '10 minutes')")
            .expect_err("its server crashes")
    });
    pair.poll_status("fenced");
    pair.target.restart(Mode::Immediate);
    calling.join().expect("the call has ended");
    pair.poll_status("not fenced");
    pair.source.app("update plain set n = n + 1 where id = 3");
    assert_eq!(
        pair.events("the call that had fenced the source was interrupted"),
        1
    );
    writer.batch_execute("commit").expect("it goes on");

    pair.query("SELECT repl_fence('heroku')");
    pair.target.restart(Mode::Immediate);
    let summary = pair.status("summary");
    assert!(summary.starts_with("FENCED since"), "{summary}");
    assert!(
        summary.contains("SELECT repl_unfence('heroku')"),
        "{summary}"
    );
    assert_fenced(&pair, WRITES);
    pair.wait_for("caught_up", Duration::from_secs(60));
    assert_fenced(&pair, WRITES);
    pair.query("SELECT repl_unfence('heroku')");
    pair.source.app("insert into plain values (9000)");
    pair.assert_migrated();
    pair.stop_migration();
}

#[test]
fn fence_survives_a_crash_of_the_source() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.stream("");
    pair.query("SELECT repl_fence('heroku')");
    pair.source.restart(Mode::Immediate);
    assert_fenced(&pair, WRITES);
    pair.assert_migrated();
    assert_eq!(pair.status("fenced"), "t");
    pair.query("SELECT repl_unfence('heroku')");

    // in the barrier: the fence is lowered when the source is back
    let _writer = open_writer(&pair, ROLE);
    let mut caller = pair.target.connect("postgres");
    let calling = thread::spawn(move || {
        caller
            .batch_execute("SELECT repl_fence('heroku', timeout => '10 minutes')")
            .expect_err("the source crashes")
    });
    wait::until_true(SOON, "writes are refused", || {
        pair.source
            .try_rows(DATABASE, "insert into plain values (9000)")
            .is_err()
    });
    pair.source.restart(Mode::Immediate);
    calling.join().expect("the call has ended");
    pair.poll_status("not fenced");
    pair.source.app("insert into plain values (9001)");
    pair.assert_migrated();
    pair.stop_migration();
}

/// Segments are closed and sealed under the fence, and stay behind it.
#[test]
fn fence_and_sealing() {
    let pair = Pair::builder()
        .target_conf("pg_decamp.segment_size = '64kB'")
        .start();
    pair.source.app(TABLES);
    pair.stream("");
    pair.query("SELECT repl_fence('heroku')");
    let segments = "select max(split_part(relname, '_', 3)::int) from pg_class \
                    where relname like 'delta\\_' || 'plain'::regclass::oid || '\\_%'";
    for round in 1..=3 {
        pair.source.app("set decamp.pass = 'on'; insert into plain select generate_series(100001, 110000); delete from plain where id > 100000");
        wait::until_true(SOON, "another segment", || {
            pair.source
                .query_one_text(DATABASE, segments)
                .parse::<i32>()
                .expect("a number")
                >= round
        });
        assert_fenced(&pair, &WRITES[..6]);
    }
    pair.assert_migrated();
    pair.query("SELECT repl_unfence('heroku')");
    pair.source.app("update plain set n = n + 1");
    pair.assert_migrated();
    pair.stop_migration();
}

/// A fence that other hands have raised, or taken away.
#[test]
fn fence_is_known_by_what_is_on_the_source() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.stream("");
    pair.query("SELECT repl_fence('heroku')");
    pair.sql("update decamp.subscription set fence = null, fenced_at = null");
    pair.poll_status("fenced");
    assert_eq!(pair.events("found fenced"), 1);
    pair.query("SELECT repl_unfence('heroku')");
    pair.sql("update decamp.subscription set fence = 'standing'");
    pair.poll_status("not fenced");
    assert_eq!(pair.events("by other hands"), 1);
    assert_says(
        &pair.refused("BEGIN; SELECT repl_fence('heroku')"),
        "25001",
        &["BEGIN"],
    );
    assert_says(
        &pair.refused("SELECT repl_fence('nobody')"),
        "42704",
        &["heroku"],
    );
    assert_says(&pair.refused("SELECT repl_fence(null)"), "22004", &["name"]);
    assert_says(
        &pair.refused("SELECT repl_fence('heroku', timeout => '-1 s')"),
        "22023",
        &["timeout"],
    );
    assert_says(
        &pair.refused("SELECT repl_fence('heroku', via => 'magic')"),
        "22023",
        &["'revoke'"],
    );
    // a function that somebody has made anew is fenced again
    pair.query("SELECT repl_fence('heroku')");
    assert_says(
        &pair.refused("SELECT repl_resync('heroku', 'plain')"),
        "55000",
        &["is fenced", "repl_unfence"],
    );
    pair.source.app(
        "do $$ declare f text; begin \
         select pg_get_functiondef(p.oid) into f from pg_proc p where p.proname = 'capture_' || 'plain'::regclass::oid; \
         execute regexp_replace(f, '/\\* decamp fence.*end of decamp fence \\*/', ''); end $$",
    );
    wait::until_true(SOON, "it is fenced again", || {
        pair.events("fenced again") == 1
    });
    assert_fenced(&pair, WRITES);
    pair.query("SELECT repl_unfence('heroku')");
    // without its triggers a table cannot be fenced
    pair.query("SELECT repl_pause('heroku')");
    pair.poll_status("state = 'paused' and workers = 0");
    pair.source
        .app("alter table plain disable trigger decamp_heroku_insert");
    assert_says(
        &pair.refused("SELECT repl_fence('heroku')"),
        "55000",
        &["public.plain", "repl_resync"],
    );
    pair.source.app("insert into parent values (77)");
    assert_eq!(pair.status("fenced"), "f");
    pair.stop_migration();
}

/// Stopping a fenced subscription says that the fence goes with it.
#[test]
fn fence_goes_with_the_subscription() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.stream("");
    pair.query("SELECT repl_fence('heroku')");
    pair.wait_for("caught_up", Duration::from_secs(60));
    compare::assert_same(&pair.source, DATABASE, &pair.target, "postgres");
    let told = pair.query("SELECT repl_stop('heroku')");
    assert!(told.contains("takes writes again"), "{told}");
    pair.source.app("insert into plain values (9000)");
    pair.assert_source_clean();
}

/// The rights on all tables and columns, in a form that does not depend on their order.
const RIGHTS: &str = "select string_agg(r, ' ' order by r) from ( \
    select format('%s %s %s %s %s', c.relname, a.grantor::regrole, a.grantee, a.privilege_type, a.is_grantable) as r \
    from pg_class c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a \
    where c.relkind in ('r', 'p') and c.relnamespace::regnamespace::text in ('public', '\"Other\"') \
    union all \
    select format('%s.%s %s %s %s %s', t.attrelid::regclass, t.attname, a.grantor::regrole, a.grantee, a.privilege_type, a.is_grantable) \
    from pg_attribute t, aclexplode(t.attacl) a where t.attrelid > 16384) as x";

/// The classical way: rights are taken away and given back as they were.
#[test]
fn fence_by_revoking() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.source
        .app("create schema apart; create table apart.t (id int primary key)");
    pair.source.sql(
        "postgres",
        "create role \"Mixed role\" login; create role further login; create role stranger login; \
         grant \"Mixed role\" to app",
    );
    pair.source.app(
        "grant select, insert, update on plain to \"Mixed role\" with grant option; grant delete on plain to public; \
         grant update (n) on parent to further; grant usage on schema \"Other\" to public",
    );
    let mut mixed = pair.source.connect_as("Mixed role", DATABASE);
    mixed
        .batch_execute("grant insert on plain to further; grant update (n) on plain to stranger")
        .expect("it may pass them on");
    pair.stream("exclude => array['apart.*']");
    let rights = pair.source.query_one_text(DATABASE, RIGHTS);

    let mut writer = open_writer(&pair, ROLE);
    let error = pair.refused("SELECT repl_fence('heroku', timeout => '1 second', via => 'revoke')");
    assert_says(&error, "57014", &["plain", "takes writes again"]);
    assert_eq!(pair.source.query_one_text(DATABASE, RIGHTS), rights);
    writer
        .batch_execute("commit")
        .expect("it was only waited for");

    pair.query("SELECT repl_fence('heroku', via => 'revoke')");
    assert_ne!(pair.source.query_one_text(DATABASE, RIGHTS), rights);
    for (role, sql) in [
        (ROLE, "insert into plain values (5000)"),
        (ROLE, "truncate \"Other\".\"Odd one\""),
        (ROLE, "update nameless set n = 3"),
        ("Mixed role", "update plain set n = 5"),
        ("further", "insert into plain values (5000)"),
        ("further", "update parent set n = 5"),
        ("stranger", "delete from plain"),
        ("stranger", "update plain set n = 5"),
    ] {
        let mut client = pair.source.connect_as(role, DATABASE);
        let code = match client.batch_execute(sql) {
            Ok(()) => panic!(
                "{role} may: {sql}\n{}",
                pair.source.query_one_text(DATABASE, RIGHTS)
            ),
            Err(error) => error.code().map(|c| c.code().to_owned()),
        };
        assert_eq!(code.as_deref(), Some("42501"), "{role}: {sql}");
    }
    pair.source
        .app("select count(*) from plain; insert into apart.t values (1)");
    mixed
        .batch_execute("select count(*) from plain")
        .expect("reading goes on");
    assert_eq!(pair.status("fenced"), "t");
    // it is seen to stand
    pair.wait_for("caught_up", Duration::from_secs(60));
    assert_eq!(pair.status("fenced"), "t", "{}", pair.tell());
    pair.query("SELECT repl_unfence('heroku')");
    assert_eq!(pair.source.query_one_text(DATABASE, RIGHTS), rights);
    pair.source.app("insert into plain values (5000)");

    pair.query("SELECT repl_fence('heroku', via => 'revoke', schemas => array['apart'])");
    let refused = pair
        .source
        .connect_as_app()
        .batch_execute("insert into apart.t values (2)");
    assert!(refused.is_err());
    pair.source.app("insert into plain values (5001)");
    pair.query("SELECT repl_unfence('heroku')");
    pair.source.app("insert into apart.t values (2)");
    assert_eq!(pair.source.query_one_text(DATABASE, RIGHTS), rights);

    // what is not ours stays, with what it hangs on, and is told
    pair.source
        .sql("postgres", "revoke \"Mixed role\" from app");
    pair.query("SELECT repl_fence('heroku', via => 'revoke')");
    mixed
        .batch_execute("update plain set n = 5 where id = 1")
        .expect("it keeps the right");
    assert_eq!(pair.events("not ours to revoke"), 1);
    pair.query("SELECT repl_unfence('heroku')");
    assert_eq!(pair.source.query_one_text(DATABASE, RIGHTS), rights);

    assert_says(
        &pair.refused("SELECT repl_fence('heroku', via => 'magic')"),
        "22023",
        &["'revoke'"],
    );
    assert_says(
        &pair.refused("SELECT repl_fence('heroku', schemas => array['public'])"),
        "22023",
        &["via"],
    );
    pair.query("SELECT repl_fence('heroku', via => 'revoke')");
    pair.wait_for("caught_up", Duration::from_secs(60));
    pair.stop_migration();
    assert_eq!(
        pair.source.query_one_text(DATABASE, RIGHTS),
        rights,
        "repl_stop gives them back"
    );
}
