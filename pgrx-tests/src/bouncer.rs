//! A PgBouncer in transaction pooling in front of a source, as an application would have it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use postgres::{Client, Config, NoTls};

use crate::installation::{as_postgres, clean_environment, give_to_postgres, make_directory};
use crate::observe::SOON;
use crate::pair::{Pair, TARGET_DATABASE};
use crate::server::free_port;
use crate::source::{DATABASE, PASSWORD, ROLE};
use crate::wait;

const PROGRAM: &str = "/usr/sbin/pgbouncer";

/// Its clients ask for [`DATABASE`]. Dropping it ends it.
pub struct Bouncer {
    directory: PathBuf,
    port: u16,
    process: Child,
    target: String,
    new: String,
}

impl Bouncer {
    /// Starts one that leads to the pair's source.
    pub fn start(pair: &Pair) -> Self {
        let directory = pair.target.directory().join("bouncer");
        make_directory(&directory);
        let port = free_port();
        let users = directory.join("users");
        let ini = directory.join("pgbouncer.ini");
        fs::write(
            &users,
            format!("\"{ROLE}\" \"{PASSWORD}\"\n\"console\" \"\"\n"),
        )
        .expect("our own directory can be written");
        let text = format!(
            "[databases]\n\
             other = host=127.0.0.1 port=1\n\
             {DATABASE} = host=127.0.0.1 port={} dbname={DATABASE}\n\
             [pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = trust\nauth_file = {}\nadmin_users = console\n\
             pool_mode = transaction\nserver_tls_sslmode = prefer\n\
             logfile = {}\npidfile = {}\n",
            pair.source.port(),
            users.display(),
            directory.join("log").display(),
            directory.join("pid").display()
        );
        fs::write(&ini, text).expect("our own directory can be written");
        give_to_postgres(&users);
        give_to_postgres(&ini);
        let process = as_postgres(Path::new(PROGRAM))
            .arg("--quiet")
            .arg(&ini)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pgbouncer can be run: run `make setup`");
        let bouncer = Self {
            port,
            process,
            target: pair.target.socket_conninfo(TARGET_DATABASE),
            new: format!(
                "host={} port={} dbname={TARGET_DATABASE}",
                pair.target.directory().display(),
                pair.target.port()
            ),
            directory,
        };
        wait::until_true(SOON, "PgBouncer leads to the source", || {
            bouncer.try_connect().is_ok()
        });
        bouncer
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// A client of it, the application.
    pub fn connect(&self) -> Client {
        self.try_connect().expect("PgBouncer takes clients")
    }

    fn try_connect(&self) -> Result<Client, postgres::Error> {
        Config::new()
            .host("127.0.0.1")
            .port(self.port)
            .user(ROLE)
            .dbname(DATABASE)
            .connect(NoTls)
    }

    /// What its file has right of the database's `=`.
    pub fn leads_to(&self) -> String {
        let text = self.ini();
        let prefix = format!("{DATABASE} = ");
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(&prefix));
        lines.next().expect("the database has a line").to_owned()
    }

    /// Its file.
    pub fn ini(&self) -> String {
        fs::read_to_string(self.directory.join("pgbouncer.ini")).expect("the file is there")
    }

    /// Where it leads to after going over.
    pub fn new_server(&self) -> &str {
        &self.new
    }

    /// The script of `examples/pgbouncer`, ready to run.
    pub fn script(&self) -> Command {
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/pgbouncer/switchover.sh");
        let mut command = Command::new(script);
        clean_environment(&mut command);
        let here = format!("host=127.0.0.1 port={}", self.port);
        command
            .env("SUBSCRIPTION", crate::migration::NAME)
            .env("TARGET", &self.target)
            .env("CONSOLE", format!("{here} user=console dbname=pgbouncer"))
            .env("APPLICATION", format!("user={ROLE}"))
            .env("INI", self.directory.join("pgbouncer.ini"))
            .env("DATABASE", DATABASE)
            .env("NEW", &self.new);
        command
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
            eprintln!("---- PgBouncer's log\n{log}----");
        }
        // the child may be runuser, which would not pass SIGKILL on
        if let Ok(pid) = fs::read_to_string(self.directory.join("pid")) {
            let _ = Command::new("kill").arg(pid.trim()).status();
        } else {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}
