//! `repl_check`.

use pgrx::iter::TableIterator;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{default, name, pg_extern};

use super::argument;
use crate::check::{self, Finding, Request};
use crate::failure::Failure;
use crate::libpq::Conninfo;
use crate::pg::{server, spi};
use crate::selection::Choice;
use crate::subscription;

type Line = (String, String, String, Option<String>);

#[allow(
    clippy::type_complexity,
    reason = "pgrx reads the column names from it"
)]
#[pg_extern(volatile, parallel_unsafe)]
fn repl_check(
    source: Option<&str>,
    target: default!(Option<&str>, "NULL"),
    tables: default!(Option<Vec<Option<String>>>, "NULL"),
    exclude: default!(Option<Vec<Option<String>>>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(severity, String),
            name!(subject, String),
            name!(message, String),
            name!(fix, Option<String>),
        ),
    >,
    ErrorReport,
> {
    argument::conninfo_allowed("repl_check")?;
    let source = argument::required(source, "source")?;
    let lines = check(
        source,
        target,
        argument::list(tables, "tables")?,
        argument::list(exclude, "exclude")?,
    )?;
    Ok(TableIterator::new(lines))
}

fn check(
    source: &str,
    target: Option<&str>,
    tables: Option<Vec<String>>,
    exclude: Option<Vec<String>>,
) -> Result<Vec<Line>, Failure> {
    let source = Conninfo::parse(source, "source")?;
    let choice = Choice::parse(tables.as_deref(), exclude.as_deref())?;
    let target_info = match target {
        Some(text) => Conninfo::parse(text, "target")?,
        None => {
            let owner = spi::read("select current_user as name", &[])[0].string("name");
            subscription::local_target(&owner)
        }
    };
    let report = check::run(&Request {
        source: &source,
        target: &target_info,
        helper: target.is_some(),
        encoding: server::encoding(),
        choice: &choice,
        copy_schema: true,
        copy_data: true,
        workers: 4,
        name: None,
    });
    let line = |f: Finding| (f.severity.as_str().to_owned(), f.subject, f.message, f.fix);
    Ok(report.findings.into_iter().map(line).collect())
}
