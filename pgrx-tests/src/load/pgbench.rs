//! pgbench, as the role that owns the source's database, by TCP with TLS.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::installation::{clean_environment, run};
use crate::source::{DATABASE, PASSWORD, ROLE, Source};
use crate::wait;

const PROGRAM: &str = "/usr/lib/postgresql/15/bin/pgbench";
const FOREVER: u32 = 24 * 60 * 60;

/// How pgbench is to run.
pub struct Pgbench {
    directory: PathBuf,
    port: u16,
    database: String,
    options: String,
    sslmode: &'static str,
    protocol: &'static str,
    variables: Vec<String>,
    clients: usize,
    rate: Option<u32>,
    scripts: Vec<PathBuf>,
    log: Option<PathBuf>,
    through_restarts: bool,
}

impl Pgbench {
    pub(crate) fn on(source: &Source) -> Self {
        Self {
            directory: source.directory().to_owned(),
            port: source.port(),
            database: DATABASE.into(),
            options: String::new(),
            sslmode: "require",
            protocol: "prepared",
            variables: Vec::new(),
            clients: 2,
            rate: None,
            scripts: Vec::new(),
            log: None,
            through_restarts: false,
        }
    }

    /// Makes and fills pgbench's tables: `scale` times 100000 accounts.
    pub fn init(self, scale: u32) -> Self {
        run(self
            .command()
            .args(["--initialize", "--quiet", "--scale", &scale.to_string()]));
        self
    }

    /// Another database than the usual one.
    pub fn database(mut self, name: &str) -> Self {
        self.database = name.into();
        self
    }

    /// Settings of the server for its sessions: `-c name=value`.
    pub fn options(mut self, options: &str) -> Self {
        self.options = options.into();
        self
    }

    /// By way of a PgBouncer on this port, without TLS; one of before 1.21 knows no prepared statements.
    pub fn through_bouncer(mut self, port: u16) -> Self {
        self.port = port;
        self.sslmode = "disable";
        self.protocol = "simple";
        self
    }

    /// A variable that each client begins with: `name=value`.
    pub fn variable(mut self, definition: &str) -> Self {
        self.variables.push(definition.into());
        self
    }

    /// How many write at a time; 2 if not said.
    pub fn clients(mut self, clients: usize) -> Self {
        self.clients = clients;
        self
    }

    /// Transactions per second, all clients together; as fast as they can if not said.
    pub fn rate(mut self, rate: u32) -> Self {
        self.rate = Some(rate);
        self
    }

    /// A script of our own instead of pgbench's built-in one; several are chosen from at random.
    pub fn script(mut self, text: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let path = self.directory.join(format!(
            "script-{}.sql",
            NEXT.fetch_add(1, Ordering::Relaxed)
        ));
        fs::write(&path, text).expect("the server's directory can be written");
        self.scripts.push(path);
        self
    }

    /// Writes a line per transaction into files that begin with this path. The last second's may be missing.
    pub fn log(mut self, prefix: &Path) -> Self {
        self.log = Some(prefix.to_owned());
        self
    }

    /// Starts pgbench again whenever it loses its server, instead of failing the test.
    pub fn through_restarts(mut self) -> Self {
        self.through_restarts = true;
        self
    }

    /// Starts writing, until [`Running::stop`].
    pub fn start(self) -> Running {
        let stopping = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stopping);
        let supervisor = thread::spawn(move || self.supervise(&flag));
        Running {
            stopping,
            supervisor: Some(supervisor),
        }
    }

    /// Writes for some seconds, to a clean end.
    ///
    /// # Panics
    /// When pgbench fails.
    pub fn run_for(self, seconds: u32) {
        run(&mut self.run_command(seconds));
    }

    /// Writes so many transactions with each client, to a clean end.
    ///
    /// # Panics
    /// When pgbench fails.
    pub fn run_transactions(self, each: u32) {
        let mut command = self.configured();
        command.args(["--transactions", &each.to_string()]);
        run(&mut command);
    }

    /// Writes for some seconds; transactions per second.
    ///
    /// # Panics
    /// When pgbench fails, or does not say.
    pub fn measure(self, seconds: u32) -> f64 {
        let output = run(&mut self.run_command(seconds));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let told = said
            .lines()
            .find_map(|line| line.strip_prefix("tps = "))
            .and_then(|rest| rest.split(' ').next())
            .and_then(|number| number.parse().ok());
        told.unwrap_or_else(|| panic!("pgbench tells no tps: {said}"))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        clean_environment(&mut command);
        command
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", ROLE)
            .env("PGPASSWORD", PASSWORD)
            .env("PGDATABASE", &self.database)
            .env("PGOPTIONS", &self.options)
            .env("PGSSLMODE", self.sslmode)
            .env("PGAPPNAME", "pgbench");
        command
    }

    fn run_command(&self, seconds: u32) -> Command {
        let mut command = self.configured();
        command.args(["--time", &seconds.to_string()]);
        command
    }

    fn configured(&self) -> Command {
        let mut command = self.command();
        command.args(["--no-vacuum", "--max-tries=10", "--protocol", self.protocol]);
        for definition in &self.variables {
            command.args(["--define", definition]);
        }
        command.args(["--client", &self.clients.to_string()]);
        if let Some(rate) = self.rate {
            command.args(["--rate", &rate.to_string()]);
        }
        for script in &self.scripts {
            command.arg("--file").arg(script);
        }
        if let Some(prefix) = &self.log {
            command.arg("--log").arg("--log-prefix").arg(prefix);
        }
        command
    }

    fn spawn(&self) -> Child {
        let mut command = self.run_command(FOREVER);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command.spawn().expect("pgbench can be run")
    }

    /// Keeps pgbench running until told to stop. Returns what it said if it ended by itself and should not have.
    fn supervise(&self, stopping: &AtomicBool) -> Result<(), String> {
        loop {
            let mut child = self.spawn();
            let said = child.stderr.take().expect("stderr is piped");
            let reader = thread::spawn(move || std::io::read_to_string(said).unwrap_or_default());
            loop {
                if stopping.load(Ordering::Relaxed) {
                    let _ = child.kill();
                    let _ = child.wait();
                    let said = reader.join().expect("reading does not panic");
                    // a single client that has met an error ends without the others
                    return if said.contains("aborted") && !self.through_restarts {
                        Err(said)
                    } else {
                        Ok(())
                    };
                }
                if child
                    .try_wait()
                    .expect("our child can be waited for")
                    .is_some()
                {
                    break;
                }
                wait::pause(Duration::from_millis(20));
            }
            let said = reader.join().expect("reading does not panic");
            if !self.through_restarts {
                return Err(said);
            }
            wait::pause(Duration::from_millis(200));
        }
    }
}

/// A pgbench at work. Dropping it ends it.
pub struct Running {
    stopping: Arc<AtomicBool>,
    supervisor: Option<JoinHandle<Result<(), String>>>,
}

impl Running {
    /// Ends the load and waits until the server has nothing of it open any more.
    ///
    /// # Panics
    /// When pgbench, or one client of it, had ended before by an error.
    pub fn stop(self, source: &Source) {
        self.stop_clients();
        let idle = "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'pgbench'";
        source.poll_until(DATABASE, idle, Duration::from_secs(30));
    }

    /// Ends the load; a pooler in between keeps its own connections.
    ///
    /// # Panics
    /// As [`Self::stop`].
    pub fn stop_clients(mut self) {
        if let Err(said) = self.end() {
            panic!("pgbench had ended by itself: {said}");
        }
    }

    fn end(&mut self) -> Result<(), String> {
        self.stopping.store(true, Ordering::Relaxed);
        match self.supervisor.take() {
            Some(supervisor) => supervisor.join().expect("the supervisor does not panic"),
            None => Ok(()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.end();
    }
}
