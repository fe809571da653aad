//! The initial copy, seen from outside: tables that take many chunks, how fast it may go, and what has been done of it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;

use crate::load::Running;
use crate::migration::NAME;
use crate::pair::{Pair, PairBuilder, TARGET_DATABASE};

/// SQL for a table of about so many megabytes, 1000 rows each.
pub fn table(name: &str, megabytes: u32) -> String {
    format!(
        "create table {name} (id int primary key, n int not null default 0, value text); \
         insert into {name} select i, 0, repeat(md5(i::text), 30) from generate_series(1, {megabytes} * 1000) as i; \
         analyze {name};"
    )
}

/// A pair whose chunks are of up to one megabyte.
pub fn chunked() -> PairBuilder {
    Pair::builder().target_conf("pg_decamp.chunk_size = '1MB'")
}

/// Inserts, updates and deletes in tables made by [`table`], through restarts.
pub fn busy(pair: &Pair, tables: &[&str]) -> Running {
    let mut bench = pair.source.pgbench();
    for name in tables {
        bench = bench
            .script(&format!(
                "\\set n random(1, 3000)\nupdate {name} set n = n + 1 where id = :n;\n"
            ))
            .script(&format!(
                "\\set n random(1, 100000)\n\
                 insert into {name} values (100000 + :n, 0, 'new') on conflict (id) do update set n = 1;\n"
            ))
            .script(&format!(
                "\\set n random(1, 3000)\ndelete from {name} where id = :n or id = 100000 + :n;\n"
            ));
    }
    bench.rate(100).through_restarts().start()
}

/// The chunks of a table that are done, each with all that would change if it were copied again.
pub struct Done {
    table: String,
    chunks: BTreeMap<String, String>,
}

impl Done {
    pub fn of(pair: &Pair, table: &str) -> Self {
        Self::older_than(pair, table, 0)
    }

    /// Only what has been noted for so long that no crash of the target's server makes it forgotten.
    pub fn older_than(pair: &Pair, table: &str, seconds: u32) -> Self {
        let sql = format!(
            "select t.id, concat_ws(' ', t.finished_at, t.attempts, t.rows_done, a.at, a.rows) \
             from decamp.task t \
             join decamp.relation r using (subscription_id, source_oid) \
             join decamp.subscription s on s.id = t.subscription_id \
             left join decamp.applied a on a.subscription = s.uuid and a.task = t.id \
             where s.name = '{NAME}' and r.name = '{table}' and t.kind = 'chunk' and t.state = 'done' \
               and t.finished_at < clock_timestamp() - interval '{seconds} seconds'"
        );
        let rows = pair.target.rows(TARGET_DATABASE, &sql);
        let chunks = rows
            .into_iter()
            .map(|mut row| (row.remove(0), row.remove(0)))
            .collect();
        Self {
            table: table.into(),
            chunks,
        }
    }

    pub fn count(&self) -> usize {
        self.chunks.len()
    }

    /// # Panics
    /// When one of them has been copied again since, or is not known to be done any more.
    pub fn assert_kept(&self, pair: &Pair) {
        let now = Self::of(pair, &self.table);
        for (id, was) in &self.chunks {
            assert_eq!(
                now.chunks.get(id),
                Some(was),
                "chunk {id} of {} has been copied again\n{}",
                self.table,
                pair.tell()
            );
        }
    }
}

impl Pair {
    /// Sets `pg_decamp.copy_rate_limit` in the target's configuration file, in megabytes a second; 0: no limit.
    pub fn limit_copy(&self, megabytes: u32) {
        self.target
            .append_conf(&format!("pg_decamp.copy_rate_limit = '{megabytes}MB'"));
        self.target.reload();
    }

    /// A number from the tasks of a table: `attempts > 1` counts, `max(attempts)` would be one too.
    pub fn tasks(&self, table: &str, aggregate: &str) -> i64 {
        let sql = format!(
            "select {aggregate} from decamp.task t join decamp.relation r using (subscription_id, source_oid) \
             where r.name = '{table}'"
        );
        self.query(&sql)
            .parse()
            .unwrap_or_else(|_| panic!("{aggregate} is a number"))
    }

    /// A table's indexes on the target: name, oid and file of each.
    pub fn index_files(&self, table: &str) -> Vec<Vec<String>> {
        let sql = format!(
            "select c.relname, c.oid, c.relfilenode from pg_index i join pg_class c on c.oid = i.indexrelid \
             where i.indrelid = '{table}'::regclass order by 1"
        );
        self.target.rows(TARGET_DATABASE, &sql)
    }

    /// Waits until the table's copy has come to so many chunks, and is not at its end.
    pub fn poll_half_way(&self, table: &str, chunks: usize) {
        self.poll_table(table, &format!("chunks_done >= {chunks}"));
        assert_eq!(
            self.table(table, "chunks_done < chunks"),
            "t",
            "the copy of {table} is still going on\n{}",
            self.tell()
        );
    }

    /// Waits until the table has stopped with this SQLSTATE; checks that error or hint have these words.
    pub fn assert_stopped(&self, table: &str, sqlstate: &str, words: &[&str]) -> Done {
        self.poll_table(
            table,
            "state = 'errored' and error is not null and hint like '%repl_resume(''heroku'')%'",
        );
        let told = self.table(table, "error || ' HINT: ' || hint");
        for word in words {
            assert!(told.contains(word), "{word:?} is not in: {told}");
        }
        let state = format!("select error_sqlstate from decamp.relation where name = '{table}'");
        assert_eq!(self.query(&state), sqlstate, "{told}");
        Done::of(self, table)
    }

    /// Makes a function `held(int)` on the target in which index builds wait until [`Self::release_builds`].
    pub fn hold_builds(&self) {
        File::create(self.gate()).expect("the server's directory can be written");
        self.sql(&format!(
            "create function public.held(int) returns int language plpgsql immutable as $$ \
             begin \
                 while (pg_catalog.pg_stat_file('{}', true)).size is not null loop \
                     perform pg_catalog.pg_sleep(0.02); \
                 end loop; \
                 return $1; \
             end $$",
            self.gate().display()
        ));
    }

    pub fn release_builds(&self) {
        fs::remove_file(self.gate()).expect("builds were held");
    }

    fn gate(&self) -> PathBuf {
        self.target.directory().join("gate.build")
    }
}
