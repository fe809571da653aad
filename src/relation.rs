//! A table of a subscription: its row in `decamp.relation`, and the states it goes through.
//!
//! ```text
//!  init --> copying --> copied --> catchup --> ready
//!    |  capture   chunks     analysed   backlog      errored: this table stopped, the others go on;
//!    |  on source all done              empty once   repl_resume puts it back to `errored_from`
//!    +--------------------------------> catchup      (copy_data => false)
//! ```
//! Only the apply worker moves a table, always forward, in the transaction that makes the next step possible: to
//! `copying` together with its chunks' tasks.
//!
//! Everything here needs an open transaction.

use crate::capture::Partition;
use crate::catalog::Fingerprint;
use crate::drift::Pairs;
use crate::failure::Failure;
use crate::pg::spi;
use crate::quote;
use crate::retry::MISSED;
use crate::row::Row;
use crate::table::{self, Table};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Init,
    Copying,
    Copied,
    Catchup,
    Ready,
    Errored,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Copying => "copying",
            Self::Copied => "copied",
            Self::Catchup => "catchup",
            Self::Ready => "ready",
            Self::Errored => "errored",
        }
    }

    fn parse(text: &str) -> Self {
        [
            Self::Init,
            Self::Copying,
            Self::Copied,
            Self::Catchup,
            Self::Ready,
            Self::Errored,
        ]
        .into_iter()
        .find(|state| state.as_str() == text)
        .unwrap_or_else(|| panic!("the check constraint allows no table state {text:?}"))
    }

    /// Its deltas may be replayed.
    pub fn is_replayed(self) -> bool {
        matches!(self, Self::Catchup | Self::Ready)
    }
}

/// Where the rows of a table are delivered to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// which columns are replayed into which
    pub pairs: Pairs,
    /// oid of the target's table
    pub table: u32,
    /// what its files are like: `content` of its fingerprint
    pub content: String,
}

#[derive(Clone, Debug)]
pub struct Relation {
    pub oid: u32,
    pub schema: String,
    pub name: String,
    pub state: State,
    /// where an errored one stopped
    pub errored_from: Option<State>,
    pub bytes: i64,
    /// what is to be taken off the target for the copy is off
    pub deferred: bool,
    /// its chunks are in the tasks
    pub planned: bool,
    /// how often its copy began anew
    pub restarts: i64,
    /// its capture writes whole rows; stays so even if the source's table gets a key
    pub keyless: bool,
    /// what the source's table looked like when its rows were last delivered
    pub fingerprint: Option<Fingerprint>,
    /// how its rows were last delivered
    pub columns: Option<Columns>,
    /// of an errored one
    pub error: Option<String>,
    pub sqlstate: Option<String>,
    pub hint: Option<String>,
}

impl Relation {
    /// For messages.
    pub fn shown(&self) -> String {
        table::shown(&self.schema, &self.name)
    }

    /// Its copy is to be planned.
    pub fn awaits_copy(&self) -> bool {
        self.state == State::Copying && !self.planned
    }

    /// Capture is on the source, as far as the tables here know.
    pub fn is_captured(&self) -> bool {
        self.state != State::Init && self.errored_from != Some(State::Init)
    }
}

pub fn insert(subscription: i32, table: &Table) {
    spi::update(
        "insert into decamp.relation (subscription_id, source_oid, schema, name, capture, bytes, rows_estimate, keyless) \
         values ($1::int4, $2::oid, $3, $4, $5, $6::int8, $7::int8, $8::bool)",
        &[
            Some(&subscription.to_string()),
            Some(&table.oid.to_string()),
            Some(&table.schema),
            Some(&table.name),
            Some(table.capture().as_str()),
            Some(&table.bytes.to_string()),
            Some(&table.rows_estimate.to_string()),
            Some(&table.key.is_empty().to_string()),
        ],
    );
}

/// Those whose capture writes whole rows.
pub fn keyless(relations: &[Relation]) -> Vec<u32> {
    relations
        .iter()
        .filter(|r| r.keyless)
        .map(|r| r.oid)
        .collect()
}

/// All tables of a subscription that are to stay, largest first.
pub fn of(subscription: i32) -> Vec<Relation> {
    spi::read(
        "select source_oid::int8 as oid, schema, name, state, errored_from, bytes, deferred, planned, restarts, keyless, shape, content, columns, error, error_sqlstate, hint \
         from decamp.relation \
         where subscription_id = $1::int4 and not leaving order by bytes desc, schema, name",
        &[Some(&subscription.to_string())],
    )
    .iter()
    .map(read)
    .collect()
}

/// Those that repl_remove_table takes out.
pub fn leaving(subscription: i32) -> Vec<Relation> {
    spi::read(
        "select source_oid::int8 as oid, schema, name, state, errored_from, bytes, deferred, planned, restarts, keyless, shape, content, columns, error, error_sqlstate, hint \
         from decamp.relation \
         where subscription_id = $1::int4 and leaving order by schema, name",
        &[Some(&subscription.to_string())],
    )
    .iter()
    .map(read)
    .collect()
}

/// The table is to be taken out.
pub fn leave(subscription: i32, oid: u32) {
    spi::update(
        "update decamp.relation set leaving = true where subscription_id = $1::int4 and source_oid = $2::oid",
        &[Some(&subscription.to_string()), Some(&oid.to_string())],
    );
}

/// The table is out.
pub fn remove(subscription: i32, oid: u32) {
    spi::update(
        "delete from decamp.relation where subscription_id = $1::int4 and source_oid = $2::oid",
        &[Some(&subscription.to_string()), Some(&oid.to_string())],
    );
}

/// Those of a subscription that have this name: schema and table, or the table's alone.
pub fn named(subscription: i32, name: &[String]) -> Vec<u32> {
    let (schema, table) = match name {
        [table] => (None, table),
        [schema, table] => (Some(schema.as_str()), table),
        _ => return Vec::new(),
    };
    spi::read(
        "select source_oid::int8 as oid from decamp.relation \
         where subscription_id = $1::int4 and name = $2 and ($3::text is null or schema = $3) and not leaving",
        &[Some(&subscription.to_string()), Some(table), schema],
    )
    .iter()
    .map(|row| row.oid("oid"))
    .collect()
}

/// One table of a subscription, as it is committed now.
pub fn by_oid(subscription: i32, oid: u32) -> Option<Relation> {
    spi::read_now(
        "select source_oid::int8 as oid, schema, name, state, errored_from, bytes, deferred, planned, restarts, keyless, shape, content, columns, error, error_sqlstate, hint \
         from decamp.relation \
         where subscription_id = $1::int4 and source_oid = $2::oid",
        &[Some(&subscription.to_string()), Some(&oid.to_string())],
    )
    .first()
    .map(read)
}

fn read(row: &Row) -> Relation {
    Relation {
        oid: row.oid("oid"),
        schema: row.string("schema"),
        name: row.string("name"),
        state: State::parse(row.text("state")),
        errored_from: row.opt("errored_from").map(State::parse),
        bytes: row.int("bytes"),
        deferred: row.flag("deferred"),
        planned: row.flag("planned"),
        restarts: row.int("restarts"),
        keyless: row.flag("keyless"),
        fingerprint: row
            .opt("shape")
            .zip(row.opt("content"))
            .map(|(shape, content)| Fingerprint {
                shape: shape.to_owned(),
                content: content.to_owned(),
            }),
        columns: row
            .opt("columns")
            .map(|json| serde_json::from_str(json).expect("we wrote it"))
            .map(|(pairs, table, content)| Columns {
                pairs,
                table,
                content,
            }),
        error: row.opt("error").map(str::to_owned),
        sqlstate: row.opt("error_sqlstate").map(str::to_owned),
        hint: row.opt("hint").map(str::to_owned),
    }
}

/// Moves a table on, unless somebody has moved it meanwhile (repl_resync, for one).
pub fn enter(subscription: i32, oid: u32, from: State, to: State) {
    spi::update(
        "update decamp.relation set state = $4 where subscription_id = $1::int4 and source_oid = $2::oid and state = $3",
        &[
            Some(&subscription.to_string()),
            Some(&oid.to_string()),
            Some(from.as_str()),
            Some(to.as_str()),
        ],
    );
}

/// Whether a table is still to be copied, as it is committed now.
pub fn is_any_incomplete(subscription: i32) -> bool {
    let sql = "select 1 from decamp.relation where subscription_id = $1::int4 and not leaving and state in ('init', 'copying', 'copied') limit 1";
    !spi::read_now(sql, &[Some(&subscription.to_string())]).is_empty()
}

/// Notes by way of which columns the rows are being delivered.
pub fn set_columns(subscription: i32, oid: u32, columns: &Columns) {
    let json = serde_json::to_string(&(&columns.pairs, columns.table, &columns.content));
    let json = json.expect("numbers and a text");
    spi::update(
        "update decamp.relation set columns = $3 where subscription_id = $1::int4 and source_oid = $2::oid",
        &[
            Some(&subscription.to_string()),
            Some(&oid.to_string()),
            Some(&json),
        ],
    );
}

/// Notes what the source's table looks like while its rows are being delivered.
pub fn set_fingerprint(subscription: i32, oid: u32, fingerprint: &Fingerprint) {
    spi::update(
        "update decamp.relation set shape = $3, content = $4 where subscription_id = $1::int4 and source_oid = $2::oid",
        &[
            Some(&subscription.to_string()),
            Some(&oid.to_string()),
            Some(&fingerprint.shape),
            Some(&fingerprint.content),
        ],
    );
}

pub fn set_deferred(subscription: i32, oid: u32, deferred: bool) {
    spi::update(
        "update decamp.relation set deferred = $3::bool where subscription_id = $1::int4 and source_oid = $2::oid",
        &[
            Some(&subscription.to_string()),
            Some(&oid.to_string()),
            Some(&deferred.to_string()),
        ],
    );
}

/// Its chunks are in the tasks, cut from a table of this size.
pub fn set_planned(subscription: i32, oid: u32, bytes: i64, rows_estimate: i64) {
    spi::update(
        "update decamp.relation set planned = true, bytes = $3::int8, rows_estimate = $4::int8 \
         where subscription_id = $1::int4 and source_oid = $2::oid",
        &[
            Some(&subscription.to_string()),
            Some(&oid.to_string()),
            Some(&bytes.to_string()),
            Some(&rows_estimate.to_string()),
        ],
    );
}

/// The copy of a table is to begin anew, before anything has been built on it.
pub fn restart(subscription: i32, oid: u32) {
    spi::update(
        "update decamp.relation set planned = false, columns = null, restarts = restarts + 1 \
         where subscription_id = $1::int4 and source_oid = $2::oid and planned",
        &[Some(&subscription.to_string()), Some(&oid.to_string())],
    );
}

/// The table is to be copied anew, whatever state it is in.
pub fn copy_again(subscription: i32, oid: u32) {
    spi::update(
        "update decamp.relation \
         set state = 'copying', errored_from = null, error = null, error_sqlstate = null, hint = null, planned = false, columns = null, \
             deferred = false, restarts = restarts + 1 \
         where subscription_id = $1::int4 and source_oid = $2::oid",
        &[Some(&subscription.to_string()), Some(&oid.to_string())],
    );
}

/// The table is called so now. Two may have changed places: names are compared at the end of the transaction.
pub fn rename(subscription: i32, oid: u32, schema: &str, name: &str) {
    spi::update(
        "update decamp.relation set schema = $3, name = $4 where subscription_id = $1::int4 and source_oid = $2::oid",
        &[
            Some(&subscription.to_string()),
            Some(&oid.to_string()),
            Some(schema),
            Some(name),
        ],
    );
}

/// Stops one table. Its deltas wait on the source.
pub fn quarantine(subscription: i32, oid: u32, failure: &Failure) {
    spi::update(
        "update decamp.relation \
         set errored_from = coalesce(errored_from, state), state = 'errored', error = $3, error_sqlstate = $4, hint = $5 \
         where subscription_id = $1::int4 and source_oid = $2::oid",
        &[
            Some(&subscription.to_string()),
            Some(&oid.to_string()),
            Some(&failure.line()),
            Some(&failure.sqlstate),
            failure.hint.as_deref(),
        ],
    );
}

/// Lets the stopped tables of a subscription try again from where they stopped; how many. Not those whose changes were
/// missed: trying again would make them look right.
pub fn forgive(subscription: i32) -> u64 {
    spi::update(
        "update decamp.relation \
         set state = errored_from, errored_from = null, error = null, error_sqlstate = null, hint = null \
         where subscription_id = $1::int4 and state = 'errored' and error_sqlstate <> $2",
        &[Some(&subscription.to_string()), Some(MISSED)],
    )
}

/// Lets one stopped table try again; false if changes of it were missed.
pub fn forgive_one(subscription: i32, oid: u32) -> bool {
    spi::update(
        "update decamp.relation \
         set state = errored_from, errored_from = null, error = null, error_sqlstate = null, hint = null \
         where subscription_id = $1::int4 and source_oid = $2::oid and state = 'errored' and error_sqlstate <> $3",
        &[
            Some(&subscription.to_string()),
            Some(&oid.to_string()),
            Some(MISSED),
        ],
    ) == 1
}

/// How many tables stopped because changes were not captured.
pub fn with_missed_changes(subscription: i32) -> i64 {
    spi::read(
        "select count(*) as n from decamp.relation where subscription_id = $1::int4 and error_sqlstate = $2 and not leaving",
        &[Some(&subscription.to_string()), Some(MISSED)],
    )[0]
    .int("n")
}

/// What a batch did to a table.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub inserted: u64,
    pub updated: u64,
    pub deleted: u64,
    pub truncated: u64,
}

impl Counts {
    pub fn rows(&self) -> u64 {
        self.inserted + self.updated + self.deleted
    }
}

pub fn add(subscription: i32, oid: u32, counts: &Counts) {
    spi::update(
        "update decamp.relation \
         set inserted = inserted + $3::int8, updated = updated + $4::int8, deleted = deleted + $5::int8, \
             truncated = truncated + $6::int8 \
         where subscription_id = $1::int4 and source_oid = $2::oid",
        &[
            Some(&subscription.to_string()),
            Some(&oid.to_string()),
            Some(&counts.inserted.to_string()),
            Some(&counts.updated.to_string()),
            Some(&counts.deleted.to_string()),
            Some(&counts.truncated.to_string()),
        ],
    );
}

/// Writes the backlogs as counted; tables not named have none.
pub fn set_backlogs(subscription: i32, backlogs: &[(u32, i64)]) {
    let oids: Vec<String> = backlogs.iter().map(|(oid, _)| oid.to_string()).collect();
    let counts: Vec<String> = backlogs.iter().map(|(_, n)| n.to_string()).collect();
    spi::update(
        "update decamp.relation r set backlog = coalesce(b.n, 0) \
         from decamp.relation o \
         left join rows from (pg_catalog.unnest($2::oid[]), pg_catalog.unnest($3::int8[])) b(oid, n) on b.oid = o.source_oid \
         where r.subscription_id = $1::int4 and o.subscription_id = r.subscription_id \
           and o.source_oid = r.source_oid and r.backlog <> coalesce(b.n, 0)",
        &[
            Some(&subscription.to_string()),
            Some(&quote::array(&oids)),
            Some(&quote::array(&counts)),
        ],
    );
}

/// The partitions that are taken care of, each with its root's oid.
pub fn partitions(subscription: i32) -> Vec<(u32, Partition)> {
    spi::read(
        "select root_oid::int8 as root, oid::int8 as oid, schema, name, leaf from decamp.partition \
         where subscription_id = $1::int4",
        &[Some(&subscription.to_string())],
    )
    .iter()
    .map(|row| {
        let partition = Partition {
            oid: row.oid("oid"),
            schema: row.string("schema"),
            name: row.string("name"),
            leaf: row.flag("leaf"),
        };
        (row.oid("root"), partition)
    })
    .collect()
}

/// From now on the partition is taken care of.
pub fn add_partition(subscription: i32, root: u32, partition: &Partition) {
    spi::update(
        "insert into decamp.partition (subscription_id, root_oid, oid, schema, name, leaf) \
         values ($1::int4, $2::oid, $3::oid, $4, $5, $6::bool) on conflict do nothing",
        &[
            Some(&subscription.to_string()),
            Some(&root.to_string()),
            Some(&partition.oid.to_string()),
            Some(&partition.schema),
            Some(&partition.name),
            Some(&partition.leaf.to_string()),
        ],
    );
}

/// The partition is gone from the source.
pub fn remove_partition(subscription: i32, oid: u32) {
    spi::update(
        "delete from decamp.partition where subscription_id = $1::int4 and oid = $2::oid",
        &[Some(&subscription.to_string()), Some(&oid.to_string())],
    );
}
