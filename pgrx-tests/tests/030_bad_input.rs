//! Bad input gets a clear error with SQLSTATE and hint, and changes nothing: arguments and connections.

use std::time::{Duration, Instant};

use decamp_tests::compare::assert_same;
use decamp_tests::items::{FIFTY, prepared};
use decamp_tests::observe::{SOON, assert_helpful, assert_no_password, assert_says, words};
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::server::uri;
use decamp_tests::source::{DATABASE, PASSWORD, ROLE};
use decamp_tests::{Pair, wait};

#[test]
fn bad_input_arguments() {
    let pair = prepared();
    let source = format!("source => '{}'", pair.source_uri());

    for call in [
        "repl_wait('nobody', 'streaming')",
        "repl_pause('nobody')",
        "repl_resume('nobody')",
        "repl_stop('nobody')",
        "repl_stop('nobody', drop_source_objects => false)",
        "repl_alter('nobody', workers => 2)",
    ] {
        let error = pair.refused(&format!("SELECT {call}"));
        assert_says(&error, "42704", &["nobody", "repl_start"]);
    }
    let long = "a".repeat(42);
    for name in [
        "", "Heroku", "1a", "_a", "a-b", "a b", "ä", "a''b", "a\"b", "a.b", &long,
    ] {
        let error = pair.refused(&format!("SELECT repl_start('{name}', {source})"));
        assert_says(&error, "22023", &["lower-case"]);
    }
    for malformed in [
        "",
        " ",
        "nonsense",
        "host",
        "host=x nosuch=y",
        "postgres://[",
        "postgres://app:p%3Aw%40d%2F100%@localhost/app",
        "postgres://app:p%3Aw%40d%2F100%25@localhost:port:1/app?nosuch=1",
        "host=localhost password=''p:w@d/100%''x=",
    ] {
        let arguments = format!("source => '{malformed}'");
        pair.start_refused(
            &arguments,
            "22023",
            &[
                "malformed connection string",
                "\"source\"",
                "percent-encoded",
            ],
        );
        for call in [
            format!("repl_start('heroku', {source}, target => '{malformed}')"),
            format!("repl_check('{malformed}')"),
            format!("repl_check({source}, target => '{malformed}')"),
        ] {
            let error = pair.refused(&format!("SELECT {call}"));
            assert_says(&error, "22023", &["malformed connection string"]);
            assert!(
                !words(&error).contains("p%3Aw") && !words(&error).contains("p:w"),
                "{}",
                words(&error)
            );
        }
    }
    for (more, sqlstate, part) in [
        ("workers => 0", "22023", "workers"),
        ("workers => 65", "22023", "workers"),
        ("workers => -1", "22023", "workers"),
        ("tables => '{}'", "22023", "tables"),
        ("tables => '{public.*,NULL}'", "22004", "tables"),
        ("exclude => '{NULL}'", "22004", "exclude"),
        ("tables => '{a.b.c}'", "22023", "a.b.c"),
        ("tables => '{\"\\\"open\"}'", "22023", "open"),
        ("exclude => '{public.}'", "22023", "public."),
        ("tables => '{item,publik.*}'", "42P01", "publik.*"),
        ("tables => '{\"\\\"Item\\\"\"}'", "42P01", "Item"),
        ("exclude => '{*}'", "42P01", "*"),
    ] {
        pair.start_refused(&format!("{source}, {more}"), sqlstate, &[part]);
    }
    for call in [
        format!("repl_start(NULL, {source})"),
        "repl_start('heroku', NULL)".into(),
        "repl_check(NULL)".into(),
        "repl_wait(NULL, 'streaming')".into(),
        "repl_wait('heroku', NULL)".into(),
        "repl_pause(NULL)".into(),
        "repl_stop(NULL)".into(),
        "repl_alter(NULL, workers => 3)".into(),
    ] {
        let error = pair.refused(&format!("SELECT {call}"));
        assert_says(&error, "22004", &["NULL"]);
    }
    for call in [
        format!("repl_start('heroku', {source})"),
        "repl_pause('heroku')".into(),
        "repl_resume()".into(),
        "repl_stop('heroku')".into(),
        "repl_alter('heroku', workers => 3)".into(),
    ] {
        let error = pair.refused(&format!("START TRANSACTION READ ONLY; SELECT {call}"));
        assert_eq!(error.code().code(), "25006", "{call}");
    }
    pair.sql(&format!(
        "START TRANSACTION READ ONLY; SELECT * FROM repl_check({source})"
    ));
    pair.assert_nothing_started();

    // NULL stands for the default where there is one
    pair.migrate("target => NULL, tables => NULL, exclude => NULL, workers => NULL, copy_schema => NULL, copy_data => NULL");
    let error = pair.refused(&format!("SELECT repl_start('heroku', {source})"));
    assert_says(
        &error,
        "42710",
        &["heroku", "repl_resume('heroku')", "repl_stop('heroku')"],
    );
    pair.wait_for("streaming", SOON);
    pair.assert_migrated();
    pair.stop_migration();
}

#[test]
fn bad_input_connections() {
    let pair = Pair::builder().proxy().start();
    pair.source.app(FIFTY);
    let port = pair.source.port();
    let closed = decamp_tests::server::free_port();

    let cases = [
        (uri(ROLE, PASSWORD, closed, DATABASE), "08", "connect"),
        (
            pair.source_uri()
                .replace("127.0.0.1", "no-such-host.invalid"),
            "08",
            "no-such-host.invalid",
        ),
        (uri(ROLE, "wrong", port, DATABASE), "28P01", "password"),
        (uri("nobody", PASSWORD, port, DATABASE), "28P01", "nobody"),
        (uri(ROLE, PASSWORD, port, "nowhere"), "3D000", "nowhere"),
        (
            pair.source_uri().replace("=require", "=disable"),
            "28",
            "pg_hba.conf",
        ),
        (
            format!(
                "{}&sslrootcert=/nonexistent",
                pair.source_uri().replace("=require", "=verify-full")
            ),
            "08",
            "/nonexistent",
        ),
    ];
    for (source, class, part) in cases {
        let error = pair.refused(&format!(
            "SELECT repl_start('heroku', source => '{source}')"
        ));
        let (code, said) = (error.code().code().to_owned(), words(&error));
        assert!(code.starts_with(class), "{code} is not {class}: {said}");
        assert!(said.contains(part), "{part:?} is not in: {said}");
        pair.assert_nothing_started();
        let errors = pair.check_errors(&format!("'{source}'"));
        assert!(errors.iter().any(|line| line.contains(part)), "{errors:?}");
        assert_no_password(&errors.join(" "));
    }

    let same = pair.target.socket_conninfo(TARGET_DATABASE);
    pair.start_refused(&format!("source => '{same}'"), "22023", &["same database"]);
    let other = pair.target.socket_conninfo("template1");
    pair.start_refused(
        &format!("source => '{same}', target => '{same}'"),
        "22023",
        &["same database"],
    );
    pair.start_refused(&format!("source => '{other}'"), "42P01", &["table"]);

    // somebody who takes the connection and never says a word
    pair.proxy().stall();
    let silent = format!("{}&connect_timeout=2", pair.source_uri());
    let begin = Instant::now();
    let error = pair.refused(&format!(
        "SELECT repl_start('heroku', source => '{silent}')"
    ));
    assert!(error.code().code().starts_with("08"), "{error:?}");
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "{:?}",
        begin.elapsed()
    );
    let endless = format!(
        "SET statement_timeout = '1s'; SELECT repl_start('heroku', source => '{}')",
        pair.source_uri()
    );
    let begin = Instant::now();
    assert_eq!(
        pair.target.fails(TARGET_DATABASE, &endless).code().code(),
        "57014"
    );
    assert!(
        begin.elapsed() < Duration::from_secs(4),
        "{:?}",
        begin.elapsed()
    );
    pair.proxy().mend();
    pair.assert_nothing_started();
    pair.stream("");
    pair.assert_migrated();
}

#[test]
fn bad_input_schema_of_the_extension() {
    let pair = Pair::builder().without_extension().start();
    pair.source.app(FIFTY);
    pair.sql("create schema decamp");
    let error = pair
        .target
        .fails(TARGET_DATABASE, "CREATE EXTENSION pg_decamp");
    assert_helpful(&error);
    assert_says(
        &error,
        "42P06",
        &[
            "decamp",
            "DROP SCHEMA decamp CASCADE",
            "CREATE EXTENSION pg_decamp SCHEMA",
        ],
    );
    pair.sql("drop schema decamp");

    // anywhere else than in public, with a name that needs quotes, and without it in the search_path
    pair.sql("create schema \"Ops, \"\"team\"\"\"; create extension pg_decamp schema \"Ops, \"\"team\"\"\"");
    let ops = |call: &str| pair.query(&format!("SELECT \"Ops, \"\"team\"\"\".{call}"));
    ops(&format!(
        "repl_start('heroku', source => '{}')",
        pair.source_uri()
    ));
    ops("repl_wait('heroku', 'streaming', timeout => '60 seconds')");
    ops("repl_pause('heroku')");
    ops("repl_resume()");
    pair.source
        .app("update item set value = 'y' where id % 2 = 0");
    ops("repl_wait('heroku', 'caught_up', timeout => '60 seconds')");
    assert_same(&pair.source, DATABASE, &pair.target, TARGET_DATABASE);
    assert_eq!(
        pair.query(
            "SELECT count(*) FROM \"Ops, \"\"team\"\"\".repl_status WHERE state = 'streaming'"
        ),
        "1"
    );
    ops("repl_alter('heroku', workers => 1)");
    ops("repl_stop('heroku')");
    pair.assert_source_clean();
    pair.sql("drop extension pg_decamp");
    assert_eq!(
        pair.query("select count(*) from pg_namespace where nspname = 'decamp'"),
        "0"
    );
    wait::until_true(SOON, "no worker is left", || pair.our_workers() == "0");
    pair.sql("create extension pg_decamp");
    assert_eq!(pair.query("SELECT count(*) FROM repl_events"), "0");
}
