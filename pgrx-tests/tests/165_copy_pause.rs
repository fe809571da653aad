//! Pausing a copy: gently, when what is at hand is finished first, or at once, when it is given up.

use std::time::{Duration, Instant};

use decamp_tests::copying::{Done, busy, table};
use decamp_tests::observe::SOON;
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::source::DATABASE;
use decamp_tests::{Pair, wait};

/// About a second for us to see it, and one for a server to see that we are gone.
const AT_ONCE: Duration = Duration::from_millis(3500);

#[test]
fn copy_paused_ends_what_is_at_hand() {
    let pair = Pair::builder()
        .target_conf("pg_decamp.chunk_size = '8MB'")
        .target_conf("pg_decamp.copy_rate_limit = '6MB'")
        .start();
    pair.source.app(&table("late", 40));
    let load = busy(&pair, &["late"]);
    pair.migrate("workers => 2");
    pair.poll("select count(*) = 2 from decamp.task where state = 'running' and bytes_done > 0");
    let running =
        "select string_agg(id::text, ',' order by id) from decamp.task where state = 'running'";
    let at_hand = pair.query(running);
    pair.query("SELECT repl_pause('heroku')");
    let mut pausing = 0;
    wait::until_true(SOON, "it is paused", || {
        let row = pair
            .target
            .rows(TARGET_DATABASE, "select state, workers from repl_status")
            .remove(0);
        match (row[0].as_str(), row[1].as_str()) {
            ("paused", "0") => true,
            ("paused", n) => panic!("paused, but {n} workers are at work"),
            ("pausing", _) => {
                pausing += 1;
                false
            }
            _ => false,
        }
    });
    assert!(pausing > 1, "chunks of more than a second end before that");
    let ended = format!(
        "select bool_and(state = 'done' and attempts = 1) from decamp.task where id in ({at_hand})"
    );
    assert_eq!(pair.query(&ended), "t", "{at_hand}");
    assert_eq!(
        pair.query("select count(*) from decamp.task where state = 'running'"),
        "0"
    );
    assert_eq!(sessions(&pair), 0);
    let done = Done::of(&pair, "late");
    pair.limit_copy(0);
    pair.query("SELECT repl_resume('heroku')");
    pair.wait_for("streaming", SOON);
    done.assert_kept(&pair);
    load.stop(&pair.source);
    pair.assert_migrated();
}

/// Sessions of ours on both sides.
fn sessions(pair: &Pair) -> u32 {
    let sql = "select count(*) from pg_stat_activity where application_name like 'pg_decamp%' and backend_type = 'client backend'";
    [pair.query(sql), pair.source.query_one_text(DATABASE, sql)]
        .iter()
        .map(|n| n.parse::<u32>().expect("a count"))
        .sum()
}

/// Pauses at once, and checks that all of it is over soon.
fn cut(pair: &Pair) {
    assert!(sessions(pair) > 1);
    let begin = Instant::now();
    pair.query("SELECT repl_pause('heroku', now => true)");
    pair.poll_status("state = 'paused' and workers = 0");
    wait::until_true(SOON, "the sessions end", || sessions(pair) == 0);
    assert!(begin.elapsed() < AT_ONCE, "took {:?}", begin.elapsed());
    assert_eq!(
        pair.query("select count(*) from decamp.task where state = 'running'"),
        "0"
    );
    assert_eq!(pair.status("building"), "");
    let summary = pair.status("summary");
    assert!(
        summary.contains("Paused") && summary.contains("repl_resume"),
        "{summary}"
    );
}

#[test]
fn copy_paused_at_once() {
    let pair = Pair::builder()
        .target_conf("pg_decamp.chunk_size = '16MB'")
        .target_conf("pg_decamp.copy_rate_limit = '5MB'")
        .start();
    pair.hold_builds();
    pair.source.app(&table("late", 40));
    pair.source.app(
        "create function held(int) returns int language sql immutable as 'select $1'; \
         create index late_held on late (held(n)); create index late_n on late (n)",
    );
    let load = busy(&pair, &["late"]);
    pair.migrate("workers => 2");
    pair.poll("select count(*) = 2 from decamp.task where state = 'running' and bytes_done > 0");
    cut(&pair);
    assert_eq!(
        pair.query("select count(*) from late"),
        "0",
        "nothing half done"
    );

    pair.limit_copy(0);
    pair.query("SELECT repl_resume('heroku')");
    pair.poll_status("building like '%late_held%'");
    let done = Done::of(&pair, "late");
    cut(&pair);
    assert_eq!(pair.table("late", "building"), "");
    pair.release_builds();
    pair.query("SELECT repl_resume('heroku')");
    pair.wait_for("streaming", SOON);
    done.assert_kept(&pair);
    assert_eq!(pair.index_files("late").len(), 3);
    load.stop(&pair.source);
    pair.assert_migrated();
}
