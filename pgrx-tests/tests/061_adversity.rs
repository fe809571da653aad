//! Capture taken away, and capture where names and settings are against it.

use decamp_tests::compare::differences;
use decamp_tests::observe::{SOON, assert_says};
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::source::DATABASE;
use decamp_tests::{Pair, wait};

const TABLES: &str = "create table item (id int primary key, value text); \
     create table other (id int primary key, value text); \
     insert into item select i, 'value ' || i from generate_series(1, 500) as i; \
     insert into other select i, 'value ' || i from generate_series(1, 100) as i";
/// Whether the target is what it should be, or the table says that it is not. Never different and silent.
fn is_equal_or_told(pair: &Pair, table: &str) -> bool {
    let caught_up = "SELECT repl_wait('heroku', 'caught_up', timeout => '10 seconds')";
    pair.table(table, "state = 'errored' and hint is not null") == "t"
        || pair.target.try_rows(TARGET_DATABASE, caught_up).is_ok()
            && differences(&pair.source, DATABASE, &pair.target, TARGET_DATABASE).is_empty()
}

#[test]
fn capture_taken_away_is_told() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    for name in ["disabled", "stripped", "replica_only"] {
        pair.source.app(&format!("create table {name} (id int primary key, value text); insert into {name} values (1, 'x'), (2, 'y')"));
    }
    pair.stream("");
    let missed = "state = 'errored' and error like '%missed%' and hint is not null";

    pair.source.app("alter table disabled disable trigger decamp_heroku_update; update disabled set value = 'missed' where id = 1");
    pair.poll_table("disabled", missed);
    pair.source
        .app("drop trigger decamp_heroku_delete on stripped; delete from stripped where id = 1");
    pair.poll_table("stripped", missed);
    pair.source.app("alter table replica_only enable replica trigger decamp_heroku_insert; insert into replica_only values (3, 'missed')");
    pair.poll_table("replica_only", missed);

    // the others go on
    pair.source
        .app("update item set value = 'goes on' where id = 1");
    pair.poll("select value = 'goes on' from item where id = 1");
    let error = pair.refused("SELECT repl_wait('heroku', 'caught_up', timeout => '10 seconds')");
    assert_says(&error, "55000", &["missed"]);

    // putting the triggers back does not bring back what was missed
    pair.source
        .app("alter table disabled enable always trigger decamp_heroku_update");
    pair.source
        .app("alter table replica_only enable always trigger decamp_heroku_insert");
    pair.query("SELECT repl_resume('heroku')");
    for table in ["disabled", "replica_only", "stripped"] {
        wait::until_true(SOON, "equal, or told", || is_equal_or_told(&pair, table));
    }

    // all of it
    pair.source
        .app("drop schema decamp_heroku cascade; update item set value = 'missed' where id = 2");
    pair.poll_status(
        "state = 'errored' and error is not null and hint is not null and error like '%missed%'",
    );
    assert!(
        !pair.status("summary").contains("Nothing is lost"),
        "it is: {}",
        pair.status("summary")
    );
    pair.query("SELECT repl_resume('heroku')");
    pair.poll_status("state = 'errored'");
    pair.stop_migration();
}

/// Names that need quotes, a subscription's name as long as it may be, settings of roles and databases that get in the way,
/// writers who have rights on nothing but the table.
#[test]
fn capture_in_hostile_surroundings() {
    let pair = Pair::start();
    pair.source.app(
        "create schema \"Mixed \"\"Case\"\"'s\\\"; \
         create table \"Mixed \"\"Case\"\"'s\\\".\"Table; drop\" (\"Id\" int, \"k'\\\" text, \"new\" float8, at timestamptz, i interval, b bytea, \
             primary key (\"k'\\\", \"Id\")); \
         insert into \"Mixed \"\"Case\"\"'s\\\".\"Table; drop\" \
             select i, E'k\\\\' || i || '''', 0.1 + i / 3.0, now() - i * interval '1 day', i * interval '1 day 3 hours', '\\x00ff5c' \
             from generate_series(1, 100) as i",
    );
    pair.source.app(TABLES);
    for (server, database) in [(&*pair.source, DATABASE), (&pair.target, TARGET_DATABASE)] {
        for setting in [
            "search_path = 'nowhere'",
            "datestyle = 'German'",
            "intervalstyle = 'sql_standard'",
            "bytea_output = 'escape'",
            "extra_float_digits = -10",
            "timezone = 'Asia/Kolkata'",
            "standard_conforming_strings = off",
            "statement_timeout = '150ms'",
            "lock_timeout = '50ms'",
            "idle_in_transaction_session_timeout = '300ms'",
            "idle_session_timeout = '300ms'",
            "default_transaction_read_only = on",
            "default_transaction_isolation = 'serializable'",
            "default_transaction_deferrable = on",
            "client_encoding = 'LATIN1'",
            "client_min_messages = 'debug5'",
            "quote_all_identifiers = on",
            "default_toast_compression = 'pglz'",
        ] {
            server.sql(
                "template1",
                &format!("alter database \"{database}\" set {setting}"),
            );
        }
    }
    pair.source.sql(
        "template1",
        "create role writer login; grant pg_write_all_data, pg_read_all_data to writer; alter role writer set search_path = 'pg_temp, nowhere'",
    );
    let name = format!("a{}", "_9".repeat(20));
    assert_eq!(name.len(), 41);
    let ours = "SET default_transaction_read_only = off; SET statement_timeout = 0; SET search_path = public; \
                SET idle_session_timeout = 0; SET standard_conforming_strings = on";
    let sql = |text: &str| {
        pair.target.rows(
            TARGET_DATABASE,
            &format!(
                "{ours}; COMMIT; BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {text}; COMMIT"
            ),
        )
    };
    sql(&format!(
        "SELECT repl_start('{name}', source => '{}')",
        pair.source_uri()
    ));
    sql(&format!(
        "SELECT repl_wait('{name}', 'streaming', timeout => '60 seconds')"
    ));

    let mut writer = pair.source.connect_as("writer", DATABASE);
    // in transactions of their own; the role's other settings stay as hostile as they are
    writer
        .batch_execute("set statement_timeout = 0; set standard_conforming_strings = on")
        .expect("known settings");
    for change in [
        "update public.item set value = 'by a stranger' where id < 100; delete from public.item where id = 5",
        "insert into \"Mixed \"\"Case\"\"'s\\\".\"Table; drop\" values (1000, 'x', 'NaN', 'infinity', '1 year', '\\xff')",
        "update \"Mixed \"\"Case\"\"'s\\\".\"Table; drop\" set \"k'\\\" = \"k'\\\" || '\"', \"Id\" = -\"Id\" where \"Id\" < 50",
        "delete from \"Mixed \"\"Case\"\"'s\\\".\"Table; drop\" where \"Id\" = 77",
    ] {
        writer
            .batch_execute(&format!("begin read write; {change}; commit"))
            .expect("who may write to a table may do so with our triggers on it");
    }
    // not even triggers that are told not to fire are passed by
    let mut superuser = pair.source.connect(DATABASE);
    superuser
        .batch_execute("begin read write; set local session_replication_role = replica; update public.item set value = 'unseen' where id > 450; commit")
        .expect("as logical replication and pg_restore --disable-triggers write");
    sql(&format!(
        "SELECT repl_wait('{name}', 'caught_up', timeout => '30 seconds')"
    ));
    let found = differences(&pair.source, DATABASE, &pair.target, TARGET_DATABASE);
    assert!(
        found.is_empty(),
        "{}",
        found.iter().map(ToString::to_string).collect::<String>()
    );
    let mut session = pair.target.connect(TARGET_DATABASE);
    session.batch_execute(ours).expect("known settings");
    session
        .batch_execute(&format!("SELECT repl_stop('{name}')"))
        .expect("it stops");
    pair.assert_source_clean();
}
