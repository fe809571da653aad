//! The harness itself: what it shows can be believed, and what it cannot have it says.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use decamp_tests::compare::{assert_same, assert_sequences_not_behind, differences};
use decamp_tests::installation::run;
use decamp_tests::proxy::Proxy;
use decamp_tests::source::DATABASE;
use decamp_tests::{Mode, Pair, Server, Source, have_source, have_target, wait};

const ROWS: u32 = 120;
const SOON: Duration = Duration::from_secs(20);

/// The zoo, loaded twice, is the same twice, until one row is changed.
fn zoo_on(major: u32) {
    if !have_source(major) {
        return;
    }
    let source = Source::start_version(major);
    source.create_database("twin");
    decamp_tests::zoo::load(&source, "app", DATABASE, ROWS, true);
    // extensions are per database
    decamp_tests::zoo::load(&source, "app", "twin", ROWS, true);
    assert_same(&source, DATABASE, &source, "twin");
    assert_sequences_not_behind(&source, DATABASE, &source, "twin");

    let churn = source.churn(u64::from(major), 3);
    wait::pause(Duration::from_secs(2));
    let tally = churn.stop();
    assert!(
        tally.refused < tally.committed,
        "most of what an application does succeeds: {tally:?}"
    );
    let changed = differences(&source, DATABASE, &source, "twin");
    assert!(
        changed.len() > 20,
        "the churn writes all over the zoo, not only {changed:?}"
    );
}

#[test]
fn zoo_on_10() {
    zoo_on(10);
}

#[test]
fn zoo_on_12() {
    zoo_on(12);
}

#[test]
fn zoo_on_14() {
    zoo_on(14);
}

#[test]
fn zoo_on_15() {
    zoo_on(15);
}

#[test]
fn zoo_on_18() {
    zoo_on(18);
}

#[test]
fn compare_sees_one_byte() {
    let server = Server::start_plain();
    let schema = "create table a (id int primary key, t text, n numeric, f float8); create sequence s; \
        insert into a select i, 'text', 1.0, 0 from generate_series(1, 1000) as i";
    server.sql("postgres", "create database one");
    server.sql("postgres", "create database two");
    server.sql("one", schema);
    server.sql("two", schema);
    assert_same(&server, "one", &server, "two");
    for change in [
        "t = 'texT'",
        "t = 'text '",
        "t = null",
        "n = 1.00",
        "f = '-0'",
        "id = 0",
    ] {
        server.sql(
            "two",
            &format!("begin; update a set {change} where id = 500; commit"),
        );
        let found = differences(&server, "one", &server, "two");
        assert_eq!(found.len(), 1, "{change}");
        assert_eq!(
            (found[0].only_source.len(), found[0].only_target.len()),
            (1, 1),
            "{change}"
        );
        server.sql(
            "two",
            "delete from a where id in (0, 500); insert into a values (500, 'text', 1.0, 0)",
        );
        assert_same(&server, "one", &server, "two");
    }
    server.sql("two", "create table b (id int primary key)");
    assert_eq!(
        differences(&server, "one", &server, "two")[0].table,
        "public.b"
    );

    assert_sequences_not_behind(&server, "one", &server, "two");
    server.sql("one", "select nextval('s')");
    let noticed =
        std::panic::catch_unwind(|| assert_sequences_not_behind(&server, "one", &server, "two"));
    assert!(
        noticed.is_err(),
        "a sequence that was called is ahead of one that was not"
    );
}

#[test]
fn source_is_as_heroku_gives_it() {
    let source = Source::start();
    let psql = |uri: &str, sql: &str| {
        let mut command =
            decamp_tests::installation::as_postgres("/usr/lib/postgresql/15/bin/psql".as_ref());
        command.args(["-XAt", "-c", sql, uri]);
        command
    };
    let uri = source.uri();
    let output = run(&mut psql(
        &uri,
        "select ssl from pg_stat_ssl where pid = pg_backend_pid()",
    ));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "t");
    let attributes = "select rolsuper or rolreplication or rolcreaterole from pg_roles where rolname = current_user";
    assert_eq!(
        String::from_utf8_lossy(&run(&mut psql(&uri, attributes)).stdout).trim(),
        "f"
    );

    let plain = uri.replace("sslmode=require", "sslmode=disable");
    assert!(
        !psql(&plain, "select 1")
            .output()
            .expect("psql is there")
            .status
            .success(),
        "no login without TLS"
    );
    let wrong = uri.replace("100", "101");
    assert!(
        !psql(&wrong, "select 1")
            .output()
            .expect("psql is there")
            .status
            .success(),
        "no login with another password"
    );
}

/// The servers that the extension is built for start, and their pg_dump can log in to a source.
fn target_dumps_a_source(major: u32) {
    if !have_target(major) {
        return;
    }
    let pair = Pair::builder()
        .target_version(major)
        .without_extension()
        .proxy()
        .start();
    assert!(
        pair.query("show server_version")
            .starts_with(&major.to_string())
    );
    pair.load_zoo(10);
    let dump = run(pair
        .target
        .installation()
        .command("pg_dump")
        .args(["--schema-only", &pair.source_uri()]));
    assert!(String::from_utf8_lossy(&dump.stdout).contains("CREATE TABLE public.users"));
    assert!(pair.proxy().accepted() > 0);
}

#[test]
fn target_15_dumps_a_source() {
    target_dumps_a_source(15);
}

#[test]
fn target_16_dumps_a_source() {
    target_dumps_a_source(16);
}

#[test]
fn target_18_dumps_a_source() {
    target_dumps_a_source(18);
}

#[test]
fn server_comes_back_after_a_crash() {
    let server = Server::start_plain();
    server.sql("postgres", "create table t (id int primary key)");
    server.restart(Mode::Immediate);
    server.poll_until("postgres", "select count(*) = 0 from t", SOON);
    assert!(server.log_contains("database system was not properly shut down"));
    assert_eq!(
        server.fails("postgres", "select 1/0").code().code(),
        "22012"
    );
    let port = server.port();
    assert!(server.stop(Mode::Fast) < SOON);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn pgbench_writes_through_tls() {
    let source = Source::start();
    let load = source.pgbench().init(1).rate(200).start();
    source.poll_until(DATABASE, "select count(*) > 50 from pgbench_history", SOON);
    load.stop(&source);
    let count = || source.query_one_text(DATABASE, "select count(*) from pgbench_history");
    let before = count();
    source.pgbench().clients(1).script("select 1;").run_for(1);
    assert_eq!(count(), before, "nobody writes after stop");
}

#[test]
fn pgbench_goes_on_after_a_restart() {
    let source = Source::start();
    let load = source
        .pgbench()
        .init(1)
        .through_restarts()
        .rate(200)
        .start();
    source.poll_until(DATABASE, "select count(*) > 20 from pgbench_history", SOON);
    source.restart(Mode::Immediate);
    source.app("truncate pgbench_history");
    source.poll_until(DATABASE, "select count(*) > 20 from pgbench_history", SOON);
    load.stop(&source);
}

/// A server that sends back what it gets.
fn echo() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("some port is free");
    let port = listener
        .local_addr()
        .expect("a bound socket has an address")
        .port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let (mut reader, mut writer) = (&stream, &stream);
                std::io::copy(&mut reader, &mut writer)
            });
        }
    });
    port
}

fn connected(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", proxy.port())).expect("the proxy listens");
    stream
        .set_read_timeout(Some(Duration::from_millis(300)))
        .expect("a timeout can be set");
    stream
}

fn echoes(mut stream: &TcpStream) -> bool {
    let mut answer = [0; 1];
    stream.write_all(b"x").is_ok() && matches!(stream.read(&mut answer), Ok(1))
}

#[test]
fn proxy_forwards_and_delays() {
    let proxy = Proxy::to(echo());
    let stream = connected(&proxy);
    assert!(echoes(&stream));
    proxy.delay(Duration::from_millis(60));
    let begin = Instant::now();
    assert!(echoes(&stream));
    assert!(
        begin.elapsed() >= Duration::from_millis(120),
        "both directions are delayed"
    );
    assert_eq!(proxy.accepted(), 1);
}

#[test]
fn proxy_delays_without_slowing_down() {
    const SIZE: usize = 32 * 1024 * 1024;
    let proxy = Proxy::to(echo());
    proxy.delay(Duration::from_millis(20));
    let stream = connected(&proxy);
    let sent: Vec<u8> = (0..SIZE).map(|i| (i / 64 % 251) as u8).collect();
    let mut received = vec![0; SIZE];
    let begin = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| (&stream).write_all(&sent).expect("the proxy takes it"));
        (&stream)
            .read_exact(&mut received)
            .expect("the echo is not late");
    });
    let time = begin.elapsed();
    assert!(received == sent, "every byte arrives, in its order");
    // block by block this would be 10 seconds
    assert!(time < Duration::from_secs(4), "{time:?}");
}

#[test]
fn proxy_cuts_and_mends() {
    let proxy = Proxy::to(echo());
    let stream = connected(&proxy);
    assert!(echoes(&stream));
    proxy.cut();
    assert!(!echoes(&stream));
    assert!(
        TcpStream::connect(("127.0.0.1", proxy.port())).is_err(),
        "a cut proxy refuses connections"
    );
    proxy.cut();
    proxy.mend();
    assert!(echoes(&connected(&proxy)));
    proxy.hang_up();
    assert!(echoes(&connected(&proxy)));
    proxy.cut();
}

#[test]
fn proxy_stalls_and_mends() {
    let proxy = Proxy::to(echo());
    let stream = connected(&proxy);
    assert!(echoes(&stream));
    proxy.stall();
    assert!(!echoes(&stream), "nothing comes through");
    let fresh = connected(&proxy);
    assert!(
        !echoes(&fresh),
        "a new connection is accepted, but nothing comes through"
    );
    proxy.mend();
    let mut answer = [0; 1];
    assert!(
        matches!((&stream).read(&mut answer), Ok(1)),
        "what was held back arrives"
    );
    assert!(echoes(&fresh));
    proxy.stall();
    proxy.cut();
    assert!(!echoes(&stream), "a stalled connection can be cut");
}
