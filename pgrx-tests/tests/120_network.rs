//! The network between target and source: cut, stalled, slow, and ways around it. The status says what is wrong for as long as it
//! is, and the migration goes on by itself.

use std::time::Duration;

use decamp_tests::observe::{assert_no_password, assert_says};
use decamp_tests::source::{DATABASE, PASSWORD, ROLE};
use decamp_tests::workers::Worker;
use decamp_tests::{Gates, Pair, Phase, wait};

const SOON: Duration = Duration::from_secs(30);
/// Within this a dead connection must be noticed.
const NOTICED: Duration = Duration::from_secs(30);
/// The longest back-off, and what the work then takes.
const RECOVERED: Duration = Duration::from_secs(45);

/// The migration at a closed gate: in the middle of the copy, or while streaming.
fn at(gates: &Gates, phase: Phase, pair: &Pair) {
    gates.close(Phase::Copying);
    pair.migrate("");
    gates.wait_for(Phase::Copying);
    if phase == Phase::Streaming {
        gates.open(Phase::Copying);
        gates.wait_for(Phase::Streaming);
    }
}

/// While it lasts: the error, the state, how it goes on. Then by itself.
fn recovers(pair: &Pair, gates: &Gates, phase: Phase, noticed_within: Duration) {
    let error = pair.wait_for_interruption(noticed_within);
    assert!(error.starts_with("source: "), "{error}");
    assert_no_password(&error);
    assert_eq!(pair.status("state"), phase.state());
    assert_eq!(pair.status("hint IS NOT NULL"), "t");
    // it stays that way for several tries, and does not flicker
    let lost = wait::within(Duration::from_secs(2), || {
        let shown = pair.status("error IS NOT NULL AND summary LIKE '%nothing is lost%'");
        (shown != "t").then(|| pair.tell())
    });
    assert!(lost.is_none(), "the error was gone: {lost:?}");
    pair.proxy().mend();
    pair.wait_for_recovery(RECOVERED);
    gates.open(Phase::Copying);
    pair.wait_for("streaming", 2 * SOON);
}

#[test]
fn cut_while_copying() {
    let pair = Pair::builder().proxy().start();
    let busy = pair.make_busy(120);
    let gates = Gates::on(&pair);
    at(&gates, Phase::Copying, &pair);
    pair.proxy().cut();
    recovers(&pair, &gates, Phase::Copying, Duration::from_secs(10));
    pair.assert_migrated_after(busy);
}

#[test]
fn cut_while_streaming() {
    let pair = Pair::builder().proxy().start();
    let busy = pair.make_busy(121);
    let gates = Gates::on(&pair);
    at(&gates, Phase::Streaming, &pair);
    pair.proxy().cut();
    pair.wait_for_interruption(Duration::from_secs(10));
    pair.poll_status("lag > interval '3 seconds'");
    let error = pair.refused("SELECT repl_wait('heroku', 'caught_up', timeout => '1 second')");
    assert_says(&error, "57014", &["streaming", "source: "]);
    recovers(&pair, &gates, Phase::Streaming, Duration::from_secs(10));
    pair.poll_status("lag < interval '3 seconds'");
    pair.assert_migrated_after(busy);
}

/// Again and again, faster than the back-off grows.
#[test]
fn hung_up_on_many_times() {
    let pair = Pair::builder().proxy().start();
    let busy = pair.make_busy(122);
    let gates = Gates::on(&pair);
    at(&gates, Phase::Copying, &pair);
    for _ in 0..3 {
        let before = pair.proxy().accepted();
        pair.proxy().hang_up();
        wait::until_true(RECOVERED, "connected again", || {
            pair.proxy().accepted() > before
        });
    }
    gates.open(Phase::Copying);
    pair.wait_for("streaming", 2 * SOON);
    for _ in 0..3 {
        let before = pair.proxy().accepted();
        pair.proxy().hang_up();
        wait::until_true(RECOVERED, "connected again", || {
            pair.proxy().accepted() > before
        });
    }
    pair.assert_migrated_after(busy);
}

/// A connection that lives but on which nothing comes any more.
#[test]
fn stall_while_copying_is_noticed() {
    let pair = Pair::builder().proxy().start();
    let busy = pair.make_busy(123);
    let gates = Gates::on(&pair);
    at(&gates, Phase::Copying, &pair);
    pair.proxy().stall();
    recovers(&pair, &gates, Phase::Copying, NOTICED);
    pair.assert_migrated_after(busy);
}

#[test]
fn stall_while_streaming_is_noticed() {
    let pair = Pair::builder().proxy().start();
    let busy = pair.make_busy(124);
    let gates = Gates::on(&pair);
    at(&gates, Phase::Streaming, &pair);
    pair.proxy().stall();
    recovers(&pair, &gates, Phase::Streaming, NOTICED);
    pair.assert_migrated_after(busy);
}

/// A short stall is only a pause.
#[test]
fn short_stalls_and_delays_are_no_errors() {
    let pair = Pair::builder().proxy().start();
    let busy = pair.make_busy(125);
    pair.proxy().delay(Duration::from_millis(5));
    pair.stream("");
    pair.proxy().stall();
    wait::pause(Duration::from_secs(3));
    pair.proxy().mend();
    pair.assert_migrated_after(busy);
    let warnings = "SELECT count(*) FROM repl_events WHERE message LIKE '%interrupted%'";
    assert_eq!(pair.query(warnings), "0", "{}", pair.tell());
}

/// The old way is gone, there is another: it is taken without a resume.
#[test]
fn altered_to_another_way() {
    let pair = Pair::builder().proxy().start();
    let busy = pair.make_busy(126);
    let gates = Gates::on(&pair);
    at(&gates, Phase::Copying, &pair);
    pair.proxy().cut();
    pair.wait_for_interruption(Duration::from_secs(10));
    let direct = pair.source.uri();
    pair.sql(&format!(
        "SELECT repl_alter('heroku', source => '{direct}')"
    ));
    pair.wait_for_recovery(RECOVERED);
    gates.open(Phase::Copying);
    pair.wait_for("streaming", 2 * SOON);

    // and back, while nothing is wrong
    pair.proxy().mend();
    let before = pair.proxy().accepted();
    let through = pair.source_uri();
    pair.sql(&format!(
        "SELECT repl_alter('heroku', source => '{through}')"
    ));
    wait::until_true(SOON, "the new way is taken", || {
        pair.proxy().accepted() > before
    });
    pair.assert_migrated_after(busy);
}

/// Credentials rotate: knocking on with the old ones helps nobody, so it stops and says what to type.
fn password_changes_in(phase: Phase) {
    const NEW: &str = "n:e@w/200%";
    let pair = Pair::builder().proxy().start();
    let busy = pair.make_busy(127);
    let gates = Gates::on(&pair);
    at(&gates, phase, &pair);
    pair.source
        .sql(DATABASE, &format!("ALTER ROLE {ROLE} PASSWORD '{NEW}'"));
    assert!(pair.terminate_on_source() > 0, "we were connected");
    pair.poll_status("state = 'errored' AND error LIKE '%password%' AND hint LIKE '%repl_alter%'");
    // a copy worker may still be busy with the target
    wait::until_true(SOON, "the apply worker leaves", || {
        pair.pids(Worker::Apply).is_empty()
    });

    let uri = |password: &str| {
        let encoded = password
            .replace('%', "%25")
            .replace(':', "%3A")
            .replace('@', "%40")
            .replace('/', "%2F");
        let port = pair.proxy().port();
        format!("postgres://{ROLE}:{encoded}@127.0.0.1:{port}/{DATABASE}?sslmode=require")
    };
    pair.sql(&format!(
        "SELECT repl_alter('heroku', source => '{}')",
        uri(NEW)
    ));
    pair.sql("SELECT repl_resume()");
    gates.wait_for(phase);
    gates.open(Phase::Copying);
    pair.wait_for("streaming", 2 * SOON);

    // back to the first one, without anybody noticing: who is connected stays so
    let connected =
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name LIKE 'pg_decamp % apply'";
    pair.source.poll_until(DATABASE, connected, SOON);
    pair.source.sql(
        DATABASE,
        &format!("ALTER ROLE {ROLE} PASSWORD '{PASSWORD}'"),
    );
    pair.sql(&format!(
        "SELECT repl_alter('heroku', source => '{}')",
        uri(PASSWORD)
    ));
    pair.assert_migrated_after(busy);
    assert_no_password(&pair.tell());
}

#[test]
fn password_changes_while_copying() {
    password_changes_in(Phase::Copying);
}

#[test]
fn password_changes_while_streaming() {
    password_changes_in(Phase::Streaming);
}
