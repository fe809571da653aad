//! The report: a page that is well-formed, self-contained, tells the truth, and whose names are only names; and the history
//! it is made of.

use std::time::Duration;

use decamp_tests::beat::{TABLES, busy};
use decamp_tests::observe::{SOON, assert_no_password, assert_says};
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::workers::Worker;
use decamp_tests::{Pair, wait};

/// The page, after what must be true of every page.
fn report(pair: &Pair) -> String {
    let page = pair.query("SELECT repl_report('heroku')");
    let parsed = "SELECT xmlparse(document repl_report('heroku')) IS DOCUMENT";
    assert_eq!(pair.query(parsed), "t");
    assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"));
    assert!(page.is_ascii(), "so that it survives every client encoding");
    for outside in [
        "http:", "https:", "//", "<script", "<link", "<img", "@import", "url(",
    ] {
        let page = page.replace("postgres://", "");
        assert!(!page.contains(outside), "{outside} in {page}");
    }
    assert!(!page.contains("NaN") && !page.contains("inf "), "{page}");
    assert_no_password(&page);
    page
}

/// Of an XPath expression over the page: its texts.
fn texts(pair: &Pair, path: &str) -> Vec<String> {
    let sql = format!(
        "SELECT btrim(x::text) FROM unnest(xpath($x${path}$x$, xmlparse(document repl_report('heroku')))) AS x"
    );
    pair.target.rows(TARGET_DATABASE, &sql).concat()
}

fn phases(pair: &Pair) -> Vec<String> {
    texts(pair, "//section[h2='States']//tbody/tr/td[1]/text()")
}

#[test]
fn report_of_a_whole_migration() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.source.app(
        "create table \"<script>alert('1')</script> & \"\"more\"\"\" (id int primary key); \
         insert into \"<script>alert('1')</script> & \"\"more\"\"\" values (1); \
         create table \"Stra\u{df}e \u{1}\" (id int primary key)",
    );
    pair.stream("");
    let load = busy(&pair);
    pair.poll("SELECT count(*) > 3 AND max(lag) IS NOT NULL FROM decamp.sample WHERE subscription = 'heroku'");
    load.stop(&pair.source);
    let page = report(&pair);
    assert!(
        page.contains("&#60;script&#62;alert(&#39;1&#39;)&#60;/script&#62; &#38; "),
        "{page}"
    );
    assert!(page.contains("Stra&#223;e ?"), "{page}");
    assert_eq!(
        phases(&pair),
        [
            "starting",
            "importing",
            "installing",
            "copying",
            "catchup",
            "streaming"
        ]
    );
    assert_eq!(texts(&pair, "//h1/span[2]/text()"), ["streaming"]);
    let drawn = texts(&pair, "//figure[svg]/h3/text()");
    assert_eq!(drawn[drawn.len() - 3..], ["Lag", "Backlog", "Replay"]);
    let tables: i64 = pair
        .query("SELECT count(*) + 1 FROM repl_tables")
        .parse()
        .expect("a number");
    let lines = texts(
        &pair,
        "//section[h2='What the copy of each table took']//tbody/tr/td[1]/text()",
    );
    assert_eq!(lines.len() as i64, tables);
    assert_eq!(lines.last().map(String::as_str), Some("total"));
    let events = texts(&pair, "//section[h2='Events']//tbody/tr/td[4]/text()");
    assert_eq!(
        events.len().to_string(),
        pair.query("SELECT count(*) FROM repl_events")
    );
    assert!(!page.contains("<h2>Verification</h2>") && !page.contains("<h2>Going over</h2>"));

    // what others add: going over, and verifications, of each mode the latest, what is not equal first
    pair.query("SELECT count(*) FROM repl_settle_sequences('heroku')");
    let steps = texts(&pair, "//section[h2='Going over']//tbody/tr/td[2]/text()");
    assert_eq!(steps, ["sequences"]);
    let verified = "SELECT count(*) FROM repl_verify('heroku', mode => 'count')";
    pair.query(verified);
    pair.query(verified);
    pair.sql("DELETE FROM \"<script>alert('1')</script> & \"\"more\"\"\"");
    pair.query(verified);
    let cells = |column| {
        texts(
            &pair,
            &format!("//section[h2='Verification']//tbody/tr/td[{column}]/text()"),
        )
    };
    let followed = pair.query("SELECT count(*) FROM repl_tables");
    assert_eq!(cells(1).len().to_string(), followed);
    assert!(cells(1).iter().all(|number| *number == cells(1)[0]));
    assert!(cells(3)[0].contains("&lt;script&gt;"), "{:?}", cells(3));

    // and it is still there when the subscription is not
    pair.stop_migration();
    let page = report(&pair);
    assert!(page.contains("Ended by repl_stop"), "{page}");
    assert_eq!(phases(&pair).last().map(String::as_str), Some("streaming"));
    assert_eq!(texts(&pair, "//h1/span[2]/text()"), ["stopped"]);
    assert_eq!(
        texts(
            &pair,
            "//section[h2='What the copy of each table took']//tbody/tr/td[1]/text()"
        )
        .len() as i64,
        tables
    );
    assert_eq!(texts(&pair, "//figure[svg]/h3/text()"), drawn);
}

#[test]
fn report_of_one_just_started() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    assert_says(
        &pair.refused("SELECT repl_report('heroku')"),
        "42704",
        &["repl_events"],
    );
    assert_says(
        &pair.refused("SELECT repl_report(NULL)"),
        "22004",
        &["name"],
    );
    // in the same transaction no worker has seen it yet
    let rows = pair.target.rows(
        TARGET_DATABASE,
        &format!(
            "BEGIN; SELECT repl_start('heroku', source => '{}'); \
             SELECT xmlparse(document repl_report('heroku')) IS DOCUMENT, repl_report('heroku'); ROLLBACK",
            pair.source_uri()
        ),
    );
    assert_eq!(rows[0][0], "t");
    let page = &rows[0][1];
    assert!(
        page.contains("starting") && page.contains("still there"),
        "{page}"
    );
    pair.migrate("workers => 1");
    report(&pair);
    pair.wait_for("streaming", SOON);
    report(&pair);
}

#[test]
fn report_of_what_stopped_and_paused() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.stream("");
    pair.source
        .app("alter table item add extra int; update item set extra = 1");
    pair.poll("SELECT count(*) = 1 FROM repl_tables WHERE state = 'errored'");
    report(&pair);
    assert_eq!(
        texts(&pair, "//section[h2='Tables that stopped']//td[1]/text()"),
        ["public.item"]
    );
    assert!(
        !texts(
            &pair,
            "//section[h2='Tables that stopped']//td[2]/div/text()"
        )
        .is_empty()
    );
    pair.query("SELECT repl_pause('heroku')");
    pair.poll_status("state = 'paused'");
    report(&pair);
    assert_eq!(phases(&pair).last().map(String::as_str), Some("paused"));
    pair.source
        .sql("postgres", "alter role app password 'another'");
    pair.query("SELECT repl_resume('heroku')");
    pair.poll_status("state = 'errored'");
    report(&pair);
    assert_eq!(phases(&pair).last().map(String::as_str), Some("errored"));
    assert_eq!(texts(&pair, "//h1/span[2]/text()"), ["errored"]);
    assert!(!texts(&pair, "//div[@class='trouble']/p/b/text()").is_empty());
}

/// A worker that was not running leaves a gap, also after thinning.
#[test]
fn report_has_gaps_where_nothing_was_measured() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.stream("");
    let samples =
        "SELECT count(*) > 1 FROM decamp.sample WHERE lag IS NOT NULL AND silence IS NULL";
    pair.poll(samples);
    pair.query("SELECT repl_pause('heroku')");
    pair.poll_status("state = 'paused'");
    // as if that had been long ago
    pair.sql(
        "update decamp.sample set at = at - interval '3 hours'; update decamp.phase set at = at - interval '4 hours'; \
         update decamp.subscription set created_at = created_at - interval '4 hours'",
    );
    report(&pair);
    assert_eq!(
        texts(&pair, "//figure[h3='Lag']//rect[@class='gap']").len(),
        1
    );
    pair.query("SELECT repl_resume('heroku')");
    pair.poll("SELECT count(*) = 1 FROM decamp.sample WHERE silence BETWEEN 10700 AND 10900");
    report(&pair);
    assert_eq!(
        texts(&pair, "//figure[h3='Lag']//rect[@class='gap']").len(),
        1
    );
}

/// Of what is old little is kept: the worst, and what tells of gaps.
#[test]
fn history_is_thinned_with_age() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.stream("");
    pair.query("SELECT repl_pause('heroku')");
    pair.poll_status("state = 'paused'");
    pair.sql(
        "truncate decamp.sample; \
         insert into decamp.sample (subscription, at, lag, silence) \
         select 'heroku', now() - i * interval '5 seconds', case when i = 1500 then 99 else 1 end, \
                case when i % 1000 = 999 then 30 end \
         from generate_series(1, 50000) as i; \
         insert into decamp.sample (subscription, at, lag) \
         select 'heroku', now() - interval '15 days' - i * interval '10 minutes', 1 from generate_series(1, 3000) as i; \
         insert into decamp.sample (subscription, at, lag) \
         select 'heroku', now() - interval '380 days' - i * interval '1 hour', 1 from generate_series(1, 50) as i; \
         insert into decamp.sample (subscription, at, lag) \
         select 'other', now() - i * interval '5 seconds', 1 from generate_series(1, 2000) as i",
    );
    pair.query("SELECT repl_resume('heroku')");
    pair.poll("SELECT count(*) < 5000 FROM decamp.sample WHERE subscription = 'heroku'");
    let count = |which: &str| -> i64 {
        pair.query(&format!(
            "SELECT count(*) FROM decamp.sample WHERE subscription = 'heroku' AND {which}"
        ))
        .parse()
        .expect("a number")
    };
    let hour = count("at > now() - interval '1 hour'");
    assert!((690..=730).contains(&hour), "{hour} of the last hour");
    let day = count("at BETWEEN now() - interval '1 day' AND now() - interval '1 hour'");
    assert!((1370..=1390).contains(&day), "{day} of the day");
    let days = count("at BETWEEN now() - interval '14 days' AND now() - interval '1 day'");
    assert!((270..=290).contains(&days), "{days} of two more days");
    let weeks = count("at BETWEEN now() - interval '365 days' AND now() - interval '14 days'");
    assert!((500..=502).contains(&weeks), "{weeks} of three weeks");
    assert_eq!(count("at < now() - interval '366 days'"), 0);
    assert_eq!(count("lag = 99"), 1, "the worst is kept");
    assert_eq!(count("silence = 30"), 50, "so are the gaps");
    let other = "SELECT count(*) FROM decamp.sample WHERE subscription = 'other'";
    assert_eq!(pair.query(other), "2000", "another's history is another's");
    report(&pair);
}

/// What a run of the same name did before is not in the next one's report.
#[test]
fn report_is_about_the_latest_run() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.stream("");
    pair.stop_migration();
    let before = pair.query("SELECT count(*) FROM decamp.phase");
    wait::pause(Duration::from_millis(5));
    pair.migrate("copy_data => false");
    pair.wait_for("streaming", SOON);
    pair.kill(Worker::Apply);
    pair.wait_for("streaming", SOON);
    report(&pair);
    let phases = phases(&pair);
    assert!(!phases.contains(&"copying".to_owned()), "{phases:?}");
    assert!(before.parse::<usize>().expect("a number") > 5);
    let first = texts(&pair, "//section[h2='Events']//tbody/tr[1]/td[4]/text()").concat();
    assert!(first.contains("started"), "{first}");
}

#[test]
fn report_for_whom() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.sql("create role watcher login in role pg_monitor; create role anybody login");
    pair.stream("");
    let mut watcher = pair.target.connect_as("watcher", TARGET_DATABASE);
    let page: String = watcher
        .query_one("SELECT repl_report('heroku')", &[])
        .expect("pg_monitor may look")
        .get(0);
    assert_no_password(&page);
    let mut anybody = pair.target.connect_as("anybody", TARGET_DATABASE);
    let error = anybody
        .query_one("SELECT repl_report('heroku')", &[])
        .expect_err("nobody else may");
    assert_eq!(error.code().expect("of the server").code(), "42501");
}

/// A batch that takes long is nothing to be seen while it does; its lag is told afterwards.
#[test]
fn history_has_the_largest_lag() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.stream("");
    let mut lock = pair.target.connect(TARGET_DATABASE);
    lock.batch_execute("begin; lock table item in access exclusive mode")
        .expect("a lock");
    pair.source
        .app("update item set value = 'waits' where id = 1");
    pair.poll_status("lag > interval '7 seconds'");
    lock.batch_execute("rollback").expect("the lock goes");
    // what the status goes by is published once a second
    pair.poll("SELECT max(lag) > 5.5 FROM decamp.sample");
    // and that of a pause
    pair.query("SELECT repl_pause('heroku')");
    pair.poll_status("state = 'paused'");
    pair.sql(
        "update decamp.subscription set complete_at = complete_at - interval '1 hour'; \
         update decamp.sample set at = at - interval '1 hour'",
    );
    pair.query("SELECT repl_resume('heroku')");
    pair.poll("SELECT max(lag) BETWEEN 3600 AND 3660 FROM decamp.sample");
    pair.poll("SELECT (array_agg(lag ORDER BY at DESC))[1] < 5 FROM decamp.sample");
}
