//! Other major versions: sources from 10 to 18, and the extension itself on 16 and 18. One full pass each, under load.

use std::time::Duration;

use decamp_tests::compare::{assert_same_except, assert_sequences_not_behind};
use decamp_tests::installation::Installation;
use decamp_tests::observe::{assert_says, words};
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::source::DATABASE;
use decamp_tests::{Mode, Pair, have_source, have_target};

/// As [`follow`], to the end.
fn pass(pair: &Pair, more: &str, except: &[&str], midway: impl FnOnce()) {
    follow(pair, more, except, midway);
    pair.stop_migration();
}

/// The zoo and pgbench, both written to all the time; `midway` once it streams.
fn follow(pair: &Pair, more: &str, except: &[&str], midway: impl FnOnce()) {
    let bench = pair.source.pgbench().init(1).rate(100).start();
    let churn = pair.source.churn(u64::from(pair.source.major()), 1);
    pair.stream(more);
    midway();
    pair.poll(
        "SELECT sum(updated) > 100 AND sum(inserted) > 100 AND sum(deleted) > 10 FROM repl_tables",
    );
    bench.stop(&pair.source);
    let tally = churn.stop();
    assert!(tally.committed > 50, "the churn was at work: {tally:?}");
    pair.wait_for("caught_up", Duration::from_secs(60));
    assert_same_except(
        &pair.source,
        DATABASE,
        &pair.target,
        TARGET_DATABASE,
        except,
    );
    assert_sequences_not_behind(&pair.source, DATABASE, &pair.target, TARGET_DATABASE);
    let errors = "SELECT coalesce(string_agg(subject || ': ' || message, E'\\n'), '') FROM repl_events WHERE severity = 'error'";
    assert_eq!(pair.query(errors), "");
}

/// Fenced, let go, and switched over.
fn go_over(pair: &Pair) {
    let write =
        "update pgbench_tellers set tbalance = tbalance + 1; update users set name = name || 'x'";
    let refused = || assert_says(&pair.source.fails(DATABASE, write), "25006", &["moving"]);
    pair.query("SELECT repl_fence('heroku')");
    refused();
    pair.query("SELECT repl_unfence('heroku')");
    pair.source.app(write);
    pair.query(
        "SELECT count(*) FROM repl_switchover('heroku', verify => 'checksum', reverse => false)",
    );
    refused();
    assert_eq!(pair.status("state"), "finished");
    assert_same_except(&pair.source, DATABASE, &pair.target, TARGET_DATABASE, &[]);
    pair.stop_migration();
}

fn from(major: u32) {
    if !have_source(major) {
        return;
    }
    let pair = Pair::builder().source_version(major).start();
    pair.load_zoo(100);
    pass(&pair, "", &[], || ());
}

#[test]
fn version_10_source() {
    if !have_source(10) {
        return;
    }
    let pair = Pair::builder().source_version(10).start();
    pair.load_zoo(100);
    // partitioned tables have no keys there, their partitions do
    pair.source.app(
        "create table log (id int not null, day date not null, value text) partition by range (day); \
         create table log_1 partition of log (primary key (id)) for values from ('2020-01-01') to ('2021-01-01'); \
         create table log_2 partition of log (primary key (id)) for values from ('2021-01-01') to ('2022-01-01'); \
         insert into log select i, date '2020-01-01' + i, 'x' from generate_series(1, 500) as i",
    );
    follow(&pair, "", &[], || {
        pair.source.app(
            "update log set value = 'changed' where id % 3 = 0; delete from log where id % 7 = 0; \
             update log_1 set id = id + 1000 where id < 20; insert into log values (3000, '2021-05-05', 'new')",
        );
        pair.source
            .app("truncate log_2; insert into log values (3001, '2021-05-05', 'after')");
    });
    go_over(&pair);
}

#[test]
fn version_12_source() {
    from(12);
}

#[test]
fn version_14_source() {
    from(14);
}

/// A source newer than the target: a newer pg_dump imports the schema, as far as the target understands it.
#[test]
fn version_18_source() {
    if !have_source(18) || !have_target(18) {
        return;
    }
    let newer = Installation::target(18)
        .expect("looked for just now")
        .bindir;
    let pair = Pair::builder().source_version(18).start();
    pair.load_zoo(100);
    let error = pair.refused(&format!(
        "SELECT repl_start('heroku', source => '{}')",
        pair.source_uri()
    ));
    assert!(
        words(&error).contains("pg_decamp.pg_bindir"),
        "{}",
        words(&error)
    );
    pair.assert_nothing_started();

    pair.target
        .append_conf(&format!("pg_decamp.pg_bindir = '{}'", newer.display()));
    pair.target.reload();
    // how a newer pg_dump writes tables that inherit an older server does not understand: they are made by hand
    pair.sql(
        "create table vehicles (id integer primary key, name text); \
         create table cars (doors integer, primary key (id)) inherits (vehicles); \
         create table trucks (load numeric, primary key (id)) inherits (vehicles)",
    );
    // nor does PostgreSQL 15 know virtual columns
    let virtual_columns = ["public.virtual_columns"];
    pass(
        &pair,
        "exclude => '{virtual_columns}'",
        &virtual_columns,
        || (),
    );

    let error = pair.refused("SET pg_decamp.pg_bindir = '/nowhere'; SELECT * FROM repl_check('postgres://localhost/x'); SELECT repl_pause('x')");
    assert_says(&error, "42704", &["x"]);
}

/// The extension on another major, preloaded, its server restarted while it streams.
fn on(major: u32) {
    if !have_target(major) {
        return;
    }
    let pair = Pair::builder().target_version(major).preload().start();
    pair.load_zoo(100);
    follow(&pair, "", &[], || {
        pair.target.restart(Mode::Fast);
        pair.poll_status("state = 'streaming' and workers = 1 and error is null");
        pair.query("SELECT repl_pause('heroku')");
        pair.poll_status("state = 'paused' and workers = 0");
        pair.query("SELECT repl_resume()");
    });
    go_over(&pair);
}

#[test]
fn version_16_with_the_extension() {
    on(16);
}

#[test]
fn version_18_with_the_extension() {
    on(18);
}
