//! Unique values and keys that rows exchange at random, in backlogs of many batches and under way: it always converges, and
//! no table ever stops for a conflict that passes.

use std::time::Duration;

use decamp_tests::compare::assert_same;
use decamp_tests::managed::{self, Managed};
use decamp_tests::observe::SOON;
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::source::DATABASE;
use decamp_tests::swaps::{ROWS, TABLES, rows, transaction};
use decamp_tests::{Pair, Server};
use fastrand::Rng;

const ROUNDS: usize = 4;

#[test]
fn swaps_at_random() {
    let pair = Pair::start();
    converges(&pair, "", &pair.target, TARGET_DATABASE);
}

/// Where deferred constraints are checked too.
#[test]
fn swaps_at_random_with_an_ordinary_role() {
    let managed = Managed::start();
    let more = format!("target => '{}'", managed.uri());
    converges(&Pair::start(), &more, &managed, managed::DATABASE);
}

fn converges(pair: &Pair, more: &str, target: &Server, database: &str) {
    let seed = decamp_tests::seed();
    let mut rng = Rng::with_seed(seed);
    pair.source.app(TABLES);
    pair.source.app(&rows());
    pair.stream(more);
    let live = pair
        .source
        .pgbench()
        .script(&format!(
            "\\set a random(1, {ROWS})\n\\set b random(1, {ROWS})\nbegin;\n\
             update swapped set spot = null, name = null where id = :a;\n\
             update swapped set spot = spot, name = 'live ' || gen_random_uuid() where id = :b and :a <> :b;\n\
             update swapped set spot = :a + 1000000 + random() * 1000000000, name = 'live ' || gen_random_uuid() where id = :a;\nend;\n"
        ))
        .clients(1)
        .rate(20)
        .start();
    for round in 0..ROUNDS {
        pair.query("SELECT repl_pause('heroku')");
        pair.poll_status("state = 'paused'");
        let mut client = pair.source.connect_as_app();
        for _ in 0..rng.usize(1..6) {
            let sql = transaction(&mut rng);
            let sql = format!(
                "begin; lock table swapped, sliced in share row exclusive mode; {sql}; commit"
            );
            if let Err(error) = client.batch_execute(&sql) {
                panic!("{}\nin: {sql}", decamp_tests::server::client::told(&error));
            }
        }
        println!("round {round}: {} deltas", pair.deltas());
        pair.query("SELECT repl_resume('heroku')");
        // and again while that is being replayed
        for _ in 0..rng.usize(0..3) {
            let sql = transaction(&mut rng);
            client
                .batch_execute(&format!(
                    "begin; lock table swapped, sliced in share row exclusive mode; {sql}; commit"
                ))
                .unwrap_or_else(|error| {
                    panic!("{}\nin: {sql}", decamp_tests::server::client::told(&error))
                });
        }
        pair.wait_for("caught_up", Duration::from_secs(90));
    }
    live.stop(&pair.source);
    pair.wait_for("caught_up", SOON);
    assert_same(&pair.source, DATABASE, target, database);
    let errors = "SELECT coalesce(string_agg(subject || ': ' || message, E'\\n'), '') FROM repl_events WHERE severity = 'error'";
    assert_eq!(pair.query(errors), "");
    let stopped = "SELECT count(*) FROM repl_tables WHERE state <> 'ready'";
    assert_eq!(pair.query(stopped), "0");
    pair.stop_migration();
}

/// What a conflict needs is all of its table, not of the others: somebody who has another one locked is not in the way.
#[test]
fn swaps_while_another_table_is_locked() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.source.app(&rows());
    pair.stream("");
    pair.query("SELECT repl_pause('heroku')");
    pair.poll_status("state = 'paused'");
    pair.source.app("update calm set n = -n");
    pair.source.app(&format!(
        "update swapped set spot = -spot; update swapped set spot = {ROWS} + 1 + spot"
    ));
    let mut holder = pair.source.connect_as_app();
    holder
        .batch_execute("begin; lock table calm in access exclusive mode")
        .expect("a lock");
    pair.query("SELECT repl_resume('heroku')");
    pair.target.poll_until(
        TARGET_DATABASE,
        &format!("select count(*) = {ROWS} from swapped where spot = {ROWS} + 1 - id"),
        4 * SOON,
    );
    assert_eq!(
        pair.query("select count(*) from calm where n < 0"),
        "0",
        "that one waits"
    );
    holder.batch_execute("commit").expect("the holder ends");
    pair.wait_for("caught_up", SOON);
    pair.assert_migrated();
    pair.stop_migration();
}
