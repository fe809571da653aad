//! Import of the schema: pg_dump of the source, pg_restore to choose from it, psql into the target. Before capture is installed, so that our own
//! triggers are not in it. What fails is told in events and does not stop the rest; whether every table that is to be
//! copied is there afterwards is checked by the caller.

use std::path::Path;

use crate::failure::Failure;
use crate::libpq::Conninfo;
use crate::pg::{program, server};
use crate::table::Table;

mod output;

pub use output::Failed;
use output::{failed_statements, wanted_entries};

/// Ends the `application_name` of pg_dump and psql.
pub const SESSION: &str = "import";

/// What to import from where to where.
pub struct Import<'a> {
    pub subscription: &'a str,
    /// `application_name` for both
    pub title: &'a str,
    pub source: &'a Conninfo,
    pub target: &'a Conninfo,
    /// user tables of the source that do not belong to the subscription
    pub left_out: &'a [&'a Table],
}

/// Runs it; the statements that failed. Objects that exist already are not failures.
///
/// Errors: 58P01 when one of the programs cannot be run, 58000 when one fails.
pub fn run(import: &Import) -> Result<Vec<Failed>, Failure> {
    let bindir = server::bindir();
    let dump = program::scratch(&format!("{}.dump", import.subscription))?;
    let list = program::scratch(&format!("{}.list", import.subscription))?;
    let script = program::scratch(&format!("{}.sql", import.subscription))?;
    let result = dump_and_restore(import, &bindir, &dump, &list, &script);
    std::fs::remove_file(&script).ok();
    std::fs::remove_file(&dump).ok();
    std::fs::remove_file(&list).ok();
    result
}

fn dump_and_restore(
    import: &Import,
    bindir: &Path,
    dump: &Path,
    list: &Path,
    script: &Path,
) -> Result<Vec<Failed>, Failure> {
    let path = |p: &Path| p.to_string_lossy().into_owned();
    let (pg_dump, pg_restore) = (bindir.join("pg_dump"), bindir.join("pg_restore"));

    let mut arguments: Vec<String> = [
        "--schema-only",
        "--format=custom",
        "--no-owner",
        "--no-privileges",
        "--no-publications",
        "--no-subscriptions",
        "--no-password",
        "--lock-wait-timeout=30s",
        "--exclude-schema=decamp",
        "--exclude-schema=decamp_*",
    ]
    .map(str::to_owned)
    .to_vec();
    arguments.push(format!("--file={}", path(dump)));
    arguments.extend(
        import
            .left_out
            .iter()
            .map(|t| format!("--exclude-table={}", t.qualified())),
    );
    arguments.push(format!("--dbname={}", session(import.source, import.title)));
    let done = program::run(&pg_dump, &arguments, &import.source.environment(), dump)?;
    if !done.status.success() {
        return Err(Failure::new("58000", format!("pg_dump failed: {}", done.stderr.trim().replace('\n', " ")))
            .hint("If it is older than the source, set pg_decamp.pg_bindir to the directory of a newer one; or make the \
                   tables on the target yourself."));
    }

    let listing = program::run(&pg_restore, &["--list".into(), path(dump)], &[], list)?;
    std::fs::write(list, wanted_entries(&listing.stdout))
        .map_err(|e| Failure::new("58030", format!("cannot write a temporary file: {e}")))?;

    let arguments = [
        "--no-owner".to_owned(),
        "--no-privileges".to_owned(),
        format!("--use-list={}", path(list)),
        format!("--file={}", path(script)),
        path(dump),
    ];
    let done = program::run(&pg_restore, &arguments, &[], list)?;
    if !done.status.success() {
        return Err(failed("pg_restore", &done));
    }

    // psql, not pg_restore: it goes on within an object's statements, and tells the SQLSTATE of those that failed
    let arguments = [
        "--no-psqlrc",
        "--no-password",
        "--quiet",
        "--echo-errors",
        "--set=VERBOSITY=verbose",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain([
        // should we vanish in the middle of a statement, it ends within a second; a server before 14 does not know it
        "--command=SET client_connection_check_interval = '1s'".to_owned(),
        format!("--file={}", path(script)),
        format!("--dbname={}", session(import.target, import.title)),
    ])
    .collect::<Vec<_>>();
    let done = program::run(
        &bindir.join("psql"),
        &arguments,
        &import.target.environment(),
        list,
    )?;
    if !done.status.success() {
        return Err(failed("psql", &done));
    }
    Ok(failed_statements(&done.stderr))
}

fn failed(program: &str, done: &program::Finished) -> Failure {
    let said = done.stderr.trim().replace('\n', " ");
    Failure::new("58000", format!("{program} failed: {said}"))
}

/// A connection string for a client program, with what a role's or database's settings must not impose on it.
fn session(info: &Conninfo, title: &str) -> String {
    let own =
        "-c default_transaction_read_only=off -c default_transaction_isolation=read\\ committed";
    let options = info
        .get("options")
        .map_or_else(|| own.to_owned(), |theirs| format!("{theirs} {own}"));
    info.with("application_name", title)
        .with("options", &options)
        .shown()
}
