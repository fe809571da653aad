//! Import of the schema: pg_dump of the source, pg_restore to choose from it, psql into the target. Before capture is installed, so that our own
//! triggers are not in it. What the target refuses does not stop the rest; what follows from it is in `consequence.rs`, and
//! whether every table that is to be copied is there afterwards is checked by the caller.
//!
//! May be run again at any time: what is there already is not made again.

use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::libpq::{Connection, Conninfo};
use crate::pg::program;
use crate::row::Row;
use crate::table::Table;

mod client;
pub mod consequence;
pub mod extension;
mod output;
mod reader;
mod script;
mod statement;

pub use client::Client;
pub use output::Refused;

use extension::Extension;

/// Ends the `application_name` of pg_dump and psql.
pub const SESSION: &str = "import";

/// Schemas with nothing but a provider's own machinery. Heroku's holds the functions of its event triggers.
pub const PROVIDERS_SCHEMAS: [&str; 1] = ["_heroku"];

/// What to import from where to where.
pub struct Import<'a> {
    pub subscription: &'a str,
    /// `application_name` for both
    pub title: &'a str,
    pub source: &'a Conninfo,
    /// `server_version_num`
    pub source_version: i32,
    pub target: &'a Conninfo,
    /// user tables of the source that are not to be imported
    pub left_out: &'a [&'a Table],
}

/// What came of it.
pub struct Outcome {
    /// not those that make what exists already
    pub refused: Vec<Refused>,
    /// statements to be run at switchover: triggers that would fire for what we write
    pub later: Vec<String>,
}

/// Runs it. `meanwhile` is called again and again while others work for us; false when it has nothing to do.
///
/// Errors: 58P01 or 0A000 when there are no programs for it, 58000 when one fails.
pub fn run(import: &Import, meanwhile: &mut dyn FnMut() -> bool) -> Result<Outcome, Failure> {
    let client = Client::find(import.source_version)?;
    let files = Files::of(import.subscription)?;
    let result = dump_source(import, &client, &files.dump, meanwhile).and_then(|()| {
        let later = choose(&client, &files)?;
        let refused = restore(import, &client, &files, meanwhile)?;
        Ok(Outcome { refused, later })
    });
    files.remove();
    result
}

/// Temporary ones.
struct Files {
    dump: PathBuf,
    list: PathBuf,
    script: PathBuf,
    triggers: PathBuf,
}

impl Files {
    fn of(subscription: &str) -> Result<Self, Failure> {
        let scratch = |kind: &str| program::scratch(&format!("{subscription}.{kind}"));
        Ok(Self {
            dump: scratch("dump")?,
            list: scratch("list")?,
            script: scratch("sql")?,
            triggers: scratch("triggers.sql")?,
        })
    }

    fn remove(&self) {
        for file in [&self.dump, &self.list, &self.script, &self.triggers] {
            std::fs::remove_file(file).ok();
        }
    }
}

/// The extensions of either side.
pub fn extensions(connection: &mut Connection) -> Result<Vec<Extension>, Failure> {
    let rows = connection.query(include_str!("../sql/source/extensions.sql"), &[])?;
    let extension = |row: &Row| Extension {
        name: row.string("name"),
        schema: row.string("schema"),
        version: row.string("version"),
        tables: row
            .opt("tables")
            .map(|tables| tables.lines().map(str::to_owned).collect())
            .unwrap_or_default(),
    };
    Ok(rows.iter().map(extension).collect())
}

fn dump_source(
    import: &Import,
    client: &Client,
    dump: &Path,
    meanwhile: &mut dyn FnMut() -> bool,
) -> Result<(), Failure> {
    let mut arguments: Vec<String> = [
        "--schema-only",
        "--format=custom",
        "--encoding=UTF8",
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
    arguments.extend(PROVIDERS_SCHEMAS.map(|schema| format!("--exclude-schema={schema}")));
    arguments.push(format!("--file={}", shown(dump)));
    arguments.extend(
        import
            .left_out
            .iter()
            .map(|t| format!("--exclude-table={}", t.qualified())),
    );
    arguments.push(format!("--dbname={}", session(import.source, import.title)));
    let done = program::run_while(
        &client.program("pg_dump"),
        &arguments,
        &import.source.environment(),
        dump,
        meanwhile,
    )?;
    if done.status.success() {
        return Ok(());
    }
    Err(failed("pg_dump", &done)
        .hint("Mend what it names, or make the tables on the target yourself."))
}

/// Writes what we want of the dump as scripts; the statements that are to wait.
fn choose(client: &Client, files: &Files) -> Result<Vec<String>, Failure> {
    let pg_restore = client.program("pg_restore");
    let arguments = ["--list".to_owned(), shown(&files.dump)];
    let listing = program::run(&pg_restore, &arguments, &[], &files.list)?;
    let lists = script::wanted_entries(&listing.stdout);
    write_script(client, files, &lists.rest, &files.script)?;
    if lists.triggers.is_empty() {
        std::fs::write(&files.triggers, "").map_err(unwritable)?;
        return Ok(Vec::new());
    }
    write_script(client, files, &lists.triggers, &files.triggers)?;
    let (quiet, later) = script::tamed(&std::fs::read(&files.triggers).map_err(unwritable)?);
    std::fs::write(&files.triggers, quiet).map_err(unwritable)?;
    Ok(later)
}

fn write_script(client: &Client, files: &Files, list: &str, script: &Path) -> Result<(), Failure> {
    std::fs::write(&files.list, list).map_err(unwritable)?;
    let arguments = [
        "--no-owner".to_owned(),
        "--no-privileges".to_owned(),
        format!("--use-list={}", shown(&files.list)),
        format!("--file={}", shown(script)),
        shown(&files.dump),
    ];
    let done = program::run(&client.program("pg_restore"), &arguments, &[], &files.list)?;
    if done.status.success() {
        Ok(())
    } else {
        Err(failed("pg_restore", &done))
    }
}

fn unwritable(error: std::io::Error) -> Failure {
    Failure::new("58030", format!("cannot write a temporary file: {error}"))
}

/// With psql, not pg_restore: it goes on within an object's statements, and tells the SQLSTATE of those that failed.
fn restore(
    import: &Import,
    client: &Client,
    files: &Files,
    meanwhile: &mut dyn FnMut() -> bool,
) -> Result<Vec<Refused>, Failure> {
    let arguments = [
        "--no-psqlrc",
        "--no-password",
        "--quiet",
        "--echo-errors",
        "--set=VERBOSITY=verbose",
        // should we vanish in the middle of a statement, it ends within a second; a server before 14 does not know it
        "--command=SET client_connection_check_interval = '1s'",
        // each statement is a transaction: one wait for the disk is enough, at the end
        "--command=SET synchronous_commit = off",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain([
        format!("--file={}", shown(&files.script)),
        format!("--file={}", shown(&files.triggers)),
        "--command=SET synchronous_commit = on".to_owned(),
        "--command=SELECT pg_catalog.pg_logical_emit_message(true, 'pg_decamp', '')".to_owned(),
        format!("--dbname={}", session(import.target, import.title)),
    ])
    .collect::<Vec<_>>();
    let environment = import.target.environment();
    let done = program::run_while(
        &client.program("psql"),
        &arguments,
        &environment,
        &files.list,
        meanwhile,
    )?;
    if !done.status.success() {
        return Err(failed("psql", &done));
    }
    Ok(output::refused_statements(
        &done.stderr,
        &[&shown(&files.script), &shown(&files.triggers)],
    ))
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
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
