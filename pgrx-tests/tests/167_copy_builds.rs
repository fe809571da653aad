//! Indexes and constraints built after the copy: interrupted, refused, and what a person can do about one that cannot be built.

use std::time::Duration;

use decamp_tests::copying::{Done, chunked, table};
use decamp_tests::observe::SOON;
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::workers::Worker;

const MINUTE: Duration = Duration::from_secs(60);

/// An index build that is interrupted begins anew, the table's other indexes and rows stay.
#[test]
fn copy_interrupted_while_building() {
    let pair = chunked().start();
    pair.hold_builds();
    pair.source.app(&table("late", 6));
    pair.source.app(
        "create function held(int) returns int language sql immutable as 'select $1'; \
         create index late_a on late (n); create index late_held on late (held(n)); create index late_z on late (value)",
    );
    pair.migrate("workers => 1");
    pair.poll_table("late", "building like '%late_held%'");
    pair.poll("select count(*) > 0 from pg_stat_activity where application_name like '% copy' and query like '%late_held%' and wait_event = 'PgSleep'");
    let chunks = Done::of(&pair, "late");
    assert!(chunks.count() >= 3);
    let built = pair.index_files("late");
    assert_eq!(pair.terminate(Worker::Copy).len(), 1);
    pair.poll("select attempts = 2 and state = 'running' from decamp.task where name = 'public.late_held'");
    pair.release_builds();
    pair.wait_for("streaming", SOON);
    chunks.assert_kept(&pair);
    let now = pair.index_files("late");
    assert!(
        built.iter().all(|index| now.contains(index)),
        "{built:?} {now:?}"
    );
    assert_eq!(now.len(), 4);
    assert_eq!(
        pair.target.query_one_text(
            TARGET_DATABASE,
            "select bool_and(indisvalid) from pg_index where indrelid = 'late'::regclass"
        ),
        "t"
    );
    pair.assert_migrated();
}

/// The disk that index builds sort on is short: that does not pass by itself either.
#[test]
fn copy_build_beyond_temp_file_limit() {
    let pair = chunked()
        .target_conf("pg_decamp.maintenance_work_mem = '1MB'")
        .target_conf("temp_file_limit = '1MB'")
        .start();
    for (name, megabytes) in [("wide", 16), ("fine", 2)] {
        pair.source.app(&table(name, megabytes));
    }
    pair.source
        .app("create index wide_value on wide ((md5(id::text) || md5(value || id) || md5(value || 2 * id) || md5(value || 3 * id)))");
    pair.migrate("workers => 2");
    let wide = pair.assert_stopped("wide", "53400", &["temp_file_limit", "public.wide_value"]);
    pair.poll_table("fine", "state = 'ready'");
    assert_eq!(
        wide.count() as i64,
        pair.tasks("wide", "count(*) filter (where t.kind = 'chunk')")
    );
    pair.target.append_conf("temp_file_limit = -1");
    pair.target.reload();
    pair.query("SELECT repl_resume('heroku')");
    pair.wait_for("streaming", MINUTE);
    wide.assert_kept(&pair);
    pair.assert_migrated();
}

/// A unique index that only the target had, and that the source's rows do not allow. It is off the target when that shows, so
/// it cannot be dropped: what to do instead is said.
#[test]
fn copy_index_that_cannot_be_built() {
    let pair = chunked().start();
    pair.sql(
        "create table strict (id int primary key, n int not null default 0, value text); \
         create unique index strict_n on strict (n); create index strict_value on strict (value)",
    );
    for name in ["strict", "fine"] {
        pair.source.app(&table(name, 4));
    }
    pair.migrate("workers => 2");
    let strict = pair.assert_stopped(
        "strict",
        "23505",
        &["strict_n", "public.strict", "CREATE UNIQUE INDEX strict_n"],
    );
    pair.poll_table("fine", "state = 'ready'");
    assert_eq!(pair.table("strict", "chunks_done = chunks"), "t");
    // what is there already is left as it is
    pair.sql("create index strict_n on strict (n)");
    pair.query("SELECT repl_resume('heroku')");
    pair.wait_for("streaming", SOON);
    strict.assert_kept(&pair);
    let unique = "select string_agg(indexrelid::regclass::text, ' ' order by 1) from pg_index \
                  where indrelid = 'strict'::regclass and indisunique";
    assert_eq!(pair.query(unique), "strict_pkey");
    let all = "select count(*) from pg_index where indrelid = 'strict'::regclass";
    assert_eq!(pair.query(all), "3");
    pair.source.app("update strict set n = 7 where id < 100");
    pair.assert_migrated();
}
