//! A source as Heroku gives it: an ordinary role owns the database and logs in by TCP, TLS and a password, no more.

use std::ops::Deref;

use postgres::Client;

use crate::installation::Installation;
use crate::load::{Churn, Pgbench};
use crate::server::{Builder, Server, uri};
use crate::zoo;

/// The role that owns the database: no superuser, no REPLICATION, no CREATEROLE.
pub const ROLE: &str = "app";
/// Its database.
pub const DATABASE: &str = "app";
/// Its password, with what a URI must encode.
pub const PASSWORD: &str = "p:w@d/100%";

/// A Heroku-like server. Everything a [`Server`] can, it can too: the tests, unlike the extension, may be superuser there.
pub struct Source(Server);

impl Deref for Source {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

impl Source {
    /// A source of PostgreSQL 15.
    pub fn start() -> Self {
        Self::start_version(15)
    }

    /// A source of any major that [`crate::have_source`] knows.
    pub fn start_version(major: u32) -> Self {
        Self::start_with(major, |builder| builder)
    }

    /// A source with more configuration than usual.
    pub fn start_with(major: u32, configure: impl FnOnce(Builder) -> Builder) -> Self {
        let installation = Installation::source(major).unwrap_or_else(|| {
            panic!("PostgreSQL {major} is there to migrate from: run `make setup`")
        });
        let builder = Server::builder(installation)
            .name("source")
            .tls()
            .hba("hostssl all all 127.0.0.1/32 scram-sha-256")
            .hba("host all all all reject");
        let source = Self(configure(builder).start());
        source.sql(
            "postgres",
            &format!("CREATE ROLE {ROLE} LOGIN NOSUPERUSER NOREPLICATION NOCREATEROLE NOCREATEDB PASSWORD '{PASSWORD}'"),
        );
        source.create_database(DATABASE);
        source
    }

    /// One more database that the role owns.
    pub fn create_database(&self, name: &str) {
        self.sql(
            "postgres",
            &format!("CREATE DATABASE \"{name}\" OWNER {ROLE}"),
        );
        // before 15 everybody could create there anyway; since then the database's owner is the schema's
        self.sql(name, &format!("ALTER SCHEMA public OWNER TO {ROLE}"));
    }

    /// How a subscription reaches the role's database: a percent-encoded URI.
    pub fn uri(&self) -> String {
        self.uri_through(self.port())
    }

    /// The same by way of another port of this machine, a proxy's.
    pub fn uri_through(&self, port: u16) -> String {
        uri(ROLE, PASSWORD, port, DATABASE)
    }

    /// A connection of the role to its database, through the socket.
    pub fn connect_as_app(&self) -> Client {
        self.connect_as(ROLE, DATABASE)
    }

    /// Runs statements as the role, in its database.
    pub fn app(&self, sql: &str) {
        let result = self.connect_as_app().simple_query(sql);
        if let Err(error) = result {
            panic!("{}\nin: {sql}", crate::server::client::told(&error));
        }
    }

    /// The database is another one, empty, in this encoding.
    pub fn speak(&self, encoding: &str) {
        self.sql("postgres", &format!("drop database {DATABASE}"));
        self.sql(
            "postgres",
            &format!(
                "create database {DATABASE} owner {ROLE} encoding '{encoding}' template template0 lc_collate 'C' lc_ctype 'C'"
            ),
        );
        self.sql(DATABASE, &format!("alter schema public owner to {ROLE}"));
    }

    /// Makes and fills the [`zoo`], about `rows` rows in each of its larger tables, as the role.
    /// `contrib`: with tables that need citext and hstore, which the target's server must then have as well.
    pub fn load_zoo(&self, rows: u32, contrib: bool) {
        zoo::load(self, ROLE, DATABASE, rows, contrib);
    }

    /// pgbench as the role, by TCP with TLS, still to be configured. See [`Pgbench`].
    pub fn pgbench(&self) -> Pgbench {
        Pgbench::on(self)
    }

    /// Starts random writes on a loaded zoo. See [`Churn`].
    pub fn churn(&self, seed: u64, writers: usize) -> Churn {
        Churn::start(self, seed, writers)
    }
}
