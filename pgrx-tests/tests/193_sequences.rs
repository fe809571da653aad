//! Sequences: what goes along, set exactly at the end, and never back.

use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::sequences::{
    KINDS, NAMES, USE, no_worker, of_source, of_target, positions, settle,
};
use decamp_tests::{Managed, Pair, have_source};

fn settled_from(major: u32) {
    if !have_source(major) {
        return;
    }
    let pair = Pair::builder().source_version(major).start();
    pair.source.app(KINDS);
    // made beforehand: importing from a newer server takes a newer pg_dump
    pair.sql(KINDS);
    pair.stream("");
    no_worker(&pair);
    pair.source.app(USE);
    let done = settle(&pair);
    assert_eq!(of_target(&pair), of_source(&pair));
    assert_eq!(done.len(), NAMES.len(), "{done:?}");
    for (name, line) in &done {
        assert_eq!(line[3..], ["", "", ""], "{name} has a problem: {line:?}");
        assert_eq!(
            line[0], line[2],
            "{name} is where the source's is: {line:?}"
        );
    }
    assert_eq!(done["public.down"], ["-88", "-1", "-88", "", "", ""]);
    // a second time nothing moves
    let again = settle(&pair);
    assert!(again.values().all(|line| line[1] == line[2]), "{again:?}");
    pair.query("SELECT repl_resume('heroku')");
    pair.assert_migrated();
}

#[test]
fn settled_exactly() {
    settled_from(15);
}

#[test]
fn settled_exactly_from_10() {
    settled_from(10);
}

#[test]
fn settled_exactly_from_18() {
    settled_from(18);
}

#[test]
fn settled_never_back_and_past_the_column() {
    let pair = Pair::start();
    pair.source.app(KINDS);
    pair.source.app(USE);
    pair.stream("");
    no_worker(&pair);
    // by hand, past the sequences; and sequences that are further on the target, and one that is restarted on the source
    pair.sql(
        "insert into item values (70, 1); insert into thing overriding system value values (90, 1); \
         alter table item add extra serial; alter sequence item_extra_seq owned by none; \
         select setval('\"Sales\".\"Order_Id_seq\"', 5001), setval('down', -600), setval('round', 8)",
    );
    pair.source.app("alter sequence used restart");
    let done = settle(&pair);
    let after = |name: &str| done[name][2].clone();
    assert_eq!(after("public.item_id_seq"), "70");
    assert_eq!(after("public.thing_id_seq"), "90");
    assert_eq!(after("\"Sales\".\"Order_Id_seq\""), "5001");
    assert_eq!(after("public.down"), "-600");
    assert_eq!(after("public.round"), "3", "one that cycles: exactly");
    assert_eq!(after("public.used"), "20", "restarted on the source");
    assert!(done.values().all(|line| line[4].is_empty()), "{done:?}");
    assert_eq!(pair.query("select nextval('item_id_seq')"), "71");
}

#[test]
fn settled_one_bad_sequence_does_not_stop_the_others() {
    let pair = Pair::start();
    pair.source.app(KINDS);
    pair.stream("");
    no_worker(&pair);
    pair.source.app(USE);
    pair.sql(
        "drop sequence never; alter sequence cached maxvalue 20; alter sequence placed increment -1 minvalue -9; \
         drop table left_out",
    );
    pair.source.sql(
        "app",
        "alter sequence small owner to postgres; select setval('item_id_seq', 2147483647)",
    );
    // of the target's column, which the source's sequence has not come to
    pair.sql("alter sequence thing_id_seq maxvalue 60; insert into thing overriding system value values (61, 1)");
    let done = settle(&pair);
    let problem = |name: &str, sqlstate: &str, parts: &[&str]| {
        let line = &done[name];
        assert_eq!(line[4], sqlstate, "{name}: {line:?}");
        for part in parts {
            assert!(
                line[5].contains(part),
                "{name}: no {part} in the hint: {line:?}"
            );
        }
    };
    problem(
        "public.never",
        "42P01",
        &["CREATE SEQUENCE \"public\".\"never\" AS bigint"],
    );
    problem("public.left_out_id_seq", "42P01", &["AS integer"]);
    problem(
        "public.cached",
        "22003",
        &["ALTER SEQUENCE \"public\".\"cached\" NO MAXVALUE"],
    );
    problem("public.placed", "55000", &["INCREMENT BY 1"]);
    problem(
        "public.small",
        "42501",
        &["GRANT SELECT ON SEQUENCE \"public\".\"small\" TO \"app\""],
    );
    problem("public.thing_id_seq", "22003", &["MAXVALUE"]);
    let (source, mut target) = (
        of_source(&pair),
        positions(|sql| {
            pair.target
                .try_rows(TARGET_DATABASE, sql)
                .unwrap_or_default()
        }),
    );
    for unset in ["never", "left_out_id_seq"] {
        assert_eq!(target.remove(unset).as_deref(), Some(""));
    }
    assert_eq!(
        target.remove("cached").as_deref(),
        Some("1 false"),
        "left as it was"
    );
    assert_eq!(target.remove("small").as_deref(), Some("1 false"));
    assert_ne!(target.remove("placed").as_deref(), Some("500 false"));
    for (name, position) in target {
        assert_eq!(position, source[&name], "{name}");
    }
    assert_eq!(
        pair.query("SELECT message FROM repl_events WHERE subject = 'sequences'"),
        "7 of 12 set to where the source's are, 6 with a problem"
    );
    // the hint does what it says
    pair.sql(
        &done["public.never"][5]
            .replace("On the target: ", "")
            .replace("then call this again.", ""),
    );
    pair.sql("alter sequence cached no maxvalue");
    let again = settle(&pair);
    assert!(
        again["public.never"][4].is_empty() && again["public.cached"][2] == "50",
        "{again:?}"
    );
}

/// A target that is another server, whose role may do little: one sequence there is not its own.
#[test]
fn settled_in_helper_mode() {
    let managed = Managed::start();
    let pair = Pair::start();
    pair.source.app(KINDS);
    managed.own(KINDS);
    managed.sql(
        "moved",
        "alter sequence placed owner to postgres; alter sequence never owner to postgres; \
         grant select on never to moved",
    );
    pair.stream(&format!("target => '{}'", managed.uri()));
    no_worker(&pair);
    pair.source.app(USE);
    let done = settle(&pair);
    for name in ["placed", "never"] {
        let line = &done[&format!("public.{name}")];
        assert_eq!(line[4], "42501", "{name}: {line:?}");
        let grant = format!("GRANT SELECT, UPDATE ON SEQUENCE \"public\".\"{name}\" TO \"moved\"");
        assert!(line[5].contains(&grant), "{line:?}");
        assert_eq!(line[1], if name == "never" { "1" } else { "" }, "{line:?}");
    }
    let mut source = of_source(&pair);
    let mut target = positions(|sql| managed.rows("moved", sql));
    assert_eq!(target.remove("placed").as_deref(), Some("1 false"));
    source.remove("placed");
    assert_eq!(target, source);
}

#[test]
fn settled_many_at_once() {
    let pair = Pair::start();
    pair.source.app(
        "create table item (id serial primary key); \
         do $$ begin for i in 1..3000 loop execute format('create sequence s%s', i); end loop; end $$",
    );
    pair.stream("");
    no_worker(&pair);
    pair.source.app(
        "do $$ begin for i in 1..3000 loop perform setval(format('s%s', i), i); end loop; end $$",
    );
    pair.sql("alter sequence s1234 maxvalue 5; alter sequence s2999 maxvalue 5");
    let done = settle(&pair);
    assert_eq!(done.len(), 3001);
    let failed: Vec<&String> = done
        .iter()
        .filter(|(_, line)| !line[4].is_empty())
        .map(|(name, _)| name)
        .collect();
    assert_eq!(failed, ["public.s1234", "public.s2999"]);
    assert_eq!(
        pair.query("select sum(last_value) from pg_sequences where schemaname = 'public' and sequencename ~ '^s'"),
        (3000 * 3001 / 2 - 1234 - 2999).to_string()
    );
}

/// One that somebody holds locked on the target is waited for, but not for ever.
#[test]
fn settled_beside_a_lock() {
    let pair = Pair::start();
    pair.source.app(KINDS);
    pair.stream("");
    no_worker(&pair);
    pair.source.app(USE);
    let mut holder = pair.target.connect(TARGET_DATABASE);
    holder
        .batch_execute("begin; alter sequence used cache 2")
        .expect("locked");
    let done = settle(&pair);
    assert_eq!(done["public.used"][4], "55P03", "{done:?}");
    assert!(
        done.iter()
            .all(|(name, line)| name == "public.used" || line[4].is_empty()),
        "{done:?}"
    );
    holder.batch_execute("rollback").expect("lets go");
    let again = settle(&pair);
    assert_eq!(again["public.used"][2], "20");
}

#[test]
fn only_those_that_go_along() {
    let pair = Pair::start();
    pair.source.app(KINDS);
    pair.source.app(
        "create table parted (id int primary key, n int) partition by range (id); \
         create table parted_1 (id serial primary key, n int); \
         alter table parted attach partition parted_1 for values from (1) to (1000)",
    );
    pair.source.app(USE);
    pair.stream("exclude => array['public.left_out', 'public.cached']");
    let done = settle(&pair);
    assert!(!done.contains_key("public.left_out_id_seq"), "{done:?}");
    assert!(!done.contains_key("public.cached"), "{done:?}");
    assert!(done.contains_key("public.parted_1_id_seq"), "{done:?}");
    assert_eq!(done["public.used"][2], "20");
    pair.stop_migration();

    let pair = Pair::start();
    pair.source.app("create sequence other; create sequence used; \
                     create table item (id int primary key default nextval('used')); insert into item default values");
    pair.sql(
        "create sequence used; create table item (id int primary key default nextval('used'))",
    );
    pair.stream("tables => array['public.item']");
    let done = settle(&pair);
    let names: Vec<&String> = done.keys().collect();
    assert_eq!(names, ["public.used"], "its table's default needs it");
}
