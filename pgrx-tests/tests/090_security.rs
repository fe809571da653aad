//! Who may do what, and where the source's password must not be.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use decamp_tests::items::FIFTY;
use decamp_tests::observe::{SOON, assert_no_password, words};
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::server::uri;
use decamp_tests::source::{DATABASE, ROLE};
use decamp_tests::{Pair, wait};

/// All that `pg_stat_activity` says, as a superuser sees it.
fn activity(pair: &Pair) -> String {
    let rows = pair.target.rows(
        TARGET_DATABASE,
        "SELECT a::text FROM pg_stat_activity a WHERE pid <> pg_backend_pid()",
    );
    rows.concat().join("\n")
}

/// Command lines of pg_dump and pg_restore at work for this pair.
fn programs(pair: &Pair) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc is there").flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let port = pair.proxy().port().to_string();
        let directory = pair.target.directory().display().to_string();
        if line.contains("pg_dump ") && line.contains(&port)
            || line.contains("pg_restore ") && line.contains(&directory)
        {
            found.push(line);
        }
    }
    found
}

/// Runs a call in a session that stays, holds it up at the source, and looks at the activity meanwhile and afterwards.
fn hidden_while(pair: &Pair, call: &str, outcome: bool) {
    pair.proxy().stall();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let caller = scope.spawn(|| {
            let mut client = pair.target.connect(TARGET_DATABASE);
            let result = client.batch_execute(call);
            assert_eq!(result.is_ok(), outcome, "{call}: {result:?}");
            if let Err(error) = result {
                let error = error.as_db_error().expect("an error of the server");
                assert_no_password(&words(error));
            }
            wait::until_true(SOON, "the test has looked", || done.load(Ordering::Relaxed));
        });
        // the name that the statement is hidden behind
        pair.poll("SELECT count(*) = 1 FROM pg_stat_activity WHERE query ~ '^SELECT repl_(start|check)\\(\\.\\.\\.\\)$' AND state = 'active'");
        assert_no_password(&activity(pair));
        pair.proxy().mend();
        pair.poll("SELECT count(*) = 1 FROM pg_stat_activity WHERE query ~ '^SELECT repl_(start|check)\\(\\.\\.\\.\\)$' AND state <> 'active'");
        assert_no_password(&activity(pair));
        done.store(true, Ordering::Relaxed);
        caller.join().expect("the caller is content");
    });
}

#[test]
fn security_password_is_nowhere() {
    let pair = Pair::builder()
        .proxy()
        .target_conf("log_min_messages = 'debug1'")
        .target_conf("log_connections = on")
        .source_conf("log_connections = on")
        .start();
    // only now: making the role has a password in its statement
    pair.source.append_conf("log_statement = 'all'");
    pair.source.reload();
    pair.source.app(FIFTY);
    let source = pair.source_uri();

    // when it fails, for whatever reason
    let nowhere = source.replace("/app?", "/nowhere?");
    hidden_while(
        &pair,
        &format!("SELECT * FROM repl_check('{source}')"),
        true,
    );
    hidden_while(
        &pair,
        &format!("SELECT repl_start('heroku', source => '{nowhere}')"),
        false,
    );
    for call in [
        format!("repl_start('Heroku', source => '{source}')"),
        format!("repl_start('heroku', source => '{source}', tables => '{{nothing}}')"),
        format!("repl_start('heroku', source => '{source}', workers => 0)"),
        format!("repl_start('heroku', source => '{source}&nosuch=1')"),
        format!("repl_start('heroku', source => '{source}', target => '{source}')"),
        format!("repl_check('{source}%')"),
        format!("repl_alter('nobody', source => '{source}')"),
        format!("repl_alter('nobody', target => '{source}')"),
    ] {
        let mut client = pair.target.connect(TARGET_DATABASE);
        // by both protocols
        for outcome in [
            client.batch_execute(&format!("SELECT {call}")),
            client.execute(&format!("SELECT {call}"), &[]).map(drop),
        ] {
            let error = outcome.expect_err("a wrong call");
            assert_no_password(&words(error.as_db_error().expect("an error of the server")));
            assert_no_password(&activity(&pair));
        }
    }
    let wrong = uri(ROLE, "p:w@d/100%wrong", pair.source.port(), DATABASE);
    let error = pair.refused(&format!("SELECT repl_start('heroku', source => '{wrong}')"));
    assert_eq!(error.code().code(), "28P01");

    // during the import, which is made slow
    pair.proxy().delay(Duration::from_millis(30));
    pair.migrate("");
    let mut seen = Vec::new();
    wait::until_true(SOON, "pg_dump is at work", || {
        let programs = programs(&pair);
        assert_no_password(&programs.join("\n"));
        assert_no_password(&activity(&pair));
        seen.extend(programs);
        pair.status("state not in ('starting', 'importing')") == "t"
    });
    assert!(
        seen.iter().any(|line| line.contains("pg_dump")),
        "pg_dump was never seen: {seen:?}"
    );
    pair.proxy().delay(Duration::ZERO);
    pair.wait_for("streaming", SOON);

    // repl_alter in a session that stays, and a password that is wrong for a while
    let mut session = pair.target.connect(TARGET_DATABASE);
    session
        .batch_execute(&format!(
            "SELECT repl_alter('heroku', source => '{source}&connect_timeout=9')"
        ))
        .expect("an equivalent source");
    assert_no_password(&activity(&pair));
    session
        .batch_execute(&format!(
            "BEGIN; SELECT repl_alter('heroku', source => '{wrong}')"
        ))
        .expect("a source that does not work");
    assert_no_password(&activity(&pair));
    session.batch_execute("COMMIT").expect("committed");
    pair.poll_status("state = 'errored'");
    session
        .batch_execute(&format!(
            "SELECT repl_alter('heroku', source => '{source}')"
        ))
        .expect("the right one");
    pair.query("SELECT repl_resume()");
    pair.assert_migrated();

    let visible = "SELECT string_agg(t, E'\\n') FROM (SELECT s::text AS t FROM repl_status s UNION ALL SELECT t::text FROM repl_tables t \
                   UNION ALL SELECT e::text FROM repl_events e UNION ALL SELECT e::text FROM decamp.event e \
                   UNION ALL SELECT r::text FROM decamp.relation r UNION ALL SELECT t::text FROM decamp.task t) all_of_it";
    assert_no_password(&pair.query(visible));
    pair.stop_migration();
    assert_no_password(&pair.target.log());
    assert_no_password(&pair.source.log());
    assert_no_password(&pair.query("SELECT string_agg(e::text, ' ') FROM repl_events e"));
    assert!(
        pair.target.log().contains("pg_decamp: heroku"),
        "the log was looked at"
    );
}

#[test]
fn security_functions() {
    let pair = Pair::start();
    pair.source.app(FIFTY);
    let source = pair.source_uri();
    let open = "SELECT coalesce(string_agg(p.proname, ' '), '') FROM pg_proc p \
                JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e' \
                JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'pg_decamp' \
                WHERE has_function_privilege('public', p.oid, 'execute')";
    assert_eq!(pair.query(open), "", "PUBLIC may execute nothing of ours");
    let silent = "WITH member AS (SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid \
                                  WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'pg_decamp') \
                  SELECT coalesce(string_agg(name, ' '), '') FROM ( \
                      SELECT m.objid::regproc::text AS name FROM member m \
                      WHERE m.classid = 'pg_proc'::regclass AND obj_description(m.objid, 'pg_proc') IS NULL \
                      UNION ALL SELECT c.oid::regclass::text FROM member m JOIN pg_class c ON c.oid = m.objid \
                      WHERE m.classid = 'pg_class'::regclass AND c.relkind IN ('r', 'v') AND obj_description(c.oid, 'pg_class') IS NULL \
                      UNION ALL SELECT c.oid::regclass || '.' || a.attname FROM member m JOIN pg_class c ON c.oid = m.objid \
                      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 \
                      WHERE m.classid = 'pg_class'::regclass AND c.relname LIKE 'repl\\_%' AND c.relkind = 'v' \
                        AND col_description(c.oid, a.attnum) IS NULL) s";
    assert_eq!(pair.query(silent), "", "all say what they are");

    pair.sql("create role anybody login; create role operator login; grant execute on function repl_pause, repl_resume, repl_wait, repl_stop to operator; \
              grant execute on function repl_start, repl_check, repl_alter to operator; \
              create schema evil; grant all on schema evil to operator; grant pg_monitor to operator");
    let mut anybody = pair.target.connect_as("anybody", TARGET_DATABASE);
    let mut operator = pair.target.connect_as("operator", TARGET_DATABASE);
    let calls = [
        format!("repl_check('{source}')"),
        format!("repl_start('heroku', source => '{source}')"),
        format!("repl_alter('heroku', source => '{source}')"),
        "repl_alter('heroku', workers => 1)".into(),
    ];
    for call in &calls {
        let error = operator
            .batch_execute(&format!("SELECT {call}"))
            .expect_err("only superusers pass connection strings");
        let error = error.as_db_error().expect("an error of the server");
        assert_eq!(error.code().code(), "42501", "{call}");
        assert!(
            error.message().contains("superuser") && error.hint().is_some(),
            "{}",
            words(error)
        );
    }
    assert_no_password(&pair.target.log());
    assert_no_password(&activity(&pair));
    pair.assert_nothing_started();

    pair.stream("");
    for call in [
        "repl_check('host=localhost')",
        "repl_start('x', source => 'host=localhost')",
        "repl_alter('heroku', workers => 1)",
        "repl_wait('heroku', 'copied')",
        "repl_pause('heroku')",
        "repl_resume('heroku')",
        "repl_stop('heroku')",
    ] {
        let error = anybody
            .batch_execute(&format!("SELECT {call}"))
            .expect_err("not granted");
        assert_eq!(
            error.code().expect("an error of the server").code(),
            "42501",
            "{call}"
        );
    }

    // what is granted works, also for somebody who puts things in the way of names
    operator
        .batch_execute(
            "set search_path = evil, public; \
             create function evil.now() returns timestamptz language sql as $$ select 1/0; select null::timestamptz $$; \
             create function evil.format(text, text) returns text language sql as $$ select (1/0)::text $$; \
             create table evil.subscription (name text); create table evil.pg_locks (pid int); \
             create function evil.clock_timestamp() returns timestamptz language sql as $$ select 1/0; select null::timestamptz $$",
        )
        .expect("the operator's own objects");
    for call in [
        "repl_wait('heroku', 'streaming')",
        "repl_pause('heroku')",
        "repl_resume()",
        "repl_wait('heroku', 'caught_up', timeout => '30 seconds')",
    ] {
        operator
            .batch_execute(&format!("SELECT {call}"))
            .unwrap_or_else(|error| panic!("{call}: {error:?}"));
    }
    let error = operator
        .batch_execute("select source from decamp.subscription")
        .expect_err("not readable");
    assert_eq!(
        error.code().expect("an error of the server").code(),
        "42501"
    );
    pair.sql("drop schema evil cascade");
    pair.source.app("update item set value = 'y'");
    pair.assert_migrated();
    operator
        .batch_execute("SELECT repl_stop('heroku')")
        .expect("granted");
    pair.assert_source_clean();
}
