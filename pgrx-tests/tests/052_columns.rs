//! Tables whose definition changes while they stream: followed where that is possible, else that one table stops and says
//! what to do, and nothing is lost.

use decamp_tests::Pair;
use decamp_tests::load::Running;
use decamp_tests::observe::SOON;

const TABLES: &str = "create type mood as enum ('happy', 'sad'); \
     create table growing (id int primary key, value int not null default 0); \
     create table lonely (id int primary key, value int not null default 0); \
     create table shrinking (id int primary key, value int not null default 0, extra text); \
     create table renamed (id int primary key, value int not null default 0, old_name text); \
     create table widened (id int primary key, value int not null default 0); \
     create table moody (id int primary key, value int not null default 0, mood mood); \
     create table rekeyed (id int primary key, value int not null default 0, other int not null unique); \
     create table called (id int primary key, value int not null default 0); \
     create table dropped (id int primary key, value int not null default 0); \
     create table steady (id int primary key, value int not null default 0)";

/// Every table has `id` and `value`, and more rows than a load ever touches.
fn start() -> Pair {
    let pair = Pair::start();
    pair.source.app(TABLES);
    for row in pair.source.rows(
        "app",
        "select tablename from pg_tables where schemaname = 'public'",
    ) {
        let table = &row[0];
        let columns = if table == "rekeyed" {
            "id, other"
        } else {
            "id"
        };
        let values = if table == "rekeyed" {
            "i, 151 - i"
        } else {
            "i"
        };
        pair.source.app(&format!(
            "insert into {table} ({columns}) select {values} from generate_series(1, 150) as i"
        ));
    }
    pair.stream("");
    pair
}

fn busy(pair: &Pair, table: &str) -> Running {
    pair.source
        .pgbench()
        .script(&format!(
            "\\set n random(1, 100)\nupdate {table} set value = value + 1 where id = :n;\nupdate steady set value = value + 1 where id = :n;\n"
        ))
        .rate(150)
        .start()
}

/// What a hint tells to type on the target, typed.
fn obey(pair: &Pair, table: &str) {
    let hint = pair.table(table, "hint");
    let sql = hint
        .split_once("On the target: ")
        .and_then(|(_, rest)| rest.split_once(" Then SELECT repl_resume('heroku')"))
        .map(|(sql, _)| sql.to_owned());
    let sql = sql.unwrap_or_else(|| panic!("the hint says what to type: {hint}"));
    pair.sql(&sql);
    pair.query("SELECT repl_resume('heroku')");
}

/// The other table of the load goes on while this one is stopped.
fn assert_only_this_stops(pair: &Pair, table: &str) {
    pair.poll_table(
        table,
        "state = 'errored' and error is not null and hint is not null",
    );
    let updated: i64 = pair.table("steady", "updated").parse().expect("a number");
    pair.poll_table(
        "steady",
        &format!("state = 'ready' and updated > {updated} + 20"),
    );
    let status = "state = 'streaming' and error like '%' || $$TABLE$$ || '%' and hint is not null \
                  and summary like '1 of 10 tables stopped%' and tables_ready = 9";
    pair.poll_status(&status.replace("TABLE", table));
}

#[test]
fn columns_added_on_both_sides() {
    let pair = start();
    let load = busy(&pair, "growing");
    let ddl = "alter table growing add column extra text, add column more int not null default 7, \
               add column stamp timestamptz, add column token uuid not null default gen_random_uuid()";
    pair.sql(ddl);
    pair.source.app(ddl);
    pair.source
        .app("update growing set extra = 'at once', stamp = now() where id <= 50");
    pair.source.app("insert into growing (id, extra, more) select i, 'new', i from generate_series(200, 250) as i");
    pair.wait_for("caught_up", SOON);
    pair.source
        .app("alter table growing alter column more drop default, alter column more drop not null");
    pair.source.app("update growing set more = null where id > 220; update growing set extra = 'later' where id < 10");
    // stops, and says that NULL is not allowed there
    pair.poll_table("growing", "state = 'errored' and error like '%more%'");
    pair.sql("alter table growing alter column more drop default, alter column more drop not null");
    pair.query("SELECT repl_resume('heroku')");
    load.stop(&pair.source);
    pair.assert_migrated();
    pair.stop_migration();
}

#[test]
fn columns_added_on_the_source_only() {
    let pair = start();
    let load = busy(&pair, "lonely");
    pair.source
        .app("alter table lonely add column extra text, add column more int not null default 7");
    pair.source
        .app("update lonely set extra = 'only here', more = id where id % 2 = 0");
    assert_only_this_stops(&pair, "lonely");
    assert!(pair.deltas() > 0, "its deltas wait");
    obey(&pair, "lonely");
    // one after the other, if there is more than one
    let end = std::time::Instant::now() + SOON;
    while pair
        .target
        .try_rows(
            "postgres",
            "SELECT repl_wait('heroku', 'caught_up', timeout => '20 seconds')",
        )
        .is_err()
    {
        assert!(std::time::Instant::now() < end, "{}", pair.tell());
        obey(&pair, "lonely");
    }
    load.stop(&pair.source);
    pair.assert_migrated();
    pair.stop_migration();
}

#[test]
fn columns_dropped_renamed_and_of_another_type() {
    let pair = start();
    let load = busy(&pair, "shrinking");
    pair.source.app("alter table shrinking drop column extra");
    let updated: i64 = pair
        .table("shrinking", "updated")
        .parse()
        .expect("a number");
    pair.poll_table(
        "shrinking",
        &format!("state = 'ready' and updated > {updated} + 50"),
    );
    pair.sql("alter table shrinking drop column extra");
    load.stop(&pair.source);
    pair.assert_migrated();

    let load = busy(&pair, "renamed");
    pair.source.app("alter table renamed rename column old_name to new_name; update renamed set new_name = 'new' where id < 10");
    assert_only_this_stops(&pair, "renamed");
    pair.sql("alter table renamed rename column old_name to new_name");
    pair.query("SELECT repl_resume('heroku')");
    load.stop(&pair.source);
    pair.assert_migrated();

    // both kinds of widening work without the target knowing, until a value comes that only the new type can hold
    let load = busy(&pair, "widened");
    pair.source
        .app("alter table widened alter column value type bigint using value + 1000");
    pair.source
        .app("update widened set value = 3000000000 where id = 5");
    assert_only_this_stops(&pair, "widened");
    pair.sql("alter table widened alter column value type bigint");
    pair.query("SELECT repl_resume('heroku')");
    load.stop(&pair.source);
    pair.assert_migrated();

    let load = busy(&pair, "moody");
    pair.source.sql("app", "alter type mood add value 'bored'");
    pair.source
        .app("update moody set mood = 'bored' where id < 5");
    assert_only_this_stops(&pair, "moody");
    pair.sql("alter type mood add value 'bored'");
    pair.query("SELECT repl_resume('heroku')");
    load.stop(&pair.source);
    pair.assert_migrated();
    pair.stop_migration();
}

#[test]
fn columns_of_the_key_and_whole_tables() {
    let pair = start();
    // a table with another name is the same table
    let load = busy(&pair, "called");
    load.stop(&pair.source);
    pair.source
        .app("alter table called rename to known_as; update known_as set value = -1 where id < 50");
    pair.poll_table("called", "state = 'errored' and hint is not null");
    pair.sql("alter table called rename to known_as");
    pair.query("SELECT repl_resume('heroku')");
    pair.assert_migrated();

    // another key: the deltas hold the old one, so this cannot be followed; it must not be followed wrongly either
    let rekey = "alter table rekeyed drop constraint rekeyed_pkey, add primary key (other)";
    let load = busy(&pair, "rekeyed");
    pair.sql(rekey);
    pair.source.app(rekey);
    pair.source.app("update rekeyed set value = -id where id < 50; delete from rekeyed where id = 60; update rekeyed set other = -other");
    load.stop(&pair.source);
    let told = "select state = 'errored' and hint is not null from repl_tables where \"table\" = 'rekeyed'";
    let caught_up = decamp_tests::wait::until(SOON, "the table is followed or stops", || {
        if pair.query(told) == "t" {
            return Some(false);
        }
        let wait = "SELECT repl_wait('heroku', 'caught_up', timeout => '5 seconds')";
        pair.target.try_rows("postgres", wait).ok().map(|_| true)
    });
    if caught_up {
        pair.assert_migrated();
    }

    // a table that is gone takes its triggers with it; everything else goes on
    pair.source.app("drop table dropped");
    pair.poll_table("dropped", "state = 'errored' and hint is not null");
    pair.source.app("update steady set value = -7 where id = 7");
    pair.poll("select value = -7 from steady where id = 7");
    pair.stop_migration();
}

/// Every row gets another value while its columns stay what they are: no trigger fires, and by their names and types nobody
/// could tell.
#[test]
fn columns_written_anew_as_the_type_they_have() {
    let pair = Pair::start();
    pair.source.app(
        "create table plain (id int primary key, n int not null default 0, value text); \
         create table parts (id int primary key, n int not null default 0, value text) partition by range (id); \
         create table parts_1 partition of parts for values from (0) to (100); \
         create table parts_2 partition of parts for values from (100) to (1000); \
         create table bare (id int, n int not null default 0, value text); \
         insert into plain select i, 0, 'x' from generate_series(1, 200) as i; \
         insert into parts table plain; insert into bare table plain",
    );
    pair.stream("");
    let tables = ["plain", "parts", "bare"];
    let write_anew = || {
        for table in tables {
            pair.source.app(&format!(
                "alter table {table} alter column value type text using value || 'x'"
            ));
        }
    };
    write_anew();
    pair.assert_migrated();
    // again, while they are written to
    let mut load = pair.source.pgbench();
    for table in tables {
        load = load.script(&format!(
            "\\set id random(1, 200)\nupdate {table} set n = n + 1 where id = :id;\n"
        ));
    }
    let load = load.rate(100).start();
    write_anew();
    load.stop(&pair.source);
    pair.assert_migrated();
    // what writes rows anew as they were is none of that
    let told = "SELECT count(*) FROM repl_events WHERE message LIKE '%anew%'";
    let before = pair.query(told);
    for table in ["plain", "parts_1", "bare"] {
        pair.source.app(&format!("vacuum full {table}"));
    }
    pair.assert_migrated();
    assert_eq!(pair.query(told), before, "{}", pair.tell());
    pair.stop_migration();
}
