//! Helper mode: the extension on a third server, beside a target that does not allow it.

use std::time::Duration;

use decamp_tests::compare::{assert_same, assert_sequences_not_behind};
use decamp_tests::installation::Installation;
use decamp_tests::observe::{SOON, assert_no_password, assert_says};
use decamp_tests::source::DATABASE;
use decamp_tests::{Mode, Pair, Server};

const MANAGED_PASSWORD: &str = "m@naged:/%";

/// A target that does not allow our extension, as a provider gives it: TLS, a password, no superuser.
fn managed() -> Server {
    let installation = Installation::target(15).expect("PostgreSQL 15 is installed");
    let server = Server::builder(installation)
        .name("managed")
        .tls()
        .hba("hostssl all all 127.0.0.1/32 scram-sha-256")
        .start();
    server.sql(
        "postgres",
        &format!("create role moved login password '{MANAGED_PASSWORD}'"),
    );
    server.sql("postgres", "create database moved owner moved");
    server
}

#[test]
fn helper_moves_to_a_managed_target() {
    let managed = managed();
    let pair = Pair::start();
    pair.load_zoo(100);
    let bench = pair.source.pgbench().init(1).rate(100).start();
    let churn = pair.source.churn(70, 1);
    let target = decamp_tests::server::uri("moved", MANAGED_PASSWORD, managed.port(), "moved");
    let more = format!("target => '{target}', workers => 3");

    // what the role lacks there is said before anything is done
    let start = format!(
        "SELECT repl_start('heroku', source => '{}', {more})",
        pair.source_uri()
    );
    let error = pair.refused(&start);
    assert_says(
        &error,
        "42501",
        &["GRANT SET ON PARAMETER session_replication_role TO \"moved\""],
    );
    pair.assert_nothing_started();
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
            !text.contains(MANAGED_PASSWORD) && !text.contains("m%40naged"),
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
    pair.wait_for("caught_up", SOON);
    assert_same(&pair.source, DATABASE, &managed, "moved");

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
