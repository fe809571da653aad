//! Two small tables and a load on them, for tests that are about something else than what is in the tables.

use crate::load::Running;
use crate::pair::Pair;

/// Two tables, one of them with something in it.
pub fn small(pair: &Pair) {
    pair.source.app(
        "create table item (id int primary key, value text, at timestamptz not null default now()); \
         insert into item select i, 'value ' || i from generate_series(1, 500) as i; \
         create table note (id bigserial primary key, item int references item, text text)",
    );
}

/// A steady load on both.
pub fn busy(pair: &Pair) -> Running {
    pair.source
        .pgbench()
        .script("\\set n random(1, 500)\nupdate item set value = value || 'x', at = clock_timestamp() where id = :n;\n")
        .script("\\set n random(1, 500)\ninsert into note (item, text) values (:n, 'note');\n")
        .script("\\set n random(1, 500)\ndelete from note where id = :n;\n")
        .rate(200)
        .start()
}

/// One table of fifty rows: enough for what is refused.
pub const FIFTY: &str = "create table item (id int primary key, value text); \
     insert into item select i, 'x' from generate_series(1, 50) as i";

/// A pair whose source has that table.
pub fn prepared() -> Pair {
    let pair = Pair::start();
    pair.source.app(FIFTY);
    pair
}
