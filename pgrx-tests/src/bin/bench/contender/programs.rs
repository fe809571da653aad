//! Running the peers' programs: as the servers' owner, with PostgreSQL's own programs of the servers' version before others.

use std::path::Path;
use std::process::Command;

use decamp_tests::installation::as_postgres;

use super::Run;

/// A program of the PATH, with the scratch directory as its home.
pub fn program(run: &Run, name: &str) -> Command {
    let bindir = &run.target().installation().bindir;
    let mut command = as_postgres(Path::new("/usr/bin/env"));
    command
        .arg(name)
        .env(
            "PATH",
            format!(
                "{}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                bindir.display()
            ),
        )
        .env("HOME", &run.stage.scratch)
        .env("TMPDIR", &run.stage.scratch)
        .current_dir(&run.stage.scratch);
    command
}

/// Runs it to its end; an error is all that it printed, or the end of it.
pub fn finish(command: &mut Command) -> Result<String, String> {
    const SHOWN: usize = 3000;
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    let all = said + &String::from_utf8_lossy(&output.stderr);
    let end: String = all
        .chars()
        .skip(all.chars().count().saturating_sub(SHOWN))
        .collect();
    Err(format!("{}: {end}", output.status))
}

/// Whether a program is there.
pub fn exists(name: &str) -> bool {
    ["/usr/local/bin", "/usr/bin"]
        .iter()
        .any(|directory| Path::new(directory).join(name).exists())
}

/// The version of a Debian package, if that is where a program is from.
pub fn package_version(package: &str) -> String {
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat", "${Version}", package])
        .output();
    output.map_or(String::new(), |output| {
        String::from_utf8_lossy(&output.stdout).into_owned()
    })
}

/// The source's definitions, made on the target in one transaction: what a peer that copies rows only needs first.
pub fn copy_schema(run: &Run) -> Result<(), String> {
    let script = "set -o pipefail; pg_dump --schema-only --no-owner --no-acl --no-publications --dbname=\"$SOURCE\" \
        | psql --quiet --no-psqlrc --set=ON_ERROR_STOP=1 --single-transaction --output=/dev/null --dbname=\"$TARGET\"";
    let mut command = program(run, "bash");
    command
        .args(["-c", script])
        .env("SOURCE", run.source())
        .env("TARGET", run.target_conninfo());
    finish(&mut command).map(drop)
}
