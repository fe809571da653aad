//! The fence of the classical kind: rights to write are revoked, and given back as they were.

use std::time::Duration;

use decamp_tests::fence::{TABLES, open_writer};
use decamp_tests::observe::assert_says;
use decamp_tests::source::{DATABASE, ROLE};
use decamp_tests::{Mode, Pair};

/// The rights on all tables and columns, in a form that does not depend on their order.
const RIGHTS: &str = "select string_agg(r, ' ' order by r) from ( \
    select format('%s %s %s %s %s', c.relname, a.grantor::regrole, a.grantee, a.privilege_type, a.is_grantable) as r \
    from pg_class c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a \
    where c.relkind in ('r', 'p') and c.relnamespace::regnamespace::text in ('public', '\"Other\"') \
    union all \
    select format('%s.%s %s %s %s %s', t.attrelid::regclass, t.attname, a.grantor::regrole, a.grantee, a.privilege_type, a.is_grantable) \
    from pg_attribute t, aclexplode(t.attacl) a where t.attrelid > 16384) as x";

#[test]
fn fence_by_revoking() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.source
        .app("create schema apart; create table apart.t (id int primary key)");
    pair.source.sql(
        "postgres",
        "create role \"Mixed role\" login; create role further login; create role stranger login; \
         grant \"Mixed role\" to app",
    );
    pair.source.app(
        "grant select, insert, update on plain to \"Mixed role\" with grant option; grant delete on plain to public; \
         grant update (n) on parent to further; grant usage on schema \"Other\" to public",
    );
    let mut mixed = pair.source.connect_as("Mixed role", DATABASE);
    mixed
        .batch_execute("grant insert on plain to further; grant update (n) on plain to stranger")
        .expect("it may pass them on");
    pair.stream("exclude => array['apart.*']");
    let rights = pair.source.query_one_text(DATABASE, RIGHTS);

    let mut writer = open_writer(&pair, ROLE);
    let error = pair.refused("SELECT repl_fence('heroku', timeout => '1 second', via => 'revoke')");
    assert_says(&error, "57014", &["plain", "takes writes again"]);
    assert_eq!(pair.source.query_one_text(DATABASE, RIGHTS), rights);
    writer
        .batch_execute("commit")
        .expect("it was only waited for");

    pair.query("SELECT repl_fence('heroku', via => 'revoke')");
    assert_ne!(pair.source.query_one_text(DATABASE, RIGHTS), rights);
    for (role, sql) in [
        (ROLE, "insert into plain values (5000)"),
        (ROLE, "truncate \"Other\".\"Odd one\""),
        (ROLE, "update nameless set n = 3"),
        ("Mixed role", "update plain set n = 5"),
        ("further", "insert into plain values (5000)"),
        ("further", "update parent set n = 5"),
        ("stranger", "delete from plain"),
        ("stranger", "update plain set n = 5"),
    ] {
        let mut client = pair.source.connect_as(role, DATABASE);
        let code = match client.batch_execute(sql) {
            Ok(()) => panic!(
                "{role} may: {sql}\n{}",
                pair.source.query_one_text(DATABASE, RIGHTS)
            ),
            Err(error) => error.code().map(|c| c.code().to_owned()),
        };
        assert_eq!(code.as_deref(), Some("42501"), "{role}: {sql}");
    }
    pair.source
        .app("select count(*) from plain; insert into apart.t values (1)");
    mixed
        .batch_execute("select count(*) from plain")
        .expect("reading goes on");
    assert_eq!(pair.status("fenced"), "t");
    // it is seen to stand
    pair.wait_for("caught_up", Duration::from_secs(60));
    assert_eq!(pair.status("fenced"), "t", "{}", pair.tell());
    pair.query("SELECT repl_unfence('heroku')");
    assert_eq!(pair.source.query_one_text(DATABASE, RIGHTS), rights);
    pair.source.app("insert into plain values (5000)");

    pair.query("SELECT repl_fence('heroku', via => 'revoke', schemas => array['apart'])");
    let refused = pair
        .source
        .connect_as_app()
        .batch_execute("insert into apart.t values (2)");
    assert!(refused.is_err());
    pair.source.app("insert into plain values (5001)");
    pair.query("SELECT repl_unfence('heroku')");
    pair.source.app("insert into apart.t values (2)");
    assert_eq!(pair.source.query_one_text(DATABASE, RIGHTS), rights);

    // what is not ours stays, with what it hangs on, and is told
    pair.source
        .sql("postgres", "revoke \"Mixed role\" from app");
    pair.query("SELECT repl_fence('heroku', via => 'revoke')");
    mixed
        .batch_execute("update plain set n = 5 where id = 1")
        .expect("it keeps the right");
    assert_eq!(pair.events("not ours to revoke"), 1);
    pair.query("SELECT repl_unfence('heroku')");
    assert_eq!(pair.source.query_one_text(DATABASE, RIGHTS), rights);

    assert_says(
        &pair.refused("SELECT repl_fence('heroku', via => 'magic')"),
        "22023",
        &["'revoke'"],
    );
    assert_says(
        &pair.refused("SELECT repl_fence('heroku', schemas => array['public'])"),
        "22023",
        &["via"],
    );
    pair.query("SELECT repl_fence('heroku', via => 'revoke')");
    pair.wait_for("caught_up", Duration::from_secs(60));
    pair.stop_migration();
    assert_eq!(
        pair.source.query_one_text(DATABASE, RIGHTS),
        rights,
        "repl_stop gives them back"
    );
}

/// Rights are in the source's catalog, and so is the note of what was revoked.
#[test]
fn fence_by_revoking_survives_a_crash_of_the_source() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.source
        .app("grant insert, update (n) on plain to public");
    pair.stream("");
    let rights = pair.source.query_one_text(DATABASE, RIGHTS);
    pair.query("SELECT repl_fence('heroku', via => 'revoke')");
    let refused = || {
        let write = "insert into plain values (5000)";
        let error = pair.source.connect_as_app().batch_execute(write);
        let code = error
            .err()
            .and_then(|e| e.code().map(|c| c.code().to_owned()));
        assert_eq!(code.as_deref(), Some("42501"), "nobody may write");
    };
    refused();
    for server in [&*pair.source, &pair.target] {
        server.restart(Mode::Immediate);
        refused();
    }
    pair.query("SELECT repl_resume()");
    pair.poll_status("workers = 1 and error is null");
    pair.wait_for("caught_up", Duration::from_secs(60));
    refused();
    assert_eq!(pair.status("fenced"), "t", "{}", pair.tell());
    pair.query("SELECT repl_unfence('heroku')");
    assert_eq!(pair.source.query_one_text(DATABASE, RIGHTS), rights);
    pair.source.app("insert into plain values (5000)");
    pair.assert_migrated();
    pair.stop_migration();
}

/// Nobody is left who could call repl_unfence: the note of what was revoked is enough.
#[test]
fn fence_by_revoking_is_lowered_by_hand() {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair.source
        .app("grant insert, update (n) on plain to public");
    pair.stream("");
    let rights = pair.source.query_one_text(DATABASE, RIGHTS);
    pair.query("SELECT repl_fence('heroku', via => 'revoke')");
    let told = pair.query("SELECT repl_stop('heroku', drop_source_objects => false)");
    assert!(told.contains("decamp_heroku.revoked"), "{told}");
    assert_ne!(pair.source.query_one_text(DATABASE, RIGHTS), rights);
    let back = "select statement from decamp_heroku.revoked order by number";
    for statement in pair.source.rows(DATABASE, back).concat() {
        pair.source.app(&statement);
    }
    pair.source.app("drop schema decamp_heroku cascade");
    assert_eq!(pair.source.query_one_text(DATABASE, RIGHTS), rights);
    pair.source.app("insert into plain values (5000)");
    pair.assert_source_clean();
}
