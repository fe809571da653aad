//! Tables and a load for tests that watch the status: one row beats all the time, so a stall shows.

use crate::load::Running;
use crate::pair::Pair;

/// `item` and `other`, written to now and then, and `beat`, whose one row changes all the time.
pub const TABLES: &str = "create table item (id int primary key, value text not null); \
     create table other (id int primary key, value text); \
     create table beat (id int primary key, at timestamptz); \
     insert into item select i, 'value ' || i from generate_series(1, 500) as i; \
     insert into other select i, 'value ' || i from generate_series(1, 100) as i; \
     insert into beat values (1, now())";

/// The load on `item` and `beat`.
pub fn busy(pair: &Pair) -> Running {
    pair.source
        .pgbench()
        .script(
            "\\set n random(1, 500)\nupdate item set value = 'value ' || random() where id = :n;\n",
        )
        .script("update beat set at = clock_timestamp();\n")
        .rate(200)
        .start()
}

/// A number of the status.
///
/// # Panics
/// When it is none.
pub fn number(text: &str) -> f64 {
    text.parse()
        .unwrap_or_else(|_| panic!("a number: {text:?}"))
}
