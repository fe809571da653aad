//! repl_switchover held at the beginning of one of its steps: what happens then happens between that step and the one before.

use postgres::Client;

use crate::observe::SOON;
use crate::pair::{Pair, TARGET_DATABASE};
use crate::wait;

const SQL: &str = "create schema if not exists gate; \
    create or replace function gate.hold() returns trigger language plpgsql as $$ begin \
        if new.name = tg_argv[0] then \
            while not pg_catalog.pg_try_advisory_lock_shared(78) loop perform pg_catalog.pg_sleep(0.01); end loop; \
            perform pg_catalog.pg_advisory_unlock_shared(78); \
        end if; \
        return new; \
    end $$; \
    drop trigger if exists hold on decamp.step";

/// Until it is dropped, the next call gets no further than this step.
pub struct Gate {
    _lock: Client,
}

impl Gate {
    pub fn before(pair: &Pair, step: &str) -> Self {
        pair.sql(SQL);
        pair.sql(&format!(
            "create trigger hold before insert on decamp.step for each row execute function gate.hold('{step}')"
        ));
        let mut lock = pair.target.connect(TARGET_DATABASE);
        lock.batch_execute("select pg_advisory_lock(78)")
            .expect("nobody else has this lock");
        Self { _lock: lock }
    }

    /// Waits until the call has come there.
    pub fn wait(&self, pair: &Pair) {
        wait::until_true(SOON, "the call is at the gate", || {
            pair.query(
                "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'pg_decamp switchover' AND wait_event = 'PgSleep'",
            ) == "t"
        });
    }
}
