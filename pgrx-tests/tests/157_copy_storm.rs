//! All that the initial copy has to bear, at random and at once: tables that are written anew, copied anew, workers and
//! servers that die, pauses, under load. In the end rows and definitions are the same.

use std::time::{Duration, Instant};

use decamp_tests::deferral::assert_restored;
use decamp_tests::source::DATABASE;
use decamp_tests::workers::Worker;
use decamp_tests::{Mode, Pair, wait};
use fastrand::Rng;

const STORM: Duration = Duration::from_secs(15);
const MINUTE: Duration = Duration::from_secs(60);

const TABLES: &str = "create table item (id int primary key, code int not null unique, n int not null default 0, pad text); \
     create index item_n on item (n, id desc) where n >= 0; create index item_pad on item using hash (pad); \
     create table part (id bigint primary key, item int references item on delete cascade, pad text, tag text); \
     create index part_item on part (item) include (id); create unique index part_twice on part (item, id); \
     create table leaf (id int, day int, n int not null default 0, pad text, primary key (day, id)) partition by range (day); \
     create table leaf_1 partition of leaf for values from (0) to (10); create table leaf_2 partition of leaf for values from (10) to (20); \
     create index leaf_n on leaf (n); create table small (id int primary key, n int unique)";
const ROWS: &str = "insert into item select i, i, 0, repeat(md5(i::text), 8) from generate_series(1, 30000) as i; \
     insert into part select i, i, repeat(md5(i::text), 8), 'x' from generate_series(1, 30000) as i; \
     insert into leaf select i, i % 20, 0, repeat(md5(i::text), 8) from generate_series(1, 30000) as i; \
     insert into small select i, i from generate_series(1, 100) as i; analyze";

fn storm(pair: &Pair, rng: &mut Rng) {
    let begin = Instant::now();
    let table = |rng: &mut Rng| ["item", "part", "leaf", "small"][rng.usize(0..4)];
    while begin.elapsed() < STORM {
        let what = match rng.u32(0..12) {
            0 | 1 => format!("vacuum full {}", table(rng)),
            2 => "cluster item using item_pkey".to_owned(),
            3 => "truncate leaf_1".to_owned(),
            4..=6 => format!("SELECT repl_resync('heroku', '{}')", table(rng)),
            7 => "terminate copy".to_owned(),
            8 => "terminate apply".to_owned(),
            9 => "kill copy".to_owned(),
            10 => "restart".to_owned(),
            _ => "SELECT repl_pause('heroku', now => true)".to_owned(),
        };
        eprintln!("{:6.3} {what}", begin.elapsed().as_secs_f64());
        match what.as_str() {
            "terminate copy" => drop(pair.terminate(Worker::Copy)),
            "terminate apply" => drop(pair.terminate(Worker::Apply)),
            "kill copy" => drop(pair.kill(Worker::Copy)),
            "restart" => pair.target.restart(Mode::Immediate),
            sql if sql.starts_with("SELECT") => {
                // refused while it installs, or when the server is just recovering
                let _ = pair.target.try_rows("postgres", sql);
            }
            sql => drop(pair.source.try_rows(DATABASE, sql)),
        }
        wait::pause(Duration::from_millis(rng.u64(0..700)));
        let _ = pair.target.try_rows("postgres", "SELECT repl_resume()");
    }
}

#[test]
fn copy_storm() {
    let seed = std::env::var("DECAMP_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| Rng::new().u64(..));
    eprintln!("DECAMP_SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    let pair = Pair::builder()
        .cut()
        .preload()
        .target_conf("pg_decamp.copy_rate_limit = '12MB'")
        .start();
    pair.on_both(TABLES);
    pair.source.app(ROWS);
    let before = pair.definitions();
    let load = pair
        .source
        .pgbench()
        .script("\\set id random(1, 29900)\nupdate item set n = n + 1 where id between :id and :id + 10;\n")
        .script("\\set id random(1, 29900)\nupdate leaf set n = n + 1, day = (day + 10) % 20 where id between :id and :id + 5;\n")
        .script("\\set id random(1, 30000)\nbegin;\ndelete from item where id = :id;\ninsert into item values (:id, 100000 + :id, 0, 'again') on conflict do nothing;\ninsert into part values (:id, :id, 'again', 'y') on conflict do nothing;\nend;\n")
        .script("\\set id random(1, 100)\nupdate small set n = - n where id = :id;\n")
        .rate(80)
        .through_restarts()
        .start();
    pair.migrate("workers => 3, copy_schema => false");
    storm(&pair, &mut rng);
    pair.sql("SELECT repl_resume()");
    pair.wait_for("streaming", MINUTE);
    load.stop(&pair.source);
    pair.assert_migrated();
    pair.poll("SELECT count(*) = 0 FROM decamp.task WHERE state <> 'done'");
    assert_restored(&before, &pair.definitions());
    pair.stop_migration();
}
