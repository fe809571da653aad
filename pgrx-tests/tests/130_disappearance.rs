//! What the workers live on goes away while they run: the extension, or the whole database. They leave at once, and the server's log
//! has nothing of them afterwards.

use std::time::{Duration, Instant};

use decamp_tests::load::Busy;
use decamp_tests::observe::words;
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::server::client::told;
use decamp_tests::source::DATABASE;
use decamp_tests::{Gates, Pair, Phase, wait};

const SOON: Duration = Duration::from_secs(30);
/// Within this the workers are gone after DROP EXTENSION.
const LEFT: Duration = Duration::from_secs(5);
/// What DROP DATABASE may take.
const DROPPED: Duration = Duration::from_secs(10);
const SECOND: &str = "second";

/// Several restarts' time without a word of our workers.
fn assert_quiet(pair: &Pair) {
    let mark = pair.target.log().len();
    let said = wait::within(Duration::from_secs(6), || {
        let log = pair.target.log();
        let of_ours = |line: &&str| {
            line.contains("pg_decamp apply")
                || line.contains("pg_decamp copy")
                || line.contains("pg_decamp heroku")
                || (line.contains("FATAL") && !line.contains("test:"))
        };
        log[mark..].lines().find(of_ours).map(str::to_owned)
    });
    assert_eq!(said, None, "the log goes on about workers");
}

fn wait_until_gone(pair: &Pair, deadline: Duration) {
    wait::until_true(deadline, "the workers are gone", || {
        pair.count_workers() == 0
    });
    // and what worked for them on the target, in the middle of a statement too
    pair.target.poll_until(
        "postgres",
        "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'pg_decamp %' \
         AND backend_type = 'client backend'",
        deadline,
    );
    pair.source.poll_until(
        DATABASE,
        "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'pg_decamp %'",
        SOON,
    );
}

/// DROP EXTENSION, then the same again in the same database with a new creation of it.
fn drop_extension_in(phase: Phase) {
    let pair = Pair::start();
    let busy = pair.make_busy(130);
    let gates = Gates::on(&pair);
    gates.close(phase);
    pair.migrate("");
    gates.wait_for(phase);
    drop_extension(&pair);
    wait_until_gone(&pair, LEFT);
    gates.open(phase);
    assert_quiet(&pair);
    assert_eq!(
        pair.query("SELECT count(*) FROM pg_namespace WHERE nspname = 'decamp'"),
        "0"
    );

    pair.sql("CREATE EXTENSION pg_decamp");
    assert_eq!(pair.query("SELECT count(*) FROM repl_status"), "0");
    empty_target(&pair);
    if phase == Phase::Copying || phase == Phase::Streaming {
        // the old one's capture is still at work on the source
        let start = format!(
            "SELECT repl_start('heroku', source => '{}')",
            pair.source_uri()
        );
        let error = pair.refused(&start);
        assert!(
            words(&error).contains("DROP SCHEMA \"decamp_heroku\" CASCADE"),
            "{}",
            words(&error)
        );
    }
    clean_source(&pair);
    build_what_was_dropped(&pair);
    pair.stream("");
    pair.assert_migrated_after(busy);
    pair.stop_migration();
}

/// What was taken off for the copy went with the extension; the server's log has their SQL.
fn build_what_was_dropped(pair: &Pair) {
    let log = pair.target.log();
    let logged = log
        .lines()
        .filter_map(|line| line.split_once("taken off, to be put back: "));
    for (_, sql) in logged {
        // only a copy that had begun has taken anything off
        if let Err(error) = pair.target.connect(TARGET_DATABASE).batch_execute(sql) {
            let words = told(&error);
            assert!(
                words.contains("already") || words.contains("multiple primary keys"),
                "{words}"
            );
        }
    }
}

/// With a deadline of its own: should it hang, it is to fail.
fn drop_extension(pair: &Pair) {
    let mut client = pair.target.connect(TARGET_DATABASE);
    let result = client
        .batch_execute("SET statement_timeout = '10s'")
        .and_then(|()| client.batch_execute("DROP EXTENSION pg_decamp"));
    if let Err(error) = result {
        panic!("DROP EXTENSION: {}", told(&error));
    }
}

/// Drops what a forgotten subscription has left, table by table, as a busy source needs it.
fn clean_source(pair: &Pair) {
    let triggers = pair.source.rows(
        DATABASE,
        "SELECT format('SET lock_timeout = ''1s''; DROP TRIGGER %I ON %s', t.tgname, t.tgrelid::regclass) \
         FROM pg_trigger t WHERE t.tgname LIKE 'decamp_heroku_%' AND t.tgparentid = 0",
    );
    let schema = vec!["DROP SCHEMA IF EXISTS decamp_heroku CASCADE".to_owned()];
    for drop in triggers.into_iter().chain([schema]).flatten() {
        // the application may be in the way, or win a deadlock
        wait::until_true(SOON, &drop, || {
            pair.source.connect_as_app().batch_execute(&drop).is_ok()
        });
    }
    pair.assert_source_clean();
}

/// What the first migration had copied is in the way of the next one.
fn empty_target(pair: &Pair) {
    pair.sql(
        "DO $$ DECLARE list text; BEGIN \
         SELECT string_agg(c.oid::regclass::text, ', ') INTO list FROM pg_class c \
         JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'decamp'); \
         EXECUTE 'TRUNCATE ' || list; END $$",
    );
}

#[test]
fn drop_extension_while_importing() {
    drop_extension_in(Phase::Restoring);
}

#[test]
fn drop_extension_while_copying() {
    drop_extension_in(Phase::Copying);
}

#[test]
fn drop_extension_while_streaming() {
    drop_extension_in(Phase::Streaming);
}

/// A migration in a second database of the target's server, at `phase`.
fn in_second_database(pair: &Pair, phase: Phase) -> (Busy, Gates<'_>) {
    pair.sql(&format!("CREATE DATABASE {SECOND}"));
    pair.target.sql(SECOND, "CREATE EXTENSION pg_decamp");
    let busy = pair.make_busy(131);
    let gates = Gates::in_database(pair, SECOND);
    gates.close(phase);
    pair.target.query_one_text(
        SECOND,
        &format!(
            "SELECT repl_start('heroku', source => '{}')",
            pair.source_uri()
        ),
    );
    gates.wait_for(phase);
    (busy, gates)
}

fn drop_database(pair: &Pair, busy: Busy, how: &str) {
    let begin = Instant::now();
    pair.sql(&format!("DROP DATABASE {SECOND} {how}"));
    let took = begin.elapsed();
    assert!(took < DROPPED, "DROP DATABASE took {took:?}");
    wait_until_gone(pair, LEFT);
    assert_quiet(pair);
    // the application has noticed nothing, and can be rid of what is left
    busy.stop(pair);
    clean_source(pair);
}

fn second_pair() -> Pair {
    Pair::builder().without_extension().proxy().start()
}

/// The copy is in the middle of the stream, the target's backend waits for more.
#[test]
fn drop_database_while_copying() {
    let pair = second_pair();
    let (busy, gates) = in_second_database(&pair, Phase::Copying);
    pair.proxy().delay(Duration::from_millis(200));
    gates.open(Phase::Copying);
    drop_database(&pair, busy, "");
}

/// The target's backend is in the middle of a statement that does not end soon.
#[test]
fn drop_database_during_a_long_statement() {
    let pair = second_pair();
    let (busy, _gates) = in_second_database(&pair, Phase::Copying);
    drop_database(&pair, busy, "");
}

#[test]
fn drop_database_while_importing() {
    let pair = second_pair();
    let (busy, _gates) = in_second_database(&pair, Phase::Restoring);
    // capture is being installed meanwhile
    drop_database(&pair, busy, "");
}

#[test]
fn drop_database_while_streaming() {
    let pair = second_pair();
    let (busy, _gates) = in_second_database(&pair, Phase::Streaming);
    drop_database(&pair, busy, "");
}

#[test]
fn drop_database_with_force_while_copying() {
    let pair = second_pair();
    let (busy, _gates) = in_second_database(&pair, Phase::Copying);
    drop_database(&pair, busy, "WITH (FORCE)");
}

#[test]
fn drop_database_with_force_while_streaming() {
    let pair = second_pair();
    let (busy, _gates) = in_second_database(&pair, Phase::Streaming);
    drop_database(&pair, busy, "WITH (FORCE)");
}
