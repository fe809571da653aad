//! `make demo`: a live database moves to another server before your eyes, and both sides are compared.
//!
//! Owns the story. The stage is two throw-away servers and an application at work ([`stage`]); the SQL is what a user
//! types ([`session`]), printed as it is typed; [`watch`] shows `repl_status` while things happen; [`verdict`] compares.
//! Ends with exit code 1 when anything is not as it should be.

mod reading;
mod session;
mod stage;
mod verdict;
mod watch;

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use decamp_tests::screen::{Screen, grouped, megabytes};
use decamp_tests::watchman;
use session::Session;
use stage::Stage;
use watch::{Record, Watch};

/// Whatever is waited for is there within this time, or the demo has failed.
const PATIENCE: Duration = Duration::from_secs(120);
const STREAMING: Duration = Duration::from_secs(7);
const PAUSE: Duration = Duration::from_secs(4);
/// At least so long, to be seen.
const DRAINING: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    if let Some(code) = watchman::run_if_asked() {
        return code;
    }
    let screen = Screen::of_stdout();
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| run(&screen)));
    // a panic has said what it had to say
    match outcome.unwrap_or_else(|_| Err("the demo could not go on, see above".into())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            screen.failure(&message);
            ExitCode::FAILURE
        }
    }
}

fn run(screen: &Screen) -> Result<(), String> {
    let began = Instant::now();
    screen.title("pg_decamp: a live database moves to another server");

    screen.heading("Two servers and an application, made for this demo and thrown away after it");
    let stage = Stage::set_up(screen);
    let load = stage.start_load(screen);

    screen.heading("On the target, as its administrator");
    let mut session = Session::open(&stage);
    session.run(screen, "CREATE EXTENSION pg_decamp;")?;
    session.check(screen)?;

    screen.heading("The migration, while the application keeps writing");
    let mut watch = Watch::new(&stage, screen);
    let started = Instant::now();
    session.run(
        screen,
        "SELECT repl_start('heroku',\n    source => '{source}');",
    )?;
    screen.typed(
        session.prompt(),
        "SELECT * FROM repl_status;   -- again and again",
    );
    watch.until("every table streams", |reading, _| {
        reading.state == "streaming"
    })?;
    let to_streaming = started.elapsed();
    watch.until("it streams", |_, since| since >= STREAMING)?;
    watch.leave();

    screen.heading("A pause, as for work on the target, and a bulk update by the application");
    session.run(screen, "SELECT repl_pause('heroku');")?;
    let changed = stage.bulk_update();
    screen.note(&format!(
        "The application changes {} customers in one statement, and goes on.",
        grouped(changed)
    ));
    watch.pausing = true;
    watch.until("it is paused", |reading, since| {
        reading.state == "paused" && since >= PAUSE
    })?;
    watch.leave();
    session.run(screen, "SELECT repl_resume('heroku');")?;
    // complete as of a moment after the resumption: all that the pause has collected is replayed
    watch.until("the backlog is replayed", |reading, since| {
        reading.state == "streaming"
            && since >= DRAINING
            && reading.lag.is_some_and(|lag| lag < since.as_secs_f64())
    })?;
    watch.pausing = false;
    watch.leave();

    screen.heading("The end: the application stops writing, both sides are compared");
    stage.stop_load(load);
    let committed = stage.committed_by_load();
    screen.note("The application has stopped.");
    session.run(
        screen,
        "SELECT repl_wait('heroku', 'caught_up', timeout => '1 minute');",
    )?;
    let moved = verdict::compare(screen, &stage)?;

    screen.heading("Cleaning up after ourselves");
    session.run(screen, "SELECT repl_stop('heroku');")?;
    stage.pair.assert_source_clean();
    screen.note(
        "Nothing is left on the source: no trigger, no function, no schema, no session of ours.",
    );
    let record = watch.into_record();
    drop((session, stage));
    screen.note("Both servers are stopped, their files removed.");
    if committed == 0 {
        return Err(
            "the application committed nothing meanwhile: that was no live migration".into(),
        );
    }
    summary(screen, &moved, &record, to_streaming, committed, began);
    Ok(())
}

fn summary(
    screen: &Screen,
    moved: &verdict::Moved,
    record: &Record,
    to_streaming: Duration,
    committed: u64,
    began: Instant,
) {
    let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
    let lag = |lag: Option<f64>| lag.map_or("not seen".into(), |lag| format!("{lag:.1} s"));
    screen.heading("Summary");
    screen.facts(&[
        (
            "Moved",
            format!(
                "{} tables, {} rows, {}; all equal on both sides",
                moved.tables,
                grouped(moved.rows),
                megabytes(record.bytes)
            ),
        ),
        (
            "Meanwhile",
            format!(
                "the application committed {} transactions",
                grouped(committed)
            ),
        ),
        (
            "Initial copy",
            record.copy_time().map_or("not seen".into(), seconds),
        ),
        (
            "Until streaming",
            format!("{} after repl_start", seconds(to_streaming)),
        ),
        (
            "Longest lag",
            format!(
                "{} while streaming; {} with the pause we asked for",
                lag(record.lag),
                lag(record.lag_of_pause)
            ),
        ),
        ("This demo took", seconds(began.elapsed())),
    ]);
}
