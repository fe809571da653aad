//! A target whose role owns its tables and may not set session_replication_role: triggers, rules and foreign keys there are
//! off while rows arrive, and afterwards exactly as they were.

use std::time::Duration;

use decamp_tests::compare::{assert_same, assert_same_except};
use decamp_tests::managed::{self, Managed, acting};
use decamp_tests::observe::SOON;
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::source::DATABASE;
use decamp_tests::workers::Worker;
use decamp_tests::{Mode, Pair, wait};

/// On both sides. `large` has more than a megabyte, so that its indexes are taken off too.
const TABLES: &str = "create table large (id int primary key, n int not null default 0, pad text); \
     create table parent (id int primary key, n int not null default 0, favourite int); \
     create table child (id int primary key, parent int not null, large int, n int not null default 0); \
     alter table parent add constraint favourite foreign key (favourite) references child deferrable initially deferred; \
     alter table child add constraint parent foreign key (parent) references parent on delete cascade on update cascade; \
     alter table child add constraint large foreign key (large) references large on delete set null deferrable; \
     comment on constraint large on child is 'it''s large'; \
     create table tree (id int primary key, up int references tree on delete cascade, n int not null default 0); \
     create table part (id int, day int, parent int, n int not null default 0, primary key (id, day)) partition by range (day); \
     create table part_1 partition of part for values from (0) to (10); \
     create table part_2 partition of part for values from (10) to (20); \
     alter table part add constraint part_parent foreign key (parent) references parent on delete cascade; \
     create table seat (id int primary key, place int, n int not null default 0, unique (place) deferrable)";

/// On the target alone. Every function changes what it sees or notes that it was called.
const ACTING: &str = "create table audit (what text); \
     create function note() returns trigger language plpgsql as $$ begin \
         insert into audit values (tg_table_name || ' ' || tg_name || ' ' || tg_op); return null; end $$; \
     create function spoil() returns trigger language plpgsql as $$ begin new.n := -1; return new; end $$; \
     create function forget() returns trigger language plpgsql as $$ begin return null; end $$; \
     create trigger ordinary before insert or update on large for each row execute function spoil(); \
     create trigger \"It's always\" after insert or update or delete on large for each row execute function note(); \
     alter table large enable always trigger \"It's always\"; \
     create trigger replica before insert on large for each row execute function forget(); \
     alter table large enable replica trigger replica; \
     create trigger disabled before insert on large for each row execute function forget(); \
     alter table large disable trigger disabled; \
     create trigger statement after insert or update or delete or truncate on child for each statement execute function note(); \
     create constraint trigger later after insert or update or delete on child deferrable initially deferred \
         for each row execute function note(); \
     create trigger everywhere after insert or update or delete on part for each row execute function note(); \
     alter table only part_2 enable always trigger everywhere; \
     create trigger alone before insert on part_1 for each row execute function spoil(); \
     create trigger spoil before insert or update on seat for each row execute function spoil(); \
     create rule keep as on delete to tree do instead nothing; \
     create rule twice as on insert to tree do also insert into audit values ('rule'); \
     create rule always as on update to tree do also insert into audit values ('always'); \
     alter table tree enable always rule always; \
     create rule off as on update to parent do instead nothing; alter table parent disable rule off; \
     alter table child drop constraint parent; \
     alter table child add constraint parent foreign key (parent) references parent on delete cascade on update cascade not valid";

const ROWS: &str = "insert into large select i, 0, repeat(md5(i::text), 30) from generate_series(1, 3000) as i; \
     begin; \
     insert into parent select i, 0, i * 2 from generate_series(1, 100) as i; \
     insert into child select i, (i + 1) / 2, i * 10 from generate_series(1, 200) as i; \
     commit; \
     insert into tree select i, nullif(i / 2, 0) from generate_series(1, 100) as i; \
     insert into part select i, i % 20, 1 + i % 100 from generate_series(1, 300) as i; \
     insert into seat select i, i from generate_series(1, 50) as i";

const LOAD: &[&str] = &[
    "\\set n random(1, 3000)\nupdate large set n = n + 1 where id = :n;\n",
    "\\set n random(1, 3000)\ndelete from large where id = :n;\n",
    "\\set n random(1, 100)\nupdate parent set n = n + 1, id = -id where id = :n or id = - :n;\n",
    "\\set n random(1, 100)\nupdate parent set favourite = null where id = :n;\ndelete from parent where id = :n and id % 5 = 0;\n",
    "\\set n random(1, 200)\nupdate child set n = n + 1 where id = :n;\n",
    "\\set n random(1, 100)\nupdate tree set n = n + 1 where id = :n;\ndelete from tree where id = :n and id > 60;\n",
    "\\set n random(1, 300)\nupdate part set day = 19 - day, n = n + 1 where id = :n;\n",
    "\\set n random(1, 25)\nupdate seat set place = 51 - place, n = n + 1 where place in (:n, 51 - :n);\n",
];

fn start() -> (Pair, Managed, String) {
    let managed = Managed::start();
    let pair = Pair::start();
    let more = format!("target => '{}', workers => 2", managed.uri());
    (pair, managed, more)
}

/// Both sides have the tables, the target what acts on them, the source the rows.
fn prepared() -> (Pair, Managed, String) {
    let (pair, managed, more) = start();
    pair.source.app(TABLES);
    managed.own(TABLES);
    managed.own(ACTING);
    pair.source.app(ROWS);
    (pair, managed, more)
}

fn assert_moved(pair: &Pair, managed: &Managed) {
    pair.wait_for("caught_up", Duration::from_secs(60));
    assert_same_except(
        &pair.source,
        DATABASE,
        managed,
        managed::DATABASE,
        &["public.audit"],
    );
    assert_eq!(
        managed.query("select count(*) from audit"),
        "0",
        "nothing has acted"
    );
}

fn assert_clean(pair: &Pair, managed: &Managed) {
    pair.assert_source_clean();
    let left = "select count(*) from pg_namespace where nspname like 'decamp%'";
    assert_eq!(managed.query(left), "0");
}

#[test]
fn ordinary_role_puts_all_back_after_a_troubled_migration() {
    let (pair, managed, more) = prepared();
    let before = managed.acting();
    let said = pair.query(&format!(
        "SELECT severity || ': ' || message || ' ' || fix FROM repl_check(source => '{}', target => '{}') \
         WHERE subject = 'session_replication_role'",
        pair.source_uri(),
        managed.uri()
    ));
    assert!(
        said.starts_with("warning: ")
            && said.contains("9 triggers, 3 rules and 5 foreign keys")
            && said.contains("GRANT SET ON PARAMETER session_replication_role TO \"moved\""),
        "{said}"
    );
    assert_eq!(managed.acting(), before, "repl_check changes nothing");

    let load = LOAD
        .iter()
        .fold(pair.source.pgbench(), |bench, script| bench.script(script))
        .rate(100)
        .through_restarts()
        .start();
    pair.migrate(&more);
    pair.poll_status("state in ('copying', 'catchup', 'streaming')");
    pair.kill(Worker::Copy);
    pair.terminate(Worker::Apply);
    managed.restart(Mode::Immediate);
    pair.wait_for("streaming", Duration::from_secs(90));
    pair.target.restart(Mode::Immediate);
    pair.sql("SELECT repl_resume()");
    pair.poll_status("state = 'streaming' and error is null and lag < interval '5 seconds'");
    pair.poll_status("summary like '%Off on the target, which repl_stop puts back: foreign keys 5, triggers and rules 12.'");
    pair.source.app(
        "truncate seat, tree; insert into seat select i, 51 - i from generate_series(1, 50) as i",
    );
    load.stop(&pair.source);
    assert_moved(&pair, &managed);

    pair.stop_migration();
    assert_eq!(managed.acting(), before);
    assert_clean(&pair, &managed);
    let lost = "SELECT count(*) FROM repl_events WHERE severity = 'error' OR message ~ ' is (off|missing) on the target'";
    assert_eq!(pair.query(lost), "0", "{}", pair.tell());
}

/// Whatever dies between noting, switching off and on again.
#[test]
fn ordinary_role_survives_crashes_at_the_switch() {
    let (pair, managed, more) = prepared();
    let before = managed.acting();
    let mut lock = managed.connect_as_owner();
    lock.batch_execute(
        "begin; lock table seat in access share mode; lock table tree in row exclusive mode",
    )
    .expect("a lock");
    pair.migrate(&more);
    let noted =
        "SELECT count(*) > 10 FROM decamp.task WHERE kind = 'trigger' OR kind = 'foreign key'";
    let waiting = "select count(*) > 0 from pg_stat_activity where wait_event_type = 'Lock'";
    for _ in 0..2 {
        pair.poll(noted);
        managed.poll_until(managed::DATABASE, waiting, SOON);
        assert_eq!(
            managed.acting(),
            before,
            "noted first, then off, all at once"
        );
        pair.kill(Worker::Apply);
        pair.target.poll_until(TARGET_DATABASE, "select true", SOON);
        pair.sql("SELECT repl_resume()");
    }
    lock.batch_execute("commit").expect("the lock goes");
    pair.wait_for("streaming", Duration::from_secs(90));

    // a repl_stop that fails half way: the source stays captured, or is given up with it
    lock.batch_execute("begin; lock table tree in row exclusive mode")
        .expect("a lock");
    let stop = std::thread::scope(|scope| {
        let stop = scope.spawn(|| {
            pair.target.try_rows(
                TARGET_DATABASE,
                "SELECT repl_stop('heroku', drop_source_objects => false)",
            )
        });
        managed.poll_until(managed::DATABASE, waiting, SOON);
        pair.query("SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE query LIKE 'SELECT repl_stop%'");
        stop.join().expect("it ends")
    });
    assert!(stop.is_err(), "it was cancelled");
    lock.batch_execute("rollback").expect("the lock goes");
    assert!(
        managed.acting().iter().any(|line| line.starts_with("key ")),
        "some of it was back already"
    );
    pair.source
        .app("update large set n = n + 1 where id < 10; delete from tree where id > 90; update parent set favourite = null");
    pair.poll_status("state = 'streaming' and error is null and lag < interval '5 seconds'");
    pair.wait_for("caught_up", SOON);
    let off = "select count(*) from pg_constraint where contype = 'f'";
    wait::until_true(SOON, "all is off again", || managed.query(off) == "0");
    pair.source
        .app("delete from parent where id = 7; update seat set place = 51 - place");
    assert_same_except(
        &pair.source,
        DATABASE,
        &managed,
        managed::DATABASE,
        &[
            "public.audit",
            "public.parent",
            "public.child",
            "public.part",
            "public.seat",
        ],
    );
    assert_moved(&pair, &managed);
    pair.stop_migration();
    assert_eq!(managed.acting(), before);
    assert_clean(&pair, &managed);
}

#[test]
fn ordinary_role_is_told_what_cannot_be_put_back() {
    let (pair, managed, more) = prepared();
    let before = managed.acting();
    pair.migrate(&more);
    pair.wait_for("streaming", Duration::from_secs(90));
    pair.wait_for("caught_up", SOON);
    // somebody changes the target meanwhile: a trigger goes, one comes, a row stands without its parent
    managed.own("drop trigger alone on part_1; create trigger late before update on large for each row execute function spoil()");
    wait::until_true(SOON, "what comes is switched off too", || {
        managed
            .acting()
            .contains(&"trigger large late D".to_owned())
    });
    pair.source.app("update large set n = n + 1 where id < 100");
    assert_moved(&pair, &managed);
    managed.own("insert into tree values (1000, 999)");
    let line = pair.query("SELECT repl_stop('heroku')");
    assert!(
        line.contains("2 indexes, constraints and triggers of the target are missing or off"),
        "{line}"
    );
    let told = pair.target.rows(
        TARGET_DATABASE,
        "SELECT detail FROM repl_events WHERE message ~ ' is (off|missing) on the target: ' ORDER BY at",
    );
    assert_eq!(told.len(), 2, "{told:?}");
    managed.sql(
        managed::DATABASE,
        "set session_replication_role = replica; delete from tree where id = 1000",
    );
    let mend = |row: &Vec<String>| managed.connect_as_owner().batch_execute(&row[0]).is_ok();
    let mended = told.iter().filter(|row| mend(row)).count();
    assert_eq!(
        mended, 1,
        "what was told puts the key back, the trigger is gone: {told:?}"
    );
    let mut expected = before;
    expected.retain(|line| !line.contains(" alone "));
    expected.push("trigger large late O".into());
    expected.sort();
    let mut after = managed.acting();
    after.sort();
    assert_eq!(after, expected);
    assert_clean(&pair, &managed);
}

/// Tables, keys, triggers and rules that the import makes.
#[test]
fn ordinary_role_moves_the_zoo() {
    let (pair, managed, more) = start();
    pair.load_zoo(100);
    let acting_on_source = acting(&pair.source, DATABASE);
    let churn = pair.source.churn(172, 2);
    pair.migrate(&more);
    pair.wait_for("streaming", Duration::from_secs(90));
    pair.poll_status("state = 'streaming' and error is null and lag < interval '5 seconds'");
    let tally = churn.stop();
    assert!(tally.committed > 20, "{tally:?}");
    pair.wait_for("caught_up", Duration::from_secs(60));
    assert_same(&pair.source, DATABASE, &managed, managed::DATABASE);
    pair.stop_migration();
    assert_eq!(managed.acting(), acting_on_source);
    let errors = "SELECT coalesce(string_agg(subject || ': ' || message, E'\\n'), '') FROM repl_events WHERE severity = 'error'";
    assert_eq!(pair.query(errors), "");
}

#[test]
fn ordinary_role_that_does_not_own_the_tables() {
    let (pair, managed, more) = prepared();
    let before = managed.acting();
    let start = format!(
        "SELECT repl_start('heroku', source => '{}', {more})",
        pair.source_uri()
    );
    managed.sql("postgres", "create role somebody");
    managed.sql(
        managed::DATABASE,
        "alter table tree owner to somebody; grant all on tree to moved",
    );
    let error = pair.refused(&start);
    decamp_tests::observe::assert_says(
        &error,
        "42501",
        &[
            "owns this table",
            "ALTER TABLE \"public\".\"tree\" OWNER TO \"moved\"",
            "GRANT SET ON PARAMETER session_replication_role",
        ],
    );
    pair.assert_nothing_started();
    // a table that only a foreign key ties to the others
    managed.sql(managed::DATABASE, "alter table tree owner to moved; \
        create table tied (id int references tree on delete cascade); alter table tied owner to somebody");
    let error = pair.refused(&start);
    decamp_tests::observe::assert_says(&error, "42501", &["tied", "foreign key \"tied_id_fkey\""]);
    managed.sql(managed::DATABASE, "drop table tied");
    assert_eq!(managed.acting(), before);

    // lost on the way: the table stops, and goes on when it can
    pair.migrate(&more);
    pair.wait_for("streaming", Duration::from_secs(90));
    managed.sql(
        managed::DATABASE,
        "alter table tree owner to somebody; \
        create trigger loud before insert or update on tree for each row execute function spoil()",
    );
    pair.poll_table(
        "tree",
        "state = 'errored' and error like '%tree.loud%' and hint like '%GRANT SET ON PARAMETER%'",
    );
    pair.source
        .app("update tree set n = n + 5; update large set n = 3 where id = 3");
    pair.poll("select true");
    managed.sql(managed::DATABASE, "alter table tree owner to moved");
    pair.query("SELECT repl_resume('heroku')");
    assert_moved(&pair, &managed);
    managed.own("drop trigger loud on tree");
    pair.query("SELECT repl_stop('heroku')");
    assert_eq!(managed.acting(), before);
}

/// The import makes the table as it is on the source, whose role bypasses what the target's cannot.
#[test]
fn ordinary_role_and_forced_row_security() {
    let (pair, managed, more) = start();
    pair.source.app(
        "create table free (id int primary key); insert into free values (1); \
         create table forced (id int primary key); insert into forced values (1); \
         alter table forced enable row level security, force row level security; \
         create policy a_few on forced using (id > 5)",
    );
    pair.source.sql("postgres", "alter role app bypassrls");
    pair.migrate(&more);
    pair.poll_table("free", "state = 'ready'");
    let hint = "alter table \"public\".\"forced\" no force row level security";
    pair.poll_table(
        "forced",
        &format!(
            "state = 'errored' and error like '%row security%' and lower(hint) like '%{hint}%'"
        ),
    );
    managed.own(hint);
    pair.query("SELECT repl_resume('heroku')");
    pair.wait_for("streaming", SOON);
    pair.wait_for("caught_up", SOON);
    managed.sql(managed::DATABASE, "alter role moved bypassrls");
    assert_same(&pair.source, DATABASE, &managed, managed::DATABASE);
    pair.stop_migration();
}
