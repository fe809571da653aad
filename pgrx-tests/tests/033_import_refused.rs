//! What the target refuses of the schema is told with what follows from it; a table that cannot be made stops alone, and goes on
//! once it is mended.

use decamp_tests::Pair;
use decamp_tests::items::FIFTY;
use decamp_tests::observe::{SOON, assert_says};
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::schema::{Schema, refused, told};

/// A superuser's event trigger on the target that refuses the statements that match one of these patterns.
fn refuse(pair: &Pair, patterns: &[&str]) {
    pair.sql("create table public.unwelcome (pattern text)");
    for pattern in patterns {
        pair.sql(&format!(
            "insert into public.unwelcome values ($p${pattern}$p$)"
        ));
    }
    pair.sql(
        "create function public.refuse() returns event_trigger language plpgsql as $$ \
         begin if exists (select from public.unwelcome where current_query() ~ pattern) then \
         raise exception 'not welcome' using errcode = 'P0001'; end if; end $$; \
         create event trigger refuse on ddl_command_start execute function public.refuse()",
    );
}

fn welcome(pair: &Pair) {
    pair.sql(
        "drop event trigger refuse; drop function public.refuse(); drop table public.unwelcome",
    );
}

const FRAGILE: &str = "\
    create type mood as enum ('x'); create type kind as enum ('y'); \
    create table fine (id int primary key, value text); \
    create table plain (id int primary key, value text); \
    create table moody (id int primary key, value mood); \
    create table keyed (id int, value text, constraint keyed_pkey primary key (id)); \
    create table parted (id int primary key, value text) partition by range (id); \
    create table parted_low partition of parted for values from (0) to (100); \
    create table parted_high partition of parted for values from (100) to (200); \
    create table child (id serial primary key, fine int references fine, value text, constraint positive check (id > 0)); \
    alter table child add constraint longer check (length(value) > 0) not valid; \
    create index child_value on child (value); \
    create table guarded (id int generated always as identity primary key); alter table guarded enable row level security; \
    create policy own on guarded using (true); \
    create sequence lone; create view glance as select * from fine; create materialized view look as select * from fine; \
    create function act() returns trigger language plpgsql as 'begin return new; end'; \
    create trigger act before insert on fine for each row execute function act(); \
    comment on table fine is 'a comment'; \
    insert into fine select i, 'x' from generate_series(1, 20) as i; insert into plain select * from fine; \
    insert into moody values (1, 'x'); insert into keyed select * from fine; \
    insert into parted select i, 'x' from generate_series(1, 150) as i; \
    insert into child (fine, value) select id, value from fine; insert into guarded default values";

/// What is refused, how it must be called, and what follows.
const REFUSED: [(&str, &str, &str); 15] = [
    (
        "CREATE TABLE public.plain ",
        "error: table public.plain ",
        "public.plain cannot go on before it is made",
    ),
    (
        "CREATE TYPE public.mood ",
        "error: type public.mood ",
        "tables that use it cannot be made",
    ),
    (
        "CREATE TYPE public.kind ",
        "error: type public.kind ",
        "tables that use it cannot be made",
    ),
    (
        "CONSTRAINT keyed_pkey PRIMARY KEY",
        "error: primary key of table public.keyed ",
        "public.keyed cannot go on",
    ),
    (
        "CREATE TABLE public.parted_high ",
        "error: table public.parted_high ",
        "public.parted cannot go on when a row",
    ),
    (
        "SEQUENCE public.lone",
        "error: sequence public.lone ",
        "by hand before switchover",
    ),
    (
        "child ALTER COLUMN id SET DEFAULT",
        "error: default of column id of table public.child ",
        "by hand before switchover",
    ),
    (
        "ADD GENERATED ALWAYS",
        "error: identity of column id of table public.guarded ",
        "by hand before switchover",
    ),
    (
        "FOREIGN KEY",
        "error: foreign key child_fine_fkey of table public.child ",
        "by hand before switchover",
    ),
    (
        "CONSTRAINT longer CHECK",
        "error: check constraint longer of table public.child ",
        "by hand before switchover",
    ),
    (
        "CREATE INDEX child_value",
        "error: index child_value of table public.child ",
        "by hand before switchover",
    ),
    (
        "ENABLE ROW LEVEL SECURITY",
        "error: row security of table public.guarded ",
        "by hand before switchover",
    ),
    (
        "CREATE POLICY own",
        "warning: policy own of table public.guarded ",
        "rows go on without it",
    ),
    (
        "CREATE VIEW public.glance",
        "warning: view public.glance ",
        "rows go on without it",
    ),
    (
        "COMMENT ON TABLE public.fine",
        "warning: comment on table public.fine ",
        "rows go on without it",
    ),
];
/// What is refused because something else was, or as a matter of course.
const IN_CONSEQUENCE: [&str; 4] = [
    "error: table public.moody refused by the target: type \"public.mood\" does not exist",
    "error: partition public.parted_high of table public.parted ",
    "warning: function public.act refused by the target: not welcome",
    "warning: trigger act of table public.fine refused by the target: function public.act() does not exist",
];

#[test]
fn refused_statements_are_told_by_what_they_stop() {
    let pair = Pair::start();
    pair.source.app(FRAGILE);
    let source = Schema::of_source(&pair);
    let mut patterns: Vec<&str> = REFUSED.iter().map(|(pattern, _, _)| *pattern).collect();
    patterns.push("CREATE FUNCTION public.act");
    refuse(&pair, &patterns);
    pair.migrate("");

    // these stop, each alone, and say why and what to do
    pair.poll_table(
        "plain",
        "state = 'errored' and error like 'table public.plain is missing on the target (not welcome (SQLSTATE P0001))' \
         and hint like '%CREATE TABLE public.plain (%repl_resume%'",
    );
    pair.poll_table(
        "moody",
        "state = 'errored' and error like '%type \"public.mood\"%'",
    );
    pair.poll_table(
        "keyed",
        "state = 'errored' and error like '%no primary key%' \
         and hint like '%ALTER TABLE \"public\".\"keyed\" ADD PRIMARY KEY (\"id\");%repl_resume%'",
    );
    pair.poll_table("parted", "state = 'errored' and error like '%partition%'");
    for (table, sqlstate) in [("plain", "42P01"), ("moody", "42P01"), ("keyed", "42P17")] {
        let sql = format!(
            "SELECT error_sqlstate || ' ' || errored_from FROM decamp.relation WHERE name = '{table}'"
        );
        assert_eq!(pair.query(&sql), format!("{sqlstate} init"));
    }
    // the others go on
    for table in ["fine", "child", "guarded"] {
        pair.poll_table(table, "state = 'ready'");
    }
    pair.source
        .app("update fine set value = 'goes on'; insert into plain values (100, 'waits')");
    pair.poll("SELECT bool_and(value = 'goes on') FROM fine");
    pair.poll_status("summary like '4 of 7 tables stopped, the others go on%'");

    // each statement is told once, with its weight and its text
    let events = refused(&pair);
    for (_, beginning, end) in REFUSED {
        let of_this: Vec<&String> = events.iter().filter(|e| e.starts_with(beginning)).collect();
        assert_eq!(of_this.len(), 1, "{beginning}: {events:#?}");
        assert!(
            of_this[0].contains("not welcome (SQLSTATE P0001)"),
            "{of_this:?}"
        );
        assert!(of_this[0].contains(end), "{end}: {of_this:?}");
    }
    for beginning in IN_CONSEQUENCE {
        assert!(
            events.iter().any(|e| e.starts_with(beginning)),
            "{beginning}: {events:#?}"
        );
    }
    let summary = told(&pair, "message LIKE 'schema imported%'");
    let errors = events.iter().filter(|e| e.starts_with("error")).count();
    assert!(
        summary[0].starts_with(&format!(
            "error: schema imported, except {} statements",
            events.len()
        )),
        "{summary:?}"
    );
    assert!(
        errors >= 12 && summary[0].contains("10 without which tables cannot go on"),
        "{summary:?}"
    );
    assert!(
        summary[0].contains(" to be made by hand before switchover, "),
        "{summary:?}"
    );

    // mended as told: the statements, in the order in which they were refused; then repl_resume
    welcome(&pair);
    let sql = "SELECT detail FROM repl_events WHERE subject = 'schema import' AND message LIKE '% refused by %' ORDER BY at";
    for statement in pair.target.rows(TARGET_DATABASE, sql) {
        if let Err(error) = pair.target.try_rows(TARGET_DATABASE, &statement[0]) {
            // a partition gets its key from its table when it is attached
            assert_eq!(
                error.code().map(|c| c.code()),
                Some("42P16"),
                "{error}: {statement:?}"
            );
        }
    }
    assert!(
        pair.query("SELECT repl_resume('heroku')")
            .contains("4 stopped tables")
    );
    pair.wait_for("streaming", SOON);
    pair.assert_migrated();
    source.assert_same(&Schema::of_target(&pair));
    pair.stop_migration();
}

#[test]
fn table_that_could_not_be_made_is_imported_once_it_can() {
    let pair = Pair::start();
    pair.source.app(FRAGILE);
    let source = Schema::of_source(&pair);
    refuse(
        &pair,
        &["CREATE TABLE public.plain ", "CREATE TYPE public.mood "],
    );
    let load = pair
        .source
        .pgbench()
        .script("\\set n random(1, 20)\nupdate fine set value = value || 'x' where id = :n;\nupdate plain set value = value || 'x' where id = :n;\n")
        .rate(100)
        .start();
    pair.migrate("");
    pair.poll_table("plain", "state = 'errored'");
    pair.poll_table("moody", "state = 'errored'");
    pair.poll_table("fine", "state = 'ready' and updated > 20");

    // resumed before it is mended it stops again, and the others stay
    pair.query("SELECT repl_resume('heroku')");
    pair.poll("SELECT count(*) = 2 FROM repl_events WHERE subject = 'public.plain' AND severity = 'error'");
    pair.poll_table("plain", "state = 'errored' and error like '%not welcome%'");
    pair.poll_table("fine", "state = 'ready'");

    welcome(&pair);
    pair.query("SELECT repl_resume('heroku')");
    pair.wait_for("streaming", SOON);
    load.stop(&pair.source);
    pair.assert_migrated();
    source.assert_same(&Schema::of_target(&pair));
    pair.stop_migration();
}

#[test]
fn subscription_stops_when_no_table_can_go_on() {
    let pair = Pair::start();
    pair.source.app(FIFTY);
    refuse(&pair, &["CREATE TABLE public.item "]);
    pair.migrate("");
    pair.poll_status(
        "state = 'errored' and error like '%none can go on%public.item is missing%not welcome%' and hint like '%repl_resume%'",
    );
    let error = pair.refused("SELECT repl_wait('heroku', 'streaming', timeout => '20 seconds')");
    assert_says(&error, "55000", &["public.item"]);
    welcome(&pair);
    pair.query("SELECT repl_resume('heroku')");
    pair.wait_for("streaming", SOON);
    pair.assert_migrated();
    pair.stop_migration();
}
