//! Sequences set forward while the writers go on: `repl_forward_sequences`.

use std::thread;
use std::time::Duration;

use decamp_tests::observe::{SOON, assert_says};
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::sequences::{KINDS, USE, lines, settle};
use decamp_tests::server::client::told;
use decamp_tests::{Pair, wait};

#[test]
fn forwarded_past_what_the_writers_do() {
    let pair = Pair::start();
    pair.source.app(KINDS);
    pair.source.app(USE);
    pair.stream("");
    let load = pair
        .source
        .pgbench()
        .script(
            "insert into item (n) values (1);\nselect nextval('down');\nselect nextval('round');\n",
        )
        .rate(100)
        .start();
    pair.poll("SELECT inserted > 20 FROM repl_tables WHERE \"table\" = 'item'");
    let burned = pair
        .source
        .rows("app", "select last_value from used")
        .concat();
    let done = lines(
        &pair,
        "repl_forward_sequences('heroku', skip => '1 minute', sample => '2 seconds')",
    );
    let number = |text: &str| text.parse::<f64>().expect("a number");
    for (name, sign) in [("public.item_id_seq", 1.0), ("public.down", -1.0)] {
        let line = &done[name];
        let (value, rate, after) = (number(&line[0]), number(&line[1]), number(&line[3]));
        assert!(rate * sign > 20.0, "{name}: {line:?}");
        assert!(
            (after - value) * sign >= rate * sign * 60.0 - 1.0,
            "{name}: {line:?}"
        );
        assert!((after - value) * sign >= 1000.0, "{name}: {line:?}");
        assert_eq!(line[4..], ["", "", ""], "{name}: {line:?}");
    }
    // quiet ones: by the margin, and none of their values is used
    let quiet = &done["public.used"];
    assert_eq!(quiet[..4], ["20", "0", "20", "1020"]);
    assert_eq!(
        pair.source
            .rows("app", "select last_value from used")
            .concat(),
        burned
    );
    assert_eq!(done["public.never"][3], "1000");
    assert_eq!(done["public.small"][3], "1001");
    assert_eq!(done["\"Sales\".\"Order_Id_seq\""][3], "10191");
    // it would come round again many times
    let round = &done["public.round"];
    assert_eq!(
        (round[2] == round[3], round[5].as_str()),
        (true, "01000"),
        "{round:?}"
    );

    // the worker goes on following, and pulls nothing back
    let reached = |name: &str| number(&pair.query(&format!("select last_value from {name}")));
    pair.wait_for("caught_up", SOON);
    assert_eq!(reached("used"), 1020.0);
    assert!(reached("item_id_seq") >= number(&done["public.item_id_seq"][3]));
    assert!(reached("down") <= number(&done["public.down"][3]));
    // again: never back, also with less to skip
    let again = lines(
        &pair,
        "repl_forward_sequences('heroku', '0', '100 milliseconds')",
    );
    assert_eq!(
        again["public.item_id_seq"][2..4]
            .iter()
            .map(|v| number(v))
            .reduce(|a, b| b - a),
        Some(0.0)
    );
    assert_eq!(again["public.used"][2..4], ["1020", "1020"]);
    load.stop(&pair.source);
    pair.assert_migrated();
    // and at the end they stay ahead
    let settled = settle(&pair);
    assert_eq!(settled["public.used"][..3], ["20", "1020", "1020"]);
}

#[test]
fn forwarded_not_past_the_end() {
    let pair = Pair::start();
    pair.source.app(KINDS);
    pair.source.app("select setval('item_id_seq', 2147000000); select setval('small', 32700); create sequence last; \
                     select setval('last', 9223372036854775807)");
    pair.stream("");
    let load = pair
        .source
        .pgbench()
        .script("insert into item (n) select i from generate_series(1, 10) as i;\n")
        .rate(50)
        .start();
    pair.poll("SELECT inserted > 20 FROM repl_tables WHERE \"table\" = 'item'");
    let done = lines(
        &pair,
        "repl_forward_sequences('heroku', '3 days', '1 second')",
    );
    let item = &done["public.item_id_seq"];
    assert_eq!(item[5], "22003", "{item:?}");
    assert!(item[6].contains("AS bigint"), "{item:?}");
    assert_eq!(item[2], item[3], "left where it was");
    assert_eq!(done["public.small"][3], "32733", "half of what is left");
    assert_eq!(done["public.last"][3..5], ["9223372036854775807", ""]);
    assert_eq!(done["public.used"][3], "1000", "the others are set");
    load.stop(&pair.source);
    pair.assert_migrated();
}

#[test]
fn forwarding_refuses_and_can_be_cancelled() {
    let pair = Pair::start();
    pair.source.app(KINDS);
    let forward = |arguments: &str| {
        pair.refused(&format!(
            "SELECT * FROM repl_forward_sequences({arguments})"
        ))
    };
    assert_says(&forward("'heroku'"), "42704", &["heroku"]);
    pair.stream("");
    assert_says(&forward("NULL"), "22004", &["name"]);
    assert_says(&forward("'heroku', NULL"), "22004", &["skip"]);
    assert_says(&forward("'heroku', sample => NULL"), "22004", &["sample"]);
    assert_says(&forward("'heroku', '-1 hour'"), "22023", &["skip"]);
    assert_says(&forward("'heroku', sample => '0'"), "22023", &["sample"]);
    assert_says(&forward("'heroku', sample => '-1 s'"), "22023", &["sample"]);
    pair.sql("create role anybody login");
    let mut anybody = pair.target.connect_as("anybody", TARGET_DATABASE);
    for call in [
        "repl_forward_sequences('heroku')",
        "repl_settle_sequences('heroku')",
    ] {
        let error = anybody
            .simple_query(&format!("SELECT * FROM {call}"))
            .expect_err("not for all");
        assert!(told(&error).starts_with("42501"), "{}", told(&error));
    }

    let mut client = pair.target.connect(TARGET_DATABASE);
    let cancel = client.cancel_token();
    let waiting = thread::spawn(move || {
        client
            .simple_query("SELECT * FROM repl_forward_sequences('heroku', sample => '1 hour')")
            .map(|_| ())
    });
    let session = "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'pg_decamp heroku sequences' AND state = 'idle'";
    pair.source.poll_until("app", session, SOON);
    wait::until_true(SOON, "the cancel is obeyed", || {
        cancel
            .cancel_query(postgres::NoTls)
            .expect("a cancel request");
        wait::pause(Duration::from_millis(50));
        waiting.is_finished()
    });
    let error = waiting.join().expect("no panic").expect_err("cancelled");
    assert!(told(&error).starts_with("57014"), "{}", told(&error));
    let gone = "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'pg_decamp heroku sequences'";
    pair.source.poll_until("app", gone, SOON);
}
