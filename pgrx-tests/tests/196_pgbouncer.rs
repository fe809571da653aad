//! PgBouncer in front: `examples/pgbouncer/switchover.sh` goes over, or comes back, and no client sees an error.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;

use decamp_tests::bouncer::Bouncer;
use decamp_tests::load::Running;
use decamp_tests::observe::SOON;
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::source::DATABASE;
use decamp_tests::step::Gate;
use decamp_tests::{Mode, Pair, compare, installation, wait};

const CLIENTS: usize = 8;
/// Each client counts by itself, so that a commit that is lost leaves a gap. A row tells which server it was written on.
const LEDGER: &str = "create table ledger (client int, n int, server int default current_setting('port')::int, \
     primary key (client, n))";
const SCRIPT: &str = "\\set n :n + 1\n\
     \\set aid random(1, 100000)\n\
     begin;\n\
     update pgbench_accounts set abalance = abalance + 1 where aid = :aid;\n\
     insert into ledger (client, n) values (:client_id, :n);\n\
     end;\n";
/// What the migration does not move: the role and its rights.
const ROLE: &str = "create role app login; grant all on all tables in schema public to app; \
     alter default privileges in schema public grant all on tables to app";

struct Clients {
    running: Running,
    log: PathBuf,
}

fn start(bouncer: &Bouncer, pair: &Pair) -> Clients {
    let log = pair.source.directory().join("transactions");
    let running = pair
        .source
        .pgbench()
        .through_bouncer(bouncer.port())
        .script(SCRIPT)
        .variable("n=0")
        .clients(CLIENTS)
        .rate(200)
        .log(&log)
        .start();
    Clients { running, log }
}

/// Microseconds that each transaction took, of each client; the files of pgbench begin with this path.
fn transactions(log: &Path) -> Vec<(usize, u64)> {
    let name = log
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    let directory = fs::read_dir(log.parent().expect("a directory")).expect("it can be read");
    let mut found = Vec::new();
    for file in directory.flatten() {
        if file.file_name().to_string_lossy().starts_with(&name) {
            let text = fs::read_to_string(file.path()).expect("a log can be read");
            // the last line may not be whole
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            for line in whole.lines() {
                let words: Vec<&str> = line.split(' ').collect();
                let took = words[2].parse().expect("no transaction has failed");
                found.push((words[0].parse().expect("a client"), took));
            }
        }
    }
    found
}

fn run(bouncer: &Bouncer, variables: &[(&str, &str)]) -> Output {
    let mut script = bouncer.script();
    let output = script.envs(variables.iter().copied()).output();
    output.expect("the script can be run")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn written(pair: &Pair, on_target: bool) -> u64 {
    let sql = format!(
        "select count(*) from ledger where server = {}",
        if on_target {
            pair.target.port()
        } else {
            pair.source.port()
        }
    );
    let text = if on_target {
        pair.query(&sql)
    } else {
        pair.source.query_one_text(DATABASE, &sql)
    };
    text.parse().expect("a count")
}

fn wait_until_they_write(pair: &Pair, on_target: bool) {
    let before = written(pair, on_target);
    wait::until_true(SOON, "the clients write", || {
        written(pair, on_target) > before + 200
    });
}

/// Ends the clients: none has seen an error, and each one's rows are complete on the server they are all on.
fn end(clients: Clients, pair: &Pair, on_target: bool) {
    clients.running.stop_clients();
    let idle =
        "SELECT bool_and(state = 'idle') FROM pg_stat_activity WHERE application_name = 'pgbench'";
    pair.source
        .poll_until(DATABASE, &format!("SELECT coalesce(({idle}), true)"), SOON);
    let took = transactions(&clients.log);
    let longest = took.iter().map(|(_, micros)| *micros).max().expect("some");
    println!(
        "{} transactions, none failed; the longest stall: {:.3} s",
        took.len(),
        longest as f64 / 1e6
    );
    let sql = "select client, count(*), max(n) from ledger group by client order by client";
    let rows = if on_target {
        pair.target.rows(TARGET_DATABASE, sql)
    } else {
        pair.source.rows(DATABASE, sql)
    };
    assert_eq!(rows.len(), CLIENTS);
    for row in rows {
        assert_eq!(row[1], row[2], "client {} has a gap", row[0]);
        let told = took.iter().filter(|(c, _)| c.to_string() == row[0]).count();
        assert!(
            row[1].parse::<usize>().expect("a count") >= told,
            "client {} was told of {told} commits: {row:?}",
            row[0]
        );
    }
}

fn pair() -> Pair {
    let pair = Pair::start();
    pair.sql(ROLE);
    let _ = pair.source.pgbench().init(1);
    pair.source.app(LEDGER);
    pair.stream("");
    pair
}

#[test]
fn pgbouncer_switchover_without_an_error() {
    let pair = pair();
    let bouncer = Bouncer::start(&pair);
    let clients = start(&bouncer, &pair);
    wait_until_they_write(&pair, false);

    let output = run(&bouncer, &[]);
    println!("{}", said(&output));
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(bouncer.leads_to(), bouncer.new_server());
    assert_eq!(pair.status("state"), "finished");
    wait_until_they_write(&pair, true);
    end(clients, &pair, true);

    // what was written to either is on both
    pair.query("SELECT repl_wait('heroku_reverse', 'caught_up', timeout => '60 seconds')");
    let ledger = "select server, client, n from ledger order by server, client, n";
    let there = pair.source.rows(DATABASE, ledger);
    assert_eq!(there, pair.target.rows(TARGET_DATABASE, ledger));
    for server in [pair.source.port(), pair.target.port()] {
        assert!(there.iter().any(|row| row[0] == server.to_string()));
    }
    let balance = "select sum(abalance) - (select count(*) from ledger) from pgbench_accounts";
    assert_eq!(pair.query(balance), "0");

    // again: it is told to have happened, and leads to the same place
    let output = run(&bouncer, &[]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("done before"), "{}", said(&output));
    pair.stop_migration();
}

/// Whatever is in the way, before the pause, while pausing or behind the fence: the clients go on where they were.
#[test]
fn pgbouncer_switchover_that_fails() {
    let pair = pair();
    let bouncer = Bouncer::start(&pair);
    let before = bouncer.ini();
    let clients = start(&bouncer, &pair);
    wait_until_they_write(&pair, false);
    let fails = |variables: &[(&str, &str)], parts: &[&str]| {
        let output = run(&bouncer, variables);
        let said = said(&output);
        println!("{said}");
        assert!(!output.status.success(), "{said}");
        for part in parts.iter().chain(&["Nothing has changed"]) {
            assert!(said.contains(part), "{part:?} is not in: {said}");
        }
        assert_eq!(bouncer.ini(), before);
        assert_eq!(pair.status("state"), "streaming");
        assert_eq!(pair.status("fenced"), "f");
        wait_until_they_write(&pair, false);
    };

    fails(&[("NEW", "host=127.0.0.1 port=1")], &["cannot log in"]);
    fails(&[("MAX_STALL", "1000")], &["query_wait_timeout"]);

    // a row too many: the rehearsal tells
    pair.sql("insert into ledger values (-1, 1, 0)");
    fails(&[], &["public.ledger"]);
    pair.sql("delete from ledger where client = -1");

    // a client that does not end its transaction
    let mut slow = bouncer.connect();
    slow.batch_execute("begin; select 1").expect("it begins");
    fails(
        &[("PAUSE_TIMEOUT", "2")],
        &["did not end within 2 s", "to the old server"],
    );
    slow.batch_execute("commit").expect("nobody has ended it");

    // somebody who does not come by PgBouncer, just before the fence
    let gate = Gate::before(&pair, "fence");
    thread::scope(|scope| {
        let failing = scope.spawn(|| {
            fails(
                &[("MAX_STALL", "10")],
                &["takes writes again", "to the old server"],
            )
        });
        gate.wait(&pair);
        let mut writer = pair.source.connect_as_app();
        writer
            .batch_execute("begin; update pgbench_accounts set filler = 'x' where aid = 1")
            .expect("a transaction is opened");
        drop(gate);
        failing.join().expect("it fails as it should");
        writer.batch_execute("commit").expect("nobody has ended it");
    });

    // a signal
    let gate = Gate::before(&pair, "drain");
    let script = bouncer
        .script()
        // longer than anything here waits
        .env("MAX_STALL", "90")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    gate.wait(&pair);
    installation::run(Command::new("kill").args(["-TERM", &script.id().to_string()]));
    let cancelled = "SELECT count(*) = 0 FROM pg_stat_activity WHERE state = 'active' \
                     AND query LIKE '%repl\\_switchover(%' AND pid <> pg_backend_pid()";
    pair.poll(cancelled);
    drop(gate);
    let output = script.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(
        said(&output).contains("Nothing has changed"),
        "{}",
        said(&output)
    );
    assert_eq!(pair.status("state"), "streaming");
    assert_eq!(bouncer.ini(), before);
    wait_until_they_write(&pair, false);

    end(clients, &pair, false);
    pair.wait_for("caught_up", SOON);
    compare::assert_same(&pair.source, DATABASE, &pair.target, TARGET_DATABASE);
    let output = run(&bouncer, &[]);
    assert!(output.status.success(), "{}", said(&output));
    pair.stop_migration();
}

/// Nobody can say whether it had switched over: then the old server is the place that is safe, and the next run knows.
#[test]
fn pgbouncer_switchover_when_the_target_dies() {
    let pair = pair();
    let bouncer = Bouncer::start(&pair);
    let before = bouncer.ini();
    let gate = Gate::before(&pair, "drain");
    let script = bouncer
        .script()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    gate.wait(&pair);
    pair.target.stop(Mode::Immediate);
    let output = script.wait_with_output().expect("it ends");
    let told = said(&output);
    assert!(!output.status.success(), "{told}");
    assert!(told.contains("target does not answer"), "{told}");
    assert!(!told.contains("Nothing has changed"), "{told}");
    assert_eq!(bouncer.ini(), before);
    let write = "insert into ledger (client, n) values (1, 1)";
    let error = bouncer.connect().batch_execute(write);
    let code = error.expect_err("it is fenced").code().cloned();
    assert_eq!(code.map(|c| c.code().to_owned()).as_deref(), Some("25006"));

    drop(gate);
    pair.target.start();
    pair.query("SELECT repl_resume('heroku')");
    pair.poll_status("not fenced");
    bouncer
        .connect()
        .batch_execute(write)
        .expect("the source takes writes again");
    let output = run(&bouncer, &[]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(bouncer.leads_to(), bouncer.new_server());
    assert_eq!(pair.query("select count(*) from ledger"), "1");
    pair.stop_migration();
}
