//! `repl_verify` across major versions: content that is equal is told to be, whatever its types, and a changed bit is found.

use decamp_tests::kinds::{CONTRIB, EXTENSIONS, KINDS, TYPES, steps, tables};
use decamp_tests::observe::SOON;
use decamp_tests::source::DATABASE;
use decamp_tests::verification::assert_equal;
use decamp_tests::{Pair, have_source};

/// Floats with all their digits, alone and deeper; keys of several columns and odd collations.
const TABLES: &str = "create type pair as (a float8, b text); \
    create table f (id int primary key, d float8, r float4, ds float8[], rs float4[], p pair, at point, c \"char\", m money, b char(9), \
        j jsonb, t timestamptz, i interval, x xml, v tsvector, n numeric); \
    create table k (a text collate \"C\", b text, c uuid, d timestamptz, e numeric, n int, primary key (a, b, c, d, e)); \
    create table fk (f float8 primary key, n int)";
const ROWS: &str = "insert into f select i, sqrt(i), (i / 7.0)::float4, array[sqrt(i), null, 'NaN', '-0', 'infinity'], array[[0.1, i / 3.0], [1, 2]]::float4[], \
        row(sqrt(i), null)::pair, point(sqrt(i), -i), chr(32 + i % 90)::\"char\", i::money, 'b' || i, \
        format('{\"b\": %s, \"a\": [1.50, null, \"ü\"]}', sqrt(i))::jsonb, '2024-10-27 00:30:00+00'::timestamptz + i * interval '10 minutes', \
        i * interval '1 day 1 second', '<a b=\"1\"/>', to_tsvector('simple', 'b a c' || i), i / 3.0 from generate_series(1, 300) as i; \
    insert into f (id, d, r) values (-1, 'NaN', 'NaN'), (-2, '-0', '-infinity'), (-3, 0.1 + 0.2, 1e-37), (-4, 'infinity'::float8 - 'infinity', 'infinity'::float4 - 'infinity'); \
    insert into k select case i % 4 when 0 then 'É' when 1 then 'e' when 2 then 'E' else 'é''\"\\' end, format('%s-b %s', i, i * 7 % 100), md5(i::text)::uuid, \
        '2024-01-01'::timestamptz + i * interval '1 second', i / 10.0, i from generate_series(1, 60000) as i; \
    insert into fk select sqrt(i), i from generate_series(1, 60000) as i; analyze";

fn from(major: u32) {
    if !have_source(major) {
        return;
    }
    let pair = Pair::builder().source_version(major).start();
    pair.source.app(TABLES);
    pair.source.app(ROWS);
    pair.sql(TABLES);
    pair.stream("copy_schema => false");
    pair.source.app("update f set n = n + 1 where id % 3 = 0; update k set n = 0 where n % 100 = 0; update fk set n = 0 where n % 100 = 0");
    pair.wait_for("caught_up", SOON);
    let lines = pair.verify("");
    assert_equal(&lines);
    assert!(
        lines[1].how.starts_with("2 ranges") && lines[2].how.starts_with("2 ranges"),
        "{lines:?}"
    );
    assert!(
        lines.iter().all(|line| !line.how.contains("again")),
        "equal at the first look: {lines:?}"
    );
    assert_equal(&pair.verify("mode => 'count'"));

    // the last bit, the sign of zero, a zero more
    pair.sql(
        "update f set d = d + 1e-16 where id = -3; update f set d = 0 where id = -2; update f set ds[4] = 0 where id = 9; \
         update f set n = (n::text || '0')::numeric where id = 10; delete from k where n = 77; \
         update fk set n = 5 where f = sqrt(2::float8)",
    );
    let lines = pair.verify("");
    let keys = |line: usize, column: &str| {
        let sql = format!(
            "SELECT string_agg(d->'key'->>'{column}', ' ' ORDER BY d->'key'->>'{column}') FROM jsonb_array_elements($${}$$) d",
            lines[line].differing
        );
        pair.query(&sql)
    };
    assert_eq!(keys(0, "id"), "-2 -3 10 9", "{lines:?}");
    assert_eq!(keys(2, "b"), "77-b 39", "{lines:?}");
    assert_eq!(keys(1, "f"), "1.4142135623730951", "{lines:?}");
    assert_equal(&pair.verify("repair => true"));
    pair.stop_migration();
}

#[test]
fn verify_version_10_source() {
    from(10);
}

#[test]
fn verify_version_12_source() {
    from(12);
}

#[test]
fn verify_version_18_source() {
    from(18);
}

#[test]
fn verify_same_version() {
    from(15);
}

/// Columns and keys of every type.
#[test]
fn verify_kinds() {
    let pair = Pair::start();
    pair.source.sql(DATABASE, &format!("set role app; {TYPES}"));
    for extension in EXTENSIONS {
        pair.source.sql(
            DATABASE,
            &format!("create extension {extension} schema public"),
        );
    }
    pair.source.app(&tables(KINDS, false));
    for step in &steps(KINDS)[..2] {
        for sql in step {
            pair.source.app(sql);
        }
    }
    pair.migrate("");
    pair.wait_for("streaming", 2 * SOON);
    pair.wait_for("caught_up", SOON);
    assert_equal(&pair.verify(""));
    assert_equal(&pair.verify("mode => 'count'"));
    // every table loses a row
    let tables = "SELECT format('%I.%I', schema, \"table\") FROM repl_tables";
    pair.sql(&format!(
        "set session_replication_role = replica; do $$ declare t text; begin for t in {tables} loop \
         execute format('delete from %s where ctid = (select max(ctid) from %1$s)', t); end loop; end $$"
    ));
    for line in pair.verify("") {
        assert_eq!(line.equal, "f", "{line:?}");
        assert_eq!(line.differing.matches("missing").count(), 1, "{line:?}");
    }
    assert_equal(&pair.verify("repair => true"));
    pair.assert_migrated();
}

#[test]
fn verify_kinds_of_extensions() {
    let pair = Pair::start();
    for extension in EXTENSIONS {
        pair.source.sql(
            DATABASE,
            &format!("create extension {extension} schema public"),
        );
    }
    pair.source.app("create schema \"Kinds\"");
    pair.source.app(&tables(CONTRIB, false));
    for step in &steps(CONTRIB)[..2] {
        for sql in step {
            pair.source.app(sql);
        }
    }
    pair.migrate("");
    pair.wait_for("streaming", 2 * SOON);
    pair.wait_for("caught_up", SOON);
    assert_equal(&pair.verify(""));
    pair.sql("delete from alone_0 where n = 1");
    assert_eq!(pair.verify_table("alone_0", "").equal, "f");
    assert_equal(&pair.verify("repair => true"));
}
