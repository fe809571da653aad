//! `repl_verify(mode => 'schema')`: definitions of both sides.

use std::time::Duration;

use decamp_tests::verification::{Line, assert_equal};
use decamp_tests::{Pair, have_source};

/// What the zoo has, imported and built, is the same in both databases.
fn from(major: u32) {
    if !have_source(major) {
        return;
    }
    let pair = Pair::builder().source_version(major).start();
    pair.load_zoo(50);
    pair.stream("");
    pair.poll("SELECT count(*) = 0 FROM decamp.task WHERE state <> 'done'");
    let lines = pair.verify("mode => 'schema'");
    assert_equal(&lines);
    let subjects: Vec<&str> = lines.iter().map(|line| line.table.as_str()).collect();
    for kind in ["sequences", "views", "functions", "extensions"] {
        assert!(subjects.contains(&kind), "{subjects:?}");
    }
    // the rows too, under load
    let churn = pair.source.churn(u64::from(major), 2);
    pair.poll("SELECT sum(updated) > 20 FROM repl_tables");
    for _ in 0..2 {
        let wrong: Vec<Line> = pair
            .verify("")
            .into_iter()
            .filter(|line| line.equal == "f")
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
    churn.stop();
    pair.wait_for("caught_up", Duration::from_secs(60));
    assert_equal(&pair.verify(""));
    pair.stop_migration();
}

#[test]
fn verify_schema_of_version_10() {
    from(10);
}

#[test]
fn verify_schema_of_version_12() {
    from(12);
}

#[test]
fn verify_schema_of_the_same_version() {
    from(15);
}

#[test]
fn verify_schema_finds_differences() {
    let pair = Pair::start();
    pair.source.app(
        "create table a (id serial primary key, n int default 1, m text not null, constraint small check (n < 10)); \
         create index on a (n); create unique index lower_m on a (lower(m)); \
         create table b (id int primary key, a int references a); \
         create table p (id int primary key) partition by range (id); \
         create table p1 partition of p for values from (0) to (10); \
         create table p2 partition of p for values from (10) to (20); \
         create view v as select n from a; create function f(i int) returns int language sql as 'select i + 1'; \
         create sequence s increment 5",
    );
    pair.stream("");
    pair.poll("SELECT count(*) = 0 FROM decamp.task WHERE state <> 'done'");
    assert_equal(&pair.verify("mode => 'schema'"));

    pair.sql(
        "drop index a_n_idx; drop index lower_m; create index lower_m on a (lower(m)); alter table a alter n set default 2; \
         alter table a alter m drop not null; alter table a drop constraint small; alter table a add more int; \
         drop table p2; alter table b drop constraint b_a_fkey; \
         create or replace view v as select n + 0 as n from a; drop function f(int); create function g() returns int language sql as 'select 1'; \
         alter sequence s increment 6",
    );
    let lines = pair.verify("mode => 'schema'");
    let said: Vec<String> = lines
        .iter()
        .map(|line| format!("{} {} {}", line.table, line.equal, line.differing))
        .collect();
    let expected = [
        r#"public.a f ["column m is different", "column n is different", "constraint small is missing on the target", "index a_n_idx is missing on the target", "index lower_m is different", "column more is only on the target"]"#,
        r#"public.b f ["constraint b_a_fkey is missing on the target"]"#,
        r#"public.p f ["partition public.p2 is missing on the target"]"#,
        r#"sequences f ["public.s is different"]"#,
        r#"views f ["public.v is different"]"#,
        r#"functions f ["public.f(i integer) is missing on the target"]"#,
        "extensions t ",
    ];
    assert_eq!(said, expected, "{lines:#?}");
    assert!(
        lines[5].note.contains("only on the target: public.g()"),
        "{lines:#?}"
    );
    assert_eq!(
        pair.verify("mode => 'schema', tables => array['b']").len(),
        1
    );
}

/// Indexes are off while the table is copied: missing, and said to come back.
#[test]
fn verify_schema_before_the_indexes_are_built() {
    let pair = Pair::start_cut();
    pair.on_both("create table a (id int primary key, pad text, n int)");
    pair.source.app("insert into a select i, repeat(md5(i::text), 4), i from generate_series(1, 30000) as i; create index on a (n); analyze");
    pair.sql(
        "create function slow(n int) returns int immutable language plpgsql as \
         $$ begin if n = 30000 then perform pg_sleep(3); end if; return n; end $$; create index a_n_idx on a (n); create index slow on a (slow(n))",
    );
    pair.migrate("copy_schema => false");
    pair.poll("SELECT bool_or(building LIKE '%slow%') FROM repl_tables");
    let line = &pair.verify("mode => 'schema'")[0];
    assert_eq!(line.equal, "f", "{line:?}");
    assert!(line.note.contains("not built again yet"), "{line:?}");
    let rows = &pair.verify("")[0];
    assert_eq!(rows.equal, "", "{rows:?}");
    assert!(rows.note.contains("not copied yet"), "{rows:?}");
    pair.wait_for("streaming", Duration::from_secs(60));
    assert_equal(&pair.verify(""));
}
