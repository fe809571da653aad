//! What a connection that breaks half way costs: the copy through the proxy, uncut and with all connections closed once.

use decamp_tests::wait;

use super::contender::{Contender, DECAMP, Run, decamp::Decamp};
use super::data::Data;
use super::figures::{Figures, percent, range, seconds};
use super::race::{copy, copy_while};
use super::report::Report;
use super::settings::Settings;
use super::stage::Stage;

pub fn run(
    stage: &Stage,
    data: &Data,
    contenders: &[Box<dyn Contender>],
    settings: &Settings,
    report: &mut Report,
) -> Result<(), String> {
    let mut names = contenders.iter().map(|contender| contender.name());
    if !names.any(|name| name == DECAMP) {
        return Ok(());
    }
    report.heading(&format!("Cut half way: {}", data.kind.name()));
    report.note(
        "pg_decamp through a proxy; all its connections to the source are closed once, after half of the time that the uncut \
         copy of the same round took; new ones are let in at once.",
    );
    let (mut whole, mut cut) = (Vec::new(), Vec::new());
    for round in 1..=settings.rounds {
        let run = Run::new(stage, data.database, settings).through_proxy();
        let uncut = copy(&Decamp, &run, data, settings, report)?;
        let hang_up = || {
            wait::pause(uncut / 2);
            stage.proxy().hang_up();
        };
        let broken = copy_while(&Decamp, &run, data, settings, report, hang_up)?;
        whole.push(uncut.as_secs_f64());
        cut.push(broken.as_secs_f64());
        report.progress(&format!(
            "round {round}  {}  uncut {}  cut {}",
            Decamp.name(),
            seconds(uncut.as_secs_f64()),
            seconds(broken.as_secs_f64())
        ));
    }
    let (Some(whole), Some(cut)) = (Figures::of(&whole), Figures::of(&cut)) else {
        return Ok(());
    };
    let row = |name: &str, figures: &Figures, more: String| {
        vec![name.into(), seconds(figures.median()), range(figures), more]
    };
    report.table(
        &["", "median", "range", "more"],
        &[
            row("uncut", &whole, String::new()),
            row("cut once", &cut, percent(cut.median(), whole.median())),
        ],
    );
    Ok(())
}
