//! `docs/runbook.md`, every command of it, typed into psql in its order; each failure it speaks of is brought about first.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use decamp_tests::fence::assert_fenced;
use decamp_tests::installation::clean_environment;
use decamp_tests::migration::NAME;
use decamp_tests::observe::{SOON, assert_says};
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::source::{DATABASE, PASSWORD, ROLE};
use decamp_tests::step::Gate;
use decamp_tests::{Mode, Pair, compare, wait};

const SOURCE: &str = "postgres://app:secret@old-host/app?sslmode=require";
const TABLES: &str = "create table customers (id int primary key, name text); \
     insert into customers select i, 'c' || i from generate_series(1, 1000) as i; \
     create table orders (id serial primary key, customer int references customers, note text); \
     insert into orders (customer, note) select i, 'n' from generate_series(1, 1000) as i";

/// What is typed at once, and under which `<!-- test: ... -->` it stands.
struct Block {
    part: String,
    language: String,
    text: String,
}

fn blocks() -> Vec<Block> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/runbook.md");
    let text = fs::read_to_string(path).expect("the runbook is there");
    let mut part = None;
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("### ") && part.as_deref() != Some("main") {
            part = None;
        }
        if let Some(rest) = line.strip_prefix("<!-- test: ") {
            part = Some(rest.trim_end_matches(" -->").to_owned());
        }
        if let Some(language) = line.strip_prefix("```") {
            let text: Vec<&str> = lines
                .by_ref()
                .take_while(|l| !l.starts_with("```"))
                .collect();
            let part = part.clone();
            blocks.push(Block {
                part: part.unwrap_or_else(|| panic!("no test is named for {text:?}")),
                language: language.to_owned(),
                text: text.join("\n"),
            });
        }
    }
    blocks
}

/// The blocks of one part, still to be typed.
struct Part<'a> {
    pair: &'a Pair,
    name: &'a str,
    blocks: std::vec::IntoIter<Block>,
    /// What its numbers stand for.
    pid: String,
}

impl<'a> Part<'a> {
    fn of(pair: &'a Pair, name: &'a str) -> Self {
        let of_it: Vec<Block> = blocks().into_iter().filter(|b| b.part == name).collect();
        assert!(!of_it.is_empty(), "the runbook has a part {name:?}");
        Self {
            pair,
            name,
            blocks: of_it.into_iter(),
            pid: String::new(),
        }
    }

    /// Types the next block, and returns what came of it.
    fn next(&mut self) -> String {
        let block = self.blocks.next().expect("there is one more block");
        let text = block
            .text
            .replace(SOURCE, &self.pair.source_uri())
            .replace("4711", &self.pid);
        match block.language.as_str() {
            "sql" => self.psql(&text),
            "sh" => self.shell(&text),
            other => panic!("a block in {other:?}: {text}"),
        }
    }

    /// Types what is left.
    fn rest(mut self) {
        while self.blocks.len() > 0 {
            self.next();
        }
    }

    fn psql(&self, text: &str) -> String {
        let conninfo = if self.name.ends_with("on the source") {
            let host = self.pair.source.directory().display();
            let port = self.pair.source.port();
            format!("host={host} port={port} user={ROLE} dbname={DATABASE}")
        } else {
            self.pair.target.socket_conninfo(TARGET_DATABASE)
        };
        let mut command = self.pair.target.installation().command("psql");
        command.args(["-X", "-v", "ON_ERROR_STOP=1", &conninfo]);
        typed(command, text)
    }

    fn shell(&self, text: &str) -> String {
        let mut command = Command::new("sh");
        clean_environment(&mut command);
        command
            .arg("-e")
            .current_dir(self.pair.target.directory())
            .env("PGHOST", self.pair.target.directory())
            .env("PGPORT", self.pair.target.port().to_string())
            .env("PGUSER", "postgres")
            .env("PGDATABASE", TARGET_DATABASE);
        typed(command, text)
    }
}

/// What a program says to this input.
fn typed(mut command: Command, text: &str) -> String {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it can be run");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    writeln!(stdin, "{text}").expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{said}");
    said
}

fn pair() -> Pair {
    let pair = Pair::start();
    pair.source.app(TABLES);
    pair
}

fn streaming() -> Pair {
    let pair = pair();
    pair.stream("");
    pair
}

/// Replay goes on.
fn assert_goes_on(pair: &Pair) {
    pair.source
        .app("update orders set note = 'later'; insert into customers values (-1, 'last')");
    pair.assert_migrated();
    pair.source.app("delete from customers where id = -1");
    pair.assert_migrated();
    assert_eq!(pair.status("state"), "streaming");
}

fn blocker(pair: &Pair) -> (postgres::Client, String) {
    let mut writer = pair.source.connect_as_app();
    writer
        .batch_execute("begin; update orders set note = 'open' where id = 1")
        .expect("a transaction is opened");
    let pid: i32 = writer
        .query_one("select pg_backend_pid()", &[])
        .expect("a pid")
        .get(0);
    (writer, pid.to_string())
}

#[test]
fn runbook_from_top_to_bottom() {
    let pair = pair();
    let mut part = Part::of(&pair, "main");
    part.next(); // check
    assert!(part.next().contains("started"));
    part.next(); // watch
    assert!(part.next().contains("streaming"));
    let verified = part.next();
    assert!(
        !verified.contains("public."),
        "both sides are equal: {verified}"
    );
    assert!(part.next().contains("nothing was fenced"));
    pair.source
        .app("insert into orders (customer) values (1); delete from orders where id = 5");
    assert!(part.next().contains("finished"));
    compare::assert_same(&pair.source, DATABASE, &pair.target, TARGET_DATABASE);
    assert!(part.next().contains("Finished: switched over"));
    part.next();
    let report = fs::read_to_string(pair.target.directory().join("report.html"));
    assert!(report.expect("a report").contains("</html>"));
    assert!(part.next().contains("takes writes again"));
    assert_eq!(part.blocks.len(), 0);
    pair.assert_source_clean();
}

#[test]
fn runbook_for_tables_that_stop() {
    let pair = streaming();
    let stop = || {
        pair.sql("alter table orders add constraint no_bad_values check (note <> 'bad') not valid");
        pair.source
            .app("update orders set note = 'bad' where id = 7");
        pair.poll_table("orders", "state = 'errored' and hint is not null");
    };
    stop();
    let mut part = Part::of(&pair, "errored");
    assert!(part.next().contains("no_bad_values"));
    part.rest();
    assert_goes_on(&pair);

    stop();
    let mut part = Part::of(&pair, "one row");
    part.next();
    pair.poll_table("orders", "state = 'ready' and skipped = 1");
    pair.sql("alter table orders drop constraint no_bad_values");
    part.rest();
    assert_goes_on(&pair);

    pair.source.app(
        "alter table orders disable trigger user; update orders set note = 'missed' where id = 8",
    );
    pair.poll_table(
        "orders",
        "state = 'errored' and error like '%changes were missed%'",
    );
    Part::of(&pair, "missed").rest();
    assert_goes_on(&pair);

    pair.sql("delete from orders where id = 9; update orders set note = 'x' where id = 10");
    let mut part = Part::of(&pair, "differ");
    let repaired = part.next();
    assert!(repaired.contains("public.orders"), "{repaired}");
    let rehearsed = part.next();
    assert!(
        rehearsed.contains("2 tables are equal, all rows"),
        "{rehearsed}"
    );
    assert_goes_on(&pair);

    stop();
    Part::of(&pair, "without it").rest();
    pair.poll_status("tables = 1 and error is null");
    pair.stop_migration();
}

#[test]
fn runbook_for_servers_in_trouble() {
    let pair = streaming();
    pair.sql(
        "create function no_room() returns trigger language plpgsql as $$ begin \
             raise exception using errcode = 'disk_full', message = 'could not extend file: No space left on device'; end $$; \
         create trigger no_room before update on orders for each row execute function no_room(); \
         alter table orders enable always trigger no_room",
    );
    pair.source.app("update orders set note = 'grown'");
    // what a trigger says may quote rows, so it is not repeated
    pair.poll_status("summary like 'Interrupted%'");
    pair.sql("drop function no_room() cascade");
    Part::of(&pair, "full").rest();
    assert_goes_on(&pair);

    pair.source
        .sql("postgres", &format!("alter role {ROLE} password 'another'"));
    let sessions = "SELECT count(pg_terminate_backend(pid)) >= 0 FROM pg_stat_activity WHERE application_name LIKE 'pg_decamp%'";
    pair.source.sql("postgres", sessions);
    pair.poll_status("state = 'errored' and summary like 'Stopped%'");
    pair.source.sql(
        "postgres",
        &format!("alter role {ROLE} password '{PASSWORD}'"),
    );
    Part::of(&pair, "password").rest();
    assert_goes_on(&pair);

    pair.target.restart(Mode::Fast);
    pair.poll_status("summary like 'No worker is running%'");
    Part::of(&pair, "restarted").rest();
    assert_goes_on(&pair);

    let mut part = Part::of(&pair, "rest");
    part.next();
    pair.poll_status("state = 'paused' and workers = 0");
    part.rest();
    assert_goes_on(&pair);

    Part::of(&pair, "give up").rest();
    pair.assert_source_clean();
}

#[test]
fn runbook_for_a_switchover_in_trouble() {
    let pair = streaming();

    let (writer, pid) = blocker(&pair);
    let mut part = Part::of(&pair, "blockers, on the source");
    part.pid = pid.clone();
    wait::until_true(SOON, "it is older than a second", || {
        let sql =
            format!("select now() - xact_start > '1 s' from pg_stat_activity where pid = {pid}");
        pair.source.query_one_text(DATABASE, &sql) == "t"
    });
    let listed = part.next();
    assert!(listed.contains(&format!(" {pid} ")), "{listed}");
    drop(writer);

    // killed in the middle, with its server: the fence is lowered only when somebody comes back
    let gate = Gate::before(&pair, "drain");
    let mut calling = pair.target.connect(TARGET_DATABASE);
    let call = std::thread::spawn(move || {
        calling
            .simple_query(&format!("SELECT * FROM repl_switchover('{NAME}')"))
            .is_err()
    });
    gate.wait(&pair);
    pair.target.restart(Mode::Immediate);
    drop(gate);
    assert!(call.join().expect("the call has ended"));
    let mut part = Part::of(&pair, "failed");
    let told = part.next();
    assert!(told.contains("FENCED"), "{told}");
    part.next();
    assert_goes_on(&pair);

    let (_writer, _) = blocker(&pair);
    Part::of(&pair, "blockers").rest();
    assert_eq!(pair.status("state"), "finished");
    pair.wait_until_way_back_streams();
    Part::of(&pair, "back").rest();
    pair.wait_for("streaming", SOON);
    assert_goes_on(&pair);
    pair.query(&format!("SELECT count(*) FROM repl_switchover('{NAME}')"));
    assert_eq!(pair.status("state"), "finished");
    Part::of(&pair, "give up the target").rest();
    assert_goes_on(&pair);
    pair.query(&format!("SELECT count(*) FROM repl_switchover('{NAME}')"));
    assert_eq!(pair.status("state"), "finished");
    pair.stop_migration();
}

#[test]
fn runbook_for_a_source_that_is_lost() {
    let pair = streaming();
    pair.source
        .app("insert into orders (id, customer) values (nextval('orders_id_seq') + 20, 1)");
    pair.wait_for("caught_up", SOON);
    pair.source.stop(Mode::Immediate);
    let mut part = Part::of(&pair, "lost");
    let told = part.next();
    assert!(told.contains("streaming"), "{told}");
    part.rest();
    assert_eq!(pair.query("SELECT count(*) FROM repl_status"), "0");
    assert_eq!(pair.query("SELECT count(*) FROM orders"), "1001");
    pair.sql("insert into orders (customer) select 1 from generate_series(1, 100)");
}

/// All that was written before the fence is on the target when nothing is left to drain, whether the switchover has come to its end
/// or not.
#[test]
fn runbook_for_a_source_that_is_lost_behind_the_fence() {
    for finished in [false, true] {
        let pair = streaming();
        pair.source
            .app("insert into orders (id, customer) values (nextval('orders_id_seq') + 20, 1)");
        let gate = (!finished).then(|| Gate::before(&pair, "sequences"));
        let mut calling = pair.target.connect(TARGET_DATABASE);
        let call = std::thread::spawn(move || {
            let sql =
                format!("SELECT * FROM repl_switchover('{NAME}', max_downtime => '1 minute')");
            calling.simple_query(&sql).map(drop)
        });
        let call = match gate {
            None => {
                call.join()
                    .expect("the call has ended")
                    .expect("it goes over");
                pair.source.stop(Mode::Immediate);
                None
            }
            Some(gate) => {
                gate.wait(&pair);
                pair.source.stop(Mode::Immediate);
                drop(gate);
                Some(call)
            }
        };
        if let Some(call) = call {
            let ended = call.join().expect("the call has ended");
            let error = ended.expect_err("there is no source");
            let error = error.as_db_error().expect("the server's word").clone();
            assert_says(
                &error,
                "08006",
                &["still refuses writes", "nothing is lost"],
            );
        }
        let mut part = Part::of(&pair, "lost");
        let told = part.next();
        if finished {
            assert!(told.contains("finished"), "{told}");
            pair.sql("insert into orders (customer) values (1)");
            Part::of(&pair, "lost, the way back").rest();
            pair.sql("delete from orders where id = (select max(id) from orders)");
        } else {
            assert!(
                told.contains("streaming") && told.contains("FENCED"),
                "{told}"
            );
        }
        part.rest();
        assert_eq!(pair.query("SELECT count(*) FROM repl_status"), "0");
        assert_eq!(pair.query("SELECT count(*) FROM orders"), "1001");
        pair.sql("insert into orders (customer) select 1 from generate_series(1, 100)");
    }
}

#[test]
fn runbook_for_a_target_that_is_lost() {
    let pair = streaming();
    pair.query(&format!("SELECT repl_fence('{NAME}')"));
    pair.target.stop(Mode::Immediate);
    let write = "insert into customers values (5000, 'x')";
    assert_fenced(&pair, &[write]);
    Part::of(&pair, "target lost, on the source").rest();
    pair.source.app(write);
    pair.assert_source_clean();
}

/// No part of the runbook is left untried.
#[test]
fn runbook_parts_are_known() {
    let mut parts: Vec<String> = blocks().into_iter().map(|block| block.part).collect();
    parts.dedup();
    let text = include_str!("197_runbook.rs");
    for part in parts {
        let tried = text.contains(&format!("Part::of(&pair, \"{part}\")"));
        assert!(tried, "nothing tries the part {part:?}");
    }
}
