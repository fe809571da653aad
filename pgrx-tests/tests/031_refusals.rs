//! What stands in the way on the servers is told before anything is begun, with what to type: rights, keys, tables.

use decamp_tests::items::{FIFTY, prepared};
use decamp_tests::observe::words;
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::server::uri;
use decamp_tests::source::{DATABASE, PASSWORD, ROLE};

#[test]
fn refusals_for_rights() {
    let pair = prepared();
    let source = format!("source => '{}'", pair.source_uri());

    // a table of somebody else, which the role may read and write
    pair.source.sql(
        DATABASE,
        "create role \"Other's\"; create table foreign_one (id int primary key); alter table foreign_one owner to \"Other's\"; \
         grant all on foreign_one to app",
    );
    pair.start_refused(
        &source,
        "42501",
        &[
            "public.foreign_one",
            "GRANT \"Other's\" TO \"app\"",
            "ALTER TABLE",
        ],
    );
    pair.mend_on_source(&source, DATABASE);
    pair.source.sql(DATABASE, "drop table foreign_one");

    // row security that would hide rows, even from the owner
    pair.source.app(
        "create table hidden (id int primary key, value text); insert into hidden values (1, 'x'), (2, 'y'); \
         alter table hidden enable row level security; alter table hidden force row level security; \
         create policy a_few on hidden using (id = 1)",
    );
    pair.start_refused(
        &source,
        "42501",
        &["public.hidden", "NO FORCE ROW LEVEL SECURITY"],
    );
    pair.mend_on_source(&source, DATABASE);

    // a database of somebody else
    pair.source.sql("postgres", "create database \"Other\"");
    pair.source
        .sql("postgres", "grant connect on database \"Other\" to app");
    pair.source
        .sql("Other", "grant create, usage on schema public to app");
    pair.source
        .connect_as(ROLE, "Other")
        .batch_execute(FIFTY)
        .expect("tables of the role");
    let other = format!(
        "source => '{}'",
        uri(ROLE, PASSWORD, pair.source.port(), "Other")
    );
    pair.start_refused(
        &other,
        "42501",
        &["GRANT CREATE ON DATABASE \"Other\" TO \"app\""],
    );
    pair.mend_on_source(&other, "Other");

    // a schema and a sequence that are out of reach
    pair.source.sql(
        DATABASE,
        "create schema closed; create table closed.t (id int primary key); alter table closed.t owner to app; \
         create sequence public.unreadable",
    );
    pair.start_refused(&source, "42501", &["GRANT USAGE ON SCHEMA"]);
    pair.mend_on_source(&source, DATABASE);

    // everything that is wrong is said at once
    pair.source
        .sql(DATABASE, "create table not_ours_either (id int primary key); create table not_ours (id int primary key)");
    pair.sql(
        "create table item (id int primary key, value text); insert into item values (1, 'x')",
    );
    let error = pair.refused(&format!("SELECT repl_start('heroku', {source})"));
    for part in ["public.not_ours", "public.not_ours_either", "public.item"] {
        assert!(
            words(&error).contains(part),
            "{part} is not in: {}",
            words(&error)
        );
    }
    pair.assert_nothing_started();
}

#[test]
fn refusals_for_tables() {
    let pair = prepared();
    let source = format!("source => '{}'", pair.source_uri());

    pair.source.app(
        "create table \"No Key\" (a int, b int); create unique index on \"No Key\" (a); \
         create table partial (a int not null); create unique index on partial (a) where a > 0",
    );
    // without a key, and named
    assert_eq!(pair.check_errors(&source), [""; 0]);
    let told = format!(
        "SELECT count(*) = 1 FROM repl_check({source}) WHERE subject = 'keys' AND message LIKE '%public.\"No Key\"%' \
         AND message LIKE '%public.partial%'"
    );
    assert_eq!(pair.query(&told), "t");

    // the target has it already, with rows in it
    pair.sql("create table item (id int primary key, value text); insert into item values (7, 'already here')");
    pair.start_refused(
        &source,
        "55000",
        &["public.item", "TRUNCATE", "copy_data => false"],
    );
    assert_eq!(pair.query("select value from item"), "already here");
    pair.sql("truncate item");
    assert_eq!(pair.check_errors(&source), [""; 0]);

    // the target has it already, and it is not the same
    for (change, part) in [
        ("alter table item rename column value to other", "value"),
        ("alter table item drop constraint item_pkey", "PRIMARY KEY"),
        ("alter table item add column more int not null", "more"),
    ] {
        let mut client = pair.target.connect(TARGET_DATABASE);
        client.batch_execute(change).expect("a change");
        let error = pair.refused(&format!("SELECT repl_start('heroku', {source})"));
        assert!(
            words(&error).contains("public.item") && words(&error).contains(part),
            "{}",
            words(&error)
        );
        pair.assert_nothing_started();
        pair.sql("drop table item; create table item (id int primary key, value text)");
    }

    // copy_schema => false wants everything to be there
    pair.start_refused(
        &format!("{source}, copy_schema => false"),
        "42P01",
        &["public.\"No Key\""],
    );
    pair.stream("");
    pair.assert_migrated();
    pair.stop_migration();
}
