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

mod count;
mod course;
mod listing;
mod partition;
mod state;
mod stop;

pub use count::{Counts, add, set_backlogs};
pub use course::{
    copy_again, enter, is_any_incomplete, rename, restart, set_columns, set_deferred,
    set_fingerprint, set_planned,
};
pub use listing::{by_oid, keyless, leaving, named, of};
pub use partition::{add_partition, partitions, remove_partition};
pub use state::State;
pub use stop::{forgive, forgive_one, quarantine, with_missed_changes};

use crate::catalog::Fingerprint;
use crate::drift::Pairs;
use crate::pg::spi;
use crate::table::{self, Table};

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

    /// Its deltas are of a key, which may change.
    pub fn has_captured_key(&self) -> bool {
        self.is_captured() && !self.awaits_copy() && !self.keyless
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
