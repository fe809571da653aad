//! More than one subscription, more than one database, and a copy of the target.

use decamp_tests::compare::{assert_same, differences};
use decamp_tests::load::Running;
use decamp_tests::observe::{SOON, assert_helpful, assert_says, words};
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::source::{DATABASE, PASSWORD, ROLE};
use decamp_tests::{Pair, wait};

const MINUTE: u32 = 60;

fn schema(name: &str) -> String {
    format!(
        "create schema {name}; \
         create table {name}.item (id int primary key, value text); create table {name}.note (id bigserial primary key, text text); \
         insert into {name}.item select i, 'value ' || i from generate_series(1, 300) as i"
    )
}

fn writing(pair: &Pair, schemas: &[&str]) -> Running {
    let mut load = pair.source.pgbench().rate(150);
    for name in schemas {
        load = load
            .script(&format!("\\set n random(1, 300)\nupdate {name}.item set value = value || 'x' where id = :n;\n"))
            .script(&format!("insert into {name}.note (text) values ('note');\n"));
    }
    load.start()
}

/// One of several subscriptions, in a database of the target.
struct Subscription<'a> {
    pair: &'a Pair,
    database: &'a str,
    name: &'a str,
}

impl Subscription<'_> {
    fn start(&self, source: &str, more: &str) {
        let name = self.name;
        self.pair.target.sql(
            self.database,
            &format!("SELECT repl_start('{name}', source => '{source}'{more})"),
        );
    }

    fn wait(&self, until: &str) {
        let name = self.name;
        self.pair.target.sql(
            self.database,
            &format!("SELECT repl_wait('{name}', '{until}', timeout => '{MINUTE} seconds')"),
        );
    }

    fn stop(&self) {
        self.pair
            .target
            .sql(self.database, &format!("SELECT repl_stop('{}')", self.name));
    }

    fn state(&self) -> String {
        self.pair.target.query_one_text(
            self.database,
            &format!("SELECT state FROM repl_status WHERE name = '{}'", self.name),
        )
    }
}

#[test]
fn topology_two_subscriptions_in_one_database() {
    let pair = Pair::start();
    pair.source.create_database("second");
    pair.source.app(&schema("one"));
    pair.source.app(&schema("two"));
    pair.source
        .connect_as(ROLE, "second")
        .batch_execute(&schema("three"))
        .expect("a schema");
    let second = decamp_tests::server::uri(ROLE, PASSWORD, pair.source.port(), "second");
    let load = writing(&pair, &["one", "two"]);
    let of = |name| Subscription {
        pair: &pair,
        database: TARGET_DATABASE,
        name,
    };
    let (one, two, three) = (of("one"), of("two"), of("three"));

    // all at once
    one.start(&pair.source_uri(), ", tables => '{one.*}', workers => 2");
    two.start(&pair.source_uri(), ", exclude => '{one.*}', workers => 2");
    three.start(&second, "");
    for subscription in [&one, &two, &three] {
        subscription.wait("streaming");
    }
    assert_eq!(
        pair.query(
            "SELECT string_agg(name || tables || tables_ready, ' ' ORDER BY name) FROM repl_status"
        ),
        "one22 three22 two22"
    );

    // what belongs to one is nobody else's
    let error = pair.refused(&format!(
        "SELECT repl_start('four', source => '{}', tables => '{{one.item}}')",
        pair.source_uri()
    ));
    assert!(words(&error).contains("one.item"), "{error:?}");
    let error = pair.refused(&format!("SELECT repl_start('one', source => '{second}')"));
    assert_says(&error, "42710", &["one", "repl_stop"]);

    // each for itself
    pair.query("SELECT repl_pause('one')");
    pair.poll("SELECT bool_and(state = CASE name WHEN 'one' THEN 'paused' ELSE 'streaming' END) FROM repl_status");
    two.wait("caught_up");
    three.wait("caught_up");
    pair.query("SELECT repl_pause('two')");
    pair.poll("SELECT count(*) = 2 FROM repl_status WHERE state = 'paused' AND workers = 0");
    assert!(pair.query("SELECT repl_resume()").contains("resumed"));
    one.wait("caught_up");
    two.stop();
    assert_eq!(one.state(), "streaming");
    let triggers = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'decamp_two%'";
    assert_eq!(pair.source.query_one_text(DATABASE, triggers), "0");
    load.stop(&pair.source);
    pair.source.app("update one.item set value = 'last'");
    one.wait("caught_up");
    let found = differences(&pair.source, DATABASE, &pair.target, TARGET_DATABASE);
    let found: Vec<&str> = found
        .iter()
        .map(|d| d.table.as_str())
        .filter(|t| !t.starts_with("two."))
        .collect();
    // the third one comes from elsewhere
    assert_eq!(found, ["three.item", "three.note"]);
    assert_eq!(pair.query("select count(*) from three.item"), "300");
    one.stop();
    three.stop();
    pair.assert_source_clean();
}

#[test]
fn topology_two_databases_of_the_target() {
    let pair = Pair::start();
    pair.source.app(&schema("one"));
    pair.target.sql("template1", "create database elsewhere");
    pair.target.sql("elsewhere", "create schema ops; create extension pg_decamp schema ops; alter database elsewhere set search_path = public, ops");
    let load = writing(&pair, &["one"]);
    let here = Subscription {
        pair: &pair,
        database: TARGET_DATABASE,
        name: "heroku",
    };
    let there = Subscription {
        pair: &pair,
        database: "elsewhere",
        name: "other",
    };
    here.start(&pair.source_uri(), "");

    // on the source they are told apart by their names only
    wait::until_true(SOON, "the first one has come to the source", || {
        pair.source.query_one_text(
            DATABASE,
            "select count(*) from pg_namespace where nspname = 'decamp_heroku'",
        ) == "1"
    });
    let error = pair.target.fails(
        "elsewhere",
        &format!(
            "SELECT repl_start('heroku', source => '{}')",
            pair.source_uri()
        ),
    );
    assert_helpful(&error);
    assert_says(&error, "55000", &["decamp_heroku"]);
    assert_eq!(
        pair.target
            .query_one_text("elsewhere", "select count(*) from repl_status"),
        "0"
    );

    there.start(&pair.source_uri(), "");
    here.wait("streaming");
    there.wait("streaming");
    pair.source
        .app("truncate one.note; delete from one.item where id % 3 = 0");
    here.wait("caught_up");
    here.stop();
    assert_eq!(there.state(), "streaming");
    load.stop(&pair.source);
    pair.source.app("update one.item set value = 'last'");
    there.wait("caught_up");
    assert_same(&pair.source, DATABASE, &pair.target, "elsewhere");
    there.stop();
    pair.assert_source_clean();
}

/// A copy of the target has the same subscription; only one of the two may work on it.
#[test]
fn topology_copy_of_the_target() {
    let pair = Pair::start();
    pair.source.app(&schema("one"));
    pair.stream("");
    pair.query("SELECT repl_pause('heroku')");
    pair.poll_status("state = 'paused' and workers = 0");
    wait::until_true(
        SOON,
        "nobody is connected to the database to be copied",
        || {
            pair.target
                .try_rows(
                    "template1",
                    &format!("create database copy template {TARGET_DATABASE}"),
                )
                .is_ok()
        },
    );
    pair.query("SELECT repl_resume('heroku')");
    pair.wait_for("caught_up", SOON);

    let copy = Subscription {
        pair: &pair,
        database: "copy",
        name: "heroku",
    };
    pair.target.sql("copy", "SELECT repl_resume()");
    pair.target.poll_until(
        "copy",
        "SELECT error IS NOT NULL AND hint IS NOT NULL FROM repl_status",
        SOON,
    );
    for round in 0..3 {
        pair.source
            .app(&format!("update one.item set value = 'round {round}'"));
        pair.assert_migrated();
    }
    assert_eq!(
        pair.target.query_one_text(
            "copy",
            "select count(*) from one.item where value like 'round%'"
        ),
        "0"
    );

    // nor may it take the capture away from under the other
    let error = pair.target.fails("copy", "SELECT repl_stop('heroku')");
    assert_helpful(&error);
    pair.source
        .app("update one.item set value = 'still captured'");
    pair.assert_migrated();
    pair.target.sql(
        "copy",
        "SELECT repl_stop('heroku', drop_source_objects => false)",
    );
    assert_eq!(
        pair.target
            .query_one_text("copy", "select count(*) from repl_status"),
        "0"
    );
    assert_eq!(copy.pair.status("state"), "streaming");
    pair.source
        .app("update one.item set value = 'still captured, again'");
    pair.assert_migrated();
    pair.stop_migration();
}
