//! One side: can it be reached, over what, and what kind of server is it.

use super::finding::Findings;
use super::look::Look;
use super::pooler;
use crate::failure::Failure;
use crate::libpq::{Connection, Conninfo, Role};
use crate::quote;
use crate::row::Row;

/// A side that could be reached.
pub struct Side {
    pub name: &'static str,
    pub look: Look,
    pub server: Server,
}

/// `sql/check/server.sql`.
pub struct Server {
    pub version: String,
    pub encoding: String,
    pub role: String,
    pub database: String,
    pub standby: bool,
    pub read_only: bool,
    pub superuser: bool,
    pub may_create: bool,
    pub bytes: i64,
    pub ssl: bool,
    pub local: bool,
    pub plpgsql: bool,
}

impl Side {
    /// Connects and looks around; `None` when there is nothing to look at.
    pub fn open(
        name: &'static str,
        info: &Conninfo,
        role: Role,
        encoding: &str,
        findings: &mut Findings,
    ) -> Result<Self, Failure> {
        let mut connection = Connection::open(info, role, encoding, super::APPLICATION)?;
        let direct = pooler::look(&mut connection, info, role, encoding)?;
        let tls = connection.tls();
        let rows = connection.query(include_str!("../../sql/check/server.sql"), &[])?;
        let side = Self {
            name,
            look: Look::new(connection)?,
            server: server(&rows[0]),
        };
        side.say_reached(findings);
        direct.say(name, findings);
        side.say_encrypted(info, tls, findings);
        side.say_writable(findings);
        Ok(side)
    }

    /// `source connection`.
    pub fn subject(&self, concern: &str) -> String {
        format!("{} {concern}", self.name)
    }

    /// SQL with the side it is for.
    pub fn sql(&self, sql: impl std::fmt::Display) -> Option<String> {
        Some(format!("-- {}\n{sql}", self.name))
    }

    fn say_reached(&self, findings: &mut Findings) {
        let Server {
            version,
            role,
            database,
            superuser,
            ..
        } = &self.server;
        let rank = if *superuser { " (superuser)" } else { "" };
        findings.ok(
            self.subject("connection"),
            format!(
                "PostgreSQL {version}, database {}, role {}{rank}",
                quote::ident(database),
                quote::ident(role)
            ),
        );
    }

    fn say_encrypted(&self, info: &Conninfo, tls: Option<String>, findings: &mut Findings) {
        let subject = self.subject("encryption");
        match tls {
            Some(protocol) => {
                let verified = matches!(info.get("sslmode"), Some("verify-ca" | "verify-full"));
                let note = if verified { "" } else { "; the server's certificate is not verified (sslmode)" };
                findings.ok(subject, format!("{protocol} in use{note}"));
            }
            None if self.is_near(info) => findings.ok(subject, "not encrypted, and does not leave this machine"),
            None if self.server.ssl => findings.warning(
                subject,
                "not encrypted although the server offers TLS: data and changes cross the network readable",
                Some(format!("-- {}: in the connection string\nsslmode=require", self.name)),
            ),
            None => findings.warning(
                subject,
                "not encrypted: data and changes cross the network readable, and the server offers no TLS",
                self.sql(
                    "ALTER SYSTEM SET ssl = on; -- with a certificate in place; or go through a VPN or SSH tunnel",
                ),
            ),
        }
    }

    /// Whether the bytes stay on this machine. What the string says counts; what the server saw only if it says nothing
    /// (a pooler beside the server makes everybody look local).
    fn is_near(&self, info: &Conninfo) -> bool {
        let local = |host: &str| {
            host.is_empty()
                || host.starts_with(['/', '@'])
                || host.starts_with("127.")
                || matches!(host, "localhost" | "::1")
        };
        match info.get("hostaddr").or(info.get("host")) {
            Some(hosts) => hosts.split(',').all(local),
            None => self.server.local,
        }
    }

    fn say_writable(&self, findings: &mut Findings) {
        let subject = self.subject("writable");
        if self.server.standby {
            findings.error(
                "55000",
                subject,
                "this server is a standby: it takes no writes, neither triggers nor rows",
                Some(format!(
                    "-- {}: give the connection string of the primary",
                    self.name
                )),
            );
        } else if self.server.read_only {
            findings.warning(
                subject,
                "default_transaction_read_only is on for this role or database; our sessions turn it off, but providers \
                 set it when a disk or plan is full",
                self.sql("SELECT * FROM pg_settings WHERE name = 'default_transaction_read_only'; -- where it comes from"),
            );
        } else {
            findings.ok(subject, "a primary, open for writes");
        }
    }
}

fn server(row: &Row) -> Server {
    Server {
        version: row.string("version"),
        encoding: row.string("encoding"),
        role: row.string("role"),
        database: row.string("database"),
        standby: row.flag("standby"),
        read_only: row.flag("read_only"),
        superuser: row.flag("superuser"),
        may_create: row.flag("may_create"),
        bytes: row.int("bytes"),
        ssl: row.flag("ssl"),
        local: row.flag("local"),
        plpgsql: row.flag("plpgsql"),
    }
}
