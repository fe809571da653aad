//! Tables that are changed on one side only: that table stops or is followed, whatever its kind; its hint, typed where it says,
//! brings both sides together, and it goes on by itself. Nothing is lost meanwhile.

use std::time::Instant;

use decamp_tests::observe::SOON;
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::source::DATABASE;
use decamp_tests::{Pair, wait};

/// Something done to a table. `{t}` stands for its name.
struct Case {
    name: &'static str,
    /// where
    source: &'static str,
    target: &'static str,
    /// on the source, right after
    rows: &'static str,
    /// it must stop; else it may go on, if it is right
    stops: bool,
    /// on the target when all is well again: what was only tolerated
    tidy: &'static str,
}

const CASE: Case = Case {
    name: "",
    source: "",
    target: "",
    rows: "update {t} set value = value + 100 where id % 3 = 0; delete from {t} where id = 7; insert into {t} (id, other) values (201, -201)",
    stops: true,
    tidy: "",
};

const CASES: &[Case] = &[
    Case {
        name: "added",
        source: "alter table {t} add column \"More\" int not null default 7",
        tidy: "alter table {t} alter column \"More\" set not null",
        ..CASE
    },
    Case {
        name: "dropped_strict",
        target: "alter table {t} alter column extra set not null",
        source: "alter table {t} drop column extra",
        tidy: "alter table {t} drop column extra",
        ..CASE
    },
    Case {
        name: "renamed",
        source: "alter table {t} rename column extra to \"Ex tra\"",
        ..CASE
    },
    Case {
        name: "renamed_key",
        source: "alter table {t} rename column id to ident",
        rows: "update {t} set value = value + 100 where ident % 3 = 0; delete from {t} where ident = 7; insert into {t} (ident, other) values (201, -201)",
        ..CASE
    },
    Case {
        name: "widened",
        source: "alter table {t} alter column value type bigint",
        rows: "update {t} set value = 3000000000 where id = 5",
        ..CASE
    },
    Case {
        name: "nullable",
        target: "alter table {t} alter column value set not null",
        source: "alter table {t} alter column value drop not null",
        rows: "update {t} set value = null where id = 5",
        ..CASE
    },
    Case {
        name: "called",
        source: "alter table {t} rename to \"{t} now\"",
        rows: "update \"{t} now\" set value = -1 where id = 5",
        ..CASE
    },
    Case {
        name: "moved",
        source: "alter table {t} set schema elsewhere",
        rows: "update elsewhere.{t} set value = -1 where id = 5",
        ..CASE
    },
    Case {
        name: "keyless",
        source: "alter table {t} drop constraint {t}_pkey",
        rows: "update {t} set value = -1 where id = 5",
        ..CASE
    },
    Case {
        name: "rekeyed",
        source: "alter table {t} drop constraint {t}_pkey, add primary key (other, id)",
        ..CASE
    },
    Case {
        name: "rekeyed_both",
        target: "alter table {t} drop constraint {t}_pkey, add primary key (other, id)",
        source: "alter table {t} drop constraint {t}_pkey, add primary key (other, id)",
        stops: false,
        ..CASE
    },
    Case {
        name: "reordered_both",
        target: "alter table {t} drop column extra, add column extra text",
        source: "alter table {t} drop column extra, add column extra text",
        rows: "update {t} set extra = 'again' where id < 20",
        stops: false,
        ..CASE
    },
    Case {
        name: "lacking",
        target: "alter table {t} drop column extra",
        ..CASE
    },
    Case {
        name: "unkeyed",
        target: "alter table {t} drop constraint {t}_pkey",
        ..CASE
    },
    Case {
        name: "misnamed",
        target: "alter table {t} rename to other_name",
        ..CASE
    },
    Case {
        name: "mistaken",
        target: "alter table {t} rename column extra to wrong",
        ..CASE
    },
    Case {
        name: "narrowed",
        target: "alter table {t} alter column value type smallint",
        rows: "update {t} set value = 100000 where id = 5",
        ..CASE
    },
    Case {
        name: "disabled",
        source: "alter table {t} disable trigger decamp_heroku_update",
        ..CASE
    },
    Case {
        name: "untriggered",
        source: "drop trigger decamp_heroku_insert on {t}",
        ..CASE
    },
];

/// How a table that is called `{t}` is made, with 150 rows.
struct Shape {
    suffix: &'static str,
    create: &'static str,
}

const COLUMNS: &str =
    "id int not null, value int not null default 1, extra text, other int not null";

const SHAPES: &[Shape] = &[
    Shape {
        suffix: "plain",
        create: "create table {t} ({columns}, primary key (id))",
    },
    Shape {
        suffix: "parts",
        create: "create table {t} ({columns}, primary key (id)) partition by range (id); \
                 create table {t}_1 partition of {t} for values from (minvalue) to (100); \
                 create table {t}_2 partition of {t} for values from (100) to (maxvalue)",
    },
    Shape {
        suffix: "heir",
        create: "create table {t}_base (id int not null); \
                 create table {t} (value int not null default 1, extra text, other int not null, primary key (id)) inherits ({t}_base); \
                 alter table {t}_base add primary key (id)",
    },
];

fn named(sql: &str, table: &str) -> String {
    sql.replace("{columns}", COLUMNS).replace("{t}", table)
}

/// Whether a case can be made for a table of this shape: an inherited column is renamed with its parent's.
fn applies(case: &Case, shape: &Shape) -> bool {
    match (case.name, shape.suffix) {
        ("renamed_key", "heir") => false,
        // a partition keeps the name it has in the target
        ("misnamed", "parts") => true,
        _ => true,
    }
}

/// Types what hints tell, where they say, until nothing is stopped; no `repl_resume`.
fn obey_all(pair: &Pair) {
    let end = Instant::now() + 4 * SOON;
    let stopped = "SELECT \"table\", hint FROM repl_tables WHERE state = 'errored'";
    let mut typed: Vec<String> = Vec::new();
    loop {
        let rows = pair.target.rows(TARGET_DATABASE, stopped);
        if rows.is_empty() {
            return;
        }
        assert!(Instant::now() < end, "{}\n{typed:#?}", pair.tell());
        for row in rows {
            let hint = &row[1];
            let sql = |opening: &str| {
                let (_, rest) = hint.split_once(opening)?;
                let (sql, _) = rest.split_once(" Then SELECT repl_resume('heroku')")?;
                Some(sql.to_owned())
            };
            let done = typed.contains(hint);
            if let (Some(sql), false) = (sql("On the target: "), done) {
                pair.sql(&sql);
            } else if let (Some(sql), false) = (sql("On the source: "), done) {
                pair.source.app(&sql);
            } else if let (Some((_, resync)), false) = (hint.split_once("up to date: "), done) {
                pair.query(resync);
            }
            typed.push(hint.clone());
        }
        wait::pause(std::time::Duration::from_millis(200));
    }
}

fn drift(shape: &Shape) {
    let pair = Pair::start();
    pair.source
        .app("create schema elsewhere; create table steady (id int primary key, n int not null); insert into steady values (1, 0)");
    let cases: Vec<(&Case, String)> = CASES
        .iter()
        .filter(|case| applies(case, shape))
        .map(|case| (case, format!("{}_{}", case.name, shape.suffix)))
        .collect();
    for (_, table) in &cases {
        pair.source.app(&named(shape.create, table));
        pair.source.app(&format!(
            "insert into {table} (id, extra, other) select i, 'extra ' || i, -i from generate_series(1, 150) as i"
        ));
    }
    pair.stream("");
    let load = pair
        .source
        .pgbench()
        .script("update steady set n = n + 1;\n")
        .rate(50)
        .start();
    for (case, table) in &cases {
        for (sql, on_source) in [(case.target, false), (case.source, true), (case.rows, true)] {
            let sql = named(sql, table);
            if !on_source {
                pair.sql(&sql);
                continue;
            }
            // what is written fails for a moment when a column of the key has another name
            wait::until(SOON, &sql, || {
                let done = pair.source.connect_as_app().batch_execute(&sql);
                if let (Err(error), true) = (&done, sql != named(case.rows, table)) {
                    panic!("{error:?} in {sql}");
                }
                done.ok()
            });
        }
        if case.stops {
            pair.poll(&format!(
                "SELECT count(*) > 0 FROM repl_events WHERE severity = 'error' AND subject LIKE '%{table}%' AND detail LIKE '%SELECT%'"
            ));
        }
    }
    // the others go on
    let steady = pair.table("steady", "updated");
    pair.poll_table("steady", &format!("state = 'ready' and updated > {steady}"));
    load.stop(&pair.source);
    obey_all(&pair);
    pair.wait_for("streaming", SOON);
    pair.wait_for("caught_up", SOON);
    for (case, table) in &cases {
        if !case.tidy.is_empty() {
            pair.sql(&named(case.tidy, table));
        }
    }
    pair.assert_migrated();
    assert_eq!(
        pair.source.query_one_text(DATABASE, "select count(*) from pg_trigger where tgname = 'decamp_heroku_rekey' and tgenabled <> 'A'"),
        "0"
    );
    pair.stop_migration();
}

#[test]
fn of_ordinary_tables() {
    drift(&SHAPES[0]);
}

#[test]
fn of_partitioned_tables() {
    drift(&SHAPES[1]);
}

#[test]
fn of_inherited_tables() {
    drift(&SHAPES[2]);
}
