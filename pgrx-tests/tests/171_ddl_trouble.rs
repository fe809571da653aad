//! Whatever happens to a call of repl_ddl: both sides agree afterwards, or it is told in what they differ and what to type; and
//! no row is lost.

use std::thread;
use std::time::Instant;

use decamp_tests::compare::assert_same_except;
use decamp_tests::observe::{SOON, assert_helpful};
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::source::DATABASE;
use decamp_tests::{Mode, Pair, wait};
use postgres::Client;
use postgres::error::DbError;

/// A table called `{t}`, what repl_ddl does to it, and what is written to it all the time.
struct Change {
    name: &'static str,
    table: &'static str,
    statement: &'static str,
    /// with `:id` from 1 to 300
    load: &'static str,
    /// what takes it back on the target, where the source does not take it from anybody but repl_ddl
    back: Option<&'static str>,
}

const LOAD: &str = "update {t} set n = n + 1 where id = :id; delete from {t} where id = :id + 1; \
                    insert into {t} (id, n) select :id + 1, 5 where not exists (select from {t} where id = :id + 1)";

const CHANGES: &[Change] = &[
    Change {
        name: "added",
        table: "create table {t} (id int primary key, n int)",
        statement: "alter table {t} add column extra int not null default 7",
        load: LOAD,
        back: None,
    },
    Change {
        name: "renamed",
        table: "create table {t} (id int primary key, n int, note text default 'x')",
        statement: "alter table {t} rename column note to remark",
        load: LOAD,
        back: None,
    },
    Change {
        name: "widened",
        table: "create table {t} (id int primary key, n int)",
        statement: "alter table {t} alter column id type bigint",
        load: LOAD,
        back: Some("alter table {t} alter column id type int"),
    },
    Change {
        name: "rekeyed",
        table: "create table {t} (id int primary key, n int, other int not null default 1)",
        statement: "alter table {t} drop constraint {t}_pkey, add primary key (id, other)",
        load: "update {t} set n = n + 1, other = other + 1 where id = :id; delete from {t} where id = :id + 1; \
               insert into {t} (id, n) select :id + 1, 5 where not exists (select from {t} where id = :id + 1)",
        back: None,
    },
    Change {
        name: "bare",
        table: "create table {t} (id int, n int)",
        statement: "alter table {t} add column more int default 2",
        load: LOAD,
        back: None,
    },
    Change {
        name: "parted",
        table: "create table {t} (id int primary key, n int) partition by range (id); \
                create table {t}_low partition of {t} for values from (minvalue) to (100); \
                create table {t}_high partition of {t} for values from (100) to (maxvalue)",
        statement: "alter table {t} alter column n type bigint using n + 1000",
        load: LOAD,
        back: None,
    },
    Change {
        name: "indexed",
        table: "create table {t} (id int primary key, n int)",
        statement: "create index {t}_n on {t} (n)",
        load: LOAD,
        back: None,
    },
    Change {
        name: "dropped",
        table: "create table {t} (id int primary key, n int)",
        statement: "drop table {t}",
        load: "select 1",
        back: None,
    },
];

/// Where neither side has committed, one of those that replay gets past and one that it does not will do.
const TAKEN_BACK: &[&str] = &["added", "rekeyed"];

/// Where a call is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// the statement is done on both sides, neither has committed
    Statement,
    /// the target has committed, the source is about to
    Commit,
    /// both have committed; what became of the table is being noted
    Note,
}

/// On the source, where every statement that changes tables passes, and every transaction that has done so as it commits.
const SOURCE_GATE: &str = "create schema gate; create table gate.passage (n int); grant usage on schema gate to public; grant insert on gate.passage to public; \
    create function gate.hold() returns void language plpgsql as $$ begin \
        while not pg_catalog.pg_try_advisory_lock_shared(79) loop perform pg_catalog.pg_sleep(0.01); end loop; \
        perform pg_catalog.pg_advisory_unlock_shared(79); \
    end $$; \
    create function gate.commit() returns trigger language plpgsql as $$ begin perform gate.hold(); return null; end $$; \
    create constraint trigger hold after insert on gate.passage deferrable initially deferred \
        for each row execute function gate.commit(); \
    create function gate.enter() returns event_trigger language plpgsql as $$ begin \
        if pg_catalog.current_setting('application_name') like 'pg_decamp % ddl' then insert into gate.passage values (1); end if; \
    end $$; \
    create function gate.statement() returns event_trigger language plpgsql as $$ begin \
        if pg_catalog.current_setting('application_name') like 'pg_decamp % ddl' then perform gate.hold(); end if; \
    end $$";
/// On the target, where the call notes what it has done.
const TARGET_GATE: &str = "create schema gate; \
    create function gate.hold() returns trigger language plpgsql as $$ begin \
        if new.message like '%by repl_ddl%' then \
            while not pg_catalog.pg_try_advisory_lock_shared(79) loop perform pg_catalog.pg_sleep(0.01); end loop; \
            perform pg_catalog.pg_advisory_unlock_shared(79); \
        end if; \
        return new; \
    end $$";
const LOCK: &str = "select pg_advisory_lock(79)";

/// Until it is opened, a call gets no further than this.
struct Gate<'a> {
    pair: &'a Pair,
    lock: Option<Client>,
}

impl<'a> Gate<'a> {
    fn at(pair: &'a Pair, moment: Moment) -> Self {
        let on_source = |function: &str| {
            pair.source.sql(
                DATABASE,
                &format!(
                    "create event trigger hold on ddl_command_end when tag in ('ALTER TABLE', 'CREATE INDEX') \
                     execute procedure gate.{function}(); \
                     create event trigger hold_drop on sql_drop when tag in ('DROP TABLE') execute procedure gate.{function}()"
                ),
            );
            pair.source.connect(DATABASE)
        };
        let mut lock = match moment {
            Moment::Statement => on_source("statement"),
            Moment::Commit => on_source("enter"),
            Moment::Note => {
                pair.sql(
                    "create trigger hold before insert on decamp.event for each row execute function gate.hold()",
                );
                pair.target.connect(TARGET_DATABASE)
            }
        };
        lock.batch_execute(LOCK).expect("nobody else has this lock");
        Self {
            pair,
            lock: Some(lock),
        }
    }

    /// Waits until the call has come there.
    fn wait(&self, moment: Moment) {
        let (server, database, who) = match moment {
            Moment::Note => (
                &self.pair.target,
                TARGET_DATABASE,
                "query like 'SELECT repl_ddl%'",
            ),
            _ => (
                &*self.pair.source,
                DATABASE,
                "application_name like 'pg_decamp % ddl'",
            ),
        };
        let held = format!(
            "select count(*) > 0 from pg_stat_activity where {who} and wait_event = 'PgSleep'"
        );
        server.poll_until(database, &held, SOON);
    }

    fn open(mut self) {
        self.lock.take();
        // what is held there has nobody any more who could end it, and goes its way
        self.pair
            .source
            .poll_until(DATABASE, "select count(*) = 0 from pg_stat_activity where application_name like 'pg_decamp % ddl'", SOON);
        self.pair.source.sql(
            DATABASE,
            "drop event trigger if exists hold; drop event trigger if exists hold_drop",
        );
        self.pair.sql("drop trigger if exists hold on decamp.event");
    }
}

/// A call in another session; its error, if the server could still tell one.
fn call(pair: &Pair, statement: &str) -> (i32, thread::JoinHandle<Result<(), Option<DbError>>>) {
    let mut client = pair.target.connect(TARGET_DATABASE);
    let pid = client
        .query_one("select pg_backend_pid()", &[])
        .expect("a pid")
        .get(0);
    let sql = format!("SELECT repl_ddl('heroku', $sql${statement}$sql$)");
    let thread = thread::spawn(move || match client.simple_query(&sql) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.as_db_error().cloned()),
    });
    (pid, thread)
}

/// What a table looks like, if it is there.
fn looks(table: &str) -> String {
    format!(
        "select concat_ws('; ', \
             (select string_agg(concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull), ', ' order by a.attname) \
              from pg_attribute a where a.attrelid = to_regclass('{table}') and a.attnum > 0 and not a.attisdropped), \
             (select string_agg(pg_get_indexdef(i.indexrelid), ', ' order by i.indexrelid::regclass::text) \
              from pg_index i where i.indrelid = to_regclass('{table}')))"
    )
}

fn agree(pair: &Pair, table: &str) -> bool {
    let sql = looks(table);
    pair.query(&sql) == pair.source.query_one_text(DATABASE, &sql)
}

/// Does what is told until nothing is stopped, the sides agree, and nothing is left to be replayed.
fn obey(pair: &Pair, change: &Change, table: &str, since: &str) {
    let end = Instant::now() + 4 * SOON;
    let mut typed: Vec<String> = Vec::new();
    loop {
        assert!(Instant::now() < end, "{table}: {typed:#?}\n{}", pair.tell());
        let stopped = "SELECT hint FROM repl_tables WHERE state = 'errored' ORDER BY 1 LIMIT 1";
        let hint = pair.target.rows(TARGET_DATABASE, stopped).pop();
        if let Some(hint) = hint.and_then(|mut row| row.pop()) {
            if !typed.contains(&hint) {
                follow(pair, &hint);
                typed.push(hint);
            }
        } else if pair
            .target
            .try_rows(
                TARGET_DATABASE,
                "SELECT repl_wait('heroku', 'caught_up', '5 seconds')",
            )
            .is_ok()
        {
            if agree(pair, table) {
                return;
            }
            // it stopped nothing, so it must have been told, with what to type
            let told = format!(
                "SELECT substring(detail from 'SELECT statement FROM decamp.ddl WHERE id = [0-9]+') FROM repl_events \
                 WHERE at > '{since}' AND severity = 'warning' AND message LIKE '%not on the source%'"
            );
            let lookup = pair.target.rows(TARGET_DATABASE, &told).pop();
            if let Some(lookup) = lookup.and_then(|mut row| row.pop()) {
                let statement = pair.query(&lookup);
                assert_eq!(statement, named(change.statement, table));
                match change.back {
                    None => pair.source.app(&statement),
                    Some(back) => {
                        pair.sql(&named(back, table));
                        pair.query(&format!("SELECT repl_ddl('heroku', $sql${statement}$sql$)"));
                    }
                }
                typed.push(statement);
            }
        }
        wait::pause(std::time::Duration::from_millis(200));
    }
}

/// Types what a hint tells to type, where it says.
fn follow(pair: &Pair, hint: &str) {
    let between = |opening: &str| {
        let (_, rest) = hint.split_once(opening)?;
        let (sql, _) = rest.split_once(" Then SELECT repl_resume('heroku')")?;
        Some(sql.to_owned())
    };
    if let Some(sql) = between("On the target: ") {
        pair.sql(&sql);
    } else if let Some(sql) = between("On the source: ") {
        pair.source.app(&sql);
    } else if let Some((_, sql)) = hint.split_once("up to date: ") {
        pair.query(sql);
    } else if let Some((sql, _)) = hint.split_once("; takes it out") {
        pair.query(sql);
    } else {
        panic!("nothing to type in: {hint}");
    }
}

fn named(sql: &str, table: &str) -> String {
    sql.replace("{t}", table)
}

/// No accident: the deltas of a key go with it, just when replay wants to look for some. Now and then replay has seen before that
/// the table is another on the target, and waits for the call to end.
#[test]
fn ddl_takes_deltas_away_from_under_replay() {
    let pair = Pair::start();
    pair.source.app(
        "create table item (id int primary key, n int not null default 0); insert into item select generate_series(1, 300)",
    );
    pair.stream("exclude => '{gate.*}'");
    pair.source.sql(DATABASE, SOURCE_GATE);
    pair.sql(TARGET_GATE);
    let waiting = "select count(*) > 0 from pg_stat_activity \
                   where application_name like 'pg_decamp % apply' and wait_event_type = 'Lock'";
    let mut keys = ["n, id", "id"].into_iter().cycle().take(20);
    let mut taken_away = 0;
    while taken_away < 2 {
        let key = keys
            .next()
            .expect("one of many calls is just when replay looks");
        let gate = Gate::at(&pair, Moment::Commit);
        let (_, calling) = call(
            &pair,
            &format!("alter table item drop constraint item_pkey, add primary key ({key})"),
        );
        gate.wait(Moment::Commit);
        wait::until_true(SOON, "replay waits", || {
            let looking = pair.source.query_one_text(DATABASE, waiting) == "t";
            taken_away += i32::from(looking);
            looking || pair.query(waiting) == "t"
        });
        gate.open();
        let ended = calling.join().expect("the call has ended");
        assert!(ended.is_ok(), "{ended:?}");
        pair.source.app("update item set n = n + 1 where id < 100");
        pair.wait_for("streaming", SOON);
        pair.wait_for("caught_up", SOON);
        let errors = "SELECT count(*) FROM repl_events WHERE severity = 'error'";
        assert_eq!(pair.query(errors), "0", "{}", pair.tell());
    }
    let except = ["gate.passage"];
    assert_same_except(
        &pair.source,
        DATABASE,
        &pair.target,
        TARGET_DATABASE,
        &except,
    );
    pair.stop_migration();
}

const MOMENTS: &[Moment] = &[Moment::Statement, Moment::Commit, Moment::Note];

/// One kind of accident at each moment of each change.
fn accidents(moments: &[Moment], accident: fn(&Pair, i32)) {
    let pair = Pair::builder().preload().start();
    let mut load = pair.source.pgbench();
    let mut rounds = Vec::new();
    for &moment in moments {
        for change in CHANGES {
            if moment == Moment::Statement && !TAKEN_BACK.contains(&change.name) {
                continue;
            }
            let table = format!("{}_{}", change.name, format!("{moment:?}").to_lowercase());
            pair.source.app(&named(change.table, &table));
            pair.source.app(&format!(
                "insert into {table} (id, n) select i, 0 from generate_series(1, 301) as i"
            ));
            load = load.script(&format!(
                "\\set id random(1, 300)\n{};\n",
                named(change.load, &table)
            ));
            rounds.push((moment, change, table));
        }
    }
    pair.stream("exclude => '{gate.*}'");
    pair.source.sql(DATABASE, SOURCE_GATE);
    pair.sql(TARGET_GATE);
    let load = load.rate(150).through_restarts().start();
    for (moment, change, table) in &rounds {
        let since = pair.query("SELECT clock_timestamp()");
        let gate = Gate::at(&pair, *moment);
        let (pid, calling) = call(&pair, &named(change.statement, table));
        gate.wait(*moment);
        accident(&pair, pid);
        gate.open();
        let ended = calling.join().expect("the call has ended");
        if let Err(Some(error)) = ended {
            // the server's own: cancelled, terminated, crashed
            if !error.message().starts_with("canceling statement")
                && !error.code().code().starts_with("57P")
            {
                assert_helpful(&error);
            }
        }
        obey(&pair, change, table, &since);
        if *moment == Moment::Statement {
            let told = format!(
                "SELECT count(*) FROM repl_events WHERE at > '{since}' AND severity <> 'info' AND subject LIKE '%{table}'"
            );
            assert_eq!(
                pair.query(&told),
                "0",
                "nothing has changed: {}",
                pair.tell()
            );
        }
    }
    load.stop(&pair.source);
    pair.wait_for("streaming", SOON);
    pair.wait_for("caught_up", SOON);
    assert_same_except(
        &pair.source,
        DATABASE,
        &pair.target,
        TARGET_DATABASE,
        &["gate.passage"],
    );
    for (_, _, table) in &rounds {
        assert!(agree(&pair, table), "{table}: {}", pair.tell());
    }
    pair.stop_migration();
}

#[test]
fn ddl_when_the_caller_is_terminated() {
    accidents(MOMENTS, |pair, pid| {
        pair.sql(&format!("SELECT pg_terminate_backend({pid})"));
    });
}

#[test]
fn ddl_when_the_call_is_cancelled() {
    accidents(&[Moment::Commit], |pair, pid| {
        pair.sql(&format!("SELECT pg_cancel_backend({pid})"));
    });
}

#[test]
fn ddl_when_the_target_dies() {
    accidents(MOMENTS, |pair, _| pair.target.restart(Mode::Immediate));
}

const END_ON_SOURCE: &str = "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'pg_decamp % ddl'";

#[test]
fn ddl_when_its_session_on_the_source_ends() {
    accidents(&[Moment::Statement, Moment::Commit], |pair, _| {
        pair.source.sql(DATABASE, END_ON_SOURCE);
    });
}

#[test]
fn ddl_when_the_source_dies() {
    accidents(&[Moment::Statement, Moment::Commit], |pair, _| {
        pair.source.restart(Mode::Immediate);
    });
}

/// Nobody is left who could tell.
#[test]
fn ddl_when_caller_and_session_end() {
    accidents(&[Moment::Statement, Moment::Commit], |pair, pid| {
        pair.sql(&format!("SELECT pg_terminate_backend({pid})"));
        pair.source.sql(DATABASE, END_ON_SOURCE);
    });
}
