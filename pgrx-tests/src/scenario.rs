//! Every kind of change that a row can go through, as small stories.

mod writers;

use self::writers::{ROLES, WRITERS};
use crate::pair::Pair;
use crate::source::DATABASE;

/// Tables, their first rows, and what happens to them, one transaction each.
pub struct Scenario {
    pub tables: &'static str,
    pub rows: &'static str,
    pub changes: &'static [&'static str],
}

const SCENARIOS: &[Scenario] = &[
    // nothing special, savepoints, ON CONFLICT, MERGE
    Scenario {
        tables: "create table plain (id int primary key, value text, n numeric)",
        rows: "insert into plain select i, 'row ' || i, i from generate_series(1, 50) as i",
        changes: &[
            "insert into plain values (101, 'new', 1.10), (102, null, 'NaN'), (103, '', null)",
            "update plain set value = 'changed', n = n + 1 where id between 10 and 20",
            "delete from plain where id between 15 and 25",
            "begin; insert into plain values (111, 'kept'); savepoint s; insert into plain values (112, 'rolled back'); \
             update plain set value = 'rolled back' where id < 10; delete from plain where id = 1; rollback to s; \
             savepoint s; delete from plain where id = 2; release s; commit",
            "begin; delete from plain; insert into plain values (1, 'never'); rollback",
            "insert into plain values (101, 'conflict'), (120, 'no conflict') on conflict (id) do update set value = excluded.value",
            "insert into plain values (101, 'conflict') on conflict do nothing",
            "merge into plain p using (values (30, 'merged'), (31, null), (130, 'merged in')) as m(id, value) on m.id = p.id \
             when matched and m.value is null then delete when matched then update set value = m.value \
             when not matched then insert values (m.id, m.value)",
            "begin; insert into plain values (140, 'came'); update plain set value = 'changed' where id = 140; \
             delete from plain where id = 140; commit",
            "begin; delete from plain where id = 40; insert into plain values (40, 'another one', -1); commit",
            "with gone as (delete from plain where id in (41, 42) returning *) insert into plain select id + 100, value from gone",
        ],
    },
    // keys that change: moved away, exchanged, moved into each other's place
    Scenario {
        tables: "create table moving (id int primary key, value text); \
                 create table moving_two (a int, b text, value int, primary key (b, a)); \
                 create table swapping (id int primary key deferrable initially immediate, value text)",
        rows: "insert into moving select i, 'was ' || i from generate_series(1, 60) as i; \
               insert into moving_two select i % 7, 'b' || i, i from generate_series(1, 60) as i; \
               insert into swapping select i, 'was ' || i from generate_series(1, 60) as i",
        changes: &[
            "update moving set id = id + 1000 where id <= 10; update moving_two set a = -a; update swapping set id = 61 - id",
            "update moving set id = -id, value = value || '!' where id between 11 and 20; \
             update moving_two set b = upper(b), value = 0 where a < -3; \
             update swapping set id = case id when 1 then 2 else 1 end where id in (1, 2)",
            "begin; update moving set id = 0 where id = 30; update moving set id = 30 where id = 31; \
             update moving set id = 31 where id = 0; commit",
            "begin; delete from moving where id = 32; update moving set id = 32 where id = 33; \
             insert into moving values (33, 'took the place'); commit",
            "update swapping set id = id % 60 + 1",
            "begin; update swapping set id = id + 1; update swapping set id = id - 1, value = 'back'; commit",
            "begin; set constraints all deferred; insert into swapping values (5, 'twice'); delete from swapping where value <> 'twice' and id = 5; commit",
            "update moving set id = id where id > 0; update moving_two set b = b, a = a",
        ],
    },
    // values that are unique besides the key, exchanged
    Scenario {
        tables: "create table uniques (id int primary key, code text unique, place int, \
                 constraint one_place unique (place) deferrable initially deferred, \
                 constraint apart exclude using gist (int4range(place, place + 1) with &&) deferrable initially deferred); \
                 create unique index on uniques (lower(code)) where place > 10",
        rows: "insert into uniques select i, 'code ' || i, i from generate_series(1, 40) as i",
        changes: &[
            "begin; update uniques set code = null where id = 1; update uniques set code = 'code 1' where id = 2; \
             update uniques set code = 'code 2' where id = 1; commit",
            "update uniques set place = 41 - place",
            "begin; delete from uniques where id = 3; insert into uniques values (103, 'code 3', 1003); \
             update uniques set place = 38 where id = 103; commit",
            "begin; update uniques set code = 'x' || code; update uniques set code = 'code ' || (id % 40 + 1) where id <= 40; commit",
            "update uniques set place = place % 40 + 1",
            "update uniques set code = 'CODE' || id where id > 20; update uniques set id = id + 100 where id < 5",
        ],
    },
    // TRUNCATE in all its forms
    Scenario {
        tables: "create table t_one (id int primary key, value text); create table t_two (id serial primary key, value text); \
                 create table t_parent (id int primary key); create table t_child (id int primary key, parent int references t_parent); \
                 create table t_many (id int primary key, value text)",
        rows: "insert into t_one select i, 'x' from generate_series(1, 30) as i; insert into t_two (value) select 'x' from generate_series(1, 30); \
               insert into t_parent select generate_series(1, 30); insert into t_child select i, i from generate_series(1, 30) as i; \
               insert into t_many select i, 'x' from generate_series(1, 300) as i",
        changes: &[
            "truncate t_one",
            "begin; insert into t_one values (1, 'before'); truncate t_one, t_two; insert into t_one values (2, 'after'); commit",
            "insert into t_two (value) values ('after')",
            "truncate t_parent cascade",
            "begin; insert into t_parent values (1); insert into t_child values (1, 1); truncate t_child, t_parent; \
             insert into t_parent values (2); insert into t_child values (2, 2); commit",
            "begin; truncate t_many; rollback",
            "begin; update t_many set value = 'y'; savepoint s; truncate t_many; rollback to s; delete from t_many where id < 100; commit",
            "truncate t_two restart identity",
            "begin; truncate t_many; insert into t_many select i, 'again' from generate_series(50, 70) as i; truncate t_many; \
             insert into t_many select i, 'at last' from generate_series(60, 90) as i; commit",
            "truncate t_one; truncate t_one; truncate t_child",
        ],
    },
    // what foreign keys do by themselves
    Scenario {
        tables: "create table parent (id int primary key, name text unique); \
                 create table child (id int primary key, parent int references parent on delete cascade on update cascade); \
                 create table cousin (id int primary key, parent text references parent (name) on delete set null on update cascade); \
                 create table grandchild (child int references child on delete cascade on update cascade, n int, primary key (child, n))",
        rows: "insert into parent select i, 'p' || i from generate_series(1, 20) as i; \
               insert into child select i, 1 + i % 20 from generate_series(1, 60) as i; \
               insert into cousin select i, 'p' || (1 + i % 20) from generate_series(1, 60) as i; \
               insert into grandchild select 1 + i % 60, i from generate_series(1, 120) as i",
        changes: &[
            "delete from parent where id in (3, 4)",
            "update parent set id = id + 100 where id > 15",
            "update parent set name = name || '!', id = -id where id between 5 and 8",
            "update child set id = id + 1000 where id % 5 = 0",
            "begin; delete from parent where id = 10; insert into parent values (10, 'p10'); insert into child values (500, 10); commit",
        ],
    },
    // identity and generated columns, keys without values, case
    Scenario {
        tables: "create table always (id int generated always as identity primary key, value text); \
                 create table always_beside (name text primary key, n int generated always as identity); \
                 create table by_default (id int generated by default as identity primary key, value text); \
                 create table computed (id int primary key, first text, joined text generated always as (first || '/' || last) stored, \
                     last text, length int generated always as (char_length(last)) stored unique); \
                 create table keys_only (a text, b int, primary key (a, b)); create table key_only (a uuid primary key)",
        rows: "insert into always (value) select 'x' from generate_series(1, 20); \
               insert into always_beside (name) select 'name ' || i from generate_series(1, 20) as i; \
               insert into by_default (value) select 'x' from generate_series(1, 20); \
               insert into computed (id, first, last) select i, 'f' || i, repeat('l', i) from generate_series(1, 20) as i; \
               insert into keys_only select 'a' || i, i from generate_series(1, 20) as i; \
               insert into key_only select md5(i::text)::uuid from generate_series(1, 20) as i",
        changes: &[
            "insert into always (value) values ('y'); insert into always overriding system value values (500, 'z'); \
             insert into always_beside (name) values ('y'); insert into by_default values (600, 'z'); \
             insert into keys_only values ('b', 1), ('b', 2); insert into key_only values (md5('x')::uuid)",
            "update always set value = 'changed' where id % 2 = 0; update always_beside set n = default where name like '%1%'; \
             update computed set first = 'changed' where id < 5; update keys_only set b = b + 100",
            "update always_beside set name = name || '!'; update computed set last = repeat('L', 50 - id); update key_only set a = md5(a::text)::uuid",
            "begin; update computed set last = 'x' || repeat('l', 100) where id = 1; \
             update computed set last = repeat('n', 49) where id = 2; commit",
            "delete from always where id < 5; delete from computed where id < 5; delete from keys_only where b % 2 = 0; \
             delete from key_only where a::text < '8'; delete from always_beside where name like '%5%'",
        ],
    },
    // large values: changed, unchanged beside a changed one, moved
    Scenario {
        tables: "create table large (id int primary key, kind text, value text, raw bytea); \
                 create table large_key (key text primary key, value int); alter table large alter value set storage external",
        rows: "insert into large select i, 'kind', repeat(md5(i::text), 40000), decode(repeat(md5(i::text), 3000), 'hex') from generate_series(1, 6) as i; \
               insert into large_key select repeat('k', i * 50), i from generate_series(1, 20) as i",
        changes: &[
            "update large set kind = 'beside' where id < 4; update large_key set value = -value",
            "update large set value = 'x' || value where id = 1; update large set id = 100 where id = 2; \
             update large_key set key = 'K' || key where value < -10",
            "insert into large values (7, null, repeat(E'\\\\line\\n\\t\"quoted\"', 60000), '\\x'); \
             update large set value = '', raw = null where id = 3",
            "update large set raw = decode(repeat('00ff5c0a', 250000), 'hex') where id = 4",
        ],
    },
];

const CITEXT: Scenario = Scenario {
    tables: "create table insensitive (name citext primary key, value text, other citext unique)",
    rows: "insert into insensitive select 'Name ' || i, 'v', 'Other ' || i from generate_series(1, 20) as i",
    changes: &[
        "update insensitive set name = upper(name::text) where name in ('name 1', 'name 2')",
        "update insensitive set name = lower(name::text), value = 'lower', other = upper(other::text)",
        "begin; delete from insensitive where name = 'NAME 5'; insert into insensitive values ('nAmE 5', 'again', 'oTHER 5'); commit",
        "insert into insensitive values ('NAME 7', 'conflict') on conflict (name) do update set value = 'conflict', name = excluded.name",
    ],
};

/// Makes and fills all tables on the source.
pub fn prepare(pair: &Pair) -> Vec<&'static Scenario> {
    let citext = pair.has_contrib().then_some(&CITEXT);
    if citext.is_some() {
        pair.source.sql(DATABASE, "create extension citext");
    }
    pair.source.sql(DATABASE, ROLES);
    let scenarios: Vec<&Scenario> = SCENARIOS.iter().chain(WRITERS).chain(citext).collect();
    for scenario in &scenarios {
        pair.source.app(scenario.tables);
        pair.source.app(scenario.rows);
    }
    scenarios
}
