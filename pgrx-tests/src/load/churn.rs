//! Random writes on the zoo: whatever an application may do, in small transactions, some of them rolled back.
//!
//! Writers collide by intention: unique violations, deadlocks and lost connections are part of the game and are counted. Any other
//! error fails the test, for then it is the migration that broke the application.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fastrand::Rng;
use postgres::Client;
use postgres::error::SqlState;

use crate::server::client::told;
use crate::source::{DATABASE, ROLE, Source};
use crate::wait;

/// What an application does, one list per sort. `{n}` and `{m}` are small random numbers, `{x}` is a random text.
const STATEMENTS: &[&str] = &[
    // the heart of the application
    "insert into users (email, name, props) values ('{x}@example.org', '{x}', jsonb_build_object('n', {n}))",
    "update users set name = '{x}', props = props || '{\"n\": {n}}' where id = {n}",
    "update users set status = 'active', manager_id = {m} where id between {n} and {n} + 3",
    "update users set tags = array_append(tags, '{x}') where id % 50 = {n} % 50",
    "delete from users where id = {n}",
    "insert into sales.orders (user_id, amount, note) select id, {n}.5, '{x}' from users order by id desc limit 3",
    "update sales.orders set amount = amount + 1, note = repeat('{x}', {n} % 200) where id = {n}",
    "insert into sales.order_lines select id, {m}, 1, 2 from sales.orders where id between {n} and {n} + 9 \
     on conflict (order_id, line) do update set quantity = {m} + 1",
    "delete from sales.orders where id = {m}",
    // keys come, change and go
    "insert into text_keys values ('{x}', '{n}') on conflict (key) do update set value = text_keys.value || 'x'",
    "update text_keys set key = '{x}' where key = (select key from text_keys offset {n} % 50 limit 1)",
    "delete from text_keys where key = (select key from text_keys offset {n} % 50 limit 1)",
    "insert into c_keys values ('{x}', 'c'), ('{x}\t', 'tab'), ('{x}\\', 'backslash'), ('{x}\"', 'quote')",
    "update c_keys set key = key || '\n' where key = (select key from c_keys offset {m} limit 1)",
    "update bpchar_keys set key = '{m}' where value = {m}",
    "insert into uuid_keys values (md5('{x}')::uuid, '\\x00ff')",
    "update uuid_keys set id = md5('{x}')::uuid where id = (select id from uuid_keys order by id offset {n} % 50 limit 1)",
    "delete from uuid_keys where id = (select id from uuid_keys order by id limit 1)",
    "update bytea_keys set id = decode(md5('{x}'), 'hex') where id = (select min(id::text)::bytea from bytea_keys)",
    "update numeric_keys set id = id + 1000 where id = {n}",
    "update numeric_keys set value = 1.0, approximate = '-0' where id = {m} + 10",
    "update numeric_keys set value = 1.00, approximate = '0' where id = {m} + 10",
    "insert into timestamptz_keys (at) values (timestamptz '2021-01-01 00:00+00' + {n} * interval '1 microsecond')",
    "update timestamptz_keys set day = date '2020-01-01' + {n} where at = 'infinity'",
    "delete from timestamptz_keys where at in (select at from timestamptz_keys where isfinite(at) order by at desc limit 2)",
    "update date_keys set day = day + 1000 where day = date '2020-02-28' + {m}",
    "delete from only_keys where name = 'only {m}'",
    "insert into only_keys values ('only {m}'), ('{x}') on conflict do nothing",
    "update only_keys_two set a = a + 100 where b = {m} % 6",
    "insert into only_keys_two values ({n}, {m}) on conflict do nothing",
    "update reversed_key set first = first + 1 where first = {m}",
    "update unique_key set code = '{x}' where code = 'code {m}'",
    "update unique_key set decoy = null, value = '{x}' where decoy = {m}",
    "update range_keys set during = int4range({n}, {n} + 5) where during = int4range({m}, {m} + {m} % 5)",
    "update array_keys set path = path || {n} where value = '{m}'",
    "update boolean_keys set value = {n} where yes",
    "delete from boolean_keys where yes",
    "insert into boolean_keys values (true, {n}) on conflict do nothing",
    "update enum_keys set value = {n}",
    // values of every type
    "update every_type set a_json = '{\"x\": {n}.0}', a_point = '({n},-0)', a_vector = '{x}'::tsvector where id = {m}",
    "update every_type set addresses = array[row('{x}', '{m}')::address], an_interval = make_interval({n}) where id = {m}",
    "update every_type set a_text = null, a_numeric = 'NaN', a_float = '-Infinity' where id = {m}",
    "update large_values set value = repeat('{x}', 20000) where id = 1 + {n} % 12",
    "update large_values set kind = '{x}' where id = 1 + {n} % 12",
    // names and shapes
    "update \"Mixed Case\".\"Table\" set \"Col \"\"quoted\"\"\" = '{x}', \"select\" = '''' where \"Id\" = {m}",
    "update \"odd\"\"schema'\\\".\"odd\"\"table'\\\" set \"odd\"\"key'\\\" = \"odd\"\"key'\\\" || '\"' where \"null\" = {m}",
    "update collisions set \"new\" = '{x}', taken = null where k = {m}",
    "insert into empty_table values ({n}, '{x}') on conflict do nothing",
    "delete from empty_table",
    "update dropped_columns set value = '{x}', added = null where id = {m}",
    "insert into identity_always (value) values ('{x}')",
    "insert into identity_by_default (value) values ('{x}')",
    "delete from identity_always where id = {m}",
    "update deferred_unique set position = 61 - position",
    "update bookings set during = int4range({m} * 10 + 1, {m} * 10 + 9) where id = {m}",
    "update counters set value = value + 1 where name = 'counter {m}'",
    "update counters set value = value + 1",
    "delete from eggs where hen = {m}; update hens set favourite_egg = null where id = {m}; delete from hens where id = {m}",
    "update eggs set hen = (select id from hens order by id offset {m} % 20 limit 1) where id = {m} * 2",
    "insert into hens values ({n} + 100, {n} + 100) on conflict do nothing; \
     insert into eggs values ({n} + 100, {n} + 100) on conflict do nothing",
    "update vehicles set name = '{x}' where id = {m}",
    "update vehicles set id = id + 100 where id = {m}",
    "delete from vehicles where id = {m}",
    "insert into cars values ({n} + 1000, '{x}', 4) on conflict do nothing",
    "update wide set c200 = '{x}', c1 = c100 where id = {m}",
    "insert into truncated_now_and_then select i, '{x}' from generate_series({n}, {n} + 10) as i \
     on conflict do nothing",
    "update truncated_now_and_then set value = '{x}' where id % 7 = {m} % 7",
    "delete from truncated_now_and_then where id > {n}",
    "select nextval('ticket'), nextval('\"Mixed Case\".\"Countdown\"'), nextval('\"odd\"\"schema''\\\".\"odd\"\"sequence''\\\"')",
    // many rows at once
    "update sales.order_lines set quantity = 1 + quantity % 1000 where order_id % 20 = {m} % 20",
    "update c_keys set value = 'all'",
    "delete from text_keys where char_length(value) = {n} % 100",
];
const TRUNCATES: &[&str] = &[
    "truncate truncated_now_and_then",
    "truncate truncated_now_and_then; insert into truncated_now_and_then values ({n}, '{x}')",
    "insert into truncated_now_and_then values (-{n}, '{x}'); truncate truncated_now_and_then",
    "truncate empty_table, only_keys_two",
];
const FROM_11: &[&str] = &[
    "insert into measurements values ({n} + 100000, date '2022-01-01' + {n}, {m}) on conflict do nothing",
    "update measurements set value = value + 1 where id = {n}",
    "update measurements set taken_on = taken_on + 400 where id = {n}",
    "update measurements set id = id + 10 where id % 100 = {m}",
    "delete from measurements where id between {n} and {n} + 2",
    "update measurements_2023 set value = null where id % 10 = {m} % 10",
    "update \"Mixed Case\".\"Hashed\" set \"Id\" = '{x}' where \"Id\" = (select min(\"Id\") from \"Mixed Case\".\"Hashed\")",
    "update \"Mixed Case\".\"Hashed 0\" set value = '{x}'",
    "insert into \"Mixed Case\".\"Hashed\" values ('{x}', '{n}')",
];
const FROM_12: &[&str] = &[
    "update generated_columns set first = '{x}' where id = {m}",
    "insert into generated_columns (id, last) values ({n}, repeat('y', {n} + 100)) on conflict do nothing",
    "delete from generated_columns where id = {m}",
];

/// How many transactions a churn has done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub committed: u64,
    pub rolled_back: u64,
    /// Refused for good reasons: constraints, deadlocks, timeouts.
    pub refused: u64,
    /// Times the connection was lost.
    pub lost: u64,
}

/// Writers at work. Dropping it ends them.
pub struct Churn {
    stopping: Arc<AtomicBool>,
    writers: Vec<JoinHandle<Result<Tally, String>>>,
}

impl Churn {
    /// Starts `writers` threads on a loaded zoo; `seed` decides what they write.
    pub(crate) fn start(source: &Source, seed: u64, writers: usize) -> Self {
        let owned = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
        let mut statements = STATEMENTS.to_vec();
        for (major, more) in [(11, FROM_11), (12, FROM_12)] {
            if source.major() >= major {
                statements.extend(more);
            }
        }
        Self::of(source, seed, writers, owned(&statements), owned(TRUNCATES))
    }

    /// Starts `writers` threads that do these statements; of a hundred one is a truncation.
    pub fn of(
        source: &Source,
        seed: u64,
        writers: usize,
        statements: Vec<String>,
        truncates: Vec<String>,
    ) -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let writer = |number: usize| {
            let mut writer = Writer {
                rng: Rng::with_seed(seed.wrapping_mul(1000).wrapping_add(number as u64)),
                statements: statements.clone(),
                truncates: truncates.clone(),
                directory: source.directory().to_owned(),
                port: source.port(),
                tally: Tally::default(),
            };
            let stopping = Arc::clone(&stopping);
            thread::spawn(move || writer.work(&stopping).map(|()| writer.tally))
        };
        let writers = (0..writers).map(writer).collect();
        Self { stopping, writers }
    }

    /// Lets every writer finish its transaction, and returns what they have done.
    ///
    /// # Panics
    /// When an error came up that an application must not see.
    pub fn stop(mut self) -> Tally {
        let mut sum = Tally::default();
        for result in self.end() {
            let tally =
                result.unwrap_or_else(|error| panic!("the application was broken: {error}"));
            sum.committed += tally.committed;
            sum.rolled_back += tally.rolled_back;
            sum.refused += tally.refused;
            sum.lost += tally.lost;
        }
        assert!(
            sum.committed > 0,
            "a churn that commits nothing proves nothing: {sum:?}"
        );
        sum
    }

    fn end(&mut self) -> Vec<Result<Tally, String>> {
        self.stopping.store(true, Ordering::Relaxed);
        self.writers
            .drain(..)
            .map(|writer| {
                writer
                    .join()
                    .unwrap_or_else(|_| Err("a writer panicked".into()))
            })
            .collect()
    }
}

impl Drop for Churn {
    fn drop(&mut self) {
        self.end();
    }
}

struct Writer {
    rng: Rng,
    statements: Vec<String>,
    truncates: Vec<String>,
    directory: std::path::PathBuf,
    port: u16,
    tally: Tally,
}

impl Writer {
    fn work(&mut self, stopping: &AtomicBool) -> Result<(), String> {
        while !stopping.load(Ordering::Relaxed) {
            let Ok(mut client) = self.connect() else {
                wait::pause(Duration::from_millis(100));
                continue;
            };
            while !stopping.load(Ordering::Relaxed) && !client.is_closed() {
                self.transact(&mut client)?;
            }
        }
        Ok(())
    }

    fn connect(&self) -> Result<Client, postgres::Error> {
        let mut client = postgres::Config::new()
            .host_path(&self.directory)
            .port(self.port)
            .user(ROLE)
            .dbname(DATABASE)
            .application_name("churn")
            .connect(postgres::NoTls)?;
        client.batch_execute("SET lock_timeout = '20s'; SET escape_string_warning = off")?;
        Ok(client)
    }

    /// One transaction of one to five statements, perhaps with a savepoint, rolled back now and then.
    fn transact(&mut self, client: &mut Client) -> Result<(), String> {
        let rolls_back = self.rng.u32(0..10) == 0;
        let mut batch = vec!["begin".to_owned()];
        for _ in 0..self.rng.u32(1..=5) {
            let statement = self.statement();
            match self.rng.u32(0..8) {
                0 => batch.extend(["savepoint s".into(), statement, "rollback to s".into()]),
                1 => batch.extend(["savepoint s".into(), statement, "release s".into()]),
                _ => batch.push(statement),
            }
        }
        batch.push(if rolls_back { "rollback" } else { "commit" }.into());
        let text = batch.join("; ");
        match client.batch_execute(&text) {
            Ok(()) if rolls_back => self.tally.rolled_back += 1,
            Ok(()) => self.tally.committed += 1,
            Err(error) if error.as_db_error().is_none() || is_loss(&error) => self.tally.lost += 1,
            Err(error) if is_expected(&error) => {
                self.tally.refused += 1;
                // may fail with the connection, which the caller notices
                let _ = client.batch_execute("rollback");
            }
            Err(error) => return Err(format!("{}\nin: {text}", told(&error))),
        }
        Ok(())
    }

    fn statement(&mut self) -> String {
        let statement = if self.rng.u32(0..100) == 0 {
            &self.truncates[self.rng.usize(0..self.truncates.len())]
        } else {
            &self.statements[self.rng.usize(0..self.statements.len())]
        };
        let text = format!("{:x}", self.rng.u64(..));
        statement
            .replace("{n}", &self.rng.u32(1..=300).to_string())
            .replace("{m}", &self.rng.u32(1..=60).to_string())
            .replace("{x}", &text)
    }
}

/// The server went away or sent us away.
fn is_loss(error: &postgres::Error) -> bool {
    error
        .code()
        .is_some_and(|code| code.code().starts_with("57P") || code.code().starts_with("08"))
}

/// What concurrent writers do to each other in any application.
fn is_expected(error: &postgres::Error) -> bool {
    error.code().is_some_and(|code| {
        code.code().starts_with("23")
            || [
                SqlState::T_R_DEADLOCK_DETECTED,
                SqlState::T_R_SERIALIZATION_FAILURE,
                SqlState::LOCK_NOT_AVAILABLE,
            ]
            .contains(code)
    })
}
