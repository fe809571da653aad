//! A source at work: the zoo under churn, pgbench, and the table `held` that [`crate::phase`] needs, written to all the time.

use super::churn::Churn;
use super::pgbench::Running;
use crate::compare::assert_sequences_not_behind;
use crate::pair::{Pair, TARGET_DATABASE};
use crate::source::DATABASE;

/// About 4 MB: its copy does not fit into the buffers between two programs, so it can be caught in the middle.
const HELD: &str = "create table held (id integer primary key, n integer, value text); \
    alter table held alter column value set storage external; \
    insert into held select i, 0, repeat(md5(i::text), 600) from generate_series(1, 200) as i";
/// It also keeps small what the churn makes grow and then updates as a whole, or the load would have no bounds.
const SCRIPT: &str = "\\set id random(1, 200)\n\
    \\set aid random(1, 100000)\n\
    \\set delta random(-5000, 5000)\n\
    begin;\n\
    update pgbench_accounts set abalance = abalance + :delta where aid = :aid;\n\
    update held set n = n + 1 where id = :id;\n\
    insert into pgbench_history (tid, bid, aid, delta, mtime) values (1, 1, :aid, :delta, current_timestamp);\n\
    delete from c_keys where key in (select key from c_keys limit 4 for update skip locked);\n\
    end;\n";

/// The load on a source, through restarts of it. Dropping it ends it.
pub struct Busy {
    bench: Running,
    churn: Option<Churn>,
}

impl Pair {
    /// Fills the source and makes it busy. `seed` decides what the churn writes.
    pub fn make_busy(&self, seed: u64) -> Busy {
        self.load_zoo(100);
        let bench = self.source.pgbench().init(1);
        self.source.app(HELD);
        Busy {
            bench: bench
                .script(SCRIPT)
                .clients(2)
                .rate(60)
                .through_restarts()
                .start(),
            churn: Some(self.source.churn(seed, 1)),
        }
    }

    /// Ends the load and checks that everything came over.
    pub fn assert_migrated_after(&self, busy: Busy) {
        busy.stop(self);
        let _telling = Telling(self);
        self.assert_migrated();
        assert_sequences_not_behind(&self.source, DATABASE, &self.target, TARGET_DATABASE);
    }
}

impl Busy {
    /// Ends the churn; pgbench goes on.
    pub fn calm(&mut self) {
        if let Some(churn) = self.churn.take() {
            let tally = churn.stop();
            assert!(tally.committed > 20, "the churn was at work: {tally:?}");
        }
    }

    /// Ends the load, to a clean end.
    pub fn stop(mut self, pair: &Pair) {
        self.calm();
        self.bench.stop(&pair.source);
    }
}

/// Says, when the comparison fails, whether deltas are still there, and what the migration thinks of itself.
struct Telling<'a>(&'a Pair);

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("deltas on the source: {}", self.0.deltas());
            eprintln!("{}", self.0.tell());
        }
    }
}
