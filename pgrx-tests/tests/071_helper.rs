//! Helper mode: the extension on a third server, beside a target that does not allow it.

use std::time::Duration;

use decamp_tests::compare::{assert_same, assert_sequences_not_behind};
use decamp_tests::managed::PASSWORD;
use decamp_tests::observe::{SOON, assert_no_password};
use decamp_tests::source::DATABASE;
use decamp_tests::{Managed, Mode, Pair};

#[test]
fn helper_moves_to_a_managed_target() {
    let managed = Managed::start();
    let pair = Pair::start();
    pair.load_zoo(100);
    let bench = pair.source.pgbench().init(1).rate(100).start();
    let churn = pair.source.churn(70, 1);
    let target = managed.uri();
    let more = format!("target => '{target}', workers => 3");

    managed.sql(
        "postgres",
        "grant set on parameter session_replication_role to moved",
    );

    pair.migrate(&more);
    pair.poll_status("state in ('copying', 'catchup', 'streaming')");
    let end_workers = "SELECT count(pg_terminate_backend(pid)) > 0 FROM pg_stat_activity WHERE backend_type LIKE 'pg_decamp%'";
    assert_eq!(pair.query(end_workers), "t");
    pair.wait_for("streaming", Duration::from_secs(60));
    assert_eq!(pair.query(end_workers), "t");
    managed.restart(Mode::Immediate);
    pair.poll_status("state = 'streaming' and error is null and lag < interval '5 seconds'");
    bench.stop(&pair.source);
    churn.stop();
    pair.wait_for("caught_up", SOON);
    assert_same(&pair.source, DATABASE, &managed, "moved");
    assert_sequences_not_behind(&pair.source, DATABASE, &managed, "moved");
    assert_eq!(
        pair.query("select count(*) from pg_tables where schemaname = 'public'"),
        "0",
        "nothing on the helper itself"
    );
    assert!(pair.status("target").contains("dbname=moved"));
    for text in [
        pair.target.log(),
        managed.log(),
        pair.tell(),
        pair.status("repl_status::text"),
    ] {
        assert!(
            !text.contains(PASSWORD) && !text.contains("m%40naged"),
            "the target's password is in a log or in the status"
        );
        assert_no_password(&text);
    }

    // another address of the same target
    let elsewhere = target.replace("127.0.0.1", "localhost");
    pair.query(&format!(
        "SELECT repl_alter('heroku', target => '{elsewhere}')"
    ));
    pair.source
        .app("update users set name = 'after repl_alter' where id % 2 = 0");
    pair.query("SELECT repl_ddl('heroku', 'alter table users add column extra int default 7')");
    pair.source
        .app("update users set extra = id where id % 3 = 0");
    pair.wait_for("caught_up", SOON);
    assert_same(&pair.source, DATABASE, &managed, "moved");
    assert_eq!(pair.query("SELECT count(*) FROM decamp.ddl"), "0");

    pair.stop_migration();
    assert_eq!(
        managed.query_one_text(
            "moved",
            "select count(*) from pg_namespace where nspname like 'decamp%'"
        ),
        "0"
    );
    assert_eq!(
        managed.query_one_text("moved", "select count(*) > 0 from users"),
        "t",
        "the data stays"
    );
}
