//! What `repl_resync` refuses, and how tables are named to it.

use decamp_tests::Pair;
use decamp_tests::observe::{SOON, assert_says};
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::source::DATABASE;

#[test]
fn resync_refuses() {
    let pair = Pair::start();
    pair.source.app("create schema other; create table item (id int primary key); create table other.item (id int primary key); \
                     create table \"Mixed.Name\" (id int primary key); create table keyless (id int); insert into item values (1)");
    let resync = |arguments: &str| pair.refused(&format!("SELECT repl_resync({arguments})"));
    assert_says(&resync("'heroku', 'item'"), "42704", &["heroku"]);
    pair.sql("create table \"Mixed.Name\" (id int primary key)");
    let mut holder = pair.source.connect_as_app();
    holder
        .batch_execute("begin; insert into item values (2)")
        .expect("a row");
    pair.migrate("exclude => array['public.keyless']");
    pair.poll_status("state = 'installing' and error is not null");
    assert_says(&resync("'heroku', 'public.item'"), "55000", &["installing"]);
    holder.batch_execute("commit").expect("the holder ends");
    pair.wait_for("streaming", 2 * SOON);

    assert_says(&resync("NULL, 'item'"), "22004", &["name"]);
    assert_says(&resync("'heroku', NULL"), "22004", &["table"]);
    assert_says(&resync("'nobody', 'item'"), "42704", &["nobody"]);
    assert_says(&resync("'heroku', 'item'"), "42P09", &["item", "schema"]);
    for unknown in [
        "nothing",
        "public.nothing",
        "keyless",
        "a.public.item",
        "Mixed.Name",
        "mixed.name",
        "other.keyless",
    ] {
        assert_says(
            &resync(&format!("'heroku', '{unknown}'")),
            "42P01",
            &["repl_tables"],
        );
    }
    for nonsense in ["", "\"item", "public.", "item; drop table item", "other.*"] {
        assert_says(&resync(&format!("'heroku', '{nonsense}'")), "22023", &[]);
    }
    pair.query("SELECT repl_resync('heroku', '\"Mixed.Name\"')");
    pair.query("SELECT repl_resync('heroku', 'OTHER . Item')");
    pair.wait_for("streaming", 2 * SOON);
    let state = "SELECT repl_pause('heroku')";
    pair.query(state);
    pair.poll_status("state = 'paused'");
    // noted, for later
    pair.sql("delete from item");
    pair.query("SELECT repl_resync('heroku', 'public.item')");
    assert_eq!(pair.status("state"), "paused");
    pair.query("SELECT repl_resume('heroku')");
    pair.wait_for("streaming", 2 * SOON);
    assert_eq!(
        pair.target
            .query_one_text(TARGET_DATABASE, "select count(*) from item"),
        "2"
    );
    assert_eq!(
        pair.source
            .query_one_text(DATABASE, "select count(*) from item"),
        "2"
    );
    pair.stop_migration();

    pair.sql("truncate item, other.item, \"Mixed.Name\"");
    pair.migrate("exclude => array['public.keyless'], copy_data => false");
    pair.wait_for("streaming", 2 * SOON);
    assert_says(&resync("'heroku', 'public.item'"), "55000", &["copy_data"]);
}
