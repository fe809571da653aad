//! Workers: ended in every phase, they come back by themselves; there is one apply worker per subscription; without a free slot
//! nothing is begun.

use std::thread;
use std::time::Duration;

use decamp_tests::observe::assert_says;
use decamp_tests::workers::Worker;
use decamp_tests::{Gates, Mode, Pair, Phase, wait};

const SOON: Duration = Duration::from_secs(30);

/// At each gate the apply worker is ended, and the copy workers where there are some: a new one comes to the same place.
#[test]
fn workers_ended_in_every_phase_come_back() {
    let pair = Pair::builder().proxy().start();
    let busy = pair.make_busy(100);
    let gates = Gates::on(&pair);
    gates.walk("", |phase| {
        let copying = pair.terminate(Worker::Copy);
        // while one table waits for its triggers, the others may be copied
        if phase != Phase::Installing {
            assert_eq!(
                !copying.is_empty(),
                phase == Phase::Copying,
                "copy workers in {phase:?}"
            );
        }
        let old = pair.terminate(Worker::Apply);
        assert_eq!(old.len(), 1, "one apply worker in {phase:?}");
        pair.wait_for_apply_worker(&old);
        gates.wait_for(phase);
    });
    pair.assert_migrated_after(busy);
    pair.stop_migration();
}

/// Only the copy workers: their apply worker starts others, which claim the tasks left behind.
#[test]
fn ended_copy_workers_are_replaced() {
    let pair = Pair::start();
    let busy = pair.make_busy(101);
    let gates = Gates::on(&pair);
    gates.close(Phase::Copying);
    pair.migrate("workers => 2");
    for _ in 0..3 {
        gates.wait_for(Phase::Copying);
        let apply = pair.pids(Worker::Apply);
        let old = pair.terminate(Worker::Copy);
        wait::until_true(SOON, "new copy workers", || {
            let new = pair.pids(Worker::Copy);
            !new.is_empty() && new.iter().all(|pid| !old.contains(pid))
        });
        assert_eq!(pair.pids(Worker::Apply), apply, "the apply worker stays");
    }
    gates.wait_for(Phase::Copying);
    gates.open(Phase::Copying);
    pair.wait_for("streaming", SOON);
    pair.assert_migrated_after(busy);
}

/// Many sessions call repl_resume at once, when no worker is there and when one is: one apply worker does the work.
#[test]
fn resuming_twice_starts_one_apply_worker() {
    let pair = Pair::start();
    let busy = pair.make_busy(102);
    pair.migrate("");
    pair.wait_for("streaming", 2 * SOON);
    let resume_at_once = || {
        thread::scope(|scope| {
            for sql in ["SELECT repl_resume()", "SELECT repl_resume('heroku')"].repeat(4) {
                let pair = &pair;
                scope.spawn(move || pair.sql(sql));
            }
        });
    };
    let one_worker = || {
        pair.wait_for_apply_worker(&[]);
        // those who came too late wait a while for the first to go, then they leave
        wait::until_true(SOON, "one apply worker", || {
            pair.pids(Worker::Apply).len() == 1
        });
        let locks = "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) \
                     WHERE l.locktype = 'advisory' AND l.granted AND a.backend_type = 'pg_decamp apply'";
        assert_eq!(pair.query(locks), "1");
    };
    resume_at_once();
    one_worker();

    // not preloaded: after a restart there is none
    pair.target.restart(Mode::Fast);
    resume_at_once();
    one_worker();
    assert!(
        !pair.tell().contains("57P03"),
        "two sessions worked on the deltas"
    );

    pair.sql("SELECT repl_pause('heroku')");
    wait::until_true(SOON, "the apply worker leaves", || {
        pair.count_workers() == 0
    });
    resume_at_once();
    one_worker();
    pair.assert_migrated_after(busy);
}

/// No slot for the apply worker: refused, and nothing is left behind, here or on the source.
#[test]
fn without_worker_slots_nothing_is_started() {
    // one slot is taken by the server's own launcher of logical replication
    let pair = Pair::builder()
        .target_conf("max_worker_processes = 1")
        .start();
    let busy = pair.make_busy(103);
    let error = pair.refused(&format!(
        "SELECT repl_start('heroku', source => '{}')",
        pair.source_uri()
    ));
    assert_says(&error, "53400", &["max_worker_processes"]);
    assert!(error.hint().is_some(), "{error:?}");
    pair.assert_nothing_started();

    pair.target.append_conf("max_worker_processes = 3");
    pair.target.restart(Mode::Fast);
    pair.migrate("workers => 1");
    pair.wait_for("streaming", 2 * SOON);
    pair.assert_migrated_after(busy);
}

/// Others took the slots after the start: fewer copy workers do the work, and it is said.
#[test]
fn fewer_slots_than_copy_workers_is_only_slower() {
    let pair = Pair::builder()
        .target_conf("max_worker_processes = 6")
        .start();
    let busy = pair.make_busy(104);
    let gates = Gates::on(&pair);
    gates.close(Phase::Installing);
    pair.migrate("workers => 4");
    gates.wait_for(Phase::Installing);
    pair.target.append_conf("max_worker_processes = 3");
    pair.target.restart(Mode::Fast);
    pair.sql("SELECT repl_resume()");
    gates.wait_for(Phase::Installing);
    gates.open(Phase::Installing);
    pair.wait_for("streaming", 2 * SOON);
    pair.assert_migrated_after(busy);
}
