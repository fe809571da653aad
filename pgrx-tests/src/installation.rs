//! PostgreSQL installations: Debian's 15, and the other majors that `pgrx-tests/setup.sh` puts into the cache.
//!
//! Owns how their programs are run: as the operating system's user postgres when the tests run as root, for PostgreSQL
//! refuses root, else as the user at hand.

use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

const DEBIAN_MAJOR: u32 = 15;

/// A directory of PostgreSQL programs.
#[derive(Clone, Debug)]
pub struct Installation {
    pub major: u32,
    pub bindir: PathBuf,
}

impl Installation {
    /// A server to migrate from: with TLS and contrib. `None` when the set-up could not get it.
    pub fn source(major: u32) -> Option<Self> {
        Self::find(major, "source")
    }

    /// A server to run the extension on. `None` when the set-up could not get it.
    pub fn target(major: u32) -> Option<Self> {
        Self::find(major, "target")
    }

    fn find(major: u32, purpose: &str) -> Option<Self> {
        let bindir = if major == DEBIAN_MAJOR {
            PathBuf::from(format!("/usr/lib/postgresql/{major}/bin"))
        } else {
            cache().join(purpose).join(major.to_string()).join("bin")
        };
        bindir
            .join("postgres")
            .exists()
            .then_some(Self { major, bindir })
    }

    /// A command that runs `program` of this installation as the user who owns the servers.
    pub fn command(&self, program: &str) -> Command {
        as_postgres(&self.bindir.join(program))
    }

    /// The data directory that new servers are copied from, made by `initdb` when this version is seen for the first time.
    pub fn template(&self) -> PathBuf {
        let version = run(self.command("postgres").arg("--version"));
        let name: String = String::from_utf8_lossy(&version.stdout)
            .trim()
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || c == '.' {
                    c
                } else {
                    '-'
                }
            })
            .collect();
        let parent = cache().join("template");
        fs::create_dir_all(&parent)
            .unwrap_or_else(|error| panic!("the cache can be written ({parent:?}): {error}"));
        let lock =
            File::create(parent.join(format!("{name}.lock"))).expect("the cache can be written");
        lock.lock().expect("a file can be locked");

        let template = parent.join(&name);
        if !template.exists() {
            let unfinished = parent.join(format!("{name}.unfinished"));
            let _ = fs::remove_dir_all(&unfinished);
            make_directory(&unfinished);
            run(self
                .command("initdb")
                .arg("--pgdata")
                .arg(&unfinished)
                .args([
                    "--username=postgres",
                    "--auth=trust",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                    "--no-sync",
                ]));
            fs::rename(&unfinished, &template).expect("a directory can be renamed beside itself");
        }
        template
    }
}

/// Whether there is a server of this major to migrate from; if not, says loudly that the test is skipped.
pub fn have_source(major: u32) -> bool {
    Installation::source(major).is_some() || skip(&format!("no PostgreSQL {major} to migrate from"))
}

/// Whether there is a server of this major to run the extension on; if not, says loudly that the test is skipped.
pub fn have_target(major: u32) -> bool {
    Installation::target(major).is_some()
        || skip(&format!("no PostgreSQL {major} to run the extension on"))
}

/// Goes to stderr itself and not by `eprintln!`, which the test runner would swallow.
fn skip(reason: &str) -> bool {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(io::stderr(), "\nSKIPPED {test}: {reason}: run `make setup`");
    false
}

/// Where set-up keeps what it fetched, see `pgrx-tests/setup.sh`.
fn cache() -> PathBuf {
    if let Some(cache) = env::var_os("DECAMP_CACHE") {
        return cache.into();
    }
    if is_root() {
        return "/var/cache/pg_decamp".into();
    }
    let home = env::var_os("HOME").expect("HOME is set");
    Path::new(&home).join(".cache/pg_decamp")
}

/// A command run as the user who owns the servers, in an environment without our own PG* and home.
pub fn as_postgres(program: &Path) -> Command {
    let mut command = if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    clean_environment(&mut command);
    command
}

/// libpq and the servers must not see the settings, the password file or the certificates of who runs the tests.
pub fn clean_environment(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
    command
        .env("HOME", "/nonexistent")
        .env("LC_ALL", "C.UTF-8")
        .current_dir("/");
}

/// Runs a command to its end.
///
/// # Panics
/// When it fails; the message has all that it printed.
pub fn run(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} can be run: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Makes a directory of the user who owns the servers.
pub fn make_directory(path: &Path) {
    fs::create_dir(path).unwrap_or_else(|error| panic!("{path:?} can be made: {error}"));
    give_to_postgres(path);
}

/// Hands a file or directory to the user who owns the servers.
pub fn give_to_postgres(path: &Path) {
    if is_root() {
        let (user, group) = postgres_ids();
        chown(path, Some(user), Some(group)).expect("root can give files away");
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").expect("/proc is there").uid() == 0
}

fn postgres_ids() -> (u32, u32) {
    static IDS: OnceLock<(u32, u32)> = OnceLock::new();
    *IDS.get_or_init(|| {
        let id = |option| {
            let output = run(Command::new("id").args([option, "postgres"]));
            String::from_utf8_lossy(&output.stdout)
                .trim()
                .parse()
                .expect("id prints a number")
        };
        (id("-u"), id("-g"))
    })
}
