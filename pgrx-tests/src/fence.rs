//! For tests of the fence: tables of several kinds, what writes to them, and who is in the way.

use postgres::Client;

use crate::observe::assert_says;
use crate::pair::Pair;
use crate::source::DATABASE;

/// Also inherited, oddly named and keyless.
pub const TABLES: &str = "create table plain (id int primary key, n int not null default 0); \
     insert into plain select i from generate_series(1, 1000) as i; \
     create table parent (id int primary key, n int not null default 0); insert into parent values (1); \
     create table child (primary key (id)) inherits (parent); insert into child values (2); \
     create schema \"Other\"; create table \"Other\".\"Odd one\" (\"Id\" text primary key, n int default 0); \
     insert into \"Other\".\"Odd one\" values ('a'); \
     create table nameless (a int, n int); insert into nameless values (1, 1), (1, 1)";

/// Statements that write, whether they would change rows or not.
pub const WRITES: &[&str] = &[
    "insert into plain values (5000)",
    "insert into plain values (1) on conflict do nothing",
    "update plain set n = n + 1",
    "update plain set n = n + 1 where false",
    "delete from plain where id = 7",
    "truncate plain",
    "copy plain (id) from program 'echo 6000'",
    "update parent set n = n + 1",
    "insert into child values (3)",
    "delete from child",
    "truncate child",
    "insert into \"Other\".\"Odd one\" values ('b')",
    "truncate \"Other\".\"Odd one\", plain",
    "insert into nameless values (1, 1)",
    "update nameless set n = 2",
    "delete from nameless",
    "truncate nameless",
    "with gone as (delete from plain returning id) select count(*) from gone",
    "set session_replication_role = replica; insert into plain values (5000)",
    "do $$ begin insert into plain values (5000); exception when unique_violation then null; end $$",
];

/// As a superuser, whom nothing else would stop.
pub fn assert_fenced(pair: &Pair, writes: &[&str]) {
    for sql in writes {
        let error = pair.source.fails(DATABASE, sql);
        assert_says(&error, "25006", &["moving to another server", "retry"]);
    }
}

/// Somebody with a transaction open that has written.
pub fn open_writer(pair: &Pair, role: &str) -> Client {
    let mut client = pair.source.connect_as(role, DATABASE);
    client
        .batch_execute("begin; update plain set n = n + 1 where id = 1")
        .expect("a transaction is opened");
    client
}
