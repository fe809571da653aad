//! `repl_report`: one page that tells how a migration went. Self-contained: no script, no image, no font from elsewhere. It is
//! well-formed XML too, and ASCII, so that it survives every client encoding.
//!
//! `reading.rs` and `verification.rs` know where things are, `page.rs` and
//! `figure.rs` what is told and in which words, `chart.rs` and `timeline.rs` draw.
//! Whatever comes from a database is escaped by the template (`templates/report.html`); nothing else may be marked safe but
//! what the drawing modules return, which hold numbers and our own words only.

mod chart;
mod figure;
mod page;
mod reading;
mod scale;
mod timeline;
mod verification;
mod words;

use crate::failure::Failure;

/// The page. Errors: 42704 when there neither is nor was such a subscription. Needs an open transaction.
pub fn html(name: &str) -> Result<String, Failure> {
    let facts = reading::read(name)?;
    Ok(words::ascii(&page::render(&facts)))
}
