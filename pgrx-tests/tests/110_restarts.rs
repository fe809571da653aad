//! Server restarts: of target and source, by a crash, in every phase; with preload the migration goes on by itself, without it after
//! `repl_resume()`, which pg_cron may call. A fast stop of the target never has to wait for us.

use std::time::Duration;

use decamp_tests::source::DATABASE;
use decamp_tests::workers::Worker;
use decamp_tests::{Gates, Mode, Pair, Phase, wait};

const SOON: Duration = Duration::from_secs(30);
/// What a fast stop may take.
const FAST: Duration = Duration::from_secs(5);

#[test]
fn target_crashes_in_every_phase_preloaded() {
    let pair = Pair::builder().proxy().preload().start();
    let busy = pair.make_busy(110);
    let gates = Gates::on(&pair);
    gates.walk("", |phase| {
        pair.target.restart(Mode::Immediate);
        pair.wait_for_apply_worker(&[]);
        gates.wait_for(phase);
    });
    pair.assert_migrated_after(busy);
    pair.stop_migration();
}

#[test]
fn target_crashes_in_every_phase_not_preloaded() {
    let pair = Pair::builder().proxy().start();
    let busy = pair.make_busy(111);
    let gates = Gates::on(&pair);
    gates.walk("", |phase| {
        pair.target.restart(Mode::Immediate);
        // takes the status some seconds, to be sure of it
        if matches!(phase, Phase::Copying | Phase::Streaming) {
            let told = format!(
                "SELECT state = '{}' AND workers = 0 AND error = 'no worker is running' AND summary LIKE '%nothing is lost%' \
                 AND hint LIKE '%SELECT repl_resume(''heroku'')%' FROM repl_status",
                phase.state()
            );
            pair.target.poll_until("postgres", &told, SOON);
            assert_eq!(pair.count_workers(), 0, "nobody has started a worker");
        }
        pair.sql("SELECT repl_resume()");
        gates.wait_for(phase);
        // the source may take a moment to notice that the former worker's session is gone
        pair.wait_for_recovery(SOON);
    });
    pair.assert_migrated_after(busy);
    pair.stop_migration();
}

#[test]
fn source_crashes_in_every_phase() {
    let pair = Pair::builder().proxy().start();
    let busy = pair.make_busy(112);
    let gates = Gates::on(&pair);
    let mut workers = Vec::new();
    gates.walk("", |phase| {
        pair.source.restart(Mode::Immediate);
        let now = pair.pids(Worker::Apply);
        if !workers.is_empty() {
            assert_eq!(now, workers, "the apply worker lives through it");
        }
        workers = now;
        // the lock that had kept it from installing is gone with the source
        if phase != Phase::Installing {
            gates.wait_for(phase);
        }
        assert_ne!(
            pair.status("state"),
            "errored",
            "in {phase:?}\n{}",
            pair.tell()
        );
    });
    pair.assert_migrated_after(busy);
    pair.stop_migration();
}

/// The kernel kills a worker for want of memory: the server recovers, and the postmaster starts its workers again, preloaded or not.
fn out_of_memory(pair: &Pair, seed: u64) {
    let busy = pair.make_busy(seed);
    let gates = Gates::on(pair);
    gates.walk("", |phase| {
        let old = match phase {
            Phase::Copying => pair.kill(Worker::Copy),
            _ => pair.kill(Worker::Apply),
        };
        assert!(!old.is_empty(), "somebody to kill in {phase:?}");
        pair.wait_for_apply_worker(&old);
        gates.wait_for(phase);
    });
    pair.assert_migrated_after(busy);
    assert_eq!(pair.pids(Worker::Apply).len(), 1, "one apply worker");
}

#[test]
fn workers_killed_in_every_phase_not_preloaded() {
    out_of_memory(&Pair::builder().proxy().start(), 116);
}

#[test]
fn workers_killed_in_every_phase_preloaded() {
    out_of_memory(&Pair::builder().proxy().preload().start(), 117);
}

/// A fast stop takes under five seconds whatever the workers are doing, and after the start all goes on.
#[test]
fn target_stops_fast_in_every_phase() {
    let pair = Pair::builder().proxy().preload().start();
    let busy = pair.make_busy(113);
    let gates = Gates::on(&pair);
    gates.walk("", |phase| {
        let took = pair.target.stop(Mode::Fast);
        assert!(took < FAST, "a fast stop in {phase:?} took {took:?}");
        pair.target.start();
        gates.wait_for(phase);
    });
    pair.assert_migrated_after(busy);
    pair.stop_migration();
}

/// Also while the network is dead: workers wait for answers, or for a connection.
#[test]
fn target_stops_fast_without_network() {
    let pair = Pair::builder().proxy().preload().start();
    let busy = pair.make_busy(114);
    pair.stream("");
    for stalled in [true, false] {
        if stalled {
            pair.proxy().stall();
            // the workers have asked and get no answer
            let silent = "SELECT count(*) > 0 FROM pg_stat_activity \
                          WHERE application_name LIKE 'pg_decamp % apply' AND now() - state_change > interval '2 seconds'";
            pair.source.poll_until(DATABASE, silent, SOON);
        } else {
            pair.proxy().cut();
            pair.wait_for_interruption(SOON);
        }
        let took = pair.target.stop(Mode::Fast);
        assert!(took < FAST, "a fast stop took {took:?}, stalled: {stalled}");
        pair.target.start();
        pair.wait_for_apply_worker(&[]);
        pair.proxy().mend();
    }
    pair.assert_migrated_after(busy);
}

/// A real pg_cron brings the migration back after a restart, without pg_decamp in shared_preload_libraries.
#[test]
fn pg_cron_resumes_after_a_restart() {
    let pair = Pair::builder()
        .preload_libraries("pg_cron")
        .target_conf("cron.use_background_workers = on")
        .target_conf("cron.database_name = 'postgres'")
        .start();
    pair.sql("CREATE EXTENSION pg_cron");
    let busy = pair.make_busy(115);
    pair.stream("");
    pair.query("SELECT cron.schedule('decamp', '* * * * *', 'SELECT repl_resume()')");

    pair.target.restart(Mode::Immediate);
    assert_eq!(pair.count_workers(), 0, "nobody has started a worker yet");
    // its clock knows only whole minutes
    wait::until_true(3 * SOON, "pg_cron has started the worker", || {
        !pair.pids(Worker::Apply).is_empty()
    });
    let run = "SELECT bool_and(status = 'succeeded') FROM cron.job_run_details WHERE command LIKE '%repl_resume%'";
    pair.target.poll_until("postgres", run, SOON);
    pair.query("SELECT cron.unschedule('decamp')");
    pair.assert_migrated_after(busy);
}
