//! Columns of every type, as keys and as values: copied, replayed one change at a time, and all changes at once.

use decamp_tests::Pair;
use decamp_tests::compare::assert_same;
use decamp_tests::kinds::{CONTRIB, EXTENSIONS, KINDS, Kind, TYPES, steps, tables};
use decamp_tests::observe::SOON;
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::source::DATABASE;

fn change(pair: &Pair, step: &[String]) {
    let mut client = pair.source.connect_as_app();
    for sql in step {
        if let Err(error) = client.batch_execute(sql) {
            panic!("{}\nin: {sql}", decamp_tests::server::client::told(&error));
        }
    }
}

fn replayed(pair: &Pair, kinds: &[Kind], more: &str) {
    let steps = steps(kinds);
    change(pair, &steps[0]);
    pair.migrate(more);
    pair.wait_for("streaming", 2 * SOON);
    let stopped = "SELECT coalesce(string_agg(\"table\" || ': ' || error, E'\\n'), '') FROM repl_tables WHERE error IS NOT NULL";
    assert_eq!(pair.query(stopped), "");
    for (at, step) in steps.iter().enumerate().skip(1) {
        change(pair, step);
        pair.wait_for("caught_up", SOON);
        println!("after step {at}");
        assert_same(&pair.source, DATABASE, &pair.target, TARGET_DATABASE);
    }
    pair.query("SELECT repl_pause('heroku')");
    pair.poll_status("state = 'paused'");
    // back to the beginning, and all of it at once
    for (at, _) in kinds.iter().enumerate() {
        let keys = if kinds[at].key {
            format!("; delete from alone_{at}; delete from among_{at}")
        } else {
            String::new()
        };
        pair.source.app(&format!("delete from value_{at}{keys}"));
    }
    for step in &steps {
        change(pair, step);
    }
    pair.query("SELECT repl_resume('heroku')");
    pair.assert_migrated();
    let errors = "SELECT coalesce(string_agg(subject || ': ' || message, E'\\n'), '') FROM repl_events WHERE severity = 'error'";
    assert_eq!(pair.query(errors), "");
    pair.stop_migration();
}

#[test]
fn kinds_imported() {
    let pair = Pair::start();
    pair.source.sql(DATABASE, &format!("set role app; {TYPES}"));
    pair.source.app(&tables(KINDS, false));
    replayed(&pair, KINDS, "");
}

/// The target's tables have their columns in another order, its types other oids.
#[test]
fn kinds_in_another_order() {
    let pair = Pair::start();
    pair.source.sql(DATABASE, &format!("set role app; {TYPES}"));
    pair.source.app(&tables(KINDS, false));
    pair.sql("create type apart as enum ('a'); create table beside (id int)");
    pair.sql(TYPES);
    pair.sql(&tables(KINDS, true));
    pair.sql("drop table beside");
    replayed(&pair, KINDS, "copy_schema => false");
}

#[test]
fn kinds_of_extensions() {
    let pair = Pair::start();
    assert!(pair.has_contrib(), "both servers have contrib");
    for extension in EXTENSIONS {
        pair.source.sql(
            DATABASE,
            &format!("create extension {extension} schema public"),
        );
    }
    pair.source.app("create schema \"Kinds\"");
    pair.source.app(&tables(CONTRIB, false));
    replayed(&pair, CONTRIB, "");
}
