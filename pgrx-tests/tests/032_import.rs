//! The import of the schema: everything an application can have arrives as it was, from a provider too.

use decamp_tests::items::FIFTY;
use decamp_tests::observe::SOON;
use decamp_tests::schema::{Schema, detail, refused, told};
use decamp_tests::source::DATABASE;
use decamp_tests::{Pair, Source, have_source};

const KINDS: &str = include_str!("../sql/kinds.sql");

#[test]
fn import_of_every_kind() {
    let pair = Pair::start();
    pair.source.sql(
        DATABASE,
        "create function event() returns event_trigger language plpgsql as 'begin end'; \
         create event trigger of_ddl on ddl_command_end execute function event(); \
         create publication of_all for all tables; alter function event() owner to app",
    );
    pair.load_zoo(50);
    pair.source.app(KINDS);
    pair.source.app(
        "grant select on all tables in schema kinds to public; alter default privileges grant select on tables to public",
    );
    let source = Schema::of_source(&pair);
    pair.stream("");
    assert_eq!(refused(&pair), [""; 0]);

    // triggers that would fire for what arrives are made so that they do not
    pair.source
        .app("update kinds.base set note = note || '!'; delete from only kinds.base");
    pair.assert_migrated();
    pair.stop_migration();
    let triggers = detail(&pair, "triggers that are ENABLE ALWAYS");
    assert_eq!(triggers.lines().count(), 2, "{triggers}");
    pair.sql(&triggers);
    source.assert_same(&Schema::of_target(&pair));

    // what is not as it was is told
    let by_design = told(&pair, "message LIKE 'left on the source%'");
    assert!(
        by_design[0].contains("event trigger \"of_ddl\"")
            && by_design[0].contains("publication \"of_all\""),
        "{by_design:?}"
    );
    for catalog in ["pg_event_trigger", "pg_publication"] {
        assert_eq!(pair.query(&format!("SELECT count(*) FROM {catalog}")), "0");
    }
    let rights = "SELECT count(*) FROM pg_class WHERE relnamespace = 'kinds'::regnamespace \
                  AND (relacl IS NOT NULL OR relowner <> 'postgres'::regrole)";
    assert_eq!(pair.query(rights), "0");
    assert_eq!(pair.query("SELECT count(*) FROM pg_default_acl"), "0");
    let refresh = detail(&pair, "materialized views");
    pair.sql(&refresh);
    assert_eq!(pair.query("SELECT n FROM kinds.counted_again"), "2");

    // a second run, as after a crash in the middle, finds nearly everything there and is refused nothing
    pair.sql(
        "SET client_min_messages = warning; DROP TABLE kinds.log CASCADE; \
         DO $$ BEGIN EXECUTE (SELECT 'TRUNCATE ' || string_agg(oid::regclass::text, ', ') FROM pg_class \
         WHERE relkind IN ('r', 'p') AND relnamespace::regnamespace::text !~ '^(pg_|information_schema|decamp)'); END $$",
    );
    pair.stream("");
    assert_eq!(refused(&pair), [""; 0]);
    pair.assert_migrated();
    pair.sql(&triggers);
    source.assert_same(&Schema::of_target(&pair));
}

/// Heroku in small: extensions live in a schema of its own, some are to be had nowhere else, its event triggers have their
/// functions beside them. The extensions that no other server has are those of contrib under another name in the catalog.
const PROVIDER: &str = "\
    create schema _heroku; create function _heroku.guard() returns event_trigger language plpgsql as 'begin end'; \
    create event trigger extension_guard on ddl_command_end execute function _heroku.guard(); \
    create schema heroku_ext; grant usage on schema heroku_ext to app; \
    create extension citext schema heroku_ext; create extension hstore schema heroku_ext; \
    create extension pg_trgm schema heroku_ext; create extension \"uuid-ossp\" schema heroku_ext; \
    create extension tablefunc schema heroku_ext; create extension unaccent schema heroku_ext; \
    set allow_system_table_mods = on; \
    update pg_extension set extname = 'provider_' || extname where extname in ('hstore', 'pg_trgm', 'tablefunc'); \
    update pg_extension set extversion = '99.1' where extname = 'citext'; \
    update pg_extension set extversion = '1.0.1' where extname = 'unaccent'; \
    alter database app set search_path = \"$user\", public, heroku_ext; alter database app set app.secret = 'hush'; \
    alter role app set lock_timeout = '1234s'";
const ON_PROVIDER: &str = "\
    create table people (id uuid primary key default heroku_ext.uuid_generate_v4(), email heroku_ext.citext unique); \
    create type contents as (bag heroku_ext.hstore, n int); create domain bagged as heroku_ext.hstore; \
    create table bags (id int primary key, bag heroku_ext.hstore); \
    create table crates (id int primary key, contents contents[], bagged bagged); \
    create table words (id int primary key, word text, bag int references bags); \
    create index similar_words on words using gin (word heroku_ext.gin_trgm_ops); \
    create view bag_keys as select id, heroku_ext.akeys(bag) as keys from bags; \
    insert into people (email) values ('A@b.c'), ('d@e.f'); insert into bags values (1, 'a=>1'), (2, 'b=>NULL'); \
    insert into crates values (1, array[row('x=>y', 3)::contents], 'z=>z'); insert into words values (1, 'word', 1)";

#[test]
fn import_from_a_provider() {
    let pair = Pair::start();
    // each statement by itself: the names in the catalog must be settled before anybody uses them
    for statement in PROVIDER.split("; ") {
        let mut sql = statement.to_owned();
        if statement.starts_with("update pg_extension") {
            sql.insert_str(0, "set allow_system_table_mods = on; ");
        }
        pair.source.sql(DATABASE, &sql);
    }
    pair.source.app(ON_PROVIDER);

    // repl_check knows, and it is no reason to refuse
    let check = |subject: &str| {
        pair.query(&format!(
            "SELECT severity || ': ' || message || ' / ' || coalesce(fix, '') FROM repl_check(source => '{}') \
             WHERE subject = '{subject}' ORDER BY severity DESC LIMIT 1",
            pair.source_uri()
        ))
    };
    let hstore = check("extension provider_hstore");
    assert!(
        hstore.starts_with(
            "warning: the target''s server does not have it"
                .replace("''", "'")
                .as_str()
        ) && hstore.contains("cannot be created there: public.bags, public.crates"),
        "{hstore}"
    );
    assert!(hstore.contains("a provider's own"), "{hstore}");
    let tablefunc = check("extension provider_tablefunc");
    assert!(tablefunc.contains("no table needs it"), "{tablefunc}");
    let citext = check("extension citext");
    assert!(
        citext.starts_with("warning: version 99.1 on the source, 1.6 on the target / -- target"),
        "{citext}"
    );
    let unaccent = check("extension unaccent");
    assert!(unaccent.starts_with("ok: "), "{unaccent}");
    assert_eq!(
        pair.check_errors(&format!("source => '{}'", pair.source_uri())),
        [""; 0]
    );

    pair.migrate("");
    for (table, lacks) in [("bags", "heroku_ext.hstore"), ("crates", "public.contents")] {
        pair.poll_table(
            table,
            &format!("state = 'errored' and error like '%type \"{lacks}%'"),
        );
    }
    for table in ["people", "words"] {
        pair.poll_table(table, "state = 'ready'");
    }
    let events = refused(&pair);
    for beginning in [
        "error: extension provider_hstore refused by the target: extension \"provider_hstore\" is not available",
        "warning: extension provider_pg_trgm ",
        "warning: extension provider_tablefunc ",
        "error: table public.bags ",
        "error: type public.contents ",
        "error: domain public.bagged ",
        "error: index similar_words of table public.words ",
        "error: foreign key words_bag_fkey of table public.words ",
        "warning: view public.bag_keys ",
    ] {
        assert!(
            events.iter().any(|e| e.starts_with(beginning)),
            "{beginning}: {events:#?}"
        );
    }
    assert!(
        events[0].ends_with("tables that use it cannot be made: public.bags, public.crates"),
        "{events:#?}"
    );

    // what the target offers is where it was on the source, and how it differs is told
    let installed = "SELECT string_agg(extname, ' ' ORDER BY extname) FROM pg_extension \
                     WHERE extnamespace = 'heroku_ext'::regnamespace";
    assert_eq!(pair.query(installed), "citext unaccent uuid-ossp");
    assert_eq!(pair.query("SELECT to_regnamespace('_heroku') IS NULL"), "t");
    assert_eq!(
        told(&pair, "message LIKE 'extension % on the source, %'"),
        [
            "warning: extension citext: version 99.1 on the source, 1.6 on the target",
            "info: extension unaccent: version 1.0.1 on the source, 1.1 on the target"
        ]
    );
    let by_design = told(&pair, "message LIKE 'left on the source%'");
    assert!(by_design[0].contains("schema \"_heroku\""), "{by_design:?}");
    let settings = detail(&pair, "settings of the source");
    assert_eq!(
        settings,
        "ALTER DATABASE \"postgres\" SET app.secret = '...'; -- as on the source\n\
         ALTER ROLE \"app\" IN DATABASE \"postgres\" SET lock_timeout = '1234s';\n\
         ALTER DATABASE \"postgres\" SET search_path = \"$user\", public, heroku_ext;"
    );
    assert!(
        !pair.tell().contains("hush"),
        "no values of settings that may be secrets"
    );

    // the administrator finds a package for the types: repl_resume imports what waited for it
    pair.sql("CREATE EXTENSION hstore SCHEMA heroku_ext");
    pair.source
        .app("insert into bags values (3, 'c=>3'); update words set word = 'words'");
    pair.query("SELECT repl_resume('heroku')");
    pair.wait_for("streaming", SOON);
    pair.assert_migrated();
    assert_eq!(
        pair.query("SELECT count(*) FROM bag_keys"),
        "3",
        "the view came too"
    );
    pair.stop_migration();
}

#[test]
fn extension_in_another_schema() {
    let pair = Pair::start();
    pair.source.sql(
        DATABASE,
        "create schema heroku_ext; grant usage on schema heroku_ext to app; create extension citext schema heroku_ext",
    );
    pair.source.app(
        "create table people (id int primary key, email heroku_ext.citext); insert into people values (1, 'A@b.c'); \
         create table other (id int primary key)",
    );
    pair.sql("CREATE EXTENSION citext");
    let check = format!(
        "SELECT fix FROM repl_check(source => '{}') WHERE subject = 'extension citext' AND severity = 'warning'",
        pair.source_uri()
    );
    let fix = pair.query(&check);
    pair.migrate("");
    pair.poll_table("other", "state = 'ready'");
    pair.poll_table(
        "people",
        "state = 'errored' and error like '%heroku_ext.citext%'",
    );
    let warning = told(
        &pair,
        "message LIKE 'extension citext: it is in schema public%'",
    );
    assert!(warning[0].starts_with("warning"), "{warning:?}");
    pair.sql(&fix);
    pair.query("SELECT repl_resume('heroku')");
    pair.wait_for("streaming", SOON);
    pair.assert_migrated();
    pair.stop_migration();
}

#[test]
fn programs_are_looked_for_in_both_places() {
    let pair = Pair::start();
    pair.source.app(FIFTY);
    pair.target.append_conf("pg_decamp.pg_bindir = '/nowhere'");
    pair.target.reload();
    pair.poll("SELECT current_setting('pg_decamp.pg_bindir') = '/nowhere'");
    let check = format!(
        "SELECT severity || ': ' || message FROM repl_check(source => '{}') WHERE subject = 'schema import'",
        pair.source_uri()
    );
    let said = pair.query(&check);
    assert!(
        said.starts_with("ok: pg_dump 15.") && said.ends_with(" in /usr/lib/postgresql/15/bin"),
        "{said}"
    );
    if have_source(18) {
        let newer = Source::start_version(18);
        newer.app(FIFTY);
        let check = format!("source => '{}'", newer.uri());
        let rows = pair.check_errors(&check);
        assert_eq!(rows.len(), 1, "{rows:?}");
        for part in [
            "of PostgreSQL 18 or newer",
            "/nowhere: pg_dump cannot be run",
            "/15/bin: pg_dump 15.",
            "is too old",
        ] {
            assert!(rows[0].contains(part), "{part}: {rows:?}");
        }
    }
    pair.stream("");
    pair.assert_migrated();
    pair.stop_migration();
}
