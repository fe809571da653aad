//! Rows that the target refuses: their table stops alone and tells how to find them; `repl_skip` leaves one out.

use decamp_tests::Pair;
use decamp_tests::compare;
use decamp_tests::observe::{SOON, assert_says};
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::source::DATABASE;

/// What each is refused for, and the row that is.
struct Refusal {
    /// on the source: column `value` is what it is about
    table: &'static str,
    /// on the target, once it streams
    rule: &'static str,
    /// on the source: all wrong with row 7, and with no other that waits
    change: &'static str,
    /// in the error
    told: &'static str,
    /// on the target, what makes it take the row
    mend: &'static str,
}

const REFUSALS: &[Refusal] = &[
    Refusal {
        table: "checked",
        rule: "alter table checked add constraint not_odd check (value not like 'sec%') not valid",
        change: "update checked set value = 'secret' where id = 7",
        told: "not_odd",
        mend: "alter table checked drop constraint not_odd",
    },
    Refusal {
        table: "filled",
        rule: "alter table filled alter column value set not null",
        change: "update filled set value = null where id = 7",
        told: "value",
        mend: "alter table filled alter column value drop not null",
    },
    Refusal {
        table: "single",
        rule: "create unique index one_value on single (value)",
        change: "update single set value = 'secret' where id in (7, 8)",
        told: "one_value",
        mend: "drop index one_value",
    },
    Refusal {
        table: "narrow",
        rule: "alter table narrow alter column value type varchar(10)",
        change: "update narrow set value = 'secret but far too long' where id = 7",
        told: "value",
        mend: "alter table narrow alter column value type text",
    },
    Refusal {
        table: "numeric",
        rule: "alter table numeric alter column value type int using value::int",
        change: "update numeric set value = case id when 7 then 'secret' else '8' end where id in (7, 8)",
        told: "value",
        mend: "alter table numeric alter column value type text",
    },
    Refusal {
        table: "guarded",
        rule: "create function guard() returns trigger language plpgsql as $$ begin \
                   if new.value like 'secret%' then raise exception 'no %', new.value using errcode = 'AB123', detail = new.value; end if; \
                   return new; end $$; \
               create trigger guard before insert or update on guarded for each row execute function guard(); \
               alter table guarded enable always trigger guard",
        change: "update guarded set value = 'secret' where id = 7",
        told: "guard()",
        mend: "drop function guard() cascade",
    },
];

#[test]
fn each_refusal_stops_its_table_and_leads_to_the_row() {
    let pair = Pair::start();
    for refusal in REFUSALS {
        let table = refusal.table;
        pair.source.app(&format!(
            "create table {table} (id int primary key, value text); \
             insert into {table} select i, i from generate_series(1, 50) as i"
        ));
    }
    pair.source
        .app("create table steady (id int primary key, n int)");
    pair.stream("");
    for refusal in REFUSALS {
        pair.sql(refusal.rule);
    }
    for refusal in REFUSALS {
        pair.source.app(&format!(
            "begin; {}; insert into steady select coalesce(max(id), 0) + 1 from steady; commit",
            refusal.change
        ));
    }
    for refusal in REFUSALS {
        let table = refusal.table;
        pair.poll_table(
            table,
            &format!(
                "state = 'errored' and error like '%{}%' and error like '%public.{table} (key: \"id\"%'",
                refusal.told.replace('\'', "''")
            ),
        );
        // what the hint tells to type on the source finds the row
        let hint = pair.table(table, "hint");
        let (_, rest) = hint.split_once("on the source: ").expect("a query");
        let (query, _) = rest.split_once(';').expect("its end");
        let found: Vec<String> = pair
            .source
            .rows(DATABASE, query)
            .into_iter()
            .map(|mut row| row.remove(0))
            .collect();
        assert!(found.contains(&"7".to_owned()), "{query}: {found:?}");
        assert!(found.len() <= 2, "{query}: {found:?}");
    }
    let count = REFUSALS.len();
    pair.poll_table("steady", &format!("state = 'ready' and inserted = {count}"));
    assert!(
        !pair.tell().contains("secret"),
        "values are nobody's business: {}",
        pair.tell()
    );
    for refusal in REFUSALS {
        pair.sql(refusal.mend);
    }
    pair.query("SELECT repl_resume('heroku')");
    pair.assert_migrated();
    pair.stop_migration();
}

#[test]
fn a_row_left_out_and_taken_back() {
    let pair = Pair::start();
    pair.source.app(
        "create table item (id int, \"Part\" text, value text, primary key (\"Part\", id)); \
         insert into item select i, 'it''s \\', 'fine' from generate_series(1, 50) as i; \
         create table big (id numeric primary key, value text); insert into big values (12345678901234567890.5, 'fine')",
    );
    pair.stream("");
    pair.sql("alter table item add constraint fine check (value <> 'bad') not valid");
    pair.source
        .app("update item set value = 'bad' where id in (3, 4); update item set value = 'good' where id = 5");
    pair.poll_table("item", "state = 'errored' and backlog = 3 and skipped = 0");

    let key = |id: u32| format!(r#"{{"Part": "it''s \\", "id": {id}}}"#);
    let skip = |key: &str| pair.query(&format!("SELECT repl_skip('heroku', 'item', '{key}')"));
    let told = skip(&key(3));
    assert!(
        told.contains("goes on") && told.contains("repl_unskip") && !told.contains("no such row"),
        "{told}"
    );
    // the other one is refused still
    pair.poll(
        "SELECT count(*) = 2 FROM repl_events WHERE severity = 'error' AND subject = 'public.item'",
    );
    pair.poll_table("item", "state = 'errored' and skipped = 1");
    skip(&key(4));
    pair.poll_table("item", "state = 'ready' and skipped = 2 and backlog = 0");
    assert!(skip(&key(4)).contains("already"));
    pair.poll("SELECT value = 'good' FROM item WHERE id = 5");
    assert_eq!(
        pair.query("SELECT string_agg(value, ',') FROM item WHERE id IN (3, 4)"),
        "fine,fine"
    );

    // what happens to it later is left out as well, whatever it is; its neighbours are not
    pair.source.app("delete from item where id = 3; update item set value = 'later' where id = 4; update item set value = 'seen' where id = 6");
    pair.poll("SELECT value = 'seen' FROM item WHERE id = 6");
    pair.terminate(decamp_tests::workers::Worker::Apply);
    pair.source
        .app("update item set value = 'seen' where id = 7; update item set value = 'later still' where id = 4");
    pair.poll("SELECT value = 'seen' FROM item WHERE id = 7");
    pair.wait_for("caught_up", SOON);
    assert_eq!(
        pair.query("SELECT string_agg(value, ',') FROM item WHERE id IN (3, 4)"),
        "fine,fine"
    );
    assert_eq!(pair.deltas(), 0);

    // for ever: who, when, and which
    let record = "SELECT count(*) = 2 AND bool_and(role = session_user AND at < now() AND ended_at IS NULL AND key ? 'Part') \
                  FROM repl_skipped WHERE subscription = 'heroku' AND \"table\" = 'item'";
    assert_eq!(pair.query(record), "t");
    let event = "SELECT count(*) = 2 FROM repl_events WHERE message LIKE '%repl_skip%' AND detail LIKE '%role postgres%' \
                 AND detail LIKE '%\"Part\"%' AND detail NOT LIKE '%it''s%'";
    assert_eq!(pair.query(event), "t");

    let unskip = |id| format!("SELECT repl_unskip('heroku', 'public.item', '{}')", key(id));
    pair.query(&unskip(3));
    pair.poll("SELECT count(*) = 0 FROM item WHERE id = 3");
    pair.query(&unskip(4));
    pair.poll("SELECT value = 'later still' FROM item WHERE id = 4");
    assert_says(&pair.refused(&unskip(4)), "42704", &["repl_skipped"]);
    pair.assert_migrated();

    // a table copied anew has all its rows
    pair.sql("alter table item drop constraint fine");
    skip(&key(9));
    pair.poll_table("item", "skipped = 1");
    pair.source
        .app("update item set value = 'bad' where id = 9");
    assert!(
        pair.query("SELECT repl_resync('heroku', 'item')")
            .contains("1 rows")
    );
    pair.wait_for("streaming", 2 * SOON);
    pair.poll_table("item", "state = 'ready' and skipped = 0");
    pair.assert_migrated();
    let big = r#"{"id": "12345678901234567890.50"}"#;
    let told = pair.query(&format!("SELECT repl_skip('heroku', 'big', '{big}')"));
    assert!(!told.contains("no such row"), "{told}");
    pair.stop_migration();
    let ended = "SELECT string_agg(coalesce(ended_by, 'never'), '; ' ORDER BY id) FROM \
                 (SELECT row_number() OVER (ORDER BY at) AS id, ended_by FROM repl_skipped) k";
    assert_eq!(
        pair.query(ended),
        "postgres, repl_unskip; postgres, repl_unskip; postgres, repl_resync; never"
    );
    compare::assert_same(&pair.source, DATABASE, &pair.target, TARGET_DATABASE);
}

#[test]
fn skip_refuses() {
    let pair = Pair::start();
    pair.source.app(
        "create table item (id int, part text, value text, primary key (id, part)); insert into item values (1, 'a', 'bad'); \
         create table other (id int primary key)",
    );
    pair.sql("create table item (id int, part text, value text check (value <> 'bad'), primary key (id, part))");
    let skip = |arguments: &str| pair.refused(&format!("SELECT repl_skip('heroku', {arguments})"));
    assert_says(&skip("'item', '{}'"), "42704", &["heroku"]);
    pair.migrate("");
    pair.poll_table("item", "state = 'errored'");
    assert_says(
        &skip(r#"'item', '{"id": 1, "part": "a"}'"#),
        "55000",
        &["copy"],
    );
    pair.sql("alter table item drop constraint item_value_check");
    pair.query("SELECT repl_resume('heroku')");
    pair.wait_for("streaming", SOON);
    for nonsense in [
        "{}",
        "7",
        "[]",
        r#"{"id": 1}"#,
        r#"{"id": 1, "part": null}"#,
        r#"{"id": 1, "Part": "a"}"#,
        r#"{"id": 1, "part": "a", "value": "b"}"#,
        r#"{"id": 1.5, "part": "a"}"#,
        r#"{"id": [1], "part": "a"}"#,
    ] {
        assert_says(
            &skip(&format!("'item', '{nonsense}'")),
            "22023",
            &[r#"{"id": ..., "part": ...}"#],
        );
    }
    let error = skip(r#"'item', '{"id": "secret", "part": "a"}'"#);
    assert_says(&error, "22P02", &["integer"]);
    assert_says(&skip("'nothing', '{}'"), "42P01", &["repl_tables"]);
    assert_says(&skip("NULL, '{}'"), "22004", &["table"]);
    assert_says(&skip("'item', NULL"), "22004", &["key"]);
    assert_eq!(pair.query("SELECT count(*) FROM repl_skipped"), "0");
    pair.sql("create role watcher; grant pg_monitor to watcher");
    let error = pair.target.fails(
        TARGET_DATABASE,
        "SET ROLE watcher; SELECT * FROM repl_skipped",
    );
    assert_eq!(error.code().code(), "42501", "{error}");
}
