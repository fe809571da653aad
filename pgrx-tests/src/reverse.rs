//! For tests of the way back: tables, what writes to them, and how both subscriptions stand.

use crate::compare;
use crate::pair::{Pair, TARGET_DATABASE};
use crate::server::Server;
use crate::source::DATABASE;

/// Partitioned and keyless ones too.
pub const TABLES: &str = "create table item (id serial primary key, n int not null default 0, code text unique); \
     insert into item (n, code) select i, 'c' || i from generate_series(1, 1000) as i; \
     create table part (id int, day date, note text, item int references item on delete cascade, primary key (id, day)) \
         partition by range (day); \
     create table part_a partition of part for values from ('2020-01-01') to ('2021-01-01'); \
     create table part_b partition of part for values from ('2021-01-01') to ('2022-01-01'); \
     insert into part select i, date '2020-01-01' + i, 'n' || i, i from generate_series(1, 600) as i; \
     create table keyless (a int, b text); insert into keyless select i % 10, 'x' from generate_series(1, 100) as i; \
     create table other (id uuid primary key default gen_random_uuid(), j jsonb)";

/// Something of everything; may be typed again and again.
pub const WRITES: &str = "insert into item (n, code) select -i, 'w' || nextval('item_id_seq') from generate_series(1, 20) as i; \
     update item set n = n + 1 where id % 7 = 0; \
     delete from item where id = (select min(id) from item); \
     update part set day = day + 200, note = note || '+' where id % 50 = 0 and day < '2021-01-01'; \
     insert into keyless values (1, 'x'), (1, 'x'), (77, null); delete from keyless where a = 3 and ctid = (select min(ctid) from keyless where a = 3); \
     insert into other (j) values ('{\"a\": 1}'), ('[]')";

/// Both sides' rows and sequences are the same.
pub fn assert_equal(pair: &Pair) {
    compare::assert_same(&pair.source, DATABASE, &pair.target, TARGET_DATABASE);
}

pub fn refuses(server: &Server, database: &str) {
    let error = server.fails(database, "insert into item (n) values (-99)");
    assert_eq!(error.code().code(), "25006", "{error}");
}

pub fn state(pair: &Pair, name: &str) -> String {
    pair.query(&format!(
        "SELECT coalesce(max(state), 'none') FROM repl_status WHERE name = '{name}'"
    ))
}

pub fn caught_up(pair: &Pair, name: &str) {
    pair.query(&format!(
        "SELECT repl_wait('{name}', 'caught_up', timeout => '90 seconds')"
    ));
}
