//! The way back: what is written to the target after the switchover goes to the old source, and going back loses nothing.

use std::thread;
use std::time::Duration;

use decamp_tests::managed::{self, Managed};
use decamp_tests::observe::{SOON, assert_says};
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::reverse::{TABLES, WRITES, assert_equal, caught_up, refuses, state};
use decamp_tests::source::DATABASE;
use decamp_tests::{Pair, compare, wait};

#[test]
fn reverse_there_and_back_and_there_again() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.stream("");
    pair.source.app(WRITES);
    for round in 0..2 {
        // there
        let steps = pair.target.rows(
            TARGET_DATABASE,
            "SELECT step, outcome, message FROM repl_switchover('heroku')",
        );
        let step = |name| {
            let found = steps.iter().find(|s| s[0] == name);
            found.unwrap_or_else(|| panic!("{steps:?}"))
        };
        assert_eq!(step("reverse")[1], "done", "{steps:?}");
        assert!(
            step("finished")[2].contains("repl_switchover('heroku_reverse')"),
            "{steps:?}"
        );
        refuses(&pair.source, DATABASE);
        assert_eq!(state(&pair, "heroku"), "finished");
        // the first row is not lost
        pair.sql(WRITES);
        caught_up(&pair, "heroku_reverse");
        assert_equal(&pair);
        pair.sql("truncate keyless; insert into keyless values (5, 'five'), (5, 'five')");
        pair.sql(WRITES);
        caught_up(&pair, "heroku_reverse");
        assert_equal(&pair);
        assert_eq!(state(&pair, "heroku_reverse"), "streaming");
        refuses(&pair.source, DATABASE);

        // what the pair allows
        if round == 0 {
            says(&pair);
        }

        // and back
        let rehearsed = pair.query(
            "SELECT max(message) FILTER (WHERE step = 'reverse') FROM repl_switchover('heroku_reverse', dry_run => true)",
        );
        assert!(rehearsed.contains("heroku leads back"), "{rehearsed}");
        pair.query("SELECT count(*) FROM repl_switchover('heroku_reverse')");
        refuses(&pair.target, TARGET_DATABASE);
        assert_eq!(state(&pair, "heroku_reverse"), "finished");
        pair.source.app(WRITES);
        pair.assert_migrated();
        assert_eq!(state(&pair, "heroku"), "streaming");
        pair.source.app("truncate keyless");
        pair.source.app(WRITES);
        pair.assert_migrated();
        refuses(&pair.target, TARGET_DATABASE);
    }
    let verified = pair.query("SELECT bool_and(equal) FROM repl_verify('heroku')");
    assert_eq!(verified, "t");
    // for good, on the source: the one at work first
    assert_says(
        &pair.refused("SELECT repl_stop('heroku_reverse')"),
        "55000",
        &["\"heroku\" brings back", "SELECT repl_stop('heroku')"],
    );
    pair.query("SELECT repl_stop('heroku')");
    refuses(&pair.target, TARGET_DATABASE);
    let told = pair.query("SELECT repl_stop('heroku_reverse')");
    assert!(told.contains("takes writes again"), "{told}");
    pair.assert_source_clean();
    assert_eq!(
        pair.query("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'decamp_%'"),
        "0"
    );
    pair.sql("insert into item (n) values (1)");
}

/// Words while the way back is at work.
fn says(pair: &Pair) {
    let summary = pair.status("summary");
    assert!(
        summary.contains("flows back by subscription heroku_reverse"),
        "{summary}"
    );
    assert_says(
        &pair.refused("SELECT * FROM repl_switchover('heroku')"),
        "55000",
        &["switched over already", "repl_switchover('heroku_reverse')"],
    );
    assert_says(
        &pair.refused("SELECT repl_unfence('heroku', force => true)"),
        "55000",
        &[
            "undone by those that come back",
            "repl_switchover('heroku_reverse')",
        ],
    );
    assert_says(
        &pair.refused("SELECT repl_stop('heroku')"),
        "55000",
        &["repl_stop('heroku_reverse'); first"],
    );
    // whatever is asked of the one that has finished: both ways out are told
    for call in [
        "repl_fence('heroku')",
        "repl_pause('heroku')",
        "repl_wait('heroku', 'caught_up')",
        "repl_resync('heroku', 'item')",
        "repl_add_table('heroku', 'item')",
        "repl_ddl('heroku', 'alter table item add x int')",
        "repl_settle_sequences('heroku')",
    ] {
        assert_says(
            &pair.refused(&format!("SELECT {call}")),
            "55000",
            &[
                "has switched over",
                "SELECT repl_switchover('heroku_reverse'); goes back",
                "SELECT repl_stop('heroku_reverse'); then SELECT repl_stop('heroku');",
            ],
        );
    }
    assert_says(
        &pair.refused("SELECT * FROM repl_switchover('heroku_reverse', reverse => false)"),
        "22023",
        &["leads back already", "Leave out reverse"],
    );
    let verified = pair.query("SELECT bool_and(equal) FROM repl_verify('heroku_reverse')");
    assert_eq!(verified, "t");
    // a table copied anew, through the fence of the old source
    pair.query("SELECT repl_resync('heroku_reverse', 'item')");
    pair.query("SELECT repl_resync('heroku_reverse', 'keyless')");
    pair.query("SELECT repl_wait('heroku_reverse', 'streaming', timeout => '90 seconds')");
    caught_up(pair, "heroku_reverse");
    assert_equal(pair);
}

/// Neither side is a superuser's: triggers and foreign keys are off where we write, and on where the application does.
#[test]
fn reverse_of_an_ordinary_role() {
    let managed = Managed::start();
    let pair = Pair::start();
    let trigger = "create function count_up() returns trigger language plpgsql as $$ begin new.n := new.n + 1000; return new; end $$; \
         create trigger count_up before insert on item for each row execute function count_up()";
    pair.source.app(&format!("{TABLES}; {trigger}"));
    managed.own(&format!(
        "{TABLES}; truncate item, part, keyless, other; {trigger}"
    ));
    pair.stream(&format!("target => '{}'", managed.uri()));
    let assert_equal = || compare::assert_same(&pair.source, DATABASE, &managed, managed::DATABASE);
    pair.source.app(WRITES);
    for _ in 0..2 {
        pair.query("SELECT count(*) FROM repl_switchover('heroku')");
        managed.own(WRITES);
        // the application's triggers act there
        assert_ne!(
            managed
                .query("select count(*) from item where n between 900 and 1000 and code like 'w%'"),
            "0"
        );
        refuses(&pair.source, DATABASE);
        caught_up(&pair, "heroku_reverse");
        assert_equal();
        pair.query("SELECT count(*) FROM repl_switchover('heroku_reverse')");
        pair.source.app(WRITES);
        assert!(
            pair.source
                .try_rows(
                    DATABASE,
                    "insert into part values (1, '2020-05-05', '', -1)"
                )
                .is_err(),
            "the foreign key is there"
        );
        caught_up(&pair, "heroku");
        assert_equal();
    }
    pair.query("SELECT repl_stop('heroku')");
    pair.query("SELECT repl_stop('heroku_reverse')");
    pair.assert_source_clean();
    for (server, database) in [(&*pair.source, DATABASE), (&*managed, managed::DATABASE)] {
        assert_eq!(
            server.query_one_text(
                database,
                "select count(*) from pg_trigger where tgenabled <> 'O' or tgname like 'decamp%'"
            ),
            "0"
        );
        assert_eq!(
            server.query_one_text(
                database,
                "select bool_and(convalidated) and count(*) > 0 from pg_constraint where contype = 'f' and conparentid = 0"
            ),
            "t"
        );
    }
}

/// Going to and fro while an application writes wherever it is let: each accepted row is there once.
#[test]
fn reverse_under_load() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
    let pair = Pair::start();
    pair.source.app(
        "create table entry (id bigint primary key, n int not null default 0); create table log (id bigint)",
    );
    pair.stream("");
    let stop = Arc::new(AtomicBool::new(false));
    let accepted = Arc::new(AtomicI64::new(0));
    let writers: Vec<_> = (0..4_i64)
        .map(|writer| {
            let (stop, accepted) = (stop.clone(), accepted.clone());
            let mut sides = [
                pair.source.connect_as_app(),
                pair.target.connect(TARGET_DATABASE),
            ];
            thread::spawn(move || {
                let mut id = writer;
                let mut side = 0;
                while !stop.load(Ordering::Relaxed) {
                    let sql = format!(
                        "begin; insert into entry values ({id}); insert into log values ({id}); \
                         update entry set n = n + 1 where id = {id} - 40; commit"
                    );
                    match sides[side].batch_execute(&sql) {
                        Ok(()) => {
                            accepted.fetch_add(1, Ordering::Relaxed);
                            id += 4;
                        }
                        Err(error) => {
                            let code = error.code().map(|c| c.code().to_owned());
                            assert_eq!(code.as_deref(), Some("25006"), "{error}");
                            let _ = sides[side].batch_execute("rollback");
                            // as an application that is told to try the other address
                            side = 1 - side;
                        }
                    }
                    wait::pause(Duration::from_millis(5));
                }
                id
            })
        })
        .collect();
    let busy = || {
        let before = accepted.load(Ordering::Relaxed);
        wait::until_true(SOON, "they write", || {
            accepted.load(Ordering::Relaxed) > before + 100
        });
    };
    busy();
    for name in [
        "heroku",
        "heroku_reverse",
        "heroku",
        "heroku_reverse",
        "heroku",
    ] {
        pair.query(&format!(
            "SELECT repl_wait('{name}', 'streaming', timeout => '60 seconds')"
        ));
        pair.query(&format!(
            "SELECT count(*) FROM repl_switchover('{name}', max_downtime => '60 seconds')"
        ));
        busy();
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.join().expect("a writer is refused by a fence only");
    }
    caught_up(&pair, "heroku_reverse");
    assert_equal(&pair);
    let rows = accepted.load(Ordering::Relaxed).to_string();
    assert_eq!(pair.query("select count(*) from entry"), rows);
    assert_eq!(pair.query("select count(*) from log"), rows);
    assert_eq!(
        pair.query("select count(*) from entry e where n <> 1 and exists (select from entry x where x.id = e.id + 40)"),
        "0"
    );
    pair.stop_migration();
}

/// Tables that come, go, and get another name between one switchover and the next.
#[test]
fn reverse_with_other_tables() {
    let pair = Pair::start();
    let tables = "create table stays (id int primary key, n int); create table goes (id int primary key, n int); \
         insert into stays select i, i from generate_series(1, 100) as i; insert into goes select * from stays; \
         create table comes (a int, b text); insert into comes select i, 'x' from generate_series(1, 50) as i";
    pair.source.app(tables);
    pair.stream("exclude => '{public.comes}'");
    let write = "insert into stays select max(id) + 1, 0 from stays; insert into comes values (1, 'x'), (2, 'y')";
    let go = |name: &str, back: &str| {
        pair.query(&format!("SELECT count(*) FROM repl_switchover('{name}')"));
        pair.query(&format!(
            "SELECT repl_wait('{back}', 'streaming', timeout => '60 seconds')"
        ));
    };
    let both_have = |sql: &str| {
        let there = pair.source.rows(DATABASE, sql);
        assert_eq!(there, pair.target.rows(TARGET_DATABASE, sql));
        there
    };
    go("heroku", "heroku_reverse");
    go("heroku_reverse", "heroku");
    pair.sql("create table comes (a int, b text)");
    pair.query("SELECT repl_add_table('heroku', 'public.comes')");
    pair.query("SELECT repl_wait('heroku', 'streaming', timeout => '60 seconds')");
    pair.query("SELECT repl_remove_table('heroku', 'public.goes')");
    pair.query("SELECT repl_wait('heroku', 'streaming', timeout => '60 seconds')");
    pair.query("SELECT repl_ddl('heroku', 'alter table stays rename to has_stayed')");
    pair.wait_for("caught_up", SOON);

    go("heroku", "heroku_reverse");
    pair.sql(&write.replace("stays", "has_stayed"));
    // neither followed nor fenced any more
    pair.sql("update goes set n = 0");
    caught_up(&pair, "heroku_reverse");
    both_have("select * from has_stayed order by id");
    assert_eq!(both_have("select * from comes order by a, b").len(), 52);
    assert_eq!(
        pair.source
            .query_one_text(DATABASE, "select sum(n) from goes"),
        "5050"
    );
    assert_eq!(
        pair.query("SELECT string_agg(\"table\", ' ' ORDER BY \"table\") FROM repl_tables WHERE subscription = 'heroku_reverse'"),
        "comes has_stayed"
    );
    go("heroku_reverse", "heroku");
    pair.source.app(&write.replace("stays", "has_stayed"));
    pair.wait_for("caught_up", SOON);
    both_have("select * from has_stayed order by id");
    assert_eq!(both_have("select * from comes order by a, b").len(), 54);
    pair.query("SELECT repl_stop('heroku')");
    pair.query("SELECT repl_stop('heroku_reverse')");
}

/// Tables that are changed on both sides while the way back works: it goes on with them, and so does what leads there again.
#[test]
fn reverse_with_changed_tables() {
    let pair = Pair::start();
    let tables = ["grown", "renamed", "widened", "rekeyed", "keyless", "tree"];
    pair.source.app(
        "create table grown (id int primary key, n int not null); create table renamed (id int primary key, n int not null); \
         create table widened (id int primary key, n int not null); create table rekeyed (id int primary key, n int not null); \
         create table keyless (id int, n int not null); \
         create table tree (id int primary key, n int not null) partition by range (id); \
         create table leaf partition of tree for values from (0) to (250); create table rest partition of tree default",
    );
    for table in tables {
        pair.source.app(&format!(
            "insert into {table} select i, i from generate_series(1, 500) as i"
        ));
    }
    pair.stream("");
    pair.query("SELECT count(*) FROM repl_switchover('heroku')");
    pair.query("SELECT repl_wait('heroku_reverse', 'streaming', timeout => '60 seconds')");
    for statement in [
        "alter table grown add more text not null default 'x', add even_more int",
        "alter table renamed rename id to number",
        "alter table widened alter n type bigint",
        "alter table rekeyed drop constraint rekeyed_pkey, add primary key (n, id)",
        "alter table keyless add more text default 'y'",
        "alter table tree rename id to number",
    ] {
        pair.query(&format!(
            "SELECT repl_ddl('heroku_reverse', $sql${statement}$sql$)"
        ));
    }
    assert_says(
        &pair
            .refused("SELECT repl_ddl('heroku_reverse', 'alter table grown alter id type bigint')"),
        "0A000",
        &["Nothing has been changed", "before the first switchover"],
    );
    pair.query("SELECT repl_wait('heroku_reverse', 'streaming', timeout => '60 seconds')");
    let write = |round: i32| {
        let own = [
            format!(
                "insert into renamed (number, n) values ({}, 0)",
                1000 + round
            ),
            format!("insert into widened values ({}, 5000000000)", 1000 + round),
            format!("insert into rekeyed values ({}, 0)", 1000 + round),
            format!("insert into grown values ({}, 0, 'own', 1)", 1000 + round),
            "update rekeyed set n = n + 1 where id % 3 = 0; delete from keyless where id % 50 = 3"
                .to_owned(),
            "update grown set even_more = n; update renamed set number = -number where n = 17"
                .to_owned(),
        ];
        let all = tables.map(|t| format!("update {t} set n = n + 1 where n % 7 = 0"));
        [own.join("; "), all.join("; ")].join("; ")
    };
    let triggers = || {
        let sql = "select string_agg(oid::text, ' ' order by oid) from pg_trigger where tgname like 'decamp%'";
        pair.source.query_one_text(DATABASE, sql)
    };
    let mut renewed = Vec::new();
    for round in 0..2 {
        pair.sql(&write(round * 2));
        caught_up(&pair, "heroku_reverse");
        assert_equal(&pair);
        pair.query("SELECT count(*) FROM repl_switchover('heroku_reverse')");
        // at once: capture knows the tables as they are
        pair.source.app(&write(round * 2 + 1));
        pair.assert_migrated();
        renewed.push(triggers());
        pair.query("SELECT count(*) FROM repl_switchover('heroku')");
        pair.query("SELECT repl_wait('heroku_reverse', 'streaming', timeout => '60 seconds')");
    }
    assert_eq!(renewed[0], renewed[1], "once is enough");
    pair.stop_migration();
}

/// Sources of other versions, as targets.
fn of_version(major: u32) {
    let pair = Pair::builder().source_version(major).start();
    pair.source.app(TABLES_OF_ALL_VERSIONS);
    if major > 15 {
        // what a pg_dump of its version writes is not at hand everywhere
        pair.sql(&format!(
            "{TABLES_OF_ALL_VERSIONS}; truncate item, detail, keyless"
        ));
    } else {
        pair.load_zoo(100);
    }
    pair.stream(&format!("copy_schema => {}", major <= 15));
    pair.query("SELECT count(*) FROM repl_switchover('heroku')");
    pair.sql(WRITES_OF_ALL_VERSIONS);
    caught_up(&pair, "heroku_reverse");
    assert_equal(&pair);
    pair.query("SELECT count(*) FROM repl_switchover('heroku_reverse')");
    pair.source.app(WRITES_OF_ALL_VERSIONS);
    pair.assert_migrated();
    pair.query("SELECT repl_stop('heroku')");
    pair.query("SELECT repl_stop('heroku_reverse')");
    pair.assert_source_clean();
}

/// Version 10 knows no primary keys of partitioned tables.
const TABLES_OF_ALL_VERSIONS: &str = "create table item (id serial primary key, n int not null default 0, code text unique); \
     insert into item (n, code) select i, 'c' || i from generate_series(1, 1000) as i; \
     create table detail (id int primary key, item int references item on delete cascade); \
     insert into detail select i, i from generate_series(1, 500) as i; \
     create table keyless (a int, b text); insert into keyless select i % 10, 'x' from generate_series(1, 100) as i";

const WRITES_OF_ALL_VERSIONS: &str = "insert into item (n, code) select -i, 'w' || nextval('item_id_seq') from generate_series(1, 20) as i; \
     update item set n = n + 1 where id % 7 = 0; \
     delete from item where id = (select min(id) from item); \
     insert into keyless values (1, 'x'), (1, 'x'), (77, null); delete from keyless where a = 3";

#[test]
fn reverse_to_version_10() {
    of_version(10);
}

#[test]
fn reverse_to_version_14() {
    of_version(14);
}

#[test]
fn reverse_to_version_18() {
    of_version(18);
}
