//! Holds the copy of a table up between two of its chunks: what happens meanwhile happens between two snapshots.

use postgres::Client;

use crate::pair::{Pair, TARGET_DATABASE};
use crate::wait;

/// Sessions of copy workers count the COPYs into the table; the one with that number waits for a lock that the test has.
const SQL: &str = "create schema hold; create sequence hold.copies; \
    create function hold.hold() returns trigger language plpgsql as $$ begin \
        if current_setting('application_name') like '% copy' and nextval('hold.copies') = tg_argv[0]::int then \
            while not pg_try_advisory_lock_shared(77) loop perform pg_sleep(0.02); end loop; \
            perform pg_advisory_unlock_shared(77); \
        end if; \
        return null; \
    end $$;";

impl Pair {
    /// 15 to 15, tables cut into pieces of two megabytes. Pieces of less than one may be copied together.
    pub fn start_cut() -> Self {
        Self::builder().cut().start()
    }

    /// The same DDL where the rows come to first, then where they come from.
    pub fn on_both(&self, sql: &str) {
        self.sql(sql);
        self.source.app(sql);
    }

    /// How many chunks a table has been cut into.
    pub fn chunks(&self, table: &str) -> usize {
        let count = self.table(table, "chunks");
        count.parse().expect("a count is a number")
    }

    /// Waits until nothing that was taken off the target is missing there.
    pub fn wait_until_built(&self) {
        self.poll("SELECT sum(indexes_missing) = 0 FROM repl_tables");
    }

    /// Whether an event tells this.
    pub fn events(&self, part: &str) -> usize {
        let sql = format!(
            "SELECT count(*) FROM repl_events WHERE message LIKE '%{part}%' OR detail LIKE '%{part}%'"
        );
        self.query(&sql).parse().expect("a count is a number")
    }
}

/// The copy of one table, held. With one worker the chunks come in their order, so those before are on the target. Dropping
/// it lets the copy go on.
pub struct Hold<'a> {
    pair: &'a Pair,
    lock: Option<Client>,
}

impl<'a> Hold<'a> {
    /// The table must be on the target already.
    pub fn at_chunk(pair: &'a Pair, table: &str, number: u32) -> Self {
        pair.sql(&format!(
            "{SQL} create trigger hold before insert on {table} for each statement execute function hold.hold({number}); \
             alter table {table} enable always trigger hold"
        ));
        let mut lock = pair.target.connect(TARGET_DATABASE);
        lock.batch_execute("select pg_advisory_lock(77)")
            .expect("nobody else has this lock");
        Self {
            pair,
            lock: Some(lock),
        }
    }

    /// Waits until the copy has come so far: that chunk has its snapshot, those after it have not.
    pub fn wait(&self) {
        self.pair.poll(
            "SELECT count(*) = 1 FROM pg_stat_activity \
             WHERE application_name LIKE '% copy' AND wait_event = 'PgSleep' AND query LIKE 'copy %'",
        );
    }

    /// Lets the copy go on, past all further chunks.
    pub fn release(mut self) {
        self.lock.take();
        // a table that is begun anew would come by again
        wait::until_true(crate::observe::SOON, "the lock is given up", || {
            self.pair
                .query("SELECT count(*) = 0 FROM pg_locks WHERE locktype = 'advisory' AND objid = 77 AND mode = 'ExclusiveLock'")
                == "t"
        });
    }
}
