//! A subscription: its row in `decamp.subscription`, and the states it goes through.
//!
//! ```text
//!  starting --> importing --> installing --> copying --> catchup --> streaming
//!     |  (copy_schema)            |        (copy_data)      |            |
//!     +----------- errored <------+-------------------------+------------+   a person acts, repl_resume
//!
//!  streaming --> finished   repl_switchover; back by repl_unfence(force => true)
//!  armed --> installing     the way back of that switchover, in its last step's transaction
//!  finished --> installing  when the way back has switched over in its turn
//! ```
//! The apply worker alone moves it forward, each time after the step's outcome is in the tables; a worker that starts
//! goes on from the state it finds. Pausing is not a state but `enabled = false`.
//!
//! Everything here needs an open transaction.

mod counterpart;
mod fence;
mod state;
mod status;

pub use counterpart::{armed_counterpart, awake, drop_armed, take_rows_as_copied};
pub use fence::{Fence, fence_of, finish, go_back, is_closing, is_finished, set_fence};
pub use state::State;
pub use status::{
    clear_failure, clear_outage, end_rest, forgive, go_back_for_tables, has_missed_changes,
    heartbeat, is_complete_since, is_cut, is_resting, note_failure, noted_failure, publish,
};

use crate::failure::Failure;
use crate::libpq::Conninfo;
use crate::pg::{server, spi};
use crate::quote;
use crate::row::Row;

#[derive(Clone, Debug)]
pub struct Subscription {
    pub id: i32,
    pub name: String,
    pub uuid: String,
    pub owner: String,
    pub source: String,
    pub target: Option<String>,
    pub tables: Option<Vec<String>>,
    pub exclude: Option<Vec<String>>,
    pub workers: i32,
    pub copy_schema: bool,
    pub copy_data: bool,
    pub enabled: bool,
    /// its role on the target may not set session_replication_role, and all that would act there is off
    pub ordinary: bool,
    pub state: State,
    /// as it is known here
    pub fence: Option<Fence>,
}

/// A query for subscriptions: what follows their columns.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select id, name, uuid, owner, source, target, pg_catalog.array_to_json(tables)::text as tables, \
                    pg_catalog.array_to_json(exclude)::text as exclude, workers, copy_schema, copy_data, enabled, ordinary, \
                    state, fence from decamp.subscription ",
            $rest
        )
    };
}

fn read(row: &Row) -> Subscription {
    Subscription {
        id: i32::try_from(row.int("id")).expect("the id is an int4"),
        name: row.string("name"),
        uuid: row.string("uuid"),
        owner: row.string("owner"),
        source: row.string("source"),
        target: row.opt("target").map(str::to_owned),
        tables: row.opt("tables").map(strings),
        exclude: row.opt("exclude").map(strings),
        workers: i32::try_from(row.int("workers")).expect("workers is an int4"),
        copy_schema: row.flag("copy_schema"),
        copy_data: row.flag("copy_data"),
        enabled: row.flag("enabled"),
        ordinary: row.flag("ordinary"),
        state: State::parse(row.text("state")),
        fence: row.opt("fence").map(Fence::parse),
    }
}

fn strings(json: &str) -> Vec<String> {
    serde_json::from_str(json).expect("array_to_json of text[] without NULLs")
}

/// By id; `None` when it is gone.
pub fn by_id(id: i32) -> Option<Subscription> {
    let sql = select!("where id = $1::int4");
    spi::read(sql, &[Some(&id.to_string())]).first().map(read)
}

/// By id, waiting for a `repl_stop` in progress to end; `None` when it is gone.
pub fn by_id_settled(id: i32) -> Option<Subscription> {
    let sql = select!("where id = $1::int4 for key share");
    spi::write(sql, &[Some(&id.to_string())]).first().map(read)
}

/// By name, on a snapshot taken now. Errors: 42704.
pub fn by_name(name: &str) -> Result<Subscription, Failure> {
    let sql = select!("where name = $1");
    spi::read_now(sql, &[Some(name)])
        .first()
        .map(read)
        .ok_or_else(|| unknown(name))
}

/// The subscription that leads the other way, as committed now.
pub fn counterpart(id: i32) -> Option<Subscription> {
    let sql = select!(
        "where counterpart_id = $1::int4 \
            or id = (select o.counterpart_id from decamp.subscription o where o.id = $1::int4)"
    );
    spi::read_now(sql, &[Some(&id.to_string())])
        .first()
        .map(read)
}

/// By name, locked until the transaction ends; workers go on meanwhile. Errors: 42704.
pub fn by_name_locked(name: &str) -> Result<Subscription, Failure> {
    locked(name, select!("where name = $1 for no key update"))
}

/// By name, locked until the transaction ends, against starting workers too. Errors: 42704.
pub fn by_name_to_end(name: &str) -> Result<Subscription, Failure> {
    locked(name, select!("where name = $1 for update"))
}

fn locked(name: &str, sql: &'static str) -> Result<Subscription, Failure> {
    spi::write(sql, &[Some(name)])
        .first()
        .map(read)
        .ok_or_else(|| unknown(name))
}

/// All of them.
pub fn all() -> Vec<Subscription> {
    let sql = select!("order by id");
    spi::read(sql, &[]).iter().map(read).collect()
}

fn unknown(name: &str) -> Failure {
    let known: Vec<String> =
        spi::read_now("select name from decamp.subscription order by name", &[])
            .iter()
            .map(|r| r.string("name"))
            .collect();
    let hint = if known.is_empty() {
        "There is none in this database; SELECT repl_start(...) makes one.".to_owned()
    } else {
        format!("In this database there are: {}.", known.join(", "))
    };
    Failure::new("42704", format!("subscription {name:?} does not exist")).hint(hint)
}

impl Subscription {
    /// The name of our schema on the source.
    pub fn schema(&self) -> String {
        format!("decamp_{}", self.name)
    }

    pub fn source_info(&self) -> Result<Conninfo, Failure> {
        Conninfo::parse(&self.source, "source")
    }

    pub fn target_info(&self) -> Result<Conninfo, Failure> {
        match &self.target {
            Some(text) => Conninfo::parse(text, "target"),
            None => Ok(local_target(&self.owner)),
        }
    }

    /// `application_name` of what works for it.
    pub fn title(&self, what: &str) -> String {
        format!("pg_decamp {} {what}", self.name)
    }

    /// All that would act on the target's tables is off, until the end.
    pub fn set_ordinary(&mut self) {
        spi::update(
            "update decamp.subscription set ordinary = true where id = $1::int4",
            &[Some(&self.id.to_string())],
        );
        self.ordinary = true;
    }

    /// Moves it to a state, in the tables and here. False if somebody has moved it meanwhile (repl_resync, for one): then
    /// nothing happens, and it is to be looked at again. To `errored` it goes from any state.
    pub fn enter(&mut self, state: State) -> bool {
        let moved = spi::update(
            "update decamp.subscription set state = $2, state_since = pg_catalog.clock_timestamp(), \
                    errored_from = case when $2 = 'errored' then coalesce(errored_from, state) end, \
                    copy_started_at = case when $2 = 'copying' then coalesce(copy_started_at, pg_catalog.clock_timestamp()) \
                                           else copy_started_at end, \
                    copy_finished_at = case when $2 = 'catchup' then pg_catalog.clock_timestamp() else copy_finished_at end \
             where id = $1::int4 and (state = $3 or $2 = 'errored')",
            &[
                Some(&self.id.to_string()),
                Some(state.as_str()),
                Some(self.state.as_str()),
            ],
        );
        if moved == 1 {
            self.state = state;
        }
        moved == 1
    }
}

/// The default target: this server's socket, this database, the subscription's owner. Needs a transaction.
pub fn local_target(owner: &str) -> Conninfo {
    let (host, port) = server::address();
    Conninfo::of(&[
        ("host", &host),
        ("port", &port.to_string()),
        ("dbname", &server::database_name()),
        ("user", owner),
    ])
}

/// Columns of a new subscription, as `repl_start` got them.
pub struct New<'a> {
    pub name: &'a str,
    pub owner: &'a str,
    pub source: &'a str,
    pub source_shown: &'a str,
    pub target: Option<&'a str>,
    pub target_shown: &'a str,
    pub tables: Option<&'a [String]>,
    pub exclude: Option<&'a [String]>,
    pub workers: i32,
    pub copy_schema: bool,
    pub copy_data: bool,
    /// it is the way back of this one, armed
    pub counterpart: Option<i32>,
}

/// Inserts it; its id.
pub fn insert(new: &New) -> i32 {
    let tables = new.tables.map(quote::array);
    let exclude = new.exclude.map(quote::array);
    let state = match new.counterpart {
        Some(_) => State::Armed,
        None => State::Starting,
    };
    let rows = spi::write(
        "insert into decamp.subscription (name, owner, source, source_shown, target, target_shown, tables, exclude, \
                                          workers, copy_schema, copy_data, counterpart_id, state) \
         values ($1, $2, $3, $4, $5, $6, $7::text[], $8::text[], $9::int4, $10::bool, $11::bool, $12::int4, $13) \
         returning id",
        &[
            Some(new.name),
            Some(new.owner),
            Some(new.source),
            Some(new.source_shown),
            new.target,
            Some(new.target_shown),
            tables.as_deref(),
            exclude.as_deref(),
            Some(&new.workers.to_string()),
            Some(&new.copy_schema.to_string()),
            Some(&new.copy_data.to_string()),
            new.counterpart.map(|id| id.to_string()).as_deref(),
            Some(state.as_str()),
        ],
    );
    i32::try_from(rows[0].int("id")).expect("the id is an int4")
}
