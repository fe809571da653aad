//! Everything at random: workers, servers and the network die and come back in any order, under load. In the end both sides are equal.

use std::time::{Duration, Instant};

use decamp_tests::kinds::TYPES;
use decamp_tests::load::{Churn, Workload};
use decamp_tests::source::DATABASE;
use decamp_tests::workers::Worker;
use decamp_tests::{Mode, Pair, seed, wait};
use fastrand::Rng;

/// How long things die.
const UNREST: Duration = Duration::from_secs(25);
const MINUTE: Duration = Duration::from_secs(60);

fn unrest(pair: &Pair, rng: &mut Rng, time: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < time {
        let at = begin.elapsed().as_secs_f64();
        let tell = |what: &str| eprintln!("{at:6.2} {what}");
        match rng.u32(0..13) {
            0 | 1 => {
                tell("terminate the apply worker");
                pair.terminate(Worker::Apply);
            }
            2 | 3 => {
                tell("terminate the copy workers");
                pair.terminate(Worker::Copy);
            }
            4 => {
                tell("terminate on the source");
                pair.terminate_on_source();
            }
            5 => {
                tell("restart the target");
                pair.target.restart(Mode::Immediate);
                if rng.bool() {
                    pair.sql("SELECT repl_resume()");
                }
            }
            6 => {
                tell("restart the source");
                pair.source.restart(Mode::Immediate);
            }
            7 => {
                tell("cut");
                pair.proxy().cut();
            }
            8 => {
                tell("stall");
                pair.proxy().stall();
            }
            9 => {
                let millis = rng.u64(0..30);
                tell(&format!("delay of {millis} ms"));
                pair.proxy().delay(Duration::from_millis(millis));
            }
            10 => {
                tell("kill the apply worker");
                pair.kill(Worker::Apply);
            }
            11 => {
                tell("pause");
                pair.sql("SELECT repl_pause('heroku')");
            }
            _ => {
                tell("resume");
                pair.sql("SELECT repl_resume()");
            }
        }
        wait::pause(Duration::from_millis(rng.u64(50..1200)));
        if rng.u32(0..3) > 0 {
            pair.proxy().mend();
        }
    }
}

fn calm(pair: &Pair) {
    pair.proxy().mend();
    pair.proxy().delay(Duration::ZERO);
    pair.sql("SELECT repl_resume()");
}

fn survives(pair: &Pair, seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let mut busy = pair.make_busy(seed);
    pair.migrate("workers => 2");
    unrest(pair, &mut rng, UNREST);
    calm(pair);
    // what has piled up, and the churn on top, may be more than a small machine can do in a minute
    busy.calm();
    pair.wait_for("streaming", MINUTE);
    pair.assert_migrated_after(busy);
    pair.stop_migration();
}

#[test]
fn random_kills() {
    survives(&Pair::builder().proxy().start(), seed());
}

#[test]
fn random_kills_preloaded() {
    survives(&Pair::builder().proxy().preload().start(), seed() ^ 1);
}

/// A schema at random, of keys and columns of all kinds, written to at random by several sessions.
#[test]
fn random_workload() {
    let seed = seed();
    let mut rng = Rng::with_seed(seed);
    let pair = Pair::builder().proxy().preload().start();
    let workload = Workload::random(&mut rng, 24);
    pair.source.sql(DATABASE, &format!("set role app; {TYPES}"));
    pair.source.app(&workload.tables);
    let churn = || {
        Churn::of(
            &pair.source,
            seed,
            3,
            workload.statements.clone(),
            workload.truncates.clone(),
        )
    };
    let before = churn();
    let written = "SELECT xact_commit > 2000 FROM pg_stat_database WHERE datname = 'app'";
    pair.source.poll_until(DATABASE, written, MINUTE);
    before.stop();
    let load = churn();
    pair.migrate("workers => 2");
    unrest(&pair, &mut rng, 2 * UNREST);
    calm(&pair);
    let tally = load.stop();
    assert!(tally.committed > 500, "the writers were at work: {tally:?}");
    pair.wait_for("streaming", MINUTE);
    pair.assert_migrated();
    pair.stop_migration();
}
