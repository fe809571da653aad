//! A target that does not allow our extension, as a provider gives it: TLS, a password, no superuser.

use std::ops::Deref;

use postgres::Client;

use crate::installation::Installation;
use crate::server::{Server, uri};

/// Its role, an ordinary one, and the database that role owns.
pub const ROLE: &str = "moved";
pub const DATABASE: &str = "moved";
pub const PASSWORD: &str = "m@naged:/%";

/// Everything a [`Server`] can, it can too: the tests, unlike the extension, may be superuser there.
pub struct Managed(Server);

impl Deref for Managed {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

impl Managed {
    pub fn start() -> Self {
        let installation = Installation::target(15).expect("PostgreSQL 15 is installed");
        let server = Server::builder(installation)
            .name("managed")
            .tls()
            .hba("hostssl all all 127.0.0.1/32 scram-sha-256")
            .start();
        server.sql(
            "postgres",
            &format!("create role {ROLE} login password '{PASSWORD}'"),
        );
        server.sql(
            "postgres",
            &format!("create database {DATABASE} owner {ROLE}"),
        );
        server.sql(DATABASE, &format!("alter schema public owner to {ROLE}"));
        Self(server)
    }

    /// For `target => ...`.
    pub fn uri(&self) -> String {
        uri(ROLE, PASSWORD, self.port(), DATABASE)
    }

    /// As its role.
    pub fn connect_as_owner(&self) -> Client {
        self.connect_as(ROLE, DATABASE)
    }

    /// As its role.
    pub fn own(&self, sql: &str) {
        if let Err(error) = self.connect_as_owner().simple_query(sql) {
            panic!("{}\nin: {sql}", crate::server::client::told(&error));
        }
    }

    /// The first value of a query, as the superuser.
    pub fn query(&self, sql: &str) -> String {
        self.query_one_text(DATABASE, sql)
    }

    /// Everything that acts on rows written by somebody else, one line each: triggers, those of foreign keys too, with their
    /// state; rules; foreign keys.
    pub fn acting(&self) -> Vec<String> {
        acting(self, DATABASE)
    }
}

/// The same of any server. Names of triggers that enforce a foreign key are their oids, so they are told by their function.
pub fn acting(server: &Server, database: &str) -> Vec<String> {
    let sql = "select concat_ws(' ', 'trigger', t.tgrelid::regclass, k.conname, \
                   case when t.tgisinternal then t.tgfoid::regproc::text else t.tgname end, t.tgenabled) \
               from pg_trigger t left join pg_constraint k on k.oid = t.tgconstraint where t.tgname !~ '^decamp_' \
               union all \
               select concat_ws(' ', 'rule', ev_class::regclass, rulename, ev_enabled) from pg_rewrite \
               where ev_type <> '1' and ev_class >= 16384 \
               union all \
               select concat_ws(' ', 'key', conrelid::regclass, conname, pg_get_constraintdef(oid), convalidated, condeferrable, \
                                condeferred, obj_description(oid, 'pg_constraint')) \
               from pg_constraint where contype = 'f' \
               order by 1";
    let rows = server.rows(database, sql);
    rows.into_iter().map(|mut row| row.remove(0)).collect()
}
