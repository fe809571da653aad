//! The fence: nobody writes on the source any more, everybody reads, and what was written before is on the target.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use decamp_tests::fence::{TABLES, WRITES, assert_fenced};
use decamp_tests::observe::{SOON, assert_says};
use decamp_tests::source::DATABASE;
use decamp_tests::{Pair, compare, have_source, wait};

const PARTITIONED: &str = "create table tree (id int, n int not null default 0, primary key (id)) partition by range (id); \
     create table leaf partition of tree for values from (0) to (100); \
     create table rest partition of tree default; insert into tree values (1), (200)";

const PARTITIONED_WRITES: &[&str] = &[
    "insert into tree values (2)",
    "insert into leaf values (3)",
    "update tree set id = id + 150 where id = 1",
    "delete from rest",
    "truncate tree",
    "truncate leaf",
];

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

/// Tables whose files or rows are special: the fence is in their triggers as in others'.
#[test]
fn fence_of_unlogged_tables_and_of_row_security() {
    let pair = Pair::start();
    pair.source.sql("postgres", "create role other login");
    let tables = "create unlogged table fleeting (id int primary key, n int); \
         create table hidden (id int primary key, owner name not null, n int); \
         alter table hidden enable row level security";
    pair.source.app(tables);
    pair.source.app(
        "create policy own on hidden to other using (owner = current_user) with check (owner = current_user); \
         grant select, insert, update, delete on hidden, fleeting to other; \
         insert into fleeting select i, i from generate_series(1, 100) as i; \
         insert into hidden select i, case i % 2 when 0 then 'other' else 'app' end, i from generate_series(1, 100) as i",
    );
    pair.stream("");
    assert_eq!(pair.query("select count(*) from hidden"), "100");
    let writes = [
        "insert into fleeting values (1000)",
        "update fleeting set n = 0",
        "truncate fleeting",
        "insert into hidden values (1000, current_user)",
        "update hidden set n = n + 1 where id = 2",
        // a row that only its owner sees
        "update hidden set n = n + 1 where id = 1",
        "delete from hidden",
    ];
    let refused = |role: &str| {
        let mut client = pair.source.connect_as(role, DATABASE);
        for sql in writes {
            if role == "other" && sql.starts_with("truncate") {
                continue;
            }
            let error = client.batch_execute(sql).expect_err("it is fenced");
            let error = error.as_db_error().expect("the server's word");
            assert_says(error, "25006", &["moving to another server"]);
        }
    };
    pair.query("SELECT repl_fence('heroku')");
    for role in ["app", "other", "postgres"] {
        refused(role);
    }
    pair.assert_migrated();
    pair.query("SELECT repl_unfence('heroku')");
    let mut other = pair.source.connect_as("other", DATABASE);
    other
        .batch_execute("insert into hidden values (2000, current_user); update hidden set n = -1; delete from fleeting where id < 50")
        .expect("it may write again");
    pair.assert_migrated();
    pair.query(
        "SELECT count(*) FROM repl_switchover('heroku', verify => 'checksum', reverse => false)",
    );
    for role in ["app", "other", "postgres"] {
        refused(role);
    }
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
        &["SELECT repl_resync('heroku', 'public.plain')"],
    );
    pair.source.app("insert into parent values (77)");
    assert_eq!(pair.status("fenced"), "f");
    pair.query("SELECT repl_resync('heroku', 'public.plain')");
    pair.query("SELECT repl_resume('heroku')");
    pair.wait_for("streaming", SOON);
    pair.query("SELECT repl_fence('heroku')");
    assert_fenced(&pair, WRITES);
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
