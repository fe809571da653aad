//! The data sets: what is copied, each in a database of its own on the source.

use std::collections::BTreeMap;

use decamp_tests::Server;
use decamp_tests::compare::{self, Content};
use decamp_tests::server::client::told;
use decamp_tests::source::{DATABASE, ROLE, Source};

use super::settings::Settings;
use super::stage::{Stage, TARGET};

const PGBENCH_SCALE: f64 = 50.0;
const MIXED: &str = include_str!("../../../bench/mixed.sql");
const MANY: &str = include_str!("../../../bench/many.sql");
const INDEXES: &str = "select pg_get_indexdef(i.indexrelid) from pg_index i join pg_class c on c.oid = i.indrelid \
    join pg_namespace n on n.oid = c.relnamespace \
    where i.indisvalid and i.indisready and i.indislive \
    and n.nspname !~ '^(pg_|information_schema$|decamp|bucardo)' order by 1";

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Pgbench,
    Mixed,
    Many,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Kind::Pgbench, Kind::Mixed, Kind::Many];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Pgbench => "pgbench",
            Kind::Mixed => "mixed",
            Kind::Many => "many",
        }
    }

    fn what(self) -> &'static str {
        match self {
            Kind::Pgbench => "pgbench's tables (its empty history table was given a key)",
            Kind::Mixed => {
                "an application's schema: uuid, jsonb, text, numeric, arrays, bytea; GIN and other indexes"
            }
            Kind::Many => "many small tables",
        }
    }

    fn load(self, source: &Source, scale: f64) {
        let sql = match self {
            Kind::Pgbench => {
                let scale = (PGBENCH_SCALE * scale).round().max(1.0) as u32;
                let _ = source.pgbench().init(scale);
                // a peer needs one
                source.app("ALTER TABLE pgbench_history ADD COLUMN id bigserial PRIMARY KEY");
                return;
            }
            Kind::Mixed => MIXED,
            Kind::Many => MANY,
        };
        source.create_database(self.name());
        let mut client = source.connect_as(ROLE, self.name());
        let loaded = client
            .batch_execute(&format!("SET bench.scale = '{scale}'"))
            .and_then(|()| client.batch_execute(sql));
        loaded.unwrap_or_else(|error| panic!("{}: {}", self.name(), told(&error)));
    }
}

/// A loaded data set.
pub struct Data {
    pub kind: Kind,
    pub database: &'static str,
    indexes: Vec<Vec<String>>,
    contents: BTreeMap<String, Content>,
    pub about: String,
}

impl Data {
    pub fn load(stage: &Stage, kind: Kind, settings: &Settings) -> Self {
        let source = &stage.pair.source;
        let database = match kind {
            Kind::Pgbench => DATABASE,
            Kind::Mixed | Kind::Many => kind.name(),
        };
        kind.load(source, settings.scale);
        source.sql(database, "VACUUM ANALYZE");
        let indexes = source.rows(database, INDEXES);
        let facts = source.rows(
            database,
            "select count(*), pg_size_pretty(sum(pg_table_size(oid))), pg_size_pretty(sum(pg_indexes_size(oid))) \
             from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace",
        );
        let about = format!(
            "{}: {} tables with {}, {} indexes with {}",
            kind.what(),
            facts[0][0],
            facts[0][1],
            indexes.len(),
            facts[0][2]
        );
        Self {
            kind,
            database,
            indexes,
            contents: compare::contents(source, database),
            about,
        }
    }

    /// Is all on the target: every table with every row, every index, valid?
    pub fn verify(&self, stage: &Stage) -> Result<(), String> {
        let target: &Server = &stage.pair.target;
        let found = compare::contents(target, TARGET);
        let differing = self
            .contents
            .iter()
            .filter(|&(table, content)| found.get(table) != Some(content))
            .map(|(table, _)| table.as_str());
        let differing: Vec<&str> = differing.collect();
        if !differing.is_empty() {
            let some = &differing[..differing.len().min(5)];
            return Err(format!(
                "{} tables are not as on the source: {}",
                differing.len(),
                some.join(", ")
            ));
        }
        self.verify_indexes(stage)
    }

    pub fn verify_indexes(&self, stage: &Stage) -> Result<(), String> {
        let found = stage.pair.target.rows(TARGET, INDEXES);
        if found == self.indexes {
            return Ok(());
        }
        Err(format!(
            "the indexes are not as on the source: {} there, {} here",
            self.indexes.len(),
            found.len()
        ))
    }
}
