//! The whole way: from CREATE EXTENSION to repl_stop, under live writes, ending with both sides equal.

use std::time::Duration;

use decamp_tests::compare::assert_sequences_not_behind;
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::source::DATABASE;
use decamp_tests::{Pair, wait};

const MINUTE: Duration = Duration::from_secs(60);

/// Zoo and pgbench, both written to from before the copy until after streaming began.
fn migrate_under_load(pair: &Pair) {
    pair.load_zoo(300);
    let bench = pair.source.pgbench().init(1).clients(2).rate(150).start();
    let churn = pair.source.churn(7, 2);
    pair.migrate("");
    pair.wait_for("streaming", 2 * MINUTE);
    wait::pause(Duration::from_secs(3));
    bench.stop(&pair.source);
    let tally = churn.stop();
    assert!(tally.committed > 100, "the churn was at work: {tally:?}");
    pair.assert_migrated();
    assert_sequences_not_behind(&pair.source, DATABASE, &pair.target, TARGET_DATABASE);
}

#[test]
fn migrates_under_load() {
    let pair = Pair::start();
    migrate_under_load(&pair);
    pair.stop_migration();
    assert_eq!(pair.query("SELECT count(*) FROM repl_status"), "0");
}
