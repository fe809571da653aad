//! What is set on every connection we open.

use crate::failure::Origin;
use crate::rendering;

/// Which side a connection leads to, and whether it comes to work or only to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// captures, copies from, replays from
    Source,
    /// writes what came from the source
    Target,
    /// reads the target's catalogs; sets nothing that needs rights
    TargetLook,
}

/// What keeps the target's triggers, rules and foreign keys from acting on what we write.
pub const QUIET: &str = "set session_replication_role = replica";

/// How long a session that writes the target waits for a lock.
pub const TARGETS_LOCK_TIMEOUT: &str = "set lock_timeout = '10s';";

impl Role {
    pub fn origin(self) -> Origin {
        match self {
            Self::Source => Origin::Source,
            Self::Target | Self::TargetLook => Origin::Target,
        }
    }

    /// One statement list for the simple protocol. `row_security = off` gives an error rather than silently missing rows.
    /// The TCP settings are the server's side: should we vanish without a word, it lets go of our locks within half a
    /// minute. On the target a lock is not waited for longer than 10 s, for the source keeps a snapshot meanwhile.
    /// `synchronous_commit = on` because what is acknowledged to the source must be on the target's disk. `jit = off`: on our
    /// statements, wide over catalogs and segments with few rows in them, compiling takes longer than running.
    pub fn settings(self, version: i32) -> String {
        let mut sql: String = rendering::ALL
            .iter()
            .map(|(name, value)| format!("set {name} = '{value}'; "))
            .collect();
        sql.push_str(
            "set client_min_messages = warning; set standard_conforming_strings = on; \
             set row_security = off; set statement_timeout = 0; set lock_timeout = 0; \
             set idle_in_transaction_session_timeout = 0; set default_transaction_read_only = off; \
             set default_transaction_isolation = 'read committed'; set synchronous_commit = on; \
             set tcp_keepalives_idle = 10; set tcp_keepalives_interval = 5; set tcp_keepalives_count = 3;",
        );
        if version >= 110_000 {
            sql.push_str("set jit = off;");
        }
        if version >= 120_000 {
            sql.push_str("set tcp_user_timeout = '30s';");
        }
        if version >= 140_000 {
            sql.push_str("set idle_session_timeout = 0;");
        }
        if version >= 170_000 {
            sql.push_str("set transaction_timeout = 0;");
        }
        if self == Self::Target {
            sql.push_str(TARGETS_LOCK_TIMEOUT);
        }
        sql
    }
}

/// Parameters libpq gets besides the user's own: our name, dead peers noticed within half a minute.
pub fn parameters(encoding: &str, application_name: &str) -> Vec<(&'static str, String)> {
    vec![
        ("client_encoding", encoding.to_owned()),
        ("application_name", application_name.to_owned()),
        ("keepalives", "1".into()),
        ("keepalives_idle", "10".into()),
        ("keepalives_interval", "5".into()),
        ("keepalives_count", "3".into()),
        ("tcp_user_timeout", "30000".into()),
    ]
}
