//! Rows that are copied twice are found by keys of all kinds: quoted, of types of the user's own, of several columns.

use decamp_tests::observe::SOON;
use decamp_tests::source::DATABASE;
use decamp_tests::{Pair, wait};

const TYPES: &str = "create schema \"Types\"; create type \"Types\".\"Mood\" as enum ('sad', 'happy', 'it''s'); create domain \"Types\".number as numeric check (value >= 0); \
     create domain \"Types\".code as varchar(40)";
/// name, columns of the key, their values for row `i`
const TABLES: &[(&str, &str, &str, &str)] = &[
    ("k_int", "a int", "a", "i"),
    ("k_text", "a text", "a", "E'\\\\N\\t\"''' || i || E'\\n'"),
    (
        "\"K \"\"Mixed\"\" '\\\"",
        "\"A b\" bigint, \"C\"\"'\" text",
        "\"C\"\"'\", \"A b\"",
        "i, case when i % 2 = 0 then '' else ' ' end",
    ),
    (
        "k_enum",
        "a \"Types\".\"Mood\", b int",
        "a, b",
        "case i % 3 when 0 then 'it''s' when 1 then 'sad' else 'happy' end::\"Types\".\"Mood\", i",
    ),
    (
        "k_domain",
        "a \"Types\".number, b \"Types\".code",
        "a, b",
        "i / 10.0, 'code ' || i",
    ),
    (
        "k_float",
        "a double precision",
        "a",
        "case i when 1 then 'NaN' when 2 then 'infinity' when 3 then '-0' else i / 3.0::float8 end",
    ),
    (
        "k_time",
        "a timestamptz, b date",
        "a, b",
        "case i when 1 then 'infinity' else timestamptz '2024-03-31 00:00:00.123456+00' + i * interval '1 minute' end, date '4000-01-01 BC' + i",
    ),
    (
        "k_bytea",
        "a bytea, b uuid",
        "b, a",
        "decode(md5(i::text), 'hex') || '\\x00', md5(i::text)::uuid",
    ),
    (
        "k_char",
        "a char(12), b boolean",
        "a, b",
        "'c ' || i, i % 2 = 0",
    ),
    (
        "k_array",
        "a int[], b int4range",
        "a, b",
        "array[null, i, -i], int4range(i, i + i % 3)",
    ),
    (
        "k_jsonb",
        "a jsonb, b inet",
        "a, b",
        "jsonb_build_object('n', i, 'quote', E'\"\\\\'), '10.0.0.0'::inet + i",
    ),
    (
        "k_interval",
        "a interval, b numeric(10, 3)",
        "a, b",
        "i * interval '1 day 2 hours', i",
    ),
];
const CITEXT: (&str, &str, &str, &str) = ("k_citext", "a citext", "a", "'Name ' || i");

/// Each table waits at its second chunk until it is in `hold.open`.
const HOLD: &str = "create schema hold; create table hold.open (name text primary key); \
     create function hold.hold() returns trigger language plpgsql as $$ begin \
         if nextval('hold.' || tg_argv[0]) = 2 then \
             while not exists (select from hold.open o where o.name = tg_argv[0]) loop \
                 perform set_config('application_name', 'held ' || tg_argv[0], true); perform pg_sleep(0.02); \
             end loop; \
         end if; \
         return null; \
     end $$";

#[test]
fn key_kinds_of_rows_that_move() {
    let pair = Pair::start_cut();
    let citext = pair.has_contrib().then_some(&CITEXT);
    if citext.is_some() {
        pair.source
            .sql(DATABASE, "create extension citext schema public");
        pair.sql("create extension citext schema public");
    }
    pair.on_both(TYPES);
    pair.sql(HOLD);
    let tables: Vec<_> = TABLES.iter().chain(citext).collect();
    for (at, (name, columns, key, values)) in tables.iter().enumerate() {
        pair.on_both(&format!(
            "create table {name} ({columns}, n int not null, pad text, primary key ({key})); create unique index on {name} (n)"
        ));
        pair.source.app(&format!(
            "insert into {name} select {values}, i, repeat(md5(i::text), 8) from generate_series(1, 15000) as i"
        ));
        pair.sql(&format!(
            "create sequence hold.t{at}; create trigger hold before insert on {name} for each statement execute function hold.hold('t{at}'); \
             alter table {name} enable always trigger hold"
        ));
    }
    pair.migrate("workers => 1, exclude => array['hold.*']");
    for _ in &tables {
        let held = "SELECT coalesce(string_agg(substr(application_name, 7), ''), '') FROM pg_stat_activity WHERE application_name LIKE 'held t%'";
        let held = wait::until(SOON, "the next table is held", || {
            Some(pair.query(held)).filter(|name| !name.is_empty())
        });
        let (name, ..) = tables[held.parse::<usize>().expect("a number")];
        // from the first chunk into the third, which has no snapshot yet; and a unique value from hand to hand
        pair.source.app(&format!(
            "update {name} set n = n + 1000000 where n % 3 = 0"
        ));
        pair.source.app(&format!(
            "begin; update {name} set n = - n where n = 1; update {name} set n = 1 where n = 14999; commit"
        ));
        pair.sql(&format!("insert into hold.open values ('t{held}')"));
        let gone = format!(
            "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'held t{held}'"
        );
        pair.poll(&gone);
    }
    pair.wait_for("streaming", SOON);
    pair.wait_until_built();
    let once = "SELECT coalesce(string_agg(\"table\", ', '), '') FROM repl_tables WHERE rows_copied <= 16000";
    assert_eq!(pair.query(once), "", "rows were copied once only");
    pair.wait_for("caught_up", SOON);
    pair.sql("drop schema hold cascade");
    pair.assert_migrated();
    pair.stop_migration();
}
