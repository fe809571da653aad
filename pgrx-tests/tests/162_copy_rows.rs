//! Rows of all sizes: what a copy worker needs for them, and what becomes of one that is too large to be sent.

use std::time::Duration;

use decamp_tests::copying::{Done, chunked};
use decamp_tests::memory::Watch;
use decamp_tests::source::DATABASE;
use decamp_tests::{Pair, wait};

const MINUTE: Duration = Duration::from_secs(60);
const MB: u64 = 1 << 20;
/// What a worker may have besides the row at hand: 7 were measured, 64 are promised.
const FRAME: u64 = 48 * MB;

#[test]
fn rows_in_great_number() {
    let pair = Pair::start();
    pair.source.app(
        "create table small (id int primary key, n int, value text); \
         insert into small select i, i % 100, 'row ' || i from generate_series(1, 1000000) as i; analyze small",
    );
    let watch = Watch::copy_workers(&pair);
    pair.migrate("workers => 2");
    pair.wait_for("streaming", 2 * MINUTE);
    let peak = watch.peak();
    assert!(peak < FRAME, "{} MB for a million rows", peak / MB);
    assert!(peak > MB, "that is nothing: {peak} bytes");
    pair.assert_migrated();
}

#[test]
fn rows_of_great_size() {
    const ROW: u64 = 200 * MB;
    let pair = Pair::start();
    pair.source.app(&format!(
        "create table wide (id int primary key, b bytea, t text); \
         insert into wide values (1, convert_to(repeat('x', {ROW}), 'UTF8'), null), (2, null, repeat('y', {ROW})), \
                                 (3, 'small', 'small')"
    ));
    let watch = Watch::copy_workers(&pair);
    pair.migrate("workers => 2");
    pair.wait_for("streaming", 2 * MINUTE);
    let peak = watch.peak();
    assert!(
        peak < FRAME + 3 * ROW,
        "{} MB for rows of 200 MB",
        peak / MB
    );
    assert!(peak > ROW, "a row passes through: {peak} bytes");
    let sql = "select string_agg(concat_ws(' ', id, octet_length(b), md5(b), octet_length(t), md5(t)), ', ' order by id) from wide";
    assert_eq!(pair.query(sql), pair.source.query_one_text(DATABASE, sql));
}

/// Its table says which one it is; the others go on, and so does it when the row has been made smaller.
#[test]
fn rows_beyond_the_protocol() {
    let pair = chunked().start();
    pair.source.app(
        "create table huge (name text, id int, a text, b json, primary key (name, id)); \
         insert into huge select 'it''s ' || i, i, repeat(md5(i::text), 30), '1' from generate_series(1, 6000) as i; \
         update huge set a = repeat('x', 600 * 1024 * 1024) where id = 4711; \
         update huge set b = repeat('9', 600 * 1024 * 1024)::json where id = 4711; \
         analyze huge; create table fine (id int primary key, value text); insert into fine values (1, 'x')",
    );
    let watch = Watch::copy_workers(&pair);
    pair.migrate("workers => 2");
    wait::until_true(
        2 * MINUTE,
        "it stops, after all of one column has been sent",
        || pair.table("huge", "state = 'errored'") == "t",
    );
    let told = pair.table("huge", "error || ' HINT: ' || hint");
    for word in [
        "public.huge",
        "it's 4711, 4711",
        "1200 MB",
        "1 GB",
        "repl_resume('heroku')",
    ] {
        assert!(told.contains(word), "{word:?} is not in: {told}");
    }
    let peak = watch.peak();
    assert!(
        peak < FRAME,
        "nothing of it arrives, but {} MB are taken",
        peak / MB
    );
    pair.poll_table("fine", "state = 'ready'");
    pair.source.app("update fine set value = 'goes on'");
    pair.poll("select value = 'goes on' from fine");
    let done = Done::of(&pair, "huge");
    assert!(done.count() > 0);

    pair.source
        .app("update huge set b = '2', a = 'x' where id = 4711");
    pair.query("SELECT repl_resume('heroku')");
    pair.wait_for("streaming", 2 * MINUTE);
    done.assert_kept(&pair);
    pair.assert_migrated();
}
