//! To and fro at random, while an application writes wherever it is let, and workers, servers and the network die. No row that
//! was accepted is lost, none is there twice, and at no time do both sides take writes.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::source::{DATABASE, ROLE};
use decamp_tests::workers::Worker;
use decamp_tests::{Mode, Pair, compare, seed, wait};
use fastrand::Rng;
use postgres::Client;

const UNREST: Duration = Duration::from_secs(30);
const MINUTE: Duration = Duration::from_secs(60);
const WRITERS: i64 = 3;

/// What one writer has written.
#[derive(Default)]
struct Written {
    accepted: Vec<i64>,
    /// the connection went before it could tell
    unknown: Vec<i64>,
}

fn connect(pair: &Pair, side: usize) -> Option<Client> {
    match side {
        0 => pair.source.try_connect_as(ROLE, DATABASE).ok(),
        _ => pair.target.try_connect_as("postgres", TARGET_DATABASE).ok(),
    }
}

/// Goes to the other side when it is refused on one, as an application with two addresses.
fn write(pair: &Pair, writer: i64, stop: &AtomicBool, count: &AtomicUsize) -> Written {
    let mut written = Written::default();
    let mut id = writer;
    let mut side = 0;
    let mut client: Option<Client> = None;
    while !stop.load(Ordering::Relaxed) {
        wait::pause(Duration::from_millis(4));
        if client.as_ref().is_none_or(Client::is_closed) {
            client = connect(pair, side);
        }
        let Some(session) = &mut client else {
            side = 1 - side;
            continue;
        };
        let sql = format!(
            "begin; insert into entry values ({id}); insert into log values ({id}); \
             update entry set n = n + 1 where id = {id} - {WRITERS}; commit"
        );
        match session.batch_execute(&sql) {
            Ok(()) => {
                written.accepted.push(id);
                count.fetch_add(1, Ordering::Relaxed);
                id += WRITERS;
            }
            Err(error) if error.code().is_some_and(|c| c.code() == "25006") => {
                client = None;
                side = 1 - side;
            }
            // its commit may have been the last thing that it did
            Err(error)
                if error.is_closed()
                    || error.code().is_none_or(|c| c.code().starts_with("57P")) =>
            {
                written.unknown.push(id);
                id += WRITERS;
                client = None;
            }
            Err(error) => panic!("{error}"),
        }
    }
    written
}

/// The first value, if the server is there.
fn ask(pair: &Pair, sql: &str) -> Option<String> {
    let rows = pair.target.try_rows(TARGET_DATABASE, sql).ok()?;
    Some(rows.first()?.first()?.clone())
}

fn accident(pair: &Pair, rng: &mut Rng) {
    match rng.u32(0..12) {
        0 => {
            eprintln!("    terminate the switchover worker");
            let _ = ask(
                pair,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'pg_decamp switchover'",
            );
        }
        1 => {
            eprintln!("    cancel the call");
            let _ = ask(
                pair,
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%repl_switchover(%' AND pid <> pg_backend_pid()",
            );
        }
        2 => {
            eprintln!("    terminate the apply workers");
            pair.terminate(Worker::Apply);
        }
        3 => {
            eprintln!("    terminate on the source");
            pair.terminate_on_source();
        }
        4 => {
            eprintln!("    restart the target");
            pair.target.restart(Mode::Immediate);
        }
        5 => {
            eprintln!("    restart the source");
            pair.source.restart(Mode::Immediate);
        }
        6 => {
            eprintln!("    cut");
            pair.proxy().cut();
            wait::pause(Duration::from_millis(rng.u64(0..800)));
            pair.proxy().mend();
        }
        _ => {}
    }
}

#[test]
fn pendulum_at_random() {
    let mut rng = Rng::with_seed(seed());
    let pair = Pair::builder().proxy().preload().start();
    pair.source.app(
        "create table entry (id bigint primary key, n int not null default 0); create table log (id bigint)",
    );
    pair.stream("");
    // from now on there is a fence on both sides, and one of them stands
    pair.query("SELECT count(*) FROM repl_switchover('heroku')");
    let (stop, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    let written = thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn({
                    let (pair, stop, count) = (&pair, &stop, &count);
                    move || write(pair, writer, stop, count)
                })
            })
            .collect();
        let begin = Instant::now();
        let mut over = 0;
        while begin.elapsed() < UNREST {
            wait::pause(Duration::from_millis(rng.u64(0..400)));
            let Some(name) = ask(
                &pair,
                "SELECT name FROM repl_status WHERE state = 'streaming' ORDER BY name LIMIT 1",
            ) else {
                accident(&pair, &mut rng);
                continue;
            };
            eprintln!("{:6.2} {name}", begin.elapsed().as_secs_f64());
            let going = scope.spawn({
                let (pair, name) = (&pair, name.clone());
                move || {
                    let sql = format!(
                        "SELECT * FROM repl_switchover('{name}', max_downtime => '5 seconds')"
                    );
                    pair.target.try_rows(TARGET_DATABASE, &sql).is_ok()
                }
            });
            wait::pause(Duration::from_millis(rng.u64(0..300)));
            accident(&pair, &mut rng);
            if going.join().expect("the call has ended") {
                over += 1;
            }
        }
        // calm
        pair.sql("SELECT repl_resume()");
        wait::until_true(MINUTE, "one of them streams", || {
            ask(&pair, "SELECT count(*) FILTER (WHERE state = 'streaming' AND NOT fenced) = 1 AND count(*) FILTER (WHERE state = 'armed') = 0 \
                        AND count(*) = count(*) FILTER (WHERE state IN ('streaming', 'finished')) FROM repl_status")
            .is_some_and(|answer| answer == "t")
        });
        let before = count.load(Ordering::Relaxed);
        wait::until_true(MINUTE, "they are let write", || {
            count.load(Ordering::Relaxed) > before + 50
        });
        stop.store(true, Ordering::Relaxed);
        eprintln!(
            "{over} times over, {} transactions",
            count.load(Ordering::Relaxed)
        );
        assert!(over > 0, "none of the calls came to its end");
        let join = |writer: thread::ScopedJoinHandle<'_, Written>| writer.join().expect("a writer");
        writers.into_iter().map(join).collect::<Vec<_>>()
    });

    let active = pair.query("SELECT name FROM repl_status WHERE state = 'streaming'");
    pair.query(&format!(
        "SELECT repl_wait('{active}', 'caught_up', timeout => '1 minute')"
    ));
    compare::assert_same(&pair.source, DATABASE, &pair.target, TARGET_DATABASE);
    let accepted: HashSet<i64> = written.iter().flat_map(|w| w.accepted.clone()).collect();
    let unknown: HashSet<i64> = written.iter().flat_map(|w| w.unknown.clone()).collect();
    for table in ["entry", "log"] {
        let rows = pair.target.rows(
            TARGET_DATABASE,
            &format!("select id, count(*) from {table} group by id"),
        );
        let mut there = HashSet::new();
        for row in rows {
            let id: i64 = row[0].parse().expect("an id");
            assert_eq!(row[1], "1", "{table}: row {id} is there more than once");
            assert!(
                accepted.contains(&id) || unknown.contains(&id),
                "{table}: nobody has written row {id}"
            );
            there.insert(id);
        }
        let lost: Vec<&i64> = accepted.difference(&there).collect();
        assert!(lost.is_empty(), "{table}: accepted and lost: {lost:?}");
    }
    // stopped in their order: the one at work first
    let other =
        pair.query("SELECT coalesce(max(name), '') FROM repl_status WHERE state = 'finished'");
    pair.query(&format!("SELECT repl_stop('{active}')"));
    if !other.is_empty() {
        pair.query(&format!("SELECT repl_stop('{other}')"));
    }
    pair.assert_source_clean();
}
